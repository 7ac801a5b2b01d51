// Recognizes a request that comes twice: by the client's idempotency key, or, without one, by a retry count together with the same
// fields from the same user a short while before.
// Invariant: a record is written in the transaction that records its job, and goes with it.

/// The parts of a request that identify it.
public struct IdempotencyRecord: Sendable, Equatable {
    /// The client's own name for this request; valid for `keyLifetime`.
    public var key: String?
    /// A digest of everything that was asked for, the same for the same fields.
    public var fingerprint: String
    /// The client says that it has sent this before.
    public var isRetry: Bool

    /// Seconds for which a key names its first request.
    public static let keyLifetime = 86_400
    /// Seconds within which a retry without a key means the request before.
    public static let retryWindow = 900

    public init(key: String?, fingerprint: String, isRetry: Bool) {
        self.key = key
        self.fingerprint = fingerprint
        self.isRetry = isRetry
    }
}

extension JobStore {
    enum Earlier: Sendable, Equatable {
        case none
        case job(JobIdentifier)
        /// The key belongs to a request with other fields.
        case otherRequest
    }

    /// The job of an earlier request with the same record. `now` is Unix time in seconds.
    func earlier(_ record: IdempotencyRecord, owner: UInt32, now: Int) throws(DatabaseError) -> Earlier {
        if let key = record.key {
            let rows = try database.run(
                "SELECT job, fingerprint FROM submission WHERE owner = ? AND key = ? AND created_at > ?", .integer(Int64(owner)),
                .text(key),
                .integer(Int64(now - IdempotencyRecord.keyLifetime)))
            guard let row = rows.first, let id = row[0].text.flatMap({ JobIdentifier($0) }) else { return .none }
            return row[1] == .text(record.fingerprint) ? .job(id) : .otherRequest
        }
        guard record.isRetry else { return .none }
        let rows = try database.run(
            """
            SELECT job FROM submission WHERE owner = ? AND fingerprint = ? AND key IS NULL AND created_at >= ?
            ORDER BY created_at DESC, job DESC LIMIT 1
            """,
            .integer(Int64(owner)), .text(record.fingerprint), .integer(Int64(now - IdempotencyRecord.retryWindow)))
        return rows.first?[0].text.flatMap { JobIdentifier($0) }.map { .job($0) } ?? .none
    }

    /// Within a transaction, after the job itself. Deletes records that are too old to matter.
    func add(_ record: IdempotencyRecord, of job: Job) throws(DatabaseError) {
        try database.run(
            "DELETE FROM submission WHERE created_at <= ?", .integer(Int64(job.createdAt - IdempotencyRecord.keyLifetime)))
        try database.run(
            "INSERT INTO submission (job, owner, key, fingerprint, created_at) VALUES (?, ?, ?, ?, ?)", .text(job.id.text),
            .integer(Int64(job.owner)), record.key.map { .text($0) } ?? .null, .text(record.fingerprint),
            .integer(Int64(job.createdAt)))
    }
}
