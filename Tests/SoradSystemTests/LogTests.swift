import SoradSystem
import Testing

@Suite struct LogTests {
    @Test func oneMessageIsOneLineOfPlainText() throws {
        let pair = try SocketPair()
        let log = Log(program: "p", level: .info, output: pair.first.rawValue, environment: [:])
        log.info("a\nb\r\nc\u{1B}[31md\u{7F}e\u{9B}f\u{2028}g é 球")
        #expect(String(decoding: try pair.second.read(upTo: 1000), as: UTF8.self) == "p: a b c\u{FFFD}[31md\u{FFFD}e\u{FFFD}f g é 球\n")
    }
}
