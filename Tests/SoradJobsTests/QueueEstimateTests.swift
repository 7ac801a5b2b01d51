// When a job that waits will be done.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct QueueEstimateTests {
    private let bench: Bench

    private struct Bench {
        let directory: TemporaryDirectory
        let service: JobService

        /// - Parameter seconds: what clips of the sample's shape took here; nil when there was none.
        init(seconds: Double?, workers: Int = 1) throws {
            directory = try TemporaryDirectory()
            if let seconds {
                let id = JobIdentifier(milliseconds: 1, random: [UInt8](repeating: 0, count: 10))
                var job = Job(id: id, owner: 1, plan: .sample(), createdAt: 1)
                job.result = ClipResult(
                    sha256: "", video: "v", thumbnail: "t", spritesheet: "s", timings: ["denoising": seconds - 1, "decoding": 1])
                try JobStore(path: directory.path + "/jobs.sqlite").remember(job)
            }
            var settings = JobService.Settings()
            settings.workers = workers
            service = try JobService(
                directory: directory.path, settings: settings, time: .system, wake: try EventCounter(.signal),
                log: Log(program: "test", level: .error, environment: [:]))
            service.deliver(.released(.models))
        }

        func submit(owner: UInt32 = 1, _ request: ClipPlan = .sample()) throws -> JobIdentifier {
            try service.submit(owner: Viewer(user: owner), request).id
        }

        func eta(_ id: JobIdentifier) throws -> Double? {
            try service.job(id, viewer: Viewer(user: 0, isAdmin: true))?.video.details.etaSeconds
        }
    }

    init() throws { bench = try Bench(seconds: 10) }

    @Test func aJobWaitsForTheRunningOneAndThoseBeforeItInTurn() throws {
        let running = try bench.submit()
        let (second, third) = (try bench.submit(), try bench.submit())
        let other = try bench.submit(owner: 2)
        // The running job has not said anything yet; the other user's turn comes first.
        #expect(try bench.eta(other) == 20 && bench.eta(second) == 30 && bench.eta(third) == 40)
        bench.service.deliver(.workerReady(.first, model: "mini"))
        bench.service.deliver(.progressed(.first, running, JobProgress(phase: .denoising, step: 1, steps: 20, percent: 5, etaSeconds: 7)))
        #expect(try bench.eta(running) == 7 && bench.eta(other) == 17 && bench.eta(second) == 27 && bench.eta(third) == 37)
        _ = try bench.service.setPriority(5, of: third)
        #expect(try bench.eta(third) == 17 && bench.eta(other) == 27 && bench.eta(second) == 37)
        _ = try bench.service.cancel(other, viewer: 2)
        #expect(try bench.eta(second) == 27)
        let page = try bench.service.page(viewer: 1, after: nil, newestFirst: true, limit: 10).jobs
        #expect(page.first { $0.id == second }?.video.details.etaSeconds == 27)
    }

    @Test func anotherNumberOfStepsTakesAnotherTime() throws {
        _ = try bench.submit()
        var short = ClipPlan.sample()
        short.numInferenceSteps = 10
        #expect(try bench.eta(bench.submit(short)) == 10 + 4.5 + 1)
    }

    @Test func thereIsNoEstimateBehindWhatWasNeverMade() throws {
        let running = try bench.submit()
        let before = try bench.submit()
        var strange = ClipPlan.sample()
        strange.width *= 2
        let unknown = try bench.submit(strange)
        let behind = try bench.submit()
        #expect(try bench.eta(before) == 20 && bench.eta(unknown) == nil && bench.eta(behind) == nil)
        let empty = try Bench(seconds: nil)
        #expect(try empty.eta(empty.submit()) == nil && empty.eta(empty.submit()) == nil)
        #expect(try bench.eta(running) == nil)
    }

    @Test func severalSlotsTakeTheJobsInTurn() throws {
        let bench = try Bench(seconds: 10, workers: 2)
        let (first, second) = (try bench.submit(), try bench.submit())
        let (third, fourth, fifth) = (try bench.submit(), try bench.submit(), try bench.submit())
        #expect(try bench.eta(third) == 20 && bench.eta(fourth) == 20 && bench.eta(fifth) == 30)
        for (slot, id, left) in [(WorkerSlot.first, first, 7.0), (.second, second, 2)] {
            bench.service.deliver(.workerReady(slot, model: "mini"))
            bench.service.deliver(.progressed(slot, id, JobProgress(phase: .denoising, step: 1, steps: 20, percent: 5, etaSeconds: left)))
        }
        #expect(try bench.eta(third) == 12 && bench.eta(fourth) == 17 && bench.eta(fifth) == 22)
    }

    @Test func whileNothingIsBegunNobodyKnows() throws {
        _ = try bench.submit()
        let waiting = try bench.submit()
        try bench.service.pause()
        #expect(try bench.eta(waiting) == nil)
        try bench.service.resume()
        #expect(try bench.eta(waiting) == 20)
    }

    /// The order that clients see is the one in which jobs are begun.
    @Test(arguments: 0..<30) func theWholeOrderIsOneTurnAfterTheOther(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var turn = FairTurn()
        for _ in 0..<Int.random(in: 0..<6, using: &random) { turn.took(UInt32.random(in: 0..<5, using: &random)) }
        var jobs: [JobIdentifier: Job] = [:]
        var queue: [JobIdentifier] = []
        var identifiers = JobIdentifierSequence(after: nil)
        for _ in 0..<40 {
            let id = identifiers.next(unixMilliseconds: 1_700_000_000_000, random: [UInt8](repeating: 7, count: 10))
            var job = Job(id: id, owner: UInt32.random(in: 0..<5, using: &random), plan: .sample(), createdAt: 1)
            job.priority = Int.random(in: 0..<3, using: &random)
            if Int.random(in: 0..<8, using: &random) == 0 { job.startedAt = 1 }
            jobs[id] = job
            queue.append(id)
        }
        let told = turn.order(of: queue, jobs)
        var begun: [JobIdentifier] = []
        while let id = turn.next(of: queue, jobs) {
            begun.append(id)
            queue.removeAll { $0 == id }
            if jobs[id]?.startedAt == nil { turn.took(jobs[id]!.owner) }
        }
        #expect(told == begun)
    }
}
