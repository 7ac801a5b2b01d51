// Records for retention and quotas: sizes, expiries, digests, the users' clip time, the administrator's settings.
// Invariant: the time of a clip is recorded in the transaction that records its job, and outlives the job: deleting a clip gives no
// time back.
import SoradSystem

extension JobStore {
    static let limitsMigration = """
        ALTER TABLE job ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN expires_at INTEGER;
        ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN digest TEXT;
        ALTER TABLE job ADD COLUMN died_at INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX job_over ON job (completed_at, id, owner, bytes, expires_at) WHERE status IN ('completed', 'failed');
        CREATE INDEX job_by_digest ON job (owner, digest) WHERE status = 'completed' AND digest IS NOT NULL;
        CREATE TABLE spent_clip_time (
            job TEXT PRIMARY KEY NOT NULL,
            owner INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            milliseconds INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX spent_clip_time_by_owner ON spent_clip_time (owner, created_at, milliseconds);
        CREATE TABLE setting (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        """

    // MARK: retention

    /// Jobs that are over, the one that ended first in front.
    func over() throws(DatabaseError) -> [Retention.Kept] {
        try database.run(
            """
            SELECT id, completed_at, bytes, expires_at FROM job WHERE status IN ('completed', 'failed') ORDER BY completed_at, id
            """
        ).compactMap { row in
            guard let id = row[0].text.flatMap({ JobIdentifier($0) }) else { return nil }
            return Retention.Kept(
                id: id, completedAt: Int(row[1].integer ?? 0), bytes: Int(row[2].integer ?? 0), expiresAt: row[3].integer.map { Int($0) })
        }
    }

    /// Completed jobs of an earlier version, whose sizes are not recorded.
    func unmeasured() throws(DatabaseError) -> [JobIdentifier] {
        try database.run("SELECT id FROM job WHERE status = 'completed' AND bytes = 0").compactMap {
            $0[0].text.flatMap { JobIdentifier($0) }
        }
    }

    func record(bytes: [(JobIdentifier, Int)]) throws(DatabaseError) {
        if bytes.isEmpty { return }
        try database.transaction { () throws(DatabaseError) in
            for (id, count) in bytes { try database.run("UPDATE job SET bytes = ? WHERE id = ?", .integer(Int64(count)), .text(id.text)) }
        }
    }

    /// A completed job of `owner` whose clip is that of `digest`, the newest.
    func completed(digest: String, owner: UInt32) throws(DatabaseError) -> JobIdentifier? {
        try database.run(
            """
            SELECT id FROM job WHERE owner = ? AND digest = ? AND status = 'completed' AND digest IS NOT NULL ORDER BY id DESC LIMIT 1
            """, .integer(Int64(owner)), .text(digest)
        ).first?[0].text.flatMap { JobIdentifier($0) }
    }

    // MARK: usage

    func bytes(of owner: UInt32) throws(DatabaseError) -> Int {
        let rows = try database.run(
            "SELECT coalesce(sum(bytes), 0) FROM job WHERE status IN ('completed', 'failed') AND owner = ?", .integer(Int64(owner)))
        return Int(rows.first?[0].integer ?? 0)
    }

    /// The clips that `owner` asked for after `since`, the oldest first.
    func clipTime(of owner: UInt32, since: Int) throws(DatabaseError) -> [Usage.Clip] {
        try database.run(
            "SELECT created_at, milliseconds FROM spent_clip_time WHERE owner = ? AND created_at > ? ORDER BY created_at",
            .integer(Int64(owner)), .integer(Int64(since))
        ).map { Usage.Clip(createdAt: Int($0[0].integer ?? 0), milliseconds: Int($0[1].integer ?? 0)) }
    }

    /// Within the transaction that records a new job. Deletes records older than a day.
    func recordClipTime(of job: Job) throws(DatabaseError) {
        try database.run("DELETE FROM spent_clip_time WHERE created_at <= ?", .integer(Int64(job.createdAt - Usage.window)))
        try database.run(
            "INSERT INTO spent_clip_time (job, owner, created_at, milliseconds) VALUES (?, ?, ?, ?)", .text(job.id.text),
            .integer(Int64(job.owner)), .integer(Int64(job.createdAt)), .integer(Int64(job.plan.clipMilliseconds)))
    }

    /// A job that ended without a clip before it was begun, or through no fault of its owner, has used nothing.
    func giveBackClipTime(of id: JobIdentifier) throws(DatabaseError) {
        try database.run("DELETE FROM spent_clip_time WHERE job = ?", .text(id.text))
    }

    // MARK: settings of administrators

    func setting(_ name: String) throws(DatabaseError) -> JSONValue? {
        guard let text = try database.run("SELECT value FROM setting WHERE name = ?", .text(name)).first?[0].text else { return nil }
        do throws(JSONError) { return try JSONValue(parsing: Array(text.utf8)) } catch {
            throw DatabaseError(code: 11, message: "the record of \(name) is damaged: \(error)", statement: "setting")
        }
    }

    func set(_ name: String, _ value: JSONValue) throws(DatabaseError) {
        try database.transaction { () throws(DatabaseError) in
            try database.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", .text(name), .text(value.text()))
        }
    }
}
