import Glibc
import SoradCPU
import SoradSystem
import SoradTensor
import Synchronization
import Testing

/// Which CPUs the threads of a pool are for, and that nothing else is bound by it.
@Suite struct ThreadPlacementTests {
    /// Four cores of two CPUs, numbered as Linux does: 0 and 4 share one.
    private func siblings(_ cpu: Int) -> [Int] { [cpu % 4, cpu % 4 + 4] }

    private func places(_ threads: Int, _ allowed: [Int], quota: Double? = nil) -> [[Int]]? {
        ThreadPlacement(threads: threads, allowed: allowed, quota: quota, siblings: siblings)?.places
    }

    @Test func everyCPUHasOneThread() {
        #expect(places(8, Array(0..<8)) == (0..<8).map { [$0] })
        #expect(places(3, [1, 2, 7]) == [[1], [2], [7]])
    }

    @Test func everyCoreHasOneThread() {
        #expect(places(4, Array(0..<8)) == [[0, 4], [1, 5], [2, 6], [3, 7]])
        // CPU 5 is not ours.
        #expect(places(2, [0, 1, 4]) == [[0, 4], [1]])
        let alone = ThreadPlacement(threads: 2, allowed: [0, 1], quota: nil) { _ in [] }
        #expect(alone?.places == [[0], [1]])
    }

    @Test func whereThereIsAChoiceTheKernelHasIt() {
        #expect(places(1, [0]) == nil)
        #expect(places(3, Array(0..<8)) == nil)
        #expect(places(9, Array(0..<8)) == nil)
        #expect(places(8, Array(0..<8), quota: 4) == nil)
        #expect(places(4, Array(0..<8), quota: 4) == nil)
        #expect(places(8, Array(0..<8), quota: 8) != nil)
        #expect(places(2, []) == nil)
    }

    @Test func listsOfCPUsAreRead() {
        #expect(ThreadCPUs.cpuList("0\n") == [0])
        #expect(ThreadCPUs.cpuList("0,64\n") == [0, 64])
        #expect(ThreadCPUs.cpuList("0-2,8") == [0, 1, 2, 8])
        for text in ["", "a", "3-1", "-1", "1-", "1-2-3", "0-99999999999"] { #expect(ThreadCPUs.cpuList(text) == [], "\(text)") }
        #expect(ThreadCPUs.siblings(of: 8191) == [8191])
    }

    @Test(.enabled(if: ThreadCPUs.allowed().count > 1 && ProcessorCount.usable() == ThreadCPUs.allowed().count))
    func aPoolForAllCPUsHasOneThreadOnEach() throws {
        try onAThread {
            let allowed = ThreadCPUs.allowed()
            let seen = masks(ThreadPool(threads: allowed.count, adapts: false))
            #expect(seen[0] == allowed, "the calling thread is not bound")
            // The caller's place is where it runs, which the kernel may have changed.
            #expect(seen.dropFirst().allSatisfy { $0.count == 1 } && Set(seen.dropFirst()).count == allowed.count - 1, "\(seen)")
            #expect(ThreadCPUs.allowed() == allowed)
        }
    }

    @Test func theCallersPlaceIsWhereItRuns() throws {
        var placement = try #require(ThreadPlacement(threads: 4, allowed: Array(0..<8), quota: nil, siblings: siblings))
        let changes = [0, 4, 99, 6, 2].map { placement.followCaller(to: $0) }
        #expect(changes == [false, false, false, true, false])
        #expect(placement.places == [[2, 6], [1, 5], [0, 4], [3, 7]])
    }

    /// The thread that had its CPU gets the caller's.
    @Test(.enabled(if: ThreadCPUs.allowed().count > 1 && ProcessorCount.usable() == ThreadCPUs.allowed().count))
    func aCallerThatIsMovedIsFollowed() throws {
        try onAThread {
            let allowed = ThreadCPUs.allowed()
            let pool = ThreadPool(threads: allowed.count, adapts: false)
            for cpu in [allowed[0], allowed[allowed.count - 1], allowed[0]] {
                #expect(ThreadCPUs.restrict(to: [cpu]))
                // Longer than the pool waits before it follows again.
                usleep(5_000)
                pool.run(2) { _, _ in }
                let seen = self.masks(pool)
                #expect(seen[0] == [cpu])
                #expect(Set(seen.flatMap(\.self)) == Set(allowed), "\(seen)")
            }
        }
    }

    /// A thread that another program has driven from its CPU in the middle of a task gets the caller's for as long as the task takes.
    @Test(.enabled(if: ThreadCPUs.allowed().count > 1 && ProcessorCount.usable() == ThreadCPUs.allowed().count))
    func aThreadThatLostItsCPUGetsTheCallers() throws {
        try onAThread {
            let allowed = ThreadCPUs.allowed()
            let pool = ThreadPool(threads: allowed.count, adapts: false)
            _ = self.masks(pool)
            let ends = Atomic<Bool>(false)
            let rivals = try allowed.filter { $0 != ThreadCPUs.current }.map { cpu in
                try SystemThread(name: "rival") {
                    ThreadCPUs.restrict(to: [cpu])
                    while !ends.load(ordering: .relaxed) {}
                }
            }
            let done = Atomic<Int>(0)
            let began = MonotonicTime.now()
            var runs = 0
            while pool.rescueCount == 0, MonotonicTime.now() - began < .seconds(60) {
                pool.run(4 * allowed.count) { _, _ in
                    let until = MonotonicTime.now() + .milliseconds(1)
                    while MonotonicTime.now() < until {}
                    done.add(1, ordering: .relaxed)
                }
                runs += 1
            }
            ends.store(true, ordering: .relaxed)
            for rival in rivals { rival.join() }
            #expect(pool.rescueCount > 0)
            #expect(done.load(ordering: .relaxed) == runs * 4 * allowed.count)
            _ = self.masks(pool)
            let seen = self.masks(pool)
            #expect(seen[0] == allowed && seen.dropFirst().allSatisfy { $0.count == 1 }, "\(seen)")
        }
    }

    @Test func childrenAndThreadsOfTheCallerMayRunEverywhere() throws {
        try onAThread {
            let allowed = ThreadCPUs.allowed()
            let pool = ThreadPool(threads: max(2, allowed.count), adapts: false)
            _ = masks(pool)
            #expect(childMask() == allowed)
            try onAThread { #expect(ThreadCPUs.allowed() == allowed) }
            _ = masks(pool)
        }
    }

    @Test func aRestrictedMaskIsKept() throws {
        try onAThread {
            let one = [ThreadCPUs.allowed().last ?? 0]
            #expect(ThreadCPUs.restrict(to: one))
            #expect(ProcessorCount.usable() == 1)
            #expect(masks(ThreadPool(threads: 2, adapts: false)) == [one, one])
            #expect(childMask() == one)
        }
    }

    /// The masks of a pool's threads, each asked by itself.
    private func masks(_ pool: ThreadPool) -> [[Int]] {
        let seen = Mutex([[Int]](repeating: [], count: pool.threadCount))
        let arrived = Atomic<Int>(0)
        pool.run(pool.threadCount) { _, thread in
            seen.withLock { $0[thread] = ThreadCPUs.allowed() }
            arrived.add(1, ordering: .sequentiallyConsistent)
            // So that no thread takes two tasks.
            while arrived.load(ordering: .sequentiallyConsistent) < pool.threadCount { relax() }
        }
        return seen.withLock { $0 }
    }

    /// Lets another thread on this CPU.
    private func relax() { usleep(100) }

    private func childMask() -> [Int] {
        do {
            let pipe = try Pipe()
            let child = try ChildProcess(
                ChildProcess.Command(
                    "/bin/sh", ["-c", "while read name value; do [ $name = Cpus_allowed_list: ] && echo $value; done </proc/self/status"],
                    descriptors: [1: pipe.writeEnd.rawValue]))
            _ = child.wait()
            return ThreadCPUs.cpuList(String(decoding: try pipe.readEnd.read(upTo: 4096), as: UTF8.self))
        } catch {
            Issue.record("no child: \(error)")
            return []
        }
    }

    /// On a thread of its own, whose mask is nobody else's.
    private func onAThread(_ body: @escaping @Sendable () throws -> Void) throws {
        let failure = Mutex<(any Error)?>(nil)
        let thread = try SystemThread(name: "placement") {
            do { try body() } catch { failure.withLock { $0 = error } }
        }
        thread.join()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
