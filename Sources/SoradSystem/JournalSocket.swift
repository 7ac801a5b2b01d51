// The journal's native protocol (systemd's "Native Journal Protocol"): one datagram for each entry, spoken directly, because it is one
// system call. An entry is a list of fields, "NAME=value" lines; a value with a line feed has its length before it.
import CSoradLinux
import Glibc

struct JournalSocket: Sendable {
    static let standardPath = "/run/systemd/journal/socket"

    private let path: String
    /// Never closed: the log lives as long as the program.
    private let descriptor: Int32

    /// nil when no socket can be made.
    init?(path: String) {
        descriptor = sorad_linux_journal_socket()
        guard descriptor >= 0 else { return nil }
        self.path = path
    }

    /// False when the journal did not take it.
    func send(_ fields: [(name: String, value: String)]) -> Bool {
        let bytes = JournalSocket.entry(fields)
        var path = path
        return path.withUTF8 { utf8 in
            unsafe utf8.withMemoryRebound(to: CChar.self) { path in
                unsafe sorad_linux_journal_send(descriptor, path.baseAddress, path.count, bytes, bytes.count) == 0
            }
        }
    }

    static func entry(_ fields: [(name: String, value: String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += name.utf8
            let value = Array(value.utf8)
            if value.contains(UInt8(ascii: "\n")) {
                bytes.append(UInt8(ascii: "\n"))
                bytes += (0..<8).map { UInt8(truncatingIfNeeded: value.count >> (8 * $0)) }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes += value
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }
}
