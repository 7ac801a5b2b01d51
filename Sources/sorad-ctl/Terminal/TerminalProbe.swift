// Owns the question which pictures the terminal shows: it is asked (kitty's graphics query; xterm's XTSMGRAPHICS for the color registers of
// sixels; then DA1, which every terminal answers), and where it is silent $TERM and $COLORTERM decide.
// Invariant: the terminal's mode is as before when a probe ends, whatever was typed meanwhile.
import Glibc
import SoradSystem

/// A terminal in raw mode until it goes away: keys come one by one, and nothing is echoed.
final class RawMode {
    private let descriptor: Int32
    private var saved: termios

    /// nil where `descriptor` is no terminal.
    init?(_ descriptor: Int32, keepsSignals: Bool) {
        saved = termios()
        guard unsafe tcgetattr(descriptor, &saved) == 0 else { return nil }
        self.descriptor = descriptor
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN | (keepsSignals ? 0 : ISIG))
        raw.c_iflag &= ~tcflag_t(ICRNL | IXON)
        guard unsafe tcsetattr(descriptor, TCSADRAIN, &raw) == 0 else { return nil }
    }

    deinit { unsafe _ = tcsetattr(descriptor, TCSADRAIN, &saved) }
}

/// What a terminal has said about itself.
struct TerminalAnswer: Equatable {
    var isKitty = false
    var hasSixel = false
    /// Of sixels; terminals that do not say have enough.
    var colorRegisters = 256

    /// A 1×1 picture that is only asked about (a=q), the color registers, then the device's attributes.
    static let question = "\u{1B}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\\u{1B}[?1;1;0S\u{1B}[c"

    /// nil while the attributes have not come: they are the last answer. Attribute 4 is sixel (DEC STD 070).
    init?(_ text: String) {
        // Each answer of numbers is "ESC [ ?", numbers, and a letter.
        var attributes: [Substring]?
        var rest = text[...]
        while let start = rest.range(of: "\u{1B}[?") {
            let numbers = rest[start.upperBound...].prefix { $0.isNumber || $0 == ";" }
            rest = rest[numbers.endIndex...]
            let parts = numbers.split(separator: ";")
            if rest.first == "c" { attributes = parts }
            // Item 1, no error, the number.
            if rest.first == "S", parts.count == 3, parts[0] == "1", parts[1] == "0", let count = Int(parts[2]) { colorRegisters = count }
        }
        guard let attributes else { return nil }
        isKitty = text.range(of: "\u{1B}_Gi=31;OK") != nil
        hasSixel = attributes.dropFirst().contains("4")
    }

    init() {}
}

extension PictureForm {
    /// What --preview and the terminal at standard error allow; nil for no picture.
    static func chosen(_ arguments: Arguments, environment: [String: String]) -> PictureForm? {
        let isTerminal = StandardStream.errors.isTerminal && environment["TERM"] != "dumb"
        let blocks = blocksForm(environment)
        switch arguments["preview"] ?? "auto" {
        case "kitty": return isTerminal ? .kitty : nil
        case "sixel": return isTerminal ? .sixel(isFine: true) : nil
        case "blocks": return isTerminal ? blocks ?? .blocks(isTrueColor: false) : nil
        case "auto" where isTerminal:
            let answer = askTerminal()
            if answer.isKitty { return .kitty }
            if answer.hasSixel { return .sixel(isFine: answer.colorRegisters >= 252) }
            return environment["NO_COLOR"]?.isEmpty == false ? nil : blocks
        default: return nil
        }
    }

    /// nil where the terminal is not known to have 256 colors.
    private static func blocksForm(_ environment: [String: String]) -> PictureForm? {
        let (term, color) = (environment["TERM"] ?? "", environment["COLORTERM"] ?? "")
        if color == "truecolor" || color == "24bit" || term.hasSuffix("-direct") { return .blocks(isTrueColor: true) }
        return term.contains("256color") || !color.isEmpty ? .blocks(isTrueColor: false) : nil
    }

    /// Asks through standard input where that is the terminal, for a quarter of a second at most.
    private static func askTerminal() -> TerminalAnswer {
        guard StandardStream.input.isTerminal, let raw = RawMode(StandardStream.input.rawValue, keepsSignals: true) else {
            return TerminalAnswer()
        }
        return withExtendedLifetime(raw) {
            Console.draw(TerminalAnswer.question)
            var text = ""
            let deadline = MonotonicTime.now() + .milliseconds(250)
            while MonotonicTime.now() < deadline {
                let wait = PollEntry(reading: StandardStream.input.rawValue)
                guard (try? waitUntilReady(wait, timeout: deadline - MonotonicTime.now())) == true,
                    let bytes = try? StandardStream.input.read(upTo: 256), !bytes.isEmpty
                else { break }
                text += String(decoding: bytes, as: UTF8.self)
                if let answer = TerminalAnswer(text) { return answer }
            }
            return TerminalAnswer()
        }
    }
}

extension StringProtocol {
    /// Where `part` first stands in it.
    func range(of part: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part), let end = index(start, offsetBy: part.count, limitedBy: endIndex) { return start..<end }
            start = index(after: start)
        }
        return nil
    }
}
