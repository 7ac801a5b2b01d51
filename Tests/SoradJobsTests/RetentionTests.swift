// Which finished jobs go, by table; and that they do.
import Glibc
import SoradAPI
import SoradJobs
import SoradSystem
import Synchronization
import Testing

private func id(_ number: Int) -> JobIdentifier { JobIdentifier(milliseconds: Int64(number), random: [UInt8](repeating: 1, count: 10)) }

@Suite struct RetentionTests {
    struct Case: Sendable {
        var name: String
        var maximumBytes: Int?
        /// (bytes, expires at), the one that ended first in front.
        var jobs: [(Int, Int?)]
        var now = 100
        var expired: [Int] = []
        var overBudget: [Int] = []
        var nextExpiry: Int?
    }

    static let cases: [Case] = [
        Case(name: "nothing", maximumBytes: 10, jobs: []),
        Case(name: "all fit", maximumBytes: 30, jobs: [(10, nil), (20, nil)]),
        Case(name: "one byte too many", maximumBytes: 29, jobs: [(10, nil), (20, nil)], overBudget: [0]),
        Case(name: "the oldest go first", maximumBytes: 25, jobs: [(10, nil), (10, nil), (20, nil)], overBudget: [0, 1]),
        Case(name: "the newest clip stays", maximumBytes: 1, jobs: [(10, nil), (20, nil)], overBudget: [0]),
        Case(name: "failed jobs weigh nothing", maximumBytes: 15, jobs: [(0, nil), (10, nil), (0, nil), (10, nil)], overBudget: [1]),
        Case(name: "no budget", maximumBytes: nil, jobs: [(Int.max / 4, nil), (Int.max / 4, nil)]),
        Case(name: "expired at this second", maximumBytes: nil, jobs: [(1, 100), (1, 101), (1, 99)], expired: [0, 2], nextExpiry: 101),
        Case(
            name: "what expired makes room", maximumBytes: 20, jobs: [(10, 500), (10, 50), (10, 300)], expired: [1], nextExpiry: 300),
    ]

    @Test(arguments: cases.indices) func whatGoes(index: Int) {
        let test = Self.cases[index]
        let jobs = test.jobs.enumerated().map { Retention.Kept(id: id($0), completedAt: $0, bytes: $1.0, expiresAt: $1.1) }
        let verdict = Retention(maximumAge: 1, maximumBytes: test.maximumBytes).verdict(on: jobs, now: test.now)
        #expect(
            verdict
                == Retention.Verdict(
                    expired: test.expired.map(id), overBudget: test.overBudget.map(id), nextExpiry: test.nextExpiry), "\(test.name)")
    }

    /// A service whose clocks stand where the test puts them, and whose jobs are finished by hand.
    private final class Bench {
        let directory: TemporaryDirectory
        let service: JobService
        let seconds = Mutexed(1_700_000_000)
        /// How far somebody has set the wall clock.
        let step = Mutexed(0)

        init(_ retention: Retention) throws {
            directory = try TemporaryDirectory()
            let (seconds, step) = (seconds, step)
            let time = TimeSource(
                monotonic: { MonotonicTime(nanoseconds: seconds.value.withLock { $0 } * 1_000_000_000) },
                unixMilliseconds: { (seconds.value.withLock { $0 } + step.value.withLock { $0 }) * 1000 })
            var settings = JobService.Settings()
            settings.retention = retention
            service = try JobService(
                directory: directory.path, settings: settings, time: time, wake: try EventCounter(.signal),
                log: Log(program: "test", level: .error, environment: [:]))
            service.deliver(.released(.models))
        }

        func finished(_ bytes: Int) throws -> JobIdentifier {
            let job = try service.submit(owner: 1, .sample())
            service.deliver(.workerReady(.first, model: "mini"))
            let path = try service.prepareDirectory(of: job.id)
            for (name, size) in [("v", bytes - 2), ("t", 1), ("s", 1), ("checkpoint-2", 1000), ("checkpoint-prompts", 1000), (".half", 5)] {
                try writeDurably([UInt8](repeating: 1, count: size), named: name, in: path)
            }
            service.deliver(
                .finished(.first, job.id, ClipResult(sha256: "00", video: "v", thumbnail: "t", spritesheet: "s", timings: ["denoising": 1]))
            )
            return job.id
        }

        func pass(_ time: Int64) {
            seconds.value.withLock { $0 += time }
            service.deliver(.ticked)
        }
        var spool: [String] { (try? directoryEntries(directory.path + "/spool")) ?? [] }
    }

    @Test func aJobExpiresWhenItSaidSo() throws {
        let bench = try Bench(Retention(maximumAge: 100, maximumBytes: nil))
        let first = try bench.finished(10)
        let job = try #require(try bench.service.job(first, viewer: 1))
        #expect(job.expiresAt == 1_700_000_100 && job.video.expiresAt == 1_700_000_100 && job.bytes == 10)
        #expect(try directoryEntries(bench.directory.path + "/spool/" + first.text) == ["s", "t", "v"], "checkpoints go with the result")
        bench.pass(50)
        let second = try bench.finished(10)
        bench.pass(49)
        #expect(try bench.service.job(first, viewer: 1) != nil)
        #expect(bench.service.nextDeadline.map { $0.nanoseconds / 1_000_000_000 } == 1_700_000_100)
        bench.pass(1)
        #expect(try bench.service.job(first, viewer: 1) == nil)
        #expect(bench.spool == [second.text])
        #expect(bench.service.metricsText().contains("sorad_jobs_removed_total{reason=\"expired\"} 1\n"))
    }

    @Test func theBudgetTakesTheOldestClip() throws {
        let bench = try Bench(Retention(maximumAge: nil, maximumBytes: 25))
        let clips = try (0..<4).map { _ in
            bench.seconds.value.withLock { $0 += 1 }
            return try bench.finished(10)
        }
        #expect(bench.spool == [clips[2].text, clips[3].text])
        #expect(try bench.service.job(clips[3], viewer: 1)?.expiresAt == nil)
    }

    @Test func digestsOutliveTheirJobsForAWhile() throws {
        var retention = Retention(maximumAge: 100, maximumBytes: nil)
        retention.digestAge = 1_000
        let bench = try Bench(retention)
        let first = try bench.finished(10)
        let digest = try #require(try bench.service.job(first, viewer: 1)?.result?.videoSHA256)
        bench.pass(100)
        #expect(try bench.service.job(first, viewer: 1) == nil)
        #expect(bench.service.madeClip(sha256: digest)?.job == first)
        bench.pass(899)
        #expect(bench.service.madeClip(sha256: digest) != nil)
        bench.pass(1)
        #expect(bench.service.madeClip(sha256: digest) == nil)
        #expect(bench.service.metricsText().contains("sorad_digests_forgotten_total 1\n"))
    }

    @Test func theDigestOfAJobThatIsThereStays() throws {
        var retention = Retention(maximumAge: nil, maximumBytes: nil)
        retention.digestAge = 10
        let bench = try Bench(retention)
        let clip = try bench.finished(10)
        let digest = try #require(try bench.service.job(clip, viewer: 1)?.result?.videoSHA256)
        bench.pass(4_000)
        #expect(bench.service.madeClip(sha256: digest)?.job == clip)
        #expect(try bench.service.delete(clip, viewer: 1))
        #expect(bench.service.madeClip(sha256: digest) == nil)
    }

    @Test func filesWithoutARecordGoWhileItRuns() throws {
        let bench = try Bench(Retention(maximumAge: 1_000_000, maximumBytes: nil))
        _ = try bench.finished(10)
        let draft = try bench.service.draft()
        let lost = JobIdentifier(milliseconds: 1_699_000_000_000, random: [UInt8](repeating: 1, count: 10))
        try makeDirectories(bench.directory.path + "/spool/" + lost.text)
        bench.pass(3600)
        #expect(!bench.spool.contains(lost.text) && bench.spool.count == 2)
        withExtendedLifetime(draft) {}
    }

    // MARK: a wall clock that is set

    @Test func anExpiredJobIsGoneWhenSomebodyAsks() throws {
        let bench = try Bench(Retention(maximumAge: 100, maximumBytes: nil))
        let id = try bench.finished(10)
        bench.step.value.withLock { $0 = 200 }
        #expect(try bench.service.page(viewer: 1, after: nil, newestFirst: true, limit: 10).jobs.isEmpty)
        #expect(try bench.service.job(id, viewer: 1) == nil)
        #expect(try bench.service.cancel(id, viewer: 1) == nil)
        #expect(bench.spool == [])
    }

    @Test(arguments: [-86_400, 86_400] as [Int64]) func durationsDoNotFollowTheWallClock(step: Int64) throws {
        let bench = try Bench(Retention(maximumAge: nil, maximumBytes: nil))
        let (first, second) = (try bench.service.submit(owner: 1, .sample()), try bench.service.submit(owner: 1, .sample()))
        bench.service.deliver(.workerReady(.first, model: "mini"))
        bench.step.value.withLock { $0 = step }
        bench.seconds.value.withLock { $0 += 7 }
        for job in [first, second] {
            let path = try bench.service.prepareDirectory(of: job.id)
            for name in ["v", "t", "s"] { try writeDurably([1], named: name, in: path) }
            bench.service.deliver(
                .finished(.first, job.id, ClipResult(sha256: "00", video: "v", thumbnail: "t", spritesheet: "s", timings: ["denoising": 1]))
            )
        }
        let text = bench.service.metricsText()
        #expect(text.contains("sorad_job_duration_seconds_sum{model=\"mini\"} 7\n"), "\(text)")
        #expect(text.contains("sorad_job_wait_seconds_sum{model=\"mini\"} 7\n"), "\(text)")
        #expect(bench.service.pollAfterMilliseconds == 250)
    }

    @Test func aDraftIsNoOrphanWhateverTheClockSays() throws {
        let bench = try Bench(Retention(maximumAge: 1_000_000, maximumBytes: nil))
        _ = try bench.finished(10)
        let draft = try bench.service.draft()
        bench.step.value.withLock { $0 = 50_000 }
        bench.pass(3600)
        #expect(bench.spool.contains(draft.id.text))
        withExtendedLifetime(draft) {}
    }
}
