import Glibc
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

/// A directory that goes with its owner.
final class TemporaryDirectory {
    let path: String
    init() throws {
        path = "/tmp/sorad-test-" + randomBytes(8).map { String($0, radix: 16) }.joined()
        try makeDirectories(path)
    }
    deinit { try? removeDirectory(path, depth: 4) }
}

@Suite struct JobStoreTests {
    private func job(_ number: Int64, owner: UInt32 = 1000) -> Job {
        let id = JobIdentifier(milliseconds: number, random: [UInt8](repeating: UInt8(number & 0xff), count: 10))
        var plan = ClipPlan.sample(prompt: "Ünïcode \"quotes\" 球 \(number)")
        plan.notes.ignored = ["quality"]
        plan.notes.prompt = PromptReading(tokens: 9, textLength: 8, unknownWords: ["cat"])
        plan.memory = 1 << 40
        return Job(id: id, owner: owner, plan: plan, createdAt: Int(number))
    }

    @Test func whatWasStoredIsThereAfterReopening() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/jobs.sqlite"
        var done = job(1)
        done.status = .completed
        done.percent = 100
        done.startedAt = 2
        done.completedAt = 3
        done.result = ClipResult(sha256: "ab", video: "v.mp4", thumbnail: "t.webp", spritesheet: "s.jpg", timings: ["denoising": 1.25])
        var failed = job(2)
        failed.status = .failed
        failed.error = JobError(code: "worker_died", message: "It's dead.")
        failed.workerDeaths = 2
        var waiting = job(3)
        waiting.heldSeconds = 7200
        do {
            let store = try JobStore(path: path)
            try store.apply(stored: [done, failed, waiting], erased: [])
        }
        let store = try JobStore(path: path)
        #expect(try store.job(done.id) == done)
        #expect(try store.job(failed.id) == failed)
        #expect(try store.unfinished() == [waiting])
        #expect(try store.newest() == waiting.id)
    }

    @Test func theLargestSeedSurvives() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        var request = ClipPlan.sample()
        request.seed = .max
        let job = Job(
            id: JobIdentifier(milliseconds: 1, random: [UInt8](repeating: 0, count: 10)), owner: .max, plan: request, createdAt: 1)
        try store.apply(stored: [job], erased: [])
        #expect(try store.job(job.id)?.plan.seed == .max)
        #expect(try store.job(job.id)?.owner == .max)
    }

    @Test func aChangeIsWholeOrNotAtAll() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/jobs.sqlite"
        let store = try JobStore(path: path)
        let first = job(1)
        try store.apply(stored: [first], erased: [])
        // A second connection that holds the write lock makes the change fail.
        let other = try Database(path: path)
        try other.execute("BEGIN IMMEDIATE")
        #expect(throws: DatabaseError.self) { try store.apply(stored: [job(2)], erased: [first.id]) }
        try other.execute("ROLLBACK")
        #expect(try store.identifiers() == [first.id.text])
    }

    @Test func pagesFollowTheOrderAndTheOwner() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        let jobs = (1...7).map { job(Int64($0), owner: $0 % 2 == 0 ? 1000 : 2000) }
        try store.apply(stored: jobs.shuffled(), erased: [])
        #expect(try store.jobs(owner: nil, after: nil, newestFirst: true, limit: 3) == [jobs[6], jobs[5], jobs[4]])
        #expect(try store.jobs(owner: nil, after: jobs[4].id, newestFirst: true, limit: 3) == [jobs[3], jobs[2], jobs[1]])
        #expect(try store.jobs(owner: 1000, after: nil, newestFirst: false, limit: 10) == [jobs[1], jobs[3], jobs[5]])
        // The page continues where it was although the job it stood at is gone.
        try store.apply(stored: [], erased: [jobs[3].id])
        #expect(try store.jobs(owner: 1000, after: jobs[3].id, newestFirst: false, limit: 10) == [jobs[5]])
    }

    @Test func aFileThatIsNoDatabaseIsRefusedWithASentence() throws {
        let directory = try TemporaryDirectory()
        try writeDurably(
            Array("this is not a database, and it is long enough to have a header".utf8), named: "jobs.sqlite", in: directory.path)
        let error = #expect(throws: SoradError.self) { try JobStore(path: directory.path + "/jobs.sqlite") }
        #expect(error?.kind == .configuration)
        #expect(error?.message.contains("is damaged") == true)
    }

    @Test func aNewerSchemaIsLeftAlone() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/jobs.sqlite"
        do { try Database(path: path).execute("PRAGMA user_version = 99") }
        let error = #expect(throws: SoradError.self) { try JobStore(path: path) }
        #expect(error?.message.contains("newer sorad") == true)
    }

    @Test func everyCommitIsSyncedToTheLog() throws {
        let directory = try TemporaryDirectory()
        let database = try Database(path: directory.path + "/jobs.sqlite")
        _ = try JobStore(path: directory.path + "/jobs.sqlite")
        #expect(try database.run("PRAGMA journal_mode").first?.first == .text("wal"))
    }

    @Test func identifiersGrowEvenWhenTheClockGoesBack() {
        var sequence = JobIdentifierSequence(after: nil)
        let random = [UInt8](repeating: 0xff, count: 10)
        var last = sequence.next(unixMilliseconds: 1000, random: random)
        for time in [1000, 1001, 5, 0, -7, 1003, Int64.max] as [Int64] {
            let next = sequence.next(unixMilliseconds: time, random: [UInt8](repeating: 0, count: 10))
            #expect(next > last)
            last = next
        }
        var restarted = JobIdentifierSequence(after: last)
        #expect(restarted.next(unixMilliseconds: 0, random: random) > last)
    }

    @Test(arguments: [
        "", "video_", "video_../../etc/passwd", "video_0123456789abcdef0123456789abcde", "video_0123456789ABCDEF0123456789abcdef",
        "Video_0123456789abcdef0123456789abcdef", "video_0123456789abcdef0123456789abcdef0", "video_0123456789abcdef0123456789abcde/",
    ])
    func anythingButAnIdentifierIsNone(text: String) { #expect(JobIdentifier(text) == nil) }
}

@Suite struct SpoolTests {
    private let id = JobIdentifier(milliseconds: 5, random: [UInt8](repeating: 1, count: 10))
    private func result(video: String = "v.mp4") -> ClipResult {
        ClipResult(sha256: "", video: video, thumbnail: "t", spritesheet: "s", timings: [:])
    }

    @Test func resultsMustBePlainFilesOfTheJob() throws {
        let directory = try TemporaryDirectory()
        let spool = try Spool(path: directory.path + "/spool")
        try spool.prepare(id)
        for name in ["t", "s", "v.mp4", "../secret"] {
            try writeDurably(
                [1], named: name.contains("/") ? "secret" : name, in: name.contains("/") ? spool.path : spool.directory(of: id))
        }
        #expect(throws: Never.self) { try spool.seal(id, result()) }
        for name in ["../secret", "", ".", "..", "missing", "/etc/passwd", "a\0b"] {
            #expect(throws: SoradError.self, "\(name)") { try spool.seal(id, result(video: name)) }
        }
        _ = unsafe symlink("/etc/passwd", spool.directory(of: id) + "/link")
        #expect(throws: SoradError.self) { try spool.seal(id, result(video: "link")) }
        try writeDurably([], named: "empty", in: spool.directory(of: id))
        #expect(throws: SoradError.self) { try spool.seal(id, result(video: "empty")) }
    }

    @Test func directoriesWithoutARecordGo() throws {
        let directory = try TemporaryDirectory()
        let spool = try Spool(path: directory.path)
        let kept = JobIdentifier(milliseconds: 6, random: [UInt8](repeating: 1, count: 10))
        for job in [id, kept] {
            try spool.prepare(job)
            try writeDurably([1], named: "file", in: spool.directory(of: job))
        }
        try makeDirectories(directory.path + "/not-a-job")
        #expect(try spool.removeOrphans(keeping: [kept.text]) == [id.text])
        #expect(try directoryEntries(directory.path) == ["not-a-job", kept.text])
    }
}
