// The job service on a disk that is full or fails.
import Glibc
import SoradAPI
import SoradJobs
import SoradSystem
import Synchronization
import Testing

@Suite struct JobServiceTests {
    /// Longer than a page of the database, so that it needs a new one.
    private let large = ClipPlan.sample(prompt: String(repeating: "a red ball ", count: 2_000))

    @Test func aFullDiskRefusesAJobAndChangesNothing() throws {
        let directory = try TemporaryDirectory()
        let service = try JobService(
            directory: directory.path, settings: JobService.Settings(), time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
        try service.limitDatabase(toPages: 1)
        let error = #expect(throws: SoradError.self) { try service.submit(owner: 1, large) }
        #expect(error?.kind == .storageFull)
        #expect(error?.message == "the disk that holds the jobs is full; free some space and try again")
        #expect(service.failure == nil && service.summary.queued == 0)
        #expect(try service.page(viewer: 0, after: nil, newestFirst: true, limit: 10).jobs.isEmpty)
        // With space, the next one is taken.
        try service.limitDatabase(toPages: 1000)
        let job = try service.submit(owner: 1, large)
        #expect(try service.job(job.id, viewer: 1) == job)
    }
}

/// What SQLite says of a disk: SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC.
private let (full, writeError, syncError): (Int32, Int32, Int32) = (13, 10 | 3 << 8, 10 | 4 << 8)

@Suite struct StoreOutageTests {
    private final class Bench {
        let directory: TemporaryDirectory
        let service: JobService
        let clock: Mutexed

        init() throws {
            directory = try TemporaryDirectory()
            let now = Mutexed(1_000_000_000)
            clock = now
            let time = TimeSource(
                monotonic: { MonotonicTime(nanoseconds: now.value.withLock { $0 }) }, unixMilliseconds: { 1_700_000_000_000 })
            service = try JobService(
                directory: directory.path, settings: JobService.Settings(), time: time, wake: try EventCounter(.signal),
                log: Log(program: "test", level: .error, output: try quiet(), environment: [:]))
            service.deliver(.released(.models))
        }

        func pass(_ duration: Duration) {
            clock.value.withLock { $0 += duration.nanoseconds }
            service.deliver(.ticked)
        }
    }

    /// A job that a worker has.
    private func running(_ bench: Bench) throws -> JobIdentifier {
        let id = try bench.service.submit(owner: 1, .sample()).id
        #expect(bench.service.takeEffects(of: .first) == [.startWorker(.first, model: "mini")])
        bench.service.deliver(.workerReady(.first, model: "mini"))
        _ = bench.service.takeEffects(of: .first)
        return id
    }

    @Test(arguments: [writeError, syncError]) func aStoreThatFailsIsTakenUpAnewAndNothingAcceptedIsLost(code: Int32) throws {
        let bench = try Bench()
        let id = try running(bench)
        let waiting = try bench.service.submit(owner: 1, .sample()).id
        bench.service.failStore(1, code: code)
        let percent = JobProgress(phase: .denoising, step: 1, steps: 2, percent: 40)
        bench.service.deliver(.progressed(.first, id, percent))
        #expect(bench.service.failure != nil)
        #expect(bench.service.takeEffects(of: .first) == [.killWorker(.first)])
        // Nothing is answered from what may not be on the disk.
        let refusal = #expect(throws: SoradError.self) { try bench.service.job(id, viewer: 1) }
        #expect(refusal?.kind == .unavailable)
        #expect(bench.service.nextDeadline == nil)
        bench.pass(.seconds(60))
        #expect(bench.service.failure != nil, "not while the old worker may still write")
        bench.service.deliver(.workerEnded(.first, how: "was killed"))
        #expect(bench.service.nextDeadline != nil)
        bench.pass(.seconds(1))
        #expect(bench.service.failure == nil)
        #expect(bench.service.takeEffects(of: .first) == [.startWorker(.first, model: "mini")])
        #expect(try bench.service.job(id, viewer: 1)?.status == .inProgress)
        #expect(try bench.service.job(waiting, viewer: 1)?.status == .queued)
    }

    @Test func aStoreThatKeepsFailingIsTriedAgain() throws {
        let bench = try Bench()
        _ = try bench.service.submit(owner: 1, .sample())
        bench.service.failStore(1, code: syncError)
        #expect(throws: SoradError.self) { try bench.service.submit(owner: 1, .sample()) }
        bench.service.deliver(.workerEnded(.first, how: "was killed"))
        let path = bench.directory.path + "/jobs.sqlite"
        // A directory in the database's place cannot be opened.
        for name in ["", "-wal", "-shm"] { _ = unsafe rename(path + name, path + name + ".away") }
        try makeDirectories(path)
        bench.pass(.seconds(1))
        bench.pass(.seconds(2))
        #expect(bench.service.failure != nil)
        try removeDirectory(path)
        for name in ["", "-wal", "-shm"] { _ = unsafe rename(path + name + ".away", path + name) }
        bench.pass(.seconds(30))
        #expect(bench.service.failure == nil && bench.service.summary.running == 1)
    }

    @Test func aFullDiskTakesTheEndOfAJobIntoTheReserve() throws {
        let bench = try Bench()
        let id = try running(bench)
        let reserve = bench.directory.path + "/reserve"
        #expect(fileExists(reserve))
        bench.service.failStore(1, code: full)
        bench.service.deliver(.failed(.first, id, JobError(code: "invalid_request", message: "no")))
        #expect(bench.service.failure == nil && !fileExists(reserve))
        #expect(try bench.service.job(id, viewer: 1)?.error?.code == "invalid_request")
        #expect(bench.service.summary.trouble?.text == "the disk is full; jobs wait")
        // There is room again at the next look: the reserve is back and work is taken.
        bench.pass(.seconds(5))
        #expect(fileExists(reserve) && bench.service.summary.trouble == nil)
        _ = try bench.service.submit(owner: 1, .sample())
    }

    /// A percentage that clients saw and that is not recorded would fall if the daemon died now.
    @Test func aPercentageThatCannotBeRecordedIsNotTold() throws {
        let bench = try Bench()
        let id = try running(bench)
        bench.service.failStore(1, code: full)
        bench.service.deliver(.progressed(.first, id, JobProgress(phase: .denoising, step: 1, steps: 2, percent: 40)))
        #expect(bench.service.failure == nil)
        let job = try #require(try bench.service.job(id, viewer: 1))
        #expect(job.percent == 0 && job.progress?.step == 1)
        bench.service.deliver(.progressed(.first, id, JobProgress(phase: .denoising, step: 2, steps: 2, percent: 80)))
        #expect(try bench.service.job(id, viewer: 1)?.percent == 80)
    }

    @Test func aJobThatFindsTheDiskFullWaitsWithANote() throws {
        let bench = try Bench()
        let id = try running(bench)
        bench.service.deliver(.failed(.first, id, JobError(code: JobError.insufficientStorage, message: "full")))
        let job = try #require(try bench.service.job(id, viewer: 1))
        #expect(job.status == .queued && job.video.details.note?.hasPrefix("the disk is full") == true)
        bench.pass(.seconds(5))
        #expect(bench.service.takeEffects(of: .first) == [.generate(.first, id, job.plan)])
        #expect(try bench.service.job(id, viewer: 1)?.video.details.note == nil)
    }

    @Test func aDiskWithTooLittleRoomRefusesWithNumbers() throws {
        let directory = try TemporaryDirectory()
        var settings = JobService.Settings()
        settings.minimumFree = 1 << 60
        let service = try JobService(
            directory: directory.path, settings: settings, time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
        let error = #expect(throws: SoradError.self) { try service.submit(owner: 1, .sample()) }
        #expect(error?.kind == .storageFull)
        #expect(error?.message.contains("1.7 MB for this clip, ") == true, "\(error?.message ?? "")")
        #expect(service.summary.queued == 0)
    }
}

/// A number that a clock's closure may read while the test moves it.
final class Mutexed: Sendable {
    let value: Mutex<Int64>
    init(_ value: Int64) { self.value = Mutex(value) }
}

/// Somewhere for a log that is meant to complain.
private func quiet() throws -> Int32 { try FileDescriptor(opening: "/dev/null", flags: O_WRONLY).take() }

@Suite struct SubmissionTests {
    /// A service whose wall clock stands where the test puts it.
    private func service(_ directory: TemporaryDirectory, at seconds: Int64) throws -> JobService {
        let time = TimeSource(monotonic: { MonotonicTime.now() }, unixMilliseconds: { seconds * 1000 })
        return try JobService(
            directory: directory.path, settings: JobService.Settings(), time: time, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
    }

    private let retry = IdempotencyRecord(key: nil, fingerprint: "f", isRetry: true)
    private let keyed = IdempotencyRecord(key: "k", fingerprint: "f", isRetry: false)

    @Test(arguments: [(0, true), (900, true), (901, false)] as [(Int64, Bool)])
    func aRetryCountsForFifteenMinutes(later: Int64, isSame: Bool) throws {
        let directory = try TemporaryDirectory()
        let first = try service(directory, at: 1_700_000_000).submit(owner: 1, .sample(), record: retry)
        let after = try service(directory, at: 1_700_000_000 + later)
        #expect(try after.earlier(retry, owner: 2) == nil)
        #expect(try (after.submit(owner: 1, .sample(), record: retry).id == first.id) == isSame)
    }

    @Test(arguments: [(86_399, true), (86_400, false)] as [(Int64, Bool)])
    func aKeyCountsForADay(later: Int64, isSame: Bool) throws {
        let directory = try TemporaryDirectory()
        let first = try service(directory, at: 1_700_000_000).submit(owner: 1, .sample(), record: keyed)
        let after = try service(directory, at: 1_700_000_000 + later)
        #expect(try after.earlier(keyed, owner: 2) == nil)
        #expect(try (after.submit(owner: 1, .sample(), record: keyed).id == first.id) == isSame)
        let other = IdempotencyRecord(key: "k", fingerprint: "g", isRetry: false)
        let error = #expect(throws: SoradError.self) { try after.submit(owner: 1, .sample(), record: other) }
        #expect(error?.kind == .conflict)
    }
}
