// The job service on a disk that is full.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct JobServiceTests {
    /// Longer than a page of the database, so that it needs a new one.
    private let large = GenerationRequest.sample(prompt: String(repeating: "a red ball ", count: 2_000))

    @Test func aFullDiskRefusesAJobAndChangesNothing() throws {
        let directory = try TemporaryDirectory()
        let service = try JobService(
            directory: directory.path, settings: JobService.Settings(), time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
        try service.limitDatabase(toPages: 1)
        let error = #expect(throws: SoradError.self) { try service.submit(owner: 1, large, seconds: "1") }
        #expect(error?.kind == .storageFull)
        #expect(error?.message == "The disk that holds the jobs is full; free some space and try again.")
        #expect(service.failure == nil && service.summary.queued == 0)
        #expect(try service.page(viewer: 0, after: nil, newestFirst: true, limit: 10).jobs.isEmpty)
        // With space, the next one is taken.
        try service.limitDatabase(toPages: 1000)
        let job = try service.submit(owner: 1, large, seconds: "1")
        #expect(try service.job(job.id, viewer: 1) == job)
    }
}

@Suite struct SubmissionTests {
    /// A service whose wall clock stands where the test puts it.
    private func service(_ directory: TemporaryDirectory, at seconds: Int64) throws -> JobService {
        let time = TimeSource(monotonic: { MonotonicTime.now() }, unixMilliseconds: { seconds * 1000 })
        return try JobService(
            directory: directory.path, settings: JobService.Settings(), time: time, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
    }

    private let retry = Submission(key: nil, fingerprint: "f", isRetry: true)
    private let keyed = Submission(key: "k", fingerprint: "f", isRetry: false)

    @Test(arguments: [(0, true), (900, true), (901, false)] as [(Int64, Bool)])
    func aRetryCountsForFifteenMinutes(later: Int64, isSame: Bool) throws {
        let directory = try TemporaryDirectory()
        let first = try service(directory, at: 1_700_000_000).submit(owner: 1, .sample(), seconds: "1", submission: retry)
        let after = try service(directory, at: 1_700_000_000 + later)
        #expect(try after.earlier(retry, owner: 2) == nil)
        #expect(try (after.submit(owner: 1, .sample(), seconds: "1", submission: retry).id == first.id) == isSame)
    }

    @Test(arguments: [(86_399, true), (86_400, false)] as [(Int64, Bool)])
    func aKeyCountsForADay(later: Int64, isSame: Bool) throws {
        let directory = try TemporaryDirectory()
        let first = try service(directory, at: 1_700_000_000).submit(owner: 1, .sample(), seconds: "1", submission: keyed)
        let after = try service(directory, at: 1_700_000_000 + later)
        #expect(try after.earlier(keyed, owner: 2) == nil)
        #expect(try (after.submit(owner: 1, .sample(), seconds: "1", submission: keyed).id == first.id) == isSame)
        let other = Submission(key: "k", fingerprint: "g", isRetry: false)
        let error = #expect(throws: SoradError.self) { try after.submit(owner: 1, .sample(), seconds: "1", submission: other) }
        #expect(error?.kind == .conflict)
    }
}
