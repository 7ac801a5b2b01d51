// Owns text with styles: spans that are colored where a terminal shows it, and measured in its columns.
// Invariant: what a span holds cannot command the terminal; only `rendered` writes escape sequences, and only those of `Style`.
import SoradSystem

/// The looks in use, by their SGR parameter (ECMA-48, 8.3.117).
enum Style: String, Sendable {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
}

struct Span: Sendable, Equatable, ExpressibleByStringInterpolation {
    var text: String
    var style: Style?

    init(_ text: String, _ style: Style? = nil) {
        self.text = printable(text)
        self.style = style
    }

    init(stringLiteral text: String) { self.init(text) }

    var width: Int { displayWidth(text) }

    func rendered(isColored: Bool) -> String {
        guard isColored, let style, !text.isEmpty else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }
}

/// One line.
typealias Line = [Span]

extension Line {
    func rendered(isColored: Bool) -> String { map { $0.rendered(isColored: isColored) }.joined() }

    /// At most `width` columns.
    func cut(to width: Int) -> Line {
        var left = width
        var line: Line = []
        for span in self where left > 0 {
            let text = shortened(span.text, to: left)
            left -= displayWidth(text)
            var cut = span
            cut.text = text
            line.append(cut)
        }
        return line
    }
}

/// Rows under headings, as wide as their texts; in a terminal the last column gets what is left of its width.
struct Table {
    var headings: [String]
    var rows: [[Span]]

    /// - Parameter width: columns; nil: no limit, for a file or a pipe.
    func lines(width: Int?) -> [Line] {
        let all = [headings.map { Span($0, .dim) }] + rows
        let widths = headings.indices.map { column in all.map { $0[column].width }.max() ?? 0 }
        return all.map { row in
            var line: Line = []
            for (column, span) in row.enumerated() {
                let isLast = column == row.count - 1
                line.append(span)
                if !isLast { line.append(Span(String(repeating: " ", count: widths[column] - span.width + 2))) }
            }
            return width.map { line.cut(to: $0) } ?? line
        }
    }
}

/// Columns that a terminal uses for `text`: two for wide characters (Unicode's East_Asian_Width W and F, emoji), none for marks.
func displayWidth(_ text: String) -> Int {
    text.unicodeScalars.allSatisfy(\.isASCII) ? text.utf8.count : text.reduce(0) { $0 + columns(of: $1) }
}

/// `text` in at most `width` columns, with an ellipsis where it is cut.
func shortened(_ text: String, to width: Int) -> String {
    guard displayWidth(text) > width else { return text }
    guard width > 0 else { return "" }
    var result = ""
    var left = width - 1
    for character in text {
        left -= columns(of: character)
        guard left >= 0 else { break }
        result.append(character)
    }
    return result + "…"
}

private func columns(of character: Character) -> Int {
    guard let first = character.unicodeScalars.first else { return 0 }
    if first.properties.isEmojiPresentation { return 2 }
    switch first.value {
    case 0x300..<0x370, 0x200B...0x200D, 0xFE00...0xFE0F: return 0
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xAC00...0xD7A3: return 2
    case 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
        return 2
    default: return 1
    }
}
