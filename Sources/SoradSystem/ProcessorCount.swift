// Owns the answer to "how many threads may compute here": what the scheduler's mask allows and the control group pays for.
import Glibc

public enum ProcessorCount {
    /// CPUs this process may run on, but no more than the whole ones of its quota, so that the kernel has nothing to throttle: with one
    /// thread more, all of them would wait for the one that has used up the quota. At least 1.
    /// - Parameters:
    ///   - proc, groups: where procfs and the control groups are mounted.
    public static func usable(proc: String = "/proc", groups: String = "/sys/fs/cgroup") -> Int {
        let allowed = affinity()
        guard let quota = cgroupQuota(proc: proc, groups: groups) else { return allowed }
        // A hundredth of a CPU is the error of its units.
        return max(1, min(allowed, Int((min(quota, 65_536) + 0.01).rounded(.down))))
    }

    /// CPUs in the mask of this thread.
    public static func affinity() -> Int { max(1, ThreadCPUs.allowed().count) }

    /// CPUs that the control group of this process, or one above it, may use; nil without a limit. Of version 2 and version 1.
    public static func cgroupQuota(proc: String = "/proc", groups: String = "/sys/fs/cgroup") -> Double? {
        guard let text = contents("\(proc)/self/cgroup") else { return nil }
        var least: Double?
        for line in text.split(separator: "\n") {
            // "0::/path", or "4:cpu,cpuacct:/path" of version 1.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].split(separator: ",")
            var mounts: [String] = []
            if parts[0] == "0", controllers.isEmpty { mounts = [groups, "\(groups)/unified"] }
            if controllers.contains("cpu") { mounts = ["\(groups)/\(parts[1])", "\(groups)/cpu"] }
            for mount in mounts {
                for folder in folders(String(parts[2]), below: mount) {
                    if let limit = limit(folder) { least = min(least ?? limit, limit) }
                }
            }
        }
        return least
    }

    /// The group at `path` and those above it. Where a container sees the path of its host, its own group is the mount.
    private static func folders(_ path: String, below mount: String) -> [String] {
        let parts = path.split(separator: "/")
        return (0...parts.count).map { count in parts.prefix(count).reduce(mount) { "\($0)/\($1)" } }
    }

    private static func limit(_ folder: String) -> Double? {
        if let text = contents("\(folder)/cpu.max") { return quota(text) }
        guard let quota = contents("\(folder)/cpu.cfs_quota_us"), let period = contents("\(folder)/cpu.cfs_period_us") else { return nil }
        return self.quota("\(quota) \(period)")
    }

    /// "200000 100000" is two CPUs; "max 100000" and "-1 100000" are no limit.
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
