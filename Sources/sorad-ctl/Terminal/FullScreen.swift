// Owns the terminal's other screen while a command redraws it: what was there before comes back at the end.
import SoradSystem

struct FullScreen {
    /// The other screen (xterm's mode 1049), no cursor.
    func begin() throws(SoradError) { try Console.write(Array("\u{1B}[?1049h\u{1B}[?25l".utf8)) }

    func end() { try? Console.write(Array("\u{1B}[?25h\u{1B}[?1049l".utf8)) }

    /// Lines from the top, cut to the terminal as it is now.
    func show(_ lines: [Line], isColored: Bool) throws(SoradError) {
        let (width, height) = (StandardStream.output.columns ?? 80, StandardStream.output.rows ?? 24)
        let text = lines.prefix(height).map { $0.cut(to: width).rendered(isColored: isColored) + "\u{1B}[K" }
        try Console.write(Array(("\u{1B}[H" + text.joined(separator: "\r\n") + "\u{1B}[J").utf8))
    }
}
