// Text that somebody else wrote, as every program prints it: nothing in it commands a terminal.
import SoradSystem
import Testing

@Suite struct PrintableTextTests {
    /// The text, then one line of it, then its lines.
    @Test(arguments: [
        ("a red ball, é 球 👩‍🚀", "a red ball, é 球 👩‍🚀", "a red ball, é 球 👩‍🚀"),
        ("\u{1B}[31mred\u{1B}[0m", "\u{FFFD}[31mred\u{FFFD}[0m", "\u{FFFD}[31mred\u{FFFD}[0m"),
        ("\u{1B}]0;title\u{07}", "\u{FFFD}]0;title\u{FFFD}", "\u{FFFD}]0;title\u{FFFD}"),
        ("\u{9B}2J\u{9D}8;;http://x\u{9C}", "\u{FFFD}2J\u{FFFD}8;;http://x\u{FFFD}", "\u{FFFD}2J\u{FFFD}8;;http://x\u{FFFD}"),
        ("one\ntwo\tthree", "one two three", "one\ntwo\tthree"), ("one\r\ntwo\rthree", "one two three", "one\ntwo three"),
        ("over\u{8}\u{8}\u{8}\u{8}write", "over\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}write", "over\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}write"),
        ("a\u{202E}gpj.exe\u{2066}", "a\u{FFFD}gpj.exe\u{FFFD}", "a\u{FFFD}gpj.exe\u{FFFD}"),
        ("a\u{2028}b\u{2029}c\u{85}d\u{B}e\u{C}f", "a b c d e f", "a b c d e f"),
        ("hidden\u{E0041}\u{FEFF}\u{0}", "hidden\u{FFFD}\u{FFFD}\u{FFFD}", "hidden\u{FFFD}\u{FFFD}\u{FFFD}"), ("", "", ""),
    ])
    func controlsAreShownNotObeyed(text: String, line: String, lines: String) {
        #expect(printable(text) == line)
        #expect(printableLines(text) == lines)
    }

    @Test func everyControlAndEveryControlOfDirectionIsCovered() throws {
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            if scalar.properties.generalCategory == .control || scalar.properties.isBidiControl {
                #expect(scalar.commandsTerminal, "U+\(String(value, radix: 16))")
            }
            if scalar.commandsTerminal { #expect(!printable(String(scalar)).unicodeScalars.contains(scalar)) }
        }
    }

    /// The same value, in characters that do nothing to a terminal.
    @Test func jsonIsSafeAndTheSameValue() throws {
        var text = String.UnicodeScalarView()
        for value in UInt32(0)...0x2FFF { Unicode.Scalar(value).map { text.append($0) } }
        for value in UInt32(0xE0000)...0xE00FF { Unicode.Scalar(value).map { text.append($0) } }
        text.append(contentsOf: "👩‍🚀\u{FEFF}\u{FFFA}".unicodeScalars)
        for string in [String(text), "\u{1B}[2J", "plain \" \\ text"] {
            let value: JSONValue = [string: .string(string)]
            for pretty in [false, true] {
                let written = value.text(pretty: pretty)
                #expect(!written.unicodeScalars.contains { $0.commandsTerminal && $0 != "\n" })
                #expect(try JSONValue(parsing: Array(written.utf8)) == value)
            }
        }
        #expect(JSONValue.string("\u{1B}\u{9B}\u{202E}\u{E0041}").text() == #""\u001b\u009b\u202e\udb40\udc41""#)
    }

    /// Every program prints through `printOut`, `printError`, `StandardStream` or `Log`, which end here.
    @Test func noProgramPrintsPastIt() throws {
        let sources = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Sources"
        var count = 0
        for module in try directoryEntries(sources) {
            for name in try swiftFiles(in: "\(sources)/\(module)") {
                let file = try FileDescriptor(openingForReading: name)
                let text = String(decoding: try file.read(at: 0, count: try file.regularFileSize()), as: UTF8.self)
                count += 1
                for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                    let code = line.drop { $0 == " " }
                    let prints = code.hasPrefix("print(") || code.contains(" print(") && !code.contains("func print(")
                    let writes = ["debugPrint(", " puts(", "fputs("].contains { code.contains($0) }
                    #expect(!prints && !writes, "\(name):\(number + 1)")
                }
            }
        }
        #expect(count > 200)
    }

    private func swiftFiles(in directory: String) throws -> [String] {
        var files: [String] = []
        for name in try directoryEntries(directory) {
            let path = "\(directory)/\(name)"
            if FilePlace(path, followingLinks: false)?.kind == .directory { files += try swiftFiles(in: path) }
            if name.hasSuffix(".swift") { files.append(path) }
        }
        return files
    }
}
