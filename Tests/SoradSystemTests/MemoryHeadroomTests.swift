// What the kernel says of memory, read from folders that look like its own.
import Glibc
import SoradSystem
import Testing

@Suite struct MemoryHeadroomTests {
    private final class Kernel {
        let root = "/tmp/sorad-memory-headroom-" + randomBytes(8).map { String($0, radix: 16) }.joined()

        init(group: String) throws {
            try file("proc/meminfo", "MemTotal:        8000 kB\nMemFree:  10 kB\nMemAvailable:    5000 kB\nHugePages_Total:       0\n")
            try file("proc/self/cgroup", group)
        }

        deinit { try? removeDirectory(root, depth: 8) }

        func file(_ path: String, _ text: String) throws {
            let parts = path.split(separator: "/")
            try makeDirectories("\(root)/\(parts.dropLast().joined(separator: "/"))")
            try writeDurably(Array(text.utf8), named: String(parts.last!), in: "\(root)/\(parts.dropLast().joined(separator: "/"))")
        }

        func group(_ path: String, max: String, high: String = "max", current: Int, cached: Int) throws {
            try file("groups\(path)/memory.max", max + "\n")
            try file("groups\(path)/memory.high", high + "\n")
            try file("groups\(path)/memory.current", "\(current)\n")
            try file("groups\(path)/memory.stat", "anon 5\nactive_file \(cached / 2)\ninactive_file \(cached - cached / 2)\nshmem 9\n")
        }

        var headroom: MemoryHeadroom? { .ofThisProcess(proc: "\(root)/proc", groups: "\(root)/groups") }
    }

    @Test func withoutGroupsItIsTheMachines() throws {
        #expect(try Kernel(group: "0::/\n").headroom == MemoryHeadroom(available: 5000 << 10, most: 8000 << 10))
        // A group without files has no limit.
        #expect(try Kernel(group: "4:memory:/a\n").headroom == MemoryHeadroom(available: 5000 << 10, most: 8000 << 10))
    }

    @Test func theTightestGroupDecidesAndCachedFilesAreRoom() throws {
        let kernel = try Kernel(group: "4:memory:/x\n0::/system.slice/sorad.service\n")
        try kernel.group("/system.slice", max: "3000000", current: 1_500_000, cached: 0)
        try kernel.group("/system.slice/sorad.service", max: "max", high: "2000000", current: 900_000, cached: 400_001)
        #expect(kernel.headroom == MemoryHeadroom(available: 1_500_000, most: 2_000_000))
        // What is cached in the parent is of no use to a group that is full itself.
        try kernel.group("/system.slice/sorad.service", max: "1000000", high: "2000000", current: 1_200_000, cached: 100_000)
        #expect(kernel.headroom == MemoryHeadroom(available: 0, most: 1_000_000))
    }

    @Test func groupsOfVersion1HaveLimitsToo() throws {
        let kernel = try Kernel(group: "5:devices:/x\n4:memory:/docker/a\n0::/\n")
        func group(_ path: String, limit: Int, used: Int, cached: Int) throws {
            try kernel.file("groups/memory\(path)/memory.limit_in_bytes", "\(limit)\n")
            try kernel.file("groups/memory\(path)/memory.usage_in_bytes", "\(used)\n")
            try kernel.file(
                "groups/memory\(path)/memory.stat",
                "cache 9\nactive_file 1\ninactive_file 1\ntotal_active_file \(cached / 2)\ntotal_inactive_file \(cached - cached / 2)\n")
        }
        // The kernel's number for no limit.
        try group("", limit: 9_223_372_036_854_771_712, used: 7_000_000, cached: 0)
        #expect(kernel.headroom == MemoryHeadroom(available: 5000 << 10, most: 8000 << 10))
        try group("/docker/a", limit: 2_000_000, used: 1_500_000, cached: 1_000_001)
        #expect(kernel.headroom == MemoryHeadroom(available: 1_500_001, most: 2_000_000))
        // Inside a container the mount is the group itself.
        try group("", limit: 1_000_000, used: 300_000, cached: 0)
        #expect(kernel.headroom == MemoryHeadroom(available: 700_000, most: 1_000_000))
        // Both versions side by side: the tighter one.
        try kernel.file("groups/unified/memory.max", "900000\n")
        try kernel.file("groups/unified/memory.current", "500000\n")
        #expect(kernel.headroom == MemoryHeadroom(available: 400_000, most: 900_000))
    }

    @Test func aGroupThatIsNotToBeSeenHasNoSay() throws {
        let kernel = try Kernel(group: "0::/../../elsewhere\n")
        try kernel.group("", max: "4000000", current: 1_000_000, cached: 0)
        #expect(kernel.headroom == MemoryHeadroom(available: 3_000_000, most: 4_000_000))
        try kernel.group("", max: "max", current: 1_000_000, cached: 0)
        #expect(kernel.headroom == MemoryHeadroom(available: 5000 << 10, most: 8000 << 10))
    }

    @Test func withoutProcNothingIsKnown() {
        #expect(MemoryHeadroom.ofThisProcess(proc: "/nowhere", groups: "/nowhere") == nil)
    }

    @Test(.disabled(if: isEmulated, "the resident pages are those of the emulator")) func thisMachineHasMemory() throws {
        let headroom = try #require(MemoryHeadroom.ofThisProcess())
        #expect(headroom.available > 1 << 20 && headroom.most >= headroom.available)
        #expect(MemoryHeadroom.anonymous(process: getpid()) > 1 << 16)
        let program = try FileIdentity("/proc/self/exe")
        let nothing = try FileIdentity("/dev/null")
        #expect(MemoryHeadroom.resident(without: program) < MemoryHeadroom.resident(without: nothing))
    }
}
