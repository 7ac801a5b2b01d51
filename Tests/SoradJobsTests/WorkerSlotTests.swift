// Several slots: clips at once, and every worker's misfortunes its own.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

extension Job {
    /// The same job, whose clip takes `memory` bytes.
    fileprivate func with(memory: Int) -> Job {
        var plan = plan
        plan.memory = memory
        return Job(id: id, owner: owner, plan: plan, createdAt: createdAt)
    }
}

extension MachineBench {
    /// Two jobs that two ready workers are working on.
    fileprivate mutating func twoRunning() -> (first: JobIdentifier, second: JobIdentifier) {
        let jobs = (submit(), submit())
        send(.workerReady(.first, model: "mini"))
        send(.workerReady(.second, model: "mini"))
        return jobs
    }
}

@Suite struct WorkerSlotTests {
    @Test func asManyJobsRunAsThereAreSlots() {
        var bench = MachineBench(slots: 2)
        let (first, second, third) = (bench.newJob(), bench.newJob(), bench.newJob())
        #expect(bench.send(.submitted(first)) == [.startWorker(.first, model: "mini")])
        #expect(bench.send(.submitted(second)) == [.startWorker(.second, model: "mini")])
        #expect(bench.send(.submitted(third)) == [])
        #expect(bench.machine.runningJobs == [first.id, second.id] && bench.machine.queue == [third.id])
        #expect(bench.send(.workerReady(.second, model: "mini")) == [.generate(.second, second.id, second.plan)])
        #expect(bench.send(.workerReady(.first, model: "mini")) == [.generate(.first, first.id, first.plan)])
        #expect(bench.send(.finished(.second, second.id, result())) == [.generate(.second, third.id, third.plan)])
        #expect(bench.stored[second.id]?.status == .completed && bench.machine.runningJobs == [first.id, third.id])
    }

    @Test func anIdleWorkerIsUsedBeforeAnotherIsStarted() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        bench.send(.finished(.first, first, result()))
        bench.send(.finished(.second, second, result()))
        #expect(bench.pass(.seconds(300)) == [.closeWorker(.first), .closeWorker(.second)])
        bench.send(.workerEnded(.first, how: "exited"))
        bench.send(.workerEnded(.second, how: "exited"))
        let third = bench.running()
        bench.send(.finished(.first, third, result()))
        let fourth = bench.newJob()
        #expect(bench.send(.submitted(fourth)) == [.generate(.first, fourth.id, fourth.plan)])
    }

    @Test func aPlaceIsShownForAsLongAsItsJobIsMadeThere() throws {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        bench.send(.placed(.first, first, JobPlace(box: "boxa", note: "boxa is out of reach")))
        bench.send(.placed(.second, first, JobPlace(box: "boxb")))
        #expect(bench.machine.place(of: first) == JobPlace(box: "boxa", note: "boxa is out of reach"))
        #expect(bench.machine.place(of: second) == JobPlace())
        #expect(bench.machine.note(for: try #require(bench.machine.jobs[first])) == "boxa is out of reach")
        #expect(bench.machine.note(for: try #require(bench.machine.jobs[second])) == nil)
        bench.send(.finished(.first, first, result()))
        let third = bench.submit()
        #expect(bench.machine.runningJobs == [third, second] && bench.machine.place(of: third) == JobPlace())
    }

    @Test func aLostConnectionToAPoolSaysNothingAboutTheJob() {
        var limits = MachineBench.impatient
        limits.workersAreRemote = true
        var bench = MachineBench(limits)
        let id = bench.submit()
        for _ in 0..<5 {
            bench.send(.workerReady(.first, model: "mini"))
            #expect(bench.send(.workerEnded(.first, how: "was disconnected")) == [.startWorker(.first, model: "mini")])
        }
        #expect(bench.machine.jobs[id]?.isOver == false)
    }

    @Test func aDeathIsOfOneSlotAlone() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        #expect(bench.send(.workerEnded(.second, how: "was killed")) == [.startWorker(.second, model: "mini")])
        #expect(bench.stored[second]?.workerDeaths == 1 && bench.stored[first]?.workerDeaths == 0)
        #expect(bench.machine.runningJobs == [first, second])
        // What the dead worker's job did does not count against the other slot's.
        bench.send(.workerEnded(.first, how: "was killed"))
        #expect(bench.stored[first]?.workerDeaths == 1 && bench.stored[first]?.status == .inProgress)
        bench.send(.finished(.second, second, result()))
        #expect(bench.stored[second]?.status != .completed, "a slot whose worker is only loading has finished nothing")
    }

    @Test func aSilenceIsOfOneSlotAlone() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        let limit = bench.limits.workerSilence.upperBound
        #expect(bench.pass(limit - .seconds(1)) == [])
        bench.send(.workerAlive(.second))
        #expect(bench.pass(.seconds(1)) == [.killWorker(.first)])
        // Its own words no longer save it, and the other's never did.
        bench.send(.workerAlive(.first))
        bench.send(.workerAlive(.second))
        #expect(bench.pass(bench.limits.grace) == [.killWorker(.first)])
        bench.send(.workerEnded(.first, how: "was killed by signal 9"))
        #expect(bench.stored[first]?.workerDeaths == 1 && bench.machine.jobs[second]?.workerDeaths == 0)
    }

    @Test func aSlotsWatchdogFollowsItsOwnHistory() {
        var bench = MachineBench(slots: 2)
        let (_, second) = bench.twoRunning()
        bench.machine.expect(["denoising": 180], in: .second)
        bench.send(.progressed(.second, second, JobProgress(phase: .denoising, step: 1, steps: 20, percent: 1)))
        #expect(bench.machine.nextDeadline == bench.now + .seconds(90))
        #expect(bench.pass(.seconds(90)) == [.killWorker(.second)])
    }

    @Test func aProtocolErrorKillsOneWorker() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        #expect(bench.send(.workerMisbehaved(.first, "broke the protocol: nonsense")) == [.killWorker(.first)])
        #expect(bench.send(.workerHungUp(.second)) == [])
        #expect(bench.pass(bench.limits.grace) == [.killWorker(.second)])
        bench.send(.workerEnded(.second, how: "was killed"))
        bench.send(.workerEnded(.first, how: "was killed"))
        #expect(bench.stored[first]?.workerDeaths == 1 && bench.stored[second]?.workerDeaths == 1)
    }

    @Test func aCancelGoesToTheSlotOfTheJob() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        #expect(bench.send(.cancelled(second, erase: false)) == [.cancel(.second, second)])
        #expect(bench.machine.runningJobs == [first] && bench.machine.abandonedJobs == [second])
        #expect(bench.send(.failed(.second, second, JobError(code: "cancelled", message: ""))) == [.removeFiles(second)])
        #expect(bench.machine.runningJobs == [first])
    }

    @Test func oneIdleWorkerMakesPlaceForAnotherModel() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        bench.send(.finished(.first, first, result()))
        bench.send(.finished(.second, second, result()))
        let large = bench.newJob(model: "large")
        #expect(bench.send(.submitted(large)) == [.closeWorker(.first)])
        // Only one: the other stays for its own model.
        #expect(bench.send(.ticked) == [])
        #expect(bench.send(.workerEnded(.first, how: "exited with status 0")) == [.startWorker(.first, model: "large")])
        let small = bench.newJob()
        #expect(bench.send(.submitted(small)) == [.generate(.second, small.id, small.plan)])
    }

    @Test func stoppingPutsAllRunningJobsBack() {
        var bench = MachineBench(slots: 2)
        let (first, second) = bench.twoRunning()
        #expect(
            bench.send(.stopRequested) == [
                .cancel(.first, first), .closeWorker(.first), .cancel(.second, second), .closeWorker(.second),
            ])
        #expect(bench.stored[first]?.status == .queued && bench.stored[second]?.status == .queued)
        bench.send(.workerEnded(.second, how: "exited"))
        #expect(bench.machine.hasWorker)
        bench.send(.workerEnded(.first, how: "exited"))
        #expect(!bench.machine.hasWorker && Set(bench.machine.queue) == [first, second])
    }

    @Test func aClipThatDoesNotFitBesideAnotherWaitsForItsEnd() {
        var bench = MachineBench(slots: 2) { slots in slots.count == 2 ? 1_000 : 0 }
        var (small, large) = (bench.newJob(), bench.newJob())
        (small, large) = (small.with(memory: 400), large.with(memory: 601))
        bench.send(.submitted(small))
        bench.send(.workerReady(.first, model: "mini"))
        #expect(bench.send(.submitted(large)) == [])
        #expect(bench.machine.runningJobs == [small.id] && bench.machine.queue == [large.id])
        // Alone it may begin, whatever there is: that was looked at when it was accepted.
        #expect(bench.send(.finished(.first, small.id, result())) == [.generate(.first, large.id, large.plan)])
        var fitting = bench.newJob()
        fitting = fitting.with(memory: 399)
        #expect(bench.send(.submitted(fitting)) == [.startWorker(.second, model: "mini")])
    }

    @Test func anIdleWorkerIsClosedForTheMemoryThatItHolds() {
        var bench = MachineBench(slots: 3) { slots in slots.contains(WorkerSlot(1)) ? 1_000 : 600 }
        var jobs = [bench.newJob(), bench.newJob()]
        for index in jobs.indices { jobs[index] = jobs[index].with(memory: 400) }
        bench.send(.submitted(jobs[0]))
        bench.send(.workerReady(.first, model: "mini"))
        bench.send(.submitted(jobs[1]))
        bench.send(.workerReady(.second, model: "mini"))
        bench.send(.finished(.second, jobs[1].id, result()))
        var large = bench.newJob(model: "large")
        large = large.with(memory: 400)
        #expect(bench.send(.submitted(large)) == [.closeWorker(.second)])
        #expect(bench.send(.workerEnded(.second, how: "exited")) == [.startWorker(.second, model: "large")])
    }

    /// Random events in random order over three slots: every job stays in exactly one place, and a job that has ended stays ended.
    @Test(arguments: 0..<20)
    func noOrderOfEventsLosesAJob(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var bench = MachineBench(slots: 3)
        var over: [JobIdentifier: Video.Status] = [:]
        var known: [JobIdentifier] = []
        for _ in 0..<600 {
            let some = known.randomElement(using: &random)
            let slot = WorkerSlot(Int.random(in: 0..<3, using: &random))
            let models = ["mini", "large"]
            switch Int.random(in: 0..<12, using: &random) {
            case 0, 1: known.append(bench.submit(model: models.randomElement(using: &random)!))
            case 2: if let some { bench.send(.cancelled(some, erase: false)) }
            case 3, 4, 5: bench.send(.workerReady(slot, model: models.randomElement(using: &random)!))
            case 6: if let some { bench.send(.progressed(slot, some, percent(Int.random(in: 0...100, using: &random)))) }
            case 7, 8:
                if let running = bench.machine.runningJobs.randomElement(using: &random) { bench.send(.finished(slot, running, result())) }
            case 9: if let some { bench.send(.failed(slot, some, JobError(code: "x", message: "x"))) }
            case 10: bench.send(.workerEnded(slot, how: "died"))
            default: _ = bench.pass(.seconds(Int.random(in: 0...400, using: &random)))
            }
            for (id, status) in over { #expect(bench.stored[id]?.status == status) }
            for id in known {
                let job = bench.stored[id]!
                if job.isOver {
                    over[id] = job.status
                    #expect(bench.machine.jobs[id] == nil)
                } else {
                    #expect(bench.machine.jobs[id] != nil)
                    #expect(bench.machine.runningJobs.count { $0 == id } + bench.machine.queue.count { $0 == id } == 1)
                }
            }
        }
        #expect(over.values.contains(.completed))
    }

    @Test func threadsAreDividedAndNobodyHasNone() {
        #expect(WorkerSupervisor.shares(of: 8, slots: 3) == [3, 3, 2])
        #expect(WorkerSupervisor.shares(of: 2, slots: 2) == [1, 1])
        #expect(WorkerSupervisor.shares(of: 1, slots: 2) == [1, 1])
    }
}
