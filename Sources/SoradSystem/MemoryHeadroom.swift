// How much memory there is for this process and its children: the machine's, and that of every control group (version 2) above them.
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
        for directory in groupDirectories(smallFile("\(proc)/self/cgroup"), below: groups) {
            let limits = ["memory.max", "memory.high"].compactMap { Int(smallFile("\(directory)/\($0)").prefix { $0 != "\n" }) }
            guard let limit = limits.min(), let used = Int(smallFile("\(directory)/memory.current").prefix { $0 != "\n" }) else { continue }
            let parts = pairs(smallFile("\(directory)/memory.stat"))
            let cached = (parts["active_file"] ?? 0) + (parts["inactive_file"] ?? 0)
            headroom.most = min(headroom.most, limit)
            headroom.available = min(headroom.available, limit - min(used, max(0, used - cached)))
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

    /// The group of the process and those above it, from the line "0::/path" of /proc/self/cgroup.
    private static func groupDirectories(_ text: String, below root: String) -> [String] {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return [] }
        var parts = line.dropFirst(4).split(separator: "/")
        // A group outside this process's view; its own limits are invisible too.
        if parts.contains("..") { parts = [] }
        return (0...parts.count).map { count in parts.prefix(count).reduce(root) { "\($0)/\($1)" } }
    }

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
