// The jobs on disk. WAL with synchronous=FULL is the one mode of SQLite that loses no acknowledged transaction in a power cut.
// Invariant: a write is durable when its method returns, but for those that say that they need not survive a power cut.
import SoradAPI
public import SoradSystem

public final class JobStore {
    let database: Database

    /// Each element brings the schema from its index to the next version; never change one that has been released.
    private static let migrations = [
        """
        CREATE TABLE job (
            id TEXT PRIMARY KEY NOT NULL,
            owner INTEGER NOT NULL,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            completed_at INTEGER,
            percent INTEGER NOT NULL,
            worker_deaths INTEGER NOT NULL,
            seconds TEXT NOT NULL,
            request TEXT NOT NULL,
            error TEXT,
            result TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX job_by_owner ON job (owner, id);
        CREATE INDEX job_not_over ON job (id) WHERE status IN ('queued', 'in_progress');
        """,
        """
        CREATE TABLE model_file (key TEXT PRIMARY KEY NOT NULL, info TEXT NOT NULL) STRICT, WITHOUT ROWID;
        """,
        """
        CREATE TABLE submission (
            job TEXT PRIMARY KEY NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            owner INTEGER NOT NULL,
            key TEXT,
            fingerprint TEXT NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX submission_by_key ON submission (owner, key) WHERE key IS NOT NULL;
        CREATE INDEX submission_by_fingerprint ON submission (owner, fingerprint, created_at);
        """,
        """
        CREATE TABLE clip_time (number INTEGER PRIMARY KEY, shape TEXT NOT NULL, seconds TEXT NOT NULL) STRICT;
        CREATE INDEX clip_time_by_shape ON clip_time (shape, number);
        CREATE TABLE made_clip (
            sha256 TEXT PRIMARY KEY NOT NULL,
            job TEXT NOT NULL,
            model TEXT NOT NULL,
            completed_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """,
        limitsMigration,
        """
        CREATE INDEX made_clip_by_time ON made_clip (completed_at, job);
        """,
        """
        ALTER TABLE job ADD COLUMN memory INTEGER NOT NULL DEFAULT 0;
        """,
        // Places are counted in another way than when these were written.
        """
        UPDATE job SET worker_deaths = 0, died_at = 0 WHERE status IN ('queued', 'in_progress');
        """,
        """
        ALTER TABLE job ADD COLUMN notes TEXT NOT NULL DEFAULT '{}';
        """,
        """
        ALTER TABLE job ADD COLUMN held_seconds INTEGER NOT NULL DEFAULT 0;
        """,
    ]

    private static let columns =
        "id, owner, status, created_at, started_at, completed_at, percent, worker_deaths, seconds, request, error, result, "
        + "bytes, expires_at, priority, digest, died_at, memory, notes, held_seconds"

    /// Opens or makes the database at `path` and brings it to this version's schema.
    public init(path: String) throws(SoradError) {
        do throws(DatabaseError) {
            database = try Database(path: path)
            try JobStore.prepare(database)
        } catch {
            if error.isNotADatabase {
                throw SoradError(
                    .configuration, "the job database \(path) is damaged: \(error.message)",
                    hint: "move it and its -wal and -shm files away to start with an empty one")
            }
            throw SoradError(.unavailable, "cannot open the job database \(path): \(error.message)")
        }
    }

    private static func prepare(_ database: Database) throws(DatabaseError) {
        try database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=2000;")
        try database.execute("PRAGMA wal_autocheckpoint=256; PRAGMA cache_size=-1024;")
        try migrate(database)
    }

    /// After a failed write or sync: the database is reopened and its WAL checkpointed (TRUNCATE), so that everything read from here on has
    /// been written and synced again, whatever the kernel kept of the failed attempt.
    func recover() throws(DatabaseError) {
        try database.reopen()
        try JobStore.prepare(database)
        let isBusy = try database.run("PRAGMA wal_checkpoint(TRUNCATE)").first?.first?.integer != 0
        if isBusy { throw DatabaseError(code: 5, message: "its log could not be emptied", statement: "wal_checkpoint") }
    }

    private static func migrate(_ database: Database) throws(DatabaseError) {
        let version = Int(try database.run("PRAGMA user_version").first?.first?.integer ?? 0)
        guard version <= migrations.count else {
            throw DatabaseError(
                code: 0, message: "it was made by a newer sorad (schema \(version); this one knows \(migrations.count))", statement: "open")
        }
        guard version < migrations.count else { return }
        // All in one: a new database then costs one wait for the disk.
        try database.transaction { () throws(DatabaseError) in
            for migration in migrations[version...] { try database.execute(migration) }
            try database.execute("PRAGMA user_version = \(migrations.count)")
        }
    }

    /// The size at which the database is full.
    package func limit(toPages pages: Int) throws(DatabaseError) { try database.execute("PRAGMA max_page_count = \(pages)") }

    /// Ends the next `count` transactions with the error `code` instead of a commit; for tests.
    package func fail(_ count: Int, code: Int32) { database.fault = (code, count) }

    /// One durable transaction.
    /// - Parameters:
    ///   - record: how the job came.
    ///   - isNew: the job in `stored` is new (it may be there twice, as queued and as begun).
    ///   - survivesPowerCut: false for records that only a killed daemon must find again; they do not wait for the disk.
    package func apply(
        stored: [Job], erased: [JobIdentifier], record: IdempotencyRecord? = nil, isNew: Bool = false, survivesPowerCut: Bool = true
    ) throws(DatabaseError) {
        if stored.isEmpty && erased.isEmpty { return }
        if !survivesPowerCut { try database.execute("PRAGMA synchronous=NORMAL") }
        defer { if !survivesPowerCut { try? database.execute("PRAGMA synchronous=FULL") } }
        try database.transaction { () throws(DatabaseError) in
            for job in stored {
                try write(job)
                try recordClip(of: job)
            }
            if let record, let job = stored.first { try add(record, of: job) }
            if isNew, let job = stored.first { try recordClipTime(of: job) }
            for job in stored where job.status == .failed && !job.hasUsedTime { try giveBackClipTime(of: job.id) }
            for id in erased { try database.run("DELETE FROM job WHERE id = ?", .text(id.text)) }
        }
    }

    private func write(_ job: Job) throws(DatabaseError) {
        try database.run(
            """
            INSERT INTO job (\(JobStore.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET status = excluded.status, started_at = excluded.started_at,
                completed_at = excluded.completed_at, percent = excluded.percent, worker_deaths = excluded.worker_deaths,
                error = excluded.error, result = excluded.result, bytes = excluded.bytes, expires_at = excluded.expires_at,
                priority = excluded.priority, died_at = excluded.died_at, held_seconds = excluded.held_seconds
            """,
            .text(job.id.text), .integer(Int64(job.owner)), .text(job.status.rawValue), .integer(Int64(job.createdAt)),
            .optional(job.startedAt), .optional(job.completedAt), .integer(Int64(job.percent)), .integer(Int64(job.workerDeaths)),
            // The length follows from the plan; the column is of earlier versions.
            .text(ClipPlan.wholeSeconds(job.plan.durationSeconds)), .text(job.plan.json.text()), .optional(job.error?.json),
            .optional(job.result?.json),
            .integer(Int64(job.bytes)), .optional(job.expiresAt), .integer(Int64(job.priority)), job.digest.map { .text($0) } ?? .null,
            .integer(Int64(job.diedAt)), .integer(Int64(job.plan.memory)), .text(job.plan.notes.json.text()),
            .integer(Int64(job.heldSeconds)))
    }

    package func job(_ id: JobIdentifier) throws(DatabaseError) -> Job? {
        try decode(try database.run("SELECT \(JobStore.columns) FROM job WHERE id = ?", .text(id.text))).first
    }

    /// A page of jobs. `owner` nil: everybody's. `after`: only those beyond it in the order of the page.
    package func jobs(owner: UInt32?, after: JobIdentifier?, newestFirst: Bool, limit: Int) throws(DatabaseError) -> [Job] {
        // "video_" sorts below and "video~" above every identifier.
        let bound = after?.text ?? (newestFirst ? "video~" : "video_")
        let condition = "\(owner == nil ? "" : "owner = ?3 AND ")id \(newestFirst ? "<" : ">") ?1"
        let sql = "SELECT \(JobStore.columns) FROM job WHERE \(condition) ORDER BY id \(newestFirst ? "DESC" : "ASC") LIMIT ?2"
        if let owner { return try decode(try database.run(sql, .text(bound), .integer(Int64(limit)), .integer(Int64(owner)))) }
        return try decode(try database.run(sql, .text(bound), .integer(Int64(limit))))
    }

    /// Jobs that an earlier run left queued or in progress, oldest first.
    package func unfinished() throws(DatabaseError) -> [Job] {
        try decode(try database.run("SELECT \(JobStore.columns) FROM job WHERE status IN ('queued', 'in_progress') ORDER BY id"))
    }

    package func identifiers() throws(DatabaseError) -> Set<String> {
        Set(try database.run("SELECT id FROM job").compactMap { $0.first?.text })
    }

    package func newest() throws(DatabaseError) -> JobIdentifier? {
        try database.run("SELECT max(id) FROM job").first?.first?.text.flatMap { JobIdentifier($0) }
    }

    private func decode(_ rows: [[DatabaseValue]]) throws(DatabaseError) -> [Job] {
        var jobs: [Job] = []
        for row in rows {
            do throws(JSONError) {
                jobs.append(try Job(row: row))
            } catch {
                throw DatabaseError(code: 11, message: "the record of \(row[0].text ?? "a job") is damaged: \(error)", statement: "decode")
            }
        }
        return jobs
    }
}

extension DatabaseValue {
    fileprivate static func optional(_ value: Int?) -> DatabaseValue { value.map { .integer(Int64($0)) } ?? .null }
    fileprivate static func optional(_ value: JSONValue?) -> DatabaseValue { value.map { .text($0.text()) } ?? .null }
}

extension Job {
    /// The columns in the order of `JobStore.columns`.
    fileprivate init(row: [DatabaseValue]) throws(JSONError) {
        guard row.count == 20, let id = row[0].text.flatMap({ JobIdentifier($0) }),
            let owner = row[1].integer.flatMap({ UInt32(exactly: $0) }),
            let status = row[2].text.flatMap(Video.Status.init(rawValue:)), let created = row[3].integer, let percent = row[6].integer,
            let deaths = row[7].integer, let request = row[9].text, let notes = row[18].text
        else { throw JSONError("a column is missing") }
        var plan = try ClipPlan(json: try JSONValue(parsing: Array(request.utf8)))
        plan.notes = try RequestNotes(json: try JSONValue(parsing: Array(notes.utf8)))
        plan.memory = Int(row[17].integer ?? 0)
        self.init(id: id, owner: owner, plan: plan, createdAt: Int(created))
        self.status = status
        startedAt = row[4].integer.map { Int($0) }
        completedAt = row[5].integer.map { Int($0) }
        self.percent = Int(percent)
        workerDeaths = Int(deaths)
        bytes = Int(row[12].integer ?? 0)
        expiresAt = row[13].integer.map { Int($0) }
        priority = Int(row[14].integer ?? 0)
        digest = row[15].text
        diedAt = Int(row[16].integer ?? 0)
        heldSeconds = Int(row[19].integer ?? 0)
        if let text = row[10].text { error = try JobError(json: try JSONValue(parsing: Array(text.utf8))) }
        if let text = row[11].text { result = try ClipResult(json: try JSONValue(parsing: Array(text.utf8))) }
    }
}
