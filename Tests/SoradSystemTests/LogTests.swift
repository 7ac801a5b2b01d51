// The log as people and as the journal get it.
import Glibc
import SoradSystem
import Testing

@Suite struct LogTests {
    private static let noon = TimeSource(monotonic: { MonotonicTime(nanoseconds: 0) }, unixMilliseconds: { 1_764_504_000_007 })

    private func standing(_ log: borrowing FileDescriptor) -> String {
        var status = stat()
        _ = unsafe fstat(log.rawValue, &status)
        return "\(status.st_dev):\(status.st_ino)"
    }

    @Test func oneMessageIsOneLineOfPlainText() throws {
        let pair = try SocketPair()
        let log = Log(program: "p", level: .info, output: pair.first.rawValue, environment: [:], time: Self.noon)
        log.info("a\nb\r\nc\u{1B}[31md\u{7F}e\u{9B}f\u{2028}g é 球", LogFields(.started, job: "j"))
        log.warning("w")
        log.debug("nothing")
        let start = "2025-11-30T12:00:00.007Z p: "
        #expect(
            String(decoding: try pair.second.read(upTo: 1000), as: UTF8.self)
                == start + "a b c\u{FFFD}[31md\u{FFFD}e\u{FFFD}f g é 球\n" + start + "warning: w\n")
    }

    @Test func theJournalGetsFields() throws {
        let journal = try DatagramSocket()
        let pair = try SocketPair()
        let log = Log(
            program: "p", output: pair.first.rawValue, environment: ["JOURNAL_STREAM": standing(pair.first)], journal: journal.path)
        log.notice("it\nbegan", LogFields(.jobAccepted, job: "video_1", user: 7, model: "mini"))
        let expected = [
            "MESSAGE=it began", "PRIORITY=5", "SYSLOG_IDENTIFIER=p", "MESSAGE_ID=\(LogEvent.jobAccepted.messageID)", "SORAD_JOB=video_1",
            "SORAD_USER=7", "SORAD_MODEL=mini",
        ]
        #expect(String(decoding: try journal.receive().bytes, as: UTF8.self) == expected.joined(separator: "\n") + "\n")
        log.error("alone")
        #expect(String(decoding: try journal.receive().bytes, as: UTF8.self) == "MESSAGE=alone\nPRIORITY=3\nSYSLOG_IDENTIFIER=p\n")
    }

    /// What no datagram holds comes as a sealed file.
    @Test func aLongMessageIsAFileThatNobodyCanChange() throws {
        let journal = try DatagramSocket()
        let pair = try SocketPair()
        let log = Log(
            program: "p", output: pair.first.rawValue, environment: ["JOURNAL_STREAM": standing(pair.first)], journal: journal.path)
        let text = String(repeating: "long ", count: 400_000)
        log.info(text)
        let received = try journal.receive()
        #expect(received.bytes.isEmpty && received.isSealed)
        #expect(String(decoding: try #require(received.fileBytes), as: UTF8.self) == "MESSAGE=\(text)\nPRIORITY=6\nSYSLOG_IDENTIFIER=p\n")
    }

    /// A journal that is away takes the line by standard error, as before.
    @Test func withoutTheSocketTheLineGoesToStandardError() throws {
        let pair = try SocketPair()
        let log = Log(
            program: "p", output: pair.first.rawValue, environment: ["JOURNAL_STREAM": standing(pair.first)], journal: "/nowhere/socket")
        log.warning("here", LogFields(.diskFull))
        #expect(String(decoding: try pair.second.read(upTo: 1000), as: UTF8.self) == "<4>here\n")
    }

    @Test func everyEventHasANumberOfItsOwn() {
        let numbers = LogEvent.allCases.map(\.messageID)
        #expect(Set(numbers).count == numbers.count)
        #expect(numbers.allSatisfy { $0.utf8.count == 32 && $0.allSatisfy { $0.isHexDigit && !$0.isUppercase } })
    }
}
