// Reads the identity of a request from its headers and fields.
import SoradHTTP
import SoradJobs
import SoradSystem

extension IdempotencyRecord {
    private static let keyLimit = 255

    /// - Throws: a refusal for an `Idempotency-Key` that is empty, too long or not plain text.
    init(_ request: Request) throws {
        let keys = request.headers.all("idempotency-key")
        if let key = keys.first {
            let isPlain = key.utf8.allSatisfy { (0x20...0x7E).contains($0) }
            guard keys.count == 1, (1...IdempotencyRecord.keyLimit).contains(key.utf8.count), isPlain else {
                throw APIError(
                    .badRequest, "the Idempotency-Key must be one text of 1 to \(IdempotencyRecord.keyLimit) printable ASCII characters",
                    param: "Idempotency-Key", code: "invalid_value")
            }
        }
        // Sent by the official SDKs: how many times they have sent this request before.
        let retries = request.headers["x-stainless-retry-count"].flatMap { Int($0) } ?? 0
        // The path tells requests with the same fields to different ends apart.
        let route = "\(request.method.rawValue) \(request.path)"
        self.init(key: keys.first, fingerprint: try request.fields.fingerprint(of: route), isRetry: retries >= 1)
    }
}
