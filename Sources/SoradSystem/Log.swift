// The operator's log: one line per event on standard error, written with one system call.
// Under systemd each line begins with its priority, `<N>`, which the journal takes off; elsewhere with the program's name.
import Glibc
import Synchronization

public final class Log: Sendable {
    /// Priorities of syslog(3); a lower number is more urgent.
    public enum Level: Int, Sendable, CaseIterable {
        case error = 3, warning = 4, notice = 5, info = 6, debug = 7

        public init?(name: String) {
            guard let level = Level.allCases.first(where: { "\($0)" == name }) else { return nil }
            self = level
        }
    }

    private let threshold: Atomic<Int>
    private let program: String
    private let prefixesPriority: Bool
    private let output: Int32

    /// - Parameter output: an open descriptor that outlives the log.
    public init(program: String, level: Level = .info, output: Int32 = 2, environment: [String: String]) {
        self.program = program
        self.output = output
        threshold = Atomic(level.rawValue)
        prefixesPriority = Log.isJournal(output, environment)
    }

    /// Lines less urgent than this are dropped. May change at any time.
    public var level: Level {
        get { Level(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
        set { threshold.store(newValue.rawValue, ordering: .relaxed) }
    }

    public func error(_ text: @autoclosure () -> String) { write(.error, text) }
    public func warning(_ text: @autoclosure () -> String) { write(.warning, text) }
    public func notice(_ text: @autoclosure () -> String) { write(.notice, text) }
    public func info(_ text: @autoclosure () -> String) { write(.info, text) }
    public func debug(_ text: @autoclosure () -> String) { write(.debug, text) }

    private func write(_ level: Level, _ text: () -> String) {
        guard level.rawValue <= threshold.load(ordering: .relaxed) else { return }
        let prefix = prefixesPriority ? "<\(level.rawValue)>" : "\(program): \(level == .info ? "" : "\(level): ")"
        let bytes = Array((prefix + printable(text()) + "\n").utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(output, $0.baseAddress, $0.count) }
    }

    /// Whether a descriptor leads to the journal, which takes a line's priority from its beginning.
    static func isJournal(_ output: Int32, _ environment: [String: String]) -> Bool {
        environment["JOURNAL_STREAM"].map { $0 == identity(of: output) } ?? false
    }

    /// "DEVICE:INODE" of an open descriptor, as $JOURNAL_STREAM names it.
    private static func identity(of descriptor: Int32) -> String? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        return "\(status.st_dev):\(status.st_ino)"
    }
}
