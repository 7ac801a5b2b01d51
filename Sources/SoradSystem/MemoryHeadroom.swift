// How much memory there is for this process and its children: the machine's, and that of every control group (of either version) above them.
// Files in the page cache count as free, since the kernel gives their pages up; a model file that is mapped lies in just these.
import CSoradLinux

public struct MemoryHeadroom: Sendable, Equatable {
    /// Bytes that may be taken now.
    public var available: Int
    /// Bytes that there would be if nothing else ran.
    public var most: Int

    public init(available: Int, most: Int) {
        self.available = available
        self.most = most
    }

    /// As the kernel says it now; nil when it does not (no /proc).
    /// - Parameters:
    ///   - proc, groups: where procfs and the control groups are mounted.
    public static func ofThisProcess(proc: String = "/proc", groups: String = "/sys/fs/cgroup") -> MemoryHeadroom? {
        let machine = kilobytes(smallFile("\(proc)/meminfo"))
        guard let total = machine["MemTotal"], let available = machine["MemAvailable"] else { return nil }
        var headroom = MemoryHeadroom(available: available, most: total)
        for group in limitedGroups(smallFile("\(proc)/self/cgroup"), below: groups) {
            headroom.most = min(headroom.most, group.limit)
            headroom.available = min(headroom.available, group.limit - min(group.used, max(0, group.used - group.cached)))
        }
        headroom.available = max(0, min(headroom.available, headroom.most))
        return headroom
    }

    /// Makes freed large blocks go back to the system. The C library would keep ever larger ones, and a process's memory
    /// would depend on the largest clips and bodies that it has seen.
    public static func returnFreedBlocks() { sorad_linux_map_blocks_from(256 << 10) }

    /// Gives free memory between blocks in use back to the system: for the end of a rush. Takes milliseconds.
    public static func trim() { sorad_linux_trim_memory() }

    /// Bytes of a process that no file backs; 0 when it is gone.
    public static func anonymous(process: Int32) -> Int { kilobytes(smallFile("/proc/\(process)/status"))["RssAnon"] ?? 0 }

    /// Bytes of this process that lie in memory, without those of one file.
    public static func resident(without file: FileIdentity) -> Int {
        let inode = "\(file.inode)"
        var sum = 0
        var counts = true
        for line in smallFile("/proc/self/smaps", limit: 4 << 20).split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            // The head of a mapping: range, permissions, offset, device, inode, and perhaps a path.
            if words.count >= 5, words[0].contains("-") {
                counts = words[4] != inode
            } else if counts, words.count >= 2, words[0] == "Rss:", let size = Int(words[1]) {
                sum += size << 10
            }
        }
        return sum
    }

    private struct Group {
        /// Bytes; `used` has the files in the page cache, `cached`, too.
        let limit, used, cached: Int
    }

    /// Of the process's groups and those above them, those that have a limit. `text` is /proc/self/cgroup: "0::/path" of version 2, where both
    /// versions are mounted below "unified"; "4:memory:/path" of version 1.
    private static func limitedGroups(_ text: String, below root: String) -> [Group] {
        var found: [Group] = []
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].split(separator: ",")
            if parts[0] == "0", controllers.isEmpty {
                for mount in [root, "\(root)/unified"] { found += directories(parts[2], below: mount).compactMap(unified) }
            } else if controllers.contains("memory") {
                found += directories(parts[2], below: "\(root)/memory").compactMap(version1)
            }
        }
        return found
    }

    private static func unified(_ directory: String) -> Group? {
        let limits = ["memory.max", "memory.high"].compactMap { number("\(directory)/\($0)") }
        guard let limit = limits.min(), let used = number("\(directory)/memory.current") else { return nil }
        let parts = pairs(smallFile("\(directory)/memory.stat"))
        return Group(limit: limit, used: used, cached: (parts["active_file"] ?? 0) + (parts["inactive_file"] ?? 0))
    }

    /// Without a limit there is one beyond all memory.
    private static func version1(_ directory: String) -> Group? {
        guard let limit = number("\(directory)/memory.limit_in_bytes"), let used = number("\(directory)/memory.usage_in_bytes")
        else { return nil }
        let parts = pairs(smallFile("\(directory)/memory.stat"))
        return Group(limit: limit, used: used, cached: (parts["total_active_file"] ?? 0) + (parts["total_inactive_file"] ?? 0))
    }

    /// A group and those above it. One outside this process's view has nothing to say; its own limits are invisible too.
    private static func directories(_ path: Substring, below mount: String) -> [String] {
        var parts = path.split(separator: "/")
        if parts.contains("..") { parts = [] }
        return (0...parts.count).map { count in parts.prefix(count).reduce(mount) { "\($0)/\($1)" } }
    }

    private static func number(_ path: String) -> Int? { Int(smallFile(path).prefix { $0 != "\n" }) }

    /// "Name:   123 kB" by line, in bytes.
    private static func kilobytes(_ text: String) -> [String: Int] {
        var values: [String: Int] = [:]
        for line in text.split(separator: "\n") where line.hasSuffix(" kB") {
            let words = line.split { $0 == " " || $0 == "\t" || $0 == ":" }
            if words.count == 3, let number = Int(words[1]) { values[String(words[0])] = number << 10 }
        }
        return values
    }

    /// "name 123" by line.
    private static func pairs(_ text: String) -> [String: Int] {
        var values: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2 { values[String(words[0])] = Int(words[1]) }
        }
        return values
    }

    /// A file of the kernel's, whose size is not known before; "" when it cannot be read.
    private static func smallFile(_ path: String, limit: Int = 256 << 10) -> String {
        guard let file = try? FileDescriptor(openingForReading: path) else { return "" }
        var bytes: [UInt8] = []
        while bytes.count < limit, let piece = try? file.read(upTo: 64 << 10), !piece.isEmpty { bytes += piece }
        return String(decoding: bytes, as: UTF8.self)
    }
}
