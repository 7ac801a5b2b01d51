// Words in the corner of frames, drawn with a bitmap font in whole numbers: the same pixels on every machine.

/// Draws one text at the lower right of frames of one size, white on the picture at half its brightness.
public struct VisibleLabel: Sendable {
    private let width: Int
    /// The darkened box: columns and rows of pixels.
    private let columns: Range<Int>
    private let rows: Range<Int>
    /// [rows × columns] whether a pixel is part of a letter.
    private let isLetter: [Bool]

    /// - Parameters:
    ///   - text: of `ClipMarking.drawable`; lines are broken at spaces where it is wider than the frame.
    ///   - width, height: of the frame in pixels.
    public init(_ text: String, width: Int, height: Int) {
        precondition(width > 0 && height > 0, "a frame of \(width)x\(height)")
        // A letter is 7 rows high; GB 45438 asks for a twentieth of the shorter side.
        let scale = max(1, (min(width, height) / 20 + 6) / 7)
        let margin = 2 * scale
        let lines = VisibleLabel.lines(text, fitting: max(1, (width - 2 * margin) / scale))
        let textWidth = (lines.map(BitmapFont.width).max() ?? 0) * scale
        let textHeight = lines.count * BitmapFont.lineHeight * scale
        columns = max(0, width - textWidth - 2 * margin)..<width
        rows = max(0, height - textHeight - 2 * margin)..<height
        self.width = width
        var isLetter = [Bool](repeating: false, count: columns.count * rows.count)
        for (number, line) in lines.enumerated() {
            var left = 0
            for glyph in line.compactMap(BitmapFont.glyph) {
                for (row, bits) in glyph.rows.enumerated() {
                    for column in 0..<glyph.width where bits >> (glyph.width - 1 - column) & 1 == 1 {
                        let x = margin + (left + column) * scale
                        let y = margin + (number * BitmapFont.lineHeight + row) * scale
                        for dy in 0..<scale where y + dy < rows.count {
                            for dx in 0..<scale where x + dx < columns.count { isLetter[(y + dy) * columns.count + x + dx] = true }
                        }
                    }
                }
                left += glyph.width + 1
            }
        }
        self.isLetter = isLetter
    }

    /// Draws on every frame of `frames`: [F, H, W, 3] bytes.
    public func draw(on frames: inout [UInt8], frameBytes: Int) {
        for frame in stride(from: 0, to: frames.count, by: frameBytes) {
            var index = 0
            for row in rows {
                var position = frame + (row * width + columns.lowerBound) * 3
                for _ in columns {
                    for _ in 0..<3 {
                        frames[position] = isLetter[index] ? 235 : frames[position] / 2
                        position += 1
                    }
                    index += 1
                }
            }
        }
    }

    private static func lines(_ text: String, fitting width: Int) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            let longer = lines[lines.count - 1].isEmpty ? String(word) : lines[lines.count - 1] + " " + word
            if lines[lines.count - 1].isEmpty || BitmapFont.width(longer) <= width {
                lines[lines.count - 1] = longer
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
