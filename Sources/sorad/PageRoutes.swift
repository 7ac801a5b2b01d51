// The page: static files that are part of the program, the same for everybody, so no key is needed to read them. What they show comes from
// the API, with the key that the browser has.
import CSoradPage
import SoradHTTP
import SoradSystem

struct PageRoutes: Sendable {
    private let files: [(path: String, type: String, bytes: [UInt8], entityTag: String)]

    /// Nothing but the page's own files may run, be loaded or be asked; data: and blob: are pictures and clips that it has fetched itself.
    private static let policy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
    ].joined(separator: "; ")

    init() {
        files = (0..<Int(sorad_page_count())).map { index in
            let file = unsafe sorad_page_file(index)
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: file.bytes, count: file.count))
            let (path, type) = unsafe (String(cString: file.path), String(cString: file.type))
            return (path, type, bytes, "\"\(SHA256.hexadecimal(SHA256.hash(bytes)).prefix(32))\"")
        }
    }

    func add(to routes: inout Routes) {
        for file in files {
            let headers: Headers = [
                "content-type": file.type, "etag": file.entityTag, "cache-control": "no-cache",
                "content-security-policy": PageRoutes.policy,
                "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin",
                "cross-origin-resource-policy": "same-origin", "x-frame-options": "DENY",
            ]
            routes.on(.get, file.path, isOpen: true) { request in
                if request.headers["if-none-match"] == file.entityTag { return Response(.notModified, headers: headers) }
                return Response(headers: headers, body: .bytes(file.bytes))
            }
        }
    }
}
