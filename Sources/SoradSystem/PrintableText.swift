// The one form in which text that somebody else wrote goes to a terminal, a log or the service manager: prompts, names, error sentences,
// a model file's metadata. Pure. Every program prints through it; JSON has the same characters as \u escapes (JSONWriter).
// Invariant: nothing in it can command a terminal (escape sequences begin with a C0 or C1 control), begin a line that nobody wrote, or
// change the direction or the visibility of the text around it.

extension Unicode.Scalar {
    /// Acts on a terminal instead of being shown there: C0 and C1 controls and DEL, the separators of lines and paragraphs, the controls
    /// of direction (Unicode's Bidi_Control, and the deprecated ones next to them), marks of annotation and byte order, and tags.
    public var commandsTerminal: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0: true
        case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x206F: true
        case 0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE007F: true
        default: false
        }
    }

    /// Of those above, the ones that stand for white space.
    fileprivate var isBlankControl: Bool {
        switch value {
        case 0x09...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

/// `text` as one line that is safe to print: control characters that are white space become spaces, the others U+FFFD.
public func printable(_ text: String) -> String { printable(text, keepsLines: false) }

/// `text` with its own line feeds and tabs, and otherwise as safe as `printable(_:)`.
public func printableLines(_ text: String) -> String { printable(text, keepsLines: true) }

private func printable(_ text: String, keepsLines: Bool) -> String {
    guard text.unicodeScalars.contains(where: \.commandsTerminal) else { return text }
    var result = String.UnicodeScalarView()
    var previous: Unicode.Scalar?
    for scalar in text.unicodeScalars {
        // The two of a network line end are one.
        if scalar == "\n", previous == "\r" { result.removeLast() }
        let isKept = !scalar.commandsTerminal || keepsLines && (scalar == "\n" || scalar == "\t")
        result.append(isKept ? scalar : scalar.isBlankControl ? " " : "\u{FFFD}")
        previous = scalar
    }
    return String(result)
}
