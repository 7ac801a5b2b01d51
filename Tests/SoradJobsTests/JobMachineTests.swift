import SoradAPI
import SoradJobs
import SoradSystem
import Testing

extension WorkerSlot {
    static let first = WorkerSlot(0)
    static let second = WorkerSlot(1)
}

extension JobMachine {
    var runningJob: JobIdentifier? { runningJobs.first }
    var abandonedJob: JobIdentifier? { abandonedJobs.first }
}

/// Drives a machine with a clock that only moves when told to, and keeps what a store would hold.
struct MachineBench {
    var machine: JobMachine
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    var stored: [JobIdentifier: Job] = [:]
    var identifiers = JobIdentifierSequence(after: nil)
    var unixSeconds = 1_700_000_000
    let limits: JobMachine.Limits

    /// Two attempts and no waits, so that a test says only what it is about.
    static var impatient: JobMachine.Limits {
        var limits = JobMachine.Limits()
        limits.attempts = 2
        limits.longestWait = .zero
        return limits
    }

    init(
        _ limits: JobMachine.Limits = MachineBench.impatient, slots: Int = 1, jobs: [Job] = [],
        memory: @escaping @Sendable (Set<WorkerSlot>) -> Int? = { _ in nil }
    ) {
        self.limits = limits
        machine = JobMachine(limits: limits, slots: slots, jobs: jobs, memory: memory)
    }

    /// What is left after the records: what is to be done to worker and files.
    @discardableResult
    mutating func send(_ event: JobMachine.Event) -> [JobMachine.Action] {
        let actions = machine.handle(event, now: now, unixSeconds: unixSeconds)
        for case .store(let job) in actions { stored[job.id] = job }
        for case .erase(let id) in actions { stored[id] = nil }
        return actions.filter { action in
            switch action {
            case .store, .erase: false
            default: true
            }
        }
    }

    mutating func newJob(model: String = "mini") -> Job {
        let id = identifiers.next(unixMilliseconds: 1_700_000_000_000, random: [UInt8](repeating: 7, count: 10))
        return Job(id: id, owner: 1000, plan: .sample(model: model), createdAt: 1_700_000_000)
    }

    mutating func submit(model: String = "mini") -> JobIdentifier {
        let job = newJob(model: model)
        send(.submitted(job))
        return job.id
    }

    /// A job that a ready worker is working on.
    mutating func running(model: String = "mini") -> JobIdentifier {
        let id = submit(model: model)
        send(.workerReady(.first, model: model))
        return id
    }

    mutating func pass(_ duration: Duration) -> [JobMachine.Action] {
        now = now + duration
        return send(.ticked)
    }
}

extension ClipPlan {
    static func sample(model: String = "mini", prompt: String = "a red ball") -> ClipPlan {
        ClipPlan(
            model: model, prompt: prompt, negativePrompt: "", width: 128, height: 128, numFrames: 17, fps: 16, seed: 1,
            numInferenceSteps: 20, guidanceScale: 4, flowShift: 3)
    }
}

func result() -> ClipResult { ClipResult(sha256: "00", video: "v", thumbnail: "t", spritesheet: "s", timings: [:]) }
func percent(_ percent: Int) -> JobProgress { JobProgress(phase: .denoising, step: 1, steps: 2, percent: percent) }

private typealias Bench = MachineBench

@Suite struct JobMachineTests {
    @Test func aJobGoesFromSubmittedToCompleted() {
        var bench = Bench()
        let job = bench.newJob()
        #expect(bench.send(.submitted(job)) == [.startWorker(.first, model: "mini")])
        #expect(bench.stored[job.id]?.status == .inProgress)
        #expect(bench.send(.workerReady(.first, model: "mini")) == [.generate(.first, job.id, job.plan)])
        bench.send(.progressed(.first, job.id, percent(40)))
        #expect(bench.machine.jobs[job.id]?.percent == 40)
        #expect(bench.send(.finished(.first, job.id, result())) == [])
        #expect(bench.stored[job.id]?.status == .completed)
        #expect(bench.stored[job.id]?.percent == 100)
        #expect(bench.stored[job.id]?.result == result())
        #expect(bench.machine.jobs.isEmpty)
    }

    @Test func jobsRunInTheOrderInWhichTheyCame() {
        var bench = Bench()
        let first = bench.running()
        let second = bench.submit()
        let third = bench.submit()
        #expect(bench.machine.queue == [second, third])
        #expect(bench.send(.finished(.first, first, result())) == [.generate(.first, second, .sample())])
        #expect(
            bench.send(.failed(.first, second, JobError(code: "invalid_request", message: "No."))) == [
                .removeFiles(second), .generate(.first, third, .sample()),
            ])
        #expect(bench.stored[second]?.error == JobError(code: "invalid_request", message: "No."))
    }

    @Test func progressNeverFallsAndIsNever100BeforeTheEnd() {
        var bench = Bench()
        let id = bench.running()
        for (told, shown) in [(10, 10), (5, 10), (50, 50), (100, 99), (0, 99)] {
            bench.now = bench.now + .seconds(1)
            bench.send(.progressed(.first, id, percent(told)))
            #expect(bench.machine.jobs[id]?.percent == shown)
        }
        bench.send(.workerEnded(.first, how: "died"))
        #expect(bench.machine.jobs[id]?.percent == 99)
    }

    @Test func progressIsRecordedNowAndThenAndToldWhenItIs() {
        var bench = Bench()
        let id = bench.running()
        bench.send(.progressed(.first, id, percent(10)))
        #expect(bench.stored[id]?.percent == 10)
        bench.now = bench.now + .milliseconds(45)
        bench.send(.progressed(.first, id, percent(20)))
        #expect(bench.stored[id]?.percent == 10 && bench.machine.jobs[id]?.percent == 10)
        bench.now = bench.now + .milliseconds(5)
        bench.send(.progressed(.first, id, percent(30)))
        #expect(bench.stored[id]?.percent == 30 && bench.machine.jobs[id]?.percent == 30)
    }

    @Test func aWorkersDeathIsForgivenOnce() {
        var bench = Bench()
        let id = bench.running()
        let other = bench.submit()
        #expect(bench.send(.workerEnded(.first, how: "was killed")) == [.startWorker(.first, model: "mini")])
        #expect(bench.machine.runningJob == id)
        #expect(bench.stored[id]?.workerDeaths == 1)
        bench.send(.workerReady(.first, model: "mini"))
        #expect(bench.send(.workerEnded(.first, how: "was killed")) == [.removeFiles(id), .startWorker(.first, model: "mini")])
        #expect(bench.stored[id]?.status == .failed)
        #expect(
            bench.stored[id]?.error
                == JobError(code: "worker_died", message: "the worker was killed; the job was tried 2 times and is given up"))
        #expect(bench.machine.runningJob == other)
    }

    @Test func cancellingAQueuedJobTouchesNoWorker() {
        var bench = Bench()
        let first = bench.running()
        let second = bench.submit()
        #expect(bench.send(.cancelled(second, erase: false)) == [.removeFiles(second)])
        #expect(bench.stored[second]?.error?.code == "cancelled")
        #expect(bench.machine.runningJob == first)
    }

    @Test func cancellingARunningJobIsOverAtOnceAndTheWorkerMayFinishLater() {
        var bench = Bench()
        let id = bench.running()
        let next = bench.submit()
        #expect(bench.send(.cancelled(id, erase: false)) == [.cancel(.first, id)])
        #expect(bench.stored[id]?.status == .failed)
        #expect(bench.machine.abandonedJob == id)
        // The files go only when the worker writes no more.
        #expect(
            bench.send(.failed(.first, id, JobError(code: "cancelled", message: ""))) == [
                .removeFiles(id), .generate(.first, next, .sample()),
            ])
        #expect(bench.stored[id]?.error?.code == "cancelled")
    }

    @Test func aClipThatIsFinishedAfterItsCancellationIsThrownAway() {
        var bench = Bench()
        let id = bench.running()
        bench.send(.cancelled(id, erase: true))
        #expect(bench.stored[id] == nil)
        #expect(bench.send(.finished(.first, id, result())) == [.removeFiles(id)])
        #expect(bench.stored[id] == nil)
    }

    @Test func aWorkerThatIgnoresACancelIsKilledAfterTheGrace() {
        var bench = Bench()
        let id = bench.running()
        let next = bench.submit()
        bench.send(.cancelled(id, erase: false))
        #expect(bench.pass(.milliseconds(1900)) == [])
        #expect(bench.pass(.milliseconds(100)) == [.killWorker(.first)])
        #expect(bench.send(.workerEnded(.first, how: "was killed")) == [.removeFiles(id), .startWorker(.first, model: "mini")])
        #expect(bench.machine.runningJob == next)
        #expect(bench.stored[next]?.workerDeaths == 0)
    }

    @Test func cancellingWhileTheWorkerLoadsKeepsTheWorker() {
        var bench = Bench()
        let id = bench.submit()
        #expect(bench.send(.cancelled(id, erase: false)) == [.removeFiles(id)])
        let next = bench.submit()
        #expect(bench.stored[next]?.status == .inProgress)
        #expect(bench.send(.workerReady(.first, model: "mini")) == [.generate(.first, next, .sample())])
    }

    @Test func anotherModelNeedsAnotherWorker() {
        var bench = Bench()
        let first = bench.running(model: "mini")
        let second = bench.submit(model: "large")
        #expect(bench.send(.finished(.first, first, result())) == [.closeWorker(.first)])
        #expect(bench.stored[second]?.status == .queued || bench.stored[second]?.status == nil)
        #expect(bench.send(.workerEnded(.first, how: "exited with status 0")) == [.startWorker(.first, model: "large")])
        #expect(bench.machine.runningJob == second)
    }

    @Test func aWorkerWithTheWrongModelIsKilled() {
        var bench = Bench()
        let id = bench.submit()
        #expect(bench.send(.workerReady(.first, model: "other")) == [.killWorker(.first)])
        bench.send(.workerEnded(.first, how: "was killed"))
        #expect(bench.stored[id]?.workerDeaths == 0 && bench.stored[id]?.status == .queued)
    }

    @Test func anIdleWorkerIsToldToLeaveAndKilledIfItStays() {
        var bench = Bench()
        let id = bench.running()
        bench.send(.finished(.first, id, result()))
        #expect(bench.pass(.seconds(299)) == [])
        #expect(bench.pass(.seconds(1)) == [.closeWorker(.first)])
        #expect(bench.pass(.seconds(2)) == [.killWorker(.first)])
        #expect(bench.send(.workerEnded(.first, how: "was killed")) == [])
        #expect(bench.machine.nextDeadline == nil)
    }

    @Test(arguments: [true, false])
    func silenceIsFatalForAWorker(whileLoading: Bool) {
        var bench = Bench()
        let id = whileLoading ? bench.submit() : bench.running()
        let limit = whileLoading ? bench.limits.workerStart : bench.limits.workerSilence.upperBound
        #expect(bench.pass(limit - .seconds(1)) == [])
        #expect(bench.pass(.seconds(1)) == [.killWorker(.first)])
        bench.send(.workerEnded(.first, how: "was killed by signal 9"))
        #expect(bench.stored[id]?.workerDeaths == (whileLoading ? 0 : 1))
        if whileLoading { _ = bench.pass(.seconds(1)) }
        #expect(bench.machine.runningJob == id)
    }

    @Test(arguments: [true, false])
    func aSignOfLifePutsOffTheEndOfPatience(whileLoading: Bool) {
        var bench = Bench()
        _ = whileLoading ? bench.submit() : bench.running()
        let limit = whileLoading ? bench.limits.workerStart : bench.limits.workerSilence.upperBound
        for _ in 0..<3 {
            #expect(bench.pass(limit - .seconds(1)) == [])
            bench.send(.workerAlive(.first))
        }
        // Its silences were long, and it came back each time.
        #expect(bench.pass(limit - .seconds(1)) == [])
        #expect(bench.pass(.seconds(1)) == [.killWorker(.first)])
        // Words that were on their way do not save it.
        bench.send(.workerAlive(.first))
        #expect(bench.pass(bench.limits.grace) == [.killWorker(.first)])
    }

    @Test func patienceFollowsTheMeasuredTimeOfThePhase() {
        var bench = Bench()
        let id = bench.running()
        // 20 steps of 9 s, 17 frames of half a second.
        bench.machine.expect(["denoising": 180, "decoding": 8.5, "writing": 1e300], in: .first)
        for (phase, seconds) in [(JobPhase.denoising, 90), (.decoding, 60), (.writing, 600), (.encodingText, 600)] {
            bench.send(.progressed(.first, id, JobProgress(phase: phase, step: 1, steps: 20, percent: 1)))
            let start = bench.now
            #expect(bench.machine.nextDeadline == start + .seconds(seconds), "\(phase)")
        }
        // Where nothing is known, the silences so far are the measure.
        #expect(bench.pass(.seconds(30)) == [])
        bench.send(.workerAlive(.first))
        #expect(bench.machine.nextDeadline == bench.now + .seconds(300))
        bench.send(.workerAlive(.first))
        #expect(bench.machine.nextDeadline == bench.now + .seconds(300))
    }

    @Test(arguments: [true, false])
    func aMachineThatStoodStillSaysNothingAboutTheWorker(whileLoading: Bool) {
        var bench = Bench()
        _ = whileLoading ? bench.submit() : bench.running()
        let limit = whileLoading ? bench.limits.workerStart : bench.limits.workerSilence.upperBound
        #expect(bench.pass(limit + bench.limits.lateness) == [])
        #expect(bench.pass(limit - .seconds(1)) == [])
        #expect(bench.pass(.seconds(1)) == [.killWorker(.first)])
    }

    @Test func filesThatCannotBeWrittenAreTriedOnceMore() {
        var bench = Bench()
        let id = bench.running()
        let waiting = bench.submit()
        let failure = JobError(code: JobError.mediaFailed, message: "the disk says no")
        func reach(_ phase: JobPhase) { bench.send(.progressed(.first, id, JobProgress(phase: phase, step: 0, steps: 20, percent: 9))) }
        reach(.decoding)
        #expect(bench.send(.failed(.first, id, failure)) == [.generate(.first, id, bench.stored[id]!.plan)])
        #expect(bench.stored[id]?.status == .inProgress && bench.stored[id]?.workerDeaths == 1)
        // Further on it is another matter.
        reach(.writing)
        #expect(bench.send(.failed(.first, id, failure)) == [.generate(.first, id, bench.stored[id]!.plan)])
        reach(.writing)
        #expect(bench.send(.failed(.first, id, failure)).first == .removeFiles(id))
        #expect(
            bench.stored[id]?.error
                == JobError(code: "media_failed", message: "the disk says no; the job was tried 2 times and is given up"))
        #expect(bench.machine.runningJob == waiting)
    }

    @Test func aBrokenProtocolIsToldInTheJobsError() {
        var bench = Bench()
        let id = bench.running()
        #expect(bench.send(.workerMisbehaved(.first, "broke the protocol: nonsense")) == [.killWorker(.first)])
        bench.send(.workerEnded(.first, how: "was killed by signal 9"))
        bench.send(.workerReady(.first, model: "mini"))
        bench.send(.workerMisbehaved(.first, "broke the protocol: nonsense"))
        bench.send(.workerEnded(.first, how: "was killed by signal 9"))
        #expect(bench.stored[id]?.error?.message.hasPrefix("the worker broke the protocol: nonsense;") == true)
    }

    @Test func aWorkerThatHangsUpHasTheGraceToEnd() {
        var bench = Bench()
        let id = bench.running()
        #expect(bench.send(.workerHungUp(.first)) == [])
        #expect(bench.pass(.seconds(2)) == [.killWorker(.first)])
        bench.send(.workerEnded(.first, how: "was killed"))
        #expect(bench.stored[id]?.workerDeaths == 1)
    }

    @Test func aJobThatGetsFurtherEachTimeIsNotGivenUp() {
        var bench = Bench()
        let id = bench.running()
        func reach(_ step: Int) { bench.send(.progressed(.first, id, JobProgress(phase: .denoising, step: step, steps: 24, percent: 30))) }
        func die() {
            bench.send(.workerEnded(.first, how: "was killed by signal 9"))
            bench.send(.workerReady(.first, model: "mini"))
        }
        for step in [3, 4, 9] {
            reach(step)
            die()
            #expect(bench.machine.runningJob == id)
            #expect(bench.stored[id]?.workerDeaths == 1)
        }
        // Where it stood before is not further.
        reach(9)
        die()
        #expect(bench.stored[id]?.error?.code == "worker_died")
    }

    @Test func aClipThatIsDecodedFurtherEachTimeIsNotGivenUp() {
        var bench = Bench()
        let id = bench.running()
        for (frame, deaths) in [(5, 1), (9, 1), (9, 2)] {
            bench.send(.progressed(.first, id, JobProgress(phase: .decoding, step: 24, steps: 24, frame: frame, percent: 80)))
            bench.send(.workerEnded(.first, how: "was killed by signal 9"))
            bench.send(.workerReady(.first, model: "mini"))
            #expect(bench.stored[id]?.workerDeaths == deaths)
        }
        #expect(bench.stored[id]?.error?.code == "worker_died")
    }

    @Test func stoppingPutsTheRunningJobBackWithoutBlame() {
        var bench = Bench()
        let id = bench.running()
        bench.send(.progressed(.first, id, percent(60)))
        let waiting = bench.submit()
        #expect(bench.send(.stopRequested) == [.cancel(.first, id), .closeWorker(.first)])
        #expect(bench.stored[id]?.status == .queued)
        #expect(bench.stored[id]?.workerDeaths == 0)
        // Its last words change nothing.
        bench.send(.failed(.first, id, JobError(code: "cancelled", message: "")))
        #expect(bench.stored[id]?.status == .queued)
        #expect(bench.send(.workerEnded(.first, how: "exited with status 0")) == [])
        #expect(!bench.machine.hasWorker && bench.machine.queue == [id, waiting])
    }

    @Test func theNextRunGoesOnWithWhatWasLeft() {
        var bench = Bench()
        let id = bench.running()
        bench.send(.progressed(.first, id, percent(60)))
        let waiting = bench.submit()
        var next = Bench(jobs: [bench.machine.jobs[waiting]!, bench.machine.jobs[id]!])
        #expect(next.machine.queue == [id, waiting])
        #expect(next.machine.jobs[id]?.percent == 60)
        #expect(next.send(.ticked) == [.startWorker(.first, model: "mini")])
        #expect(next.machine.runningJob == id)
    }

    @Test func nothingIsStartedBeforeTheModelsAreKnown() {
        var bench = Bench()
        let job = bench.newJob()
        bench.machine = JobMachine(jobs: [job], holds: [.models])
        #expect(bench.send(.ticked) == [])
        #expect(bench.machine.queue == [job.id])
        #expect(bench.send(.released(.models)) == [.startWorker(.first, model: "mini")])
    }

    @Test func severalHoldsMustAllGo() {
        var bench = Bench()
        bench.send(.held(.administrator))
        bench.send(.held(.disk))
        let id = bench.submit()
        #expect(bench.send(.released(.disk)) == [])
        #expect(bench.send(.released(.administrator)) == [.startWorker(.first, model: "mini")])
        #expect(bench.machine.runningJob == id)
        // A job that runs is not touched.
        bench.send(.held(.administrator))
        #expect(bench.machine.runningJob == id)
    }

    /// Random events in random order: every job stays in exactly one place, and a job that has ended stays ended.
    @Test(arguments: 0..<20)
    func noOrderOfEventsLosesAJob(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var bench = Bench()
        var over: [JobIdentifier: Video.Status] = [:]
        var known: [JobIdentifier] = []
        var erased: Set<JobIdentifier> = []
        for _ in 0..<400 {
            let some = known.randomElement(using: &random)
            switch Int.random(in: 0..<12, using: &random) {
            case 0, 1: known.append(bench.submit(model: Bool.random(using: &random) ? "mini" : "large"))
            case 2: if let some { bench.send(.cancelled(some, erase: false)) }
            case 3:
                if let some, bench.machine.jobs[some] != nil {
                    bench.send(.cancelled(some, erase: true))
                    erased.insert(some)
                }
            case 4, 5: bench.send(.workerReady(.first, model: Bool.random(using: &random) ? "mini" : "large"))
            case 6: if let some { bench.send(.progressed(.first, some, percent(Int.random(in: 0...100, using: &random)))) }
            case 7, 8: if let running = bench.machine.runningJob { bench.send(.finished(.first, running, result())) }
            case 9: if let some { bench.send(.failed(.first, some, JobError(code: "x", message: "x"))) }
            case 10: if bench.machine.hasWorker { bench.send(.workerEnded(.first, how: "died")) }
            default: _ = bench.pass(.seconds(Int.random(in: 0...400, using: &random)))
            }
            for (id, status) in over { #expect(bench.stored[id]?.status == status) }
            for id in known where !erased.contains(id) {
                let job = bench.stored[id]!
                if job.isOver {
                    over[id] = job.status
                    #expect(bench.machine.jobs[id] == nil)
                } else {
                    #expect(bench.machine.jobs[id] != nil)
                    #expect((bench.machine.runningJob == id ? 1 : 0) + bench.machine.queue.count { $0 == id } == 1)
                }
            }
        }
    }
}
