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
