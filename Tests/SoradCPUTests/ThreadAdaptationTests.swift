// How many threads compute: what a busy CPU, a quota and the end of both change. The clock is moved by hand.
import SoradCPU
import SoradSystem
import SoradTensor
import Testing

@Suite struct ThreadAdaptationTests {
    private struct Bench {
        var adaptation: ThreadAdaptation
        var now = MonotonicTime(nanoseconds: 1_000_000_000)

        init(_ threads: Int) { adaptation = ThreadAdaptation(threads: threads) }

        /// Windows of 20 ms whose loss is that of a machine on which `free` threads get on, and each further one costs `cost`.
        mutating func pass(_ windows: Int, free: Int, cost: Double = 0.8) -> [Int] {
            (0..<windows).map { _ in
                now = now + .milliseconds(20)
                adaptation.windowEnded(loss: adaptation.active > free ? cost : 0.03, now: now)
                return adaptation.active
            }
        }
    }

    @Test func oneBusyCPUCostsOneThread() {
        for threads in [2, 4, 8, 64] {
            var bench = Bench(threads)
            #expect(bench.pass(10, free: threads).allSatisfy { $0 == threads })
            #expect(bench.pass(2, free: threads - 1).last == threads - 1)
        }
    }

    @Test func oneBadWindowIsNoReason() {
        var bench = Bench(4)
        for _ in 0..<10 {
            #expect(bench.pass(1, free: 0) == [4])
            #expect(bench.pass(1, free: 4) == [4])
        }
    }

    /// With n threads, one fewer takes n / (n - 1) times as long: a smaller loss is the better choice.
    @Test(arguments: [2, 3, 8]) func aLossThatIsSmallerThanAThreadIsBorne(threads: Int) {
        var bench = Bench(threads)
        #expect(bench.pass(20, free: 0, cost: 0.99 / Double(threads)).allSatisfy { $0 == threads })
        #expect(bench.pass(2, free: 0, cost: 1 / Double(threads) + 0.1).last == threads - 1)
    }

    @Test func droppedThreadsComeBackWhenTheCPUIsFree() {
        var bench = Bench(4)
        _ = bench.pass(6, free: 1)
        #expect(bench.adaptation.active == 1)
        _ = bench.pass(100, free: 4)
        #expect(bench.adaptation.active == 4)
    }

    /// Of a long time next to a busy program, little is spent on trying.
    @Test func tryingBecomesSeldom() {
        var bench = Bench(2)
        let active = bench.pass(6_000, free: 1)
        #expect(active.count { $0 == 2 } < 20, "of 6000 windows")
        // And it is found out in time that the program is gone.
        _ = bench.pass(900, free: 2)
        #expect(bench.adaptation.active == 2)
    }

    @Test func aQuotaThatFallsAndRisesIsFollowed() {
        var bench = Bench(4)
        bench.adaptation.cap = 2
        #expect(bench.adaptation.active == 2)
        #expect(bench.pass(50, free: 4).allSatisfy { $0 == 2 })
        bench.adaptation.cap = 0
        #expect(bench.adaptation.active == 1)
        bench.adaptation.cap = 99
        #expect(bench.pass(50, free: 4).last == 4)
    }

    // MARK: the quota

    /// Files as procfs and the control groups have them.
    private func machine(_ files: [String: String]) throws -> (ScratchFolder, proc: String, groups: String) {
        let folder = try ScratchFolder()
        for (path, text) in files {
            let parts = path.split(separator: "/")
            let directory = parts.dropLast().reduce(folder.path) { "\($0)/\($1)" }
            try makeDirectories(directory)
            try writeDurably(Array(text.utf8), named: String(parts[parts.count - 1]), in: directory)
        }
        return (folder, folder.path + "/proc", folder.path + "/groups")
    }

    @Test(
        arguments: [
            // Version 2: the least of the group and those above it.
            (["proc/self/cgroup": "0::/a/b\n", "groups/a/cpu.max": "150000 100000\n", "groups/a/b/cpu.max": "max 100000\n"], 1.5),
            (["proc/self/cgroup": "0::/a/b\n", "groups/a/cpu.max": "max 100000\n", "groups/a/b/cpu.max": "50000 100000\n"], 0.5),
            // Version 1, its controllers mounted together or alone.
            (
                [
                    "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/s/sorad\n",
                    "groups/cpu,cpuacct/s/sorad/cpu.cfs_quota_us": "250000\n", "groups/cpu,cpuacct/s/sorad/cpu.cfs_period_us": "100000\n",
                ], 2.5
            ),
            (
                [
                    "proc/self/cgroup": "1:cpu:/s\n", "groups/cpu/s/cpu.cfs_quota_us": "-1\n", "groups/cpu/s/cpu.cfs_period_us": "100000\n",
                    "groups/cpu/cpu.cfs_quota_us": "300000\n", "groups/cpu/cpu.cfs_period_us": "100000\n",
                ], 3
            ),
            // A container that sees its host's path.
            (["proc/self/cgroup": "0::/docker/0123\n", "groups/cpu.max": "200000 100000\n"], 2),
            // Both versions at once.
            (
                [
                    "proc/self/cgroup": "3:cpu:/\n0::/x\n", "groups/cpu/cpu.cfs_quota_us": "400000\n",
                    "groups/cpu/cpu.cfs_period_us": "100000\n", "groups/unified/x/cpu.max": "max 100000\n",
                ], 4
            ),
            (["proc/self/cgroup": "0::/\n", "groups/cpu.max": "max 100000\n"], nil),
            (["proc/self/cgroup": "nonsense\n"], nil),
            ([:], nil),
        ] as [([String: String], Double?)])
    func theQuotaIsReadOfBothVersions(files: [String: String], quota: Double?) throws {
        let (folder, proc, groups) = try machine(files)
        #expect(ProcessorCount.cgroupQuota(proc: proc, groups: groups) == quota)
        let whole = quota.map { max(1, Int($0)) } ?? Int.max
        #expect(ProcessorCount.usable(proc: proc, groups: groups) == min(ProcessorCount.affinity(), whole))
        withExtendedLifetime(folder) {}
    }
}

/// Removed with its last reference.
private final class ScratchFolder {
    let path = "/tmp/sorad-cpu-" + randomBytes(8).map { String($0, radix: 16) }.joined()
    init() throws { try makeDirectories(path) }
    deinit { try? removeDirectory(path, depth: 6) }
}
