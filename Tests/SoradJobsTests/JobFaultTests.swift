// The rule of docs/FAULTS.md on the job machine: a fault of the machine holds a job, and only what is proven to be its own ends it.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct JobFaultTests {
    private static let patient = JobMachine.Limits()

    private func step(_ step: Int) -> JobProgress { JobProgress(phase: .denoising, step: step, steps: 20, percent: 30) }

    /// Moves the clock to the next deadline.
    private func wait(_ bench: inout MachineBench) -> Duration {
        let start = bench.now
        guard let due = bench.machine.nextDeadline else { return .zero }
        _ = bench.pass(due - start)
        return bench.now - start
    }

    @Test func aWorkerThatCannotBeStartedCostsNoJob() {
        var bench = MachineBench(Self.patient)
        let id = bench.submit()
        let other = bench.submit()
        var waits: [Duration] = []
        for _ in 0..<30 {
            bench.send(.workerEnded(.first, how: "could not be started: Too many open files"))
            #expect(bench.machine.runningJob == nil && bench.stored[id]?.status == .queued && bench.stored[id]?.workerDeaths == 0)
            for job in [id, other] {
                #expect(bench.machine.note(for: bench.machine.jobs[job]!)?.contains("could not be started: Too many open files") == true)
            }
            // A fault of a moment is no trouble of the machine.
            #expect(bench.machine.startTrouble?.contains("could not be started: Too many open files") ?? (waits.count < 2))
            waits.append(wait(&bench))
            #expect(bench.machine.runningJob == id)
        }
        #expect(waits.prefix(4) == [.milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800)])
        #expect(waits.last == .seconds(60))
        bench.send(.workerReady(.first, model: "mini"))
        #expect(bench.machine.startTrouble == nil)
        #expect(bench.machine.note(for: bench.machine.jobs[other]!) == nil)
        bench.send(.finished(.first, id, result()))
        #expect(bench.stored[id]?.status == .completed && bench.machine.runningJob == other)
    }

    /// A model that was removed for good: its jobs fail after `holdDays`, each by its own time, with the reason; the clock on the wall and a
    /// restart change nothing.
    @Test func aMachineThatIsNeverMendedDoesNotKeepJobsForEver() {
        var limits = Self.patient
        limits.longestWait = .seconds(3600)
        limits.holdDays = 3
        var bench = MachineBench(limits)
        let first = bench.submit(model: "gone")
        let missing = "was not started, because the model gone is not installed"
        bench.send(.workerEnded(.first, how: missing))
        func days(_ count: Double) {
            let end = bench.now + .seconds(count * 86_400)
            while bench.now < end {
                _ = wait(&bench)
                if bench.machine.runningJob != nil { bench.send(.workerEnded(.first, how: missing)) }
                if bench.machine.nextDeadline == nil { return }
            }
        }
        days(2)
        let late = bench.submit(model: "gone")
        bench.unixSeconds += 100 * 86_400
        days(0.9)
        #expect(bench.stored[first]?.status == .queued && bench.machine.jobs[late] != nil)
        #expect((2 * 86_400...3 * 86_400).contains(bench.stored[first]?.heldSeconds ?? 0))
        days(0.2)
        let error = bench.stored[first]?.error
        #expect(error?.code == "held_too_long" && error?.message.contains("the model gone is not installed") == true, "\(error as Any)")
        #expect(bench.machine.jobs[late] != nil && !bench.machine.queue.contains(first))

        // The next daemon counts on; a worker that becomes ready ends the hold.
        bench = MachineBench(limits, jobs: [bench.machine.jobs[late]!])
        days(1)
        #expect(bench.machine.jobs[late] != nil)
        let other = bench.submit(model: "gone")
        while bench.machine.runningJob == nil { _ = wait(&bench) }
        bench.send(.workerReady(.first, model: "gone"))
        #expect(bench.machine.runningJob == late && bench.machine.jobs[other]?.heldSeconds == 0)
        bench.send(.progressed(.first, late, step(1)))
        #expect(bench.machine.jobs[late]?.heldSeconds == 0)
    }

    /// No ffmpeg: workers start, and the job fails with each of them.
    @Test func aJobThatFindsNoProgramIsHeldAsLong() {
        for days in [0, 2] {
            var limits = Self.patient
            limits.longestWait = .seconds(3600)
            limits.holdDays = days
            limits.workerIdle = .seconds(10_000_000)
            var bench = MachineBench(limits)
            let id = bench.submit()
            var faults = 0
            while bench.stored[id]?.isOver != true, faults < 100 {
                guard bench.machine.runningJob == id else {
                    _ = wait(&bench)
                    continue
                }
                bench.send(.workerReady(.first, model: "mini"))
                bench.send(.failed(.first, id, JobError(code: JobError.configuration, message: "ffmpeg is not installed")))
                faults += 1
            }
            #expect(days == 0 ? bench.stored[id]?.isOver == false : bench.stored[id]?.error?.code == "held_too_long", "\(days)")
            #expect(days == 0 || (48...70).contains(faults), "\(faults)")
        }
    }

    @Test func aModelThatCannotBeOpenedHoldsNoOther() {
        var bench = MachineBench(Self.patient)
        let broken = bench.submit(model: "broken")
        let good = bench.submit(model: "mini")
        #expect(bench.send(.workerEnded(.first, how: "exited with status 65")) == [.startWorker(.first, model: "mini")])
        #expect(bench.machine.runningJob == good && bench.machine.queue == [broken])
    }

    @Test(arguments: ["machine_fault", "configuration_error", "insufficient_storage", "model_invalid"])
    func whatIsKnownToBeTheMachinesNeverEndsAJob(code: String) {
        var bench = MachineBench(Self.patient)
        let id = bench.submit()
        for _ in 0..<40 {
            bench.send(.workerReady(.first, model: "mini"))
            bench.send(.failed(.first, id, JobError(code: code, message: "the machine says no")))
            #expect(bench.stored[id]?.status == .queued)
            #expect(bench.machine.note(for: bench.machine.jobs[id]!) != nil)
            if code == "insufficient_storage" {
                #expect(bench.machine.holds == [.disk])
                bench.send(.released(.disk))
            }
            if code == "model_invalid" {
                // Another worker opens the file as it is now.
                bench.send(.workerEnded(.first, how: "exited with status 0"))
            }
            _ = wait(&bench)
            #expect(bench.machine.runningJob == id)
        }
    }

    @Test func faultsAtOnePlaceAreProofOnlyWhenOthersGetOn() {
        var limits = Self.patient
        limits.attempts = 3
        for others in [true, false] {
            var bench = MachineBench(limits)
            let id = bench.running()
            let other = bench.submit()
            var deaths = 0
            while bench.stored[id]?.isOver != true, deaths < 20 {
                if bench.machine.runningJob == other {
                    bench.send(.workerReady(.first, model: "mini"))
                    if others { bench.send(.progressed(.first, other, step(min(20, deaths)))) }
                    bench.send(.workerEnded(.first, how: "was killed by signal 9 (Killed)"))
                } else if bench.machine.runningJob == id {
                    bench.send(.workerReady(.first, model: "mini"))
                    bench.send(.progressed(.first, id, step(4)))
                    bench.send(.workerEnded(.first, how: "was killed by signal 9 (Killed)"))
                    deaths += 1
                } else {
                    _ = wait(&bench)
                }
            }
            // In a storm that kills every worker nobody is to blame.
            #expect(others ? deaths <= 5 : deaths == 20, "\(deaths); others get on: \(others)")
            #expect(bench.stored[other]?.isOver != true)
        }
    }

    @Test func aJobAloneIsGivenUpAfterItsAttemptsAndTheirWaits() {
        var bench = MachineBench(Self.patient)
        let id = bench.running()
        var waited = Duration.zero
        var deaths = 0
        while bench.stored[id]?.isOver != true {
            bench.send(.workerReady(.first, model: "mini"))
            bench.send(.workerEnded(.first, how: "was killed by signal 9 (Killed)"))
            deaths += 1
            if bench.stored[id]?.isOver != true {
                #expect(bench.machine.note(for: bench.machine.jobs[id]!)?.contains("was killed by signal 9") == true)
                waited = waited + wait(&bench)
            }
        }
        #expect(deaths == 12 && waited > .seconds(150), "\(waited)")
        #expect(bench.stored[id]?.error?.message.hasSuffix("the job was tried 12 times and is given up") == true)
    }

    @Test func deathsAtDifferentPlacesAreNotAddedUp() {
        var limits = Self.patient
        limits.attempts = 3
        var bench = MachineBench(limits)
        let id = bench.running()
        // Before and behind where it once was.
        for reached in [9, 3, 4, 5, 9, 3, 4, 5] {
            bench.send(.progressed(.first, id, step(reached)))
            bench.send(.workerEnded(.first, how: "was killed by signal 9 (Killed)"))
            #expect(bench.stored[id]?.isOver == false)
            while bench.machine.runningJob == nil { _ = wait(&bench) }
            bench.send(.workerReady(.first, model: "mini"))
        }
        bench.send(.progressed(.first, id, step(4)))
        bench.send(.workerEnded(.first, how: "was killed by signal 9 (Killed)"))
        #expect(bench.stored[id]?.error?.code == "worker_died")
    }

    @Test func whatTheEngineProvesEndsAJobAtOnce() {
        var bench = MachineBench(Self.patient)
        let id = bench.running()
        #expect(bench.send(.failed(.first, id, JobError(code: "invalid_request", message: "no"))) == [.removeFiles(id)])
        #expect(bench.stored[id]?.error?.message == "no")
    }

    @Test func aHeldJobCanBeCancelledAndTheNextIsNotHeldUp() {
        var bench = MachineBench(Self.patient)
        let id = bench.running()
        let next = bench.submit()
        bench.send(.failed(.first, id, JobError(code: JobError.machineFault, message: "no descriptors")))
        #expect(bench.machine.runningJob == next)
        #expect(bench.send(.cancelled(id, erase: false)) == [.removeFiles(id)])
        #expect(bench.machine.nextDeadline != nil)
        bench.send(.finished(.first, next, result()))
        #expect(bench.machine.jobs.isEmpty)
    }

    @Test func theCountSurvivesARestart() {
        var bench = MachineBench(Self.patient)
        let id = bench.running()
        bench.send(.progressed(.first, id, step(4)))
        bench.send(.workerEnded(.first, how: "was killed"))
        let job = bench.stored[id]!
        var limits = Self.patient
        limits.attempts = 2
        var next = MachineBench(limits, jobs: [job])
        next.send(.ticked)
        next.send(.workerReady(.first, model: "mini"))
        next.send(.progressed(.first, id, step(4)))
        next.send(.workerEnded(.first, how: "was killed"))
        #expect(next.stored[id]?.error?.code == "worker_died")
    }
}
