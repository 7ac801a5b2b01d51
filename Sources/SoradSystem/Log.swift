// The operator's log, one entry for each event. Where standard error leads to the journal, an entry goes there by its native protocol, with
// fields for programs; a journal that does not take it gets the line by standard error, with its priority, `<N>`, at the beginning.
// Elsewhere it is a line with the time and the program's name, written with one system call.
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
    private let leadsToJournal: Bool
    private let journal: JournalSocket?
    private let output: Int32
    private let time: TimeSource

    /// - Parameters:
    ///   - output: an open descriptor that outlives the log.
    ///   - journal: the journal's socket; used where `output` leads to the journal.
    public init(
        program: String, level: Level = .info, output: Int32 = 2, environment: [String: String], journal: String? = nil,
        time: TimeSource = .system
    ) {
        self.program = program
        self.output = output
        self.time = time
        threshold = Atomic(level.rawValue)
        leadsToJournal = Log.isJournal(output, environment)
        self.journal = leadsToJournal ? JournalSocket(path: journal ?? JournalSocket.standardPath) : nil
    }

    /// Lines less urgent than this are dropped. May change at any time.
    public var level: Level {
        get { Level(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
        set { threshold.store(newValue.rawValue, ordering: .relaxed) }
    }

    public func error(_ text: @autoclosure () -> String, _ fields: LogFields = LogFields()) { write(.error, text, fields) }
    public func warning(_ text: @autoclosure () -> String, _ fields: LogFields = LogFields()) { write(.warning, text, fields) }
    public func notice(_ text: @autoclosure () -> String, _ fields: LogFields = LogFields()) { write(.notice, text, fields) }
    public func info(_ text: @autoclosure () -> String, _ fields: LogFields = LogFields()) { write(.info, text, fields) }
    public func debug(_ text: @autoclosure () -> String, _ fields: LogFields = LogFields()) { write(.debug, text, fields) }

    private func write(_ level: Level, _ text: () -> String, _ fields: LogFields) {
        guard level.rawValue <= threshold.load(ordering: .relaxed) else { return }
        let sentence = printable(text())
        if let journal {
            let own = [("MESSAGE", sentence), ("PRIORITY", "\(level.rawValue)"), ("SYSLOG_IDENTIFIER", program)]
            if journal.send(own + fields.members) { return }
        }
        let beginning =
            leadsToJournal
            ? "<\(level.rawValue)>" : "\(rfc3339Time(max(0, time.unixMilliseconds()))) \(program): \(level == .info ? "" : "\(level): ")"
        let bytes = Array((beginning + sentence + "\n").utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(output, $0.baseAddress, $0.count) }
    }

    /// Whether a descriptor leads to the journal.
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
