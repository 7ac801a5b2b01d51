// Owns the answer to "how many threads may compute here": what the scheduler's mask allows and the control group pays for.
import Glibc

public enum ProcessorCount {
    /// CPUs this process may run on, but no more than its cgroup quota, rounded up; at least 1.
    public static func usable() -> Int {
        let allowed = affinity()
        guard let quota = cgroupQuota() else { return allowed }
        return max(1, min(allowed, Int(quota.rounded(.up))))
    }

    /// CPUs in the mask of this thread.
    static func affinity() -> Int { max(1, ThreadCPUs.allowed().count) }

    /// CPUs that the control group of this process, or one above it, may use; nil without a limit.
    public static func cgroupQuota() -> Double? {
        guard let text = contents("/proc/self/cgroup") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("0::") }
        var path = line.map { String($0.dropFirst(3)) } ?? "/"
        var least: Double?
        while true {
            let folder = path == "/" ? "" : path
            if let limit = contents("/sys/fs/cgroup\(folder)/cpu.max").flatMap(quota) { least = min(least ?? limit, limit) }
            guard folder.count > 1, let slash = folder.lastIndex(of: "/") else { break }
            path = slash == folder.startIndex ? "/" : String(folder[..<slash])
        }
        return least
    }

    /// "200000 100000" is two CPUs; "max 100000" is no limit.
    public static func quota(_ text: String) -> Double? {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let quota = Double(words[0]), let period = Double(words[1]), quota > 0, period > 0 else { return nil }
        return quota / period
    }

    private static func contents(_ path: String) -> String? {
        guard let file = try? FileDescriptor(opening: path, flags: O_RDONLY), let bytes = try? file.read(upTo: 4096) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
