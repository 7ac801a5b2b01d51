// Which CPUs the calling thread may run on, and which of them share a core.
import CSoradLinux
import Glibc

public enum ThreadCPUs {
    /// More CPUs than a machine has.
    private static let most = 8192

    /// CPUs that the calling thread may run on, ascending; empty should the kernel not say.
    public static func allowed() -> [Int] {
        var cpus = [Int32](repeating: 0, count: most)
        let count = unsafe sorad_linux_allowed_cpus(&cpus, cpus.count)
        return cpus.prefix(max(0, Int(count))).map(Int.init)
    }

    /// Lets the calling thread, and every thread and process that it starts from now on, run on `cpus` alone. False when the kernel does
    /// not want to: none of them is this process's to use.
    @discardableResult public static func restrict(to cpus: [Int]) -> Bool {
        let numbers = cpus.map(Int32.init)
        return unsafe sorad_linux_run_on_cpus(0, numbers, numbers.count) == 0
    }

    /// The CPU that the calling thread runs on at this moment, or -1.
    public static var current: Int { Int(sorad_linux_current_cpu()) }

    /// Nanoseconds that the calling thread has waited for a CPU since it was started; 0 should the kernel not say.
    public static func runQueueDelay() -> Int64 {
        guard let file = try? FileDescriptor(opening: "/proc/thread-self/schedstat", flags: O_RDONLY), let bytes = try? file.read(upTo: 256)
        else { return 0 }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        return words.count == 3 ? Int64(words[1]) ?? 0 : 0
    }

    /// CPUs on the same core as `cpu`, itself among them. A machine that does not tell has one CPU on every core.
    public static func siblings(of cpu: Int) -> [Int] {
        let path = "/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list"
        guard let file = try? FileDescriptor(opening: path, flags: O_RDONLY), let bytes = try? file.read(upTo: 4096) else { return [cpu] }
        let list = cpuList(String(decoding: bytes, as: UTF8.self))
        return list.contains(cpu) ? list : [cpu]
    }

    /// The kernel's way to write CPUs: "0-2,8" is 0, 1, 2 and 8. Empty when the text is not of that kind.
    public static func cpuList(_ text: String) -> [Int] {
        var cpus: [Int] = []
        for part in text.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], (0...last).contains(first), last < most else {
                return []
            }
            cpus += first...last
        }
        return cpus
    }
}
