// Owns the ways to show a picture in a terminal: kitty's graphics protocol, sixel (DEC VT340), and half blocks, which any terminal with
// colors shows. Pure: pixels in, the bytes for the terminal out.
import SoradSystem

enum PictureForm: Sendable, Equatable {
    case kitty
    /// `isFine`: with 252 color registers, else 16.
    case sixel(isFine: Bool)
    /// Two pixels in each cell; `isTrueColor`: 24 bits, else the 256 colors of xterm.
    case blocks(isTrueColor: Bool)

    /// The text that shows `picture` with its top left at the cursor, in `columns` × `rows` cells of `cell` pixels. The cursor may be
    /// anywhere in these cells afterwards.
    func painted(_ picture: PixelImage, png: [UInt8], columns: Int, rows: Int, cell: (width: Int, height: Int)) -> String {
        switch self {
        case .kitty: kittyPicture(png, columns: columns, rows: rows)
        case .sixel(let isFine):
            // Sixels come in rows of six pixels; one row less keeps the picture off the line below.
            sixelPicture(picture.scaled(width: columns * cell.width, height: max(6, rows * cell.height / 6 * 6)), isFine: isFine)
        case .blocks(let isTrueColor): halfBlocks(picture.scaled(width: columns, height: rows * 2), isTrueColor: isTrueColor)
        }
    }
}

/// The cells that a picture takes: as wide as it may be, in its proportions, where a cell is twice as high as wide if nobody says else.
func pictureCells(
    width: Int, height: Int, maxColumns: Int, maxRows: Int, cell: (width: Int, height: Int)
) -> (columns: Int, rows: Int)? {
    guard maxColumns >= 4, maxRows >= 2, width > 0, height > 0 else { return nil }
    var columns = maxColumns
    var rows = (columns * cell.width * height + width * cell.height / 2) / (width * cell.height)
    if rows > maxRows {
        rows = maxRows
        columns = rows * cell.height * width / (height * cell.width)
    }
    return (min(max(columns, 1), maxColumns), max(rows, 1))
}

/// The upper half block: its color is the upper pixel, its background the lower one. Lines begin at the cursor's column.
private func halfBlocks(_ picture: PixelImage, isTrueColor: Bool) -> String {
    var text = ""
    for row in 0..<picture.height / 2 {
        if row > 0 { text += "\u{1B}[\(picture.width)D\u{1B}[B" }
        var last = ""
        for column in 0..<picture.width {
            let (upper, lower) = (picture.color(column, row * 2), picture.color(column, row * 2 + 1))
            let colors =
                isTrueColor
                ? "38;2;\(upper.0);\(upper.1);\(upper.2);48;2;\(lower.0);\(lower.1);\(lower.2)"
                : "38;5;\(paletteIndex(upper));48;5;\(paletteIndex(lower))"
            if colors != last { text += "\u{1B}[\(colors)m" }
            last = colors
            text += "▀"
        }
        text += "\u{1B}[0m"
    }
    return text
}

/// The nearest of xterm's 6×6×6 colors or its 24 grays.
func paletteIndex(_ color: (Int, Int, Int)) -> Int {
    let levels = [0, 95, 135, 175, 215, 255]
    func nearest(_ value: Int) -> Int { levels.indices.min { abs(levels[$0] - value) < abs(levels[$1] - value) } ?? 0 }
    func distance(_ other: (Int, Int, Int)) -> Int {
        let (r, g, b) = (color.0 - other.0, color.1 - other.1, color.2 - other.2)
        return r * r + g * g + b * b
    }
    let (r, g, b) = (nearest(color.0), nearest(color.1), nearest(color.2))
    let gray = min(max((color.0 + color.1 + color.2) / 3 - 3, 0) / 10, 23)
    let isGray = distance((8 + 10 * gray, 8 + 10 * gray, 8 + 10 * gray)) < distance((levels[r], levels[g], levels[b]))
    return isGray ? 232 + gray : 16 + 36 * r + 6 * g + b
}

/// The file itself, in pieces of 4096 characters of base64; the terminal scales it (kitty's graphics protocol, "the graphics escape code").
/// Picture 1 replaces the one before, and the cursor stays.
private func kittyPicture(_ png: [UInt8], columns: Int, rows: Int) -> String {
    let base64 = Array(base64Encoded(png).utf8)
    var text = ""
    var offset = 0
    repeat {
        let piece = base64[offset..<min(offset + 4096, base64.count)]
        let control = offset == 0 ? "a=T,f=100,i=1,p=1,q=2,C=1,c=\(columns),r=\(rows)," : ""
        offset += piece.count
        text += "\u{1B}_G\(control)m=\(offset < base64.count ? 1 : 0);\(String(decoding: piece, as: UTF8.self))\u{1B}\\"
    } while offset < base64.count
    return text
}

/// What takes a kitty picture away.
let kittyErasure = "\u{1B}_Ga=d,d=I,i=1,q=2\u{1B}\\"

/// Six rows at a time, each color of the row as a run-length coded line of its own (DEC STD 070, chapter 9). 6×7×6 or 2×4×2 colors, with an ordered
/// dither of 4×4 (Bayer) against bands.
private func sixelPicture(_ picture: PixelImage, isFine: Bool) -> String {
    let (reds, greens, blues) = isFine ? (6, 7, 6) : (2, 4, 2)
    let bayer = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5]
    func level(_ value: Int, _ count: Int, _ threshold: Int) -> Int {
        min((value * (count - 1) * 16 + threshold * 255 + 128) / (255 * 16), count - 1)
    }
    var indices = [Int](repeating: 0, count: picture.width * picture.height)
    for y in 0..<picture.height {
        for x in 0..<picture.width {
            let (r, g, b) = picture.color(x, y)
            let threshold = bayer[y % 4 * 4 + x % 4]
            indices[y * picture.width + x] =
                (level(r, reds, threshold) * greens + level(g, greens, threshold)) * blues + level(b, blues, threshold)
        }
    }
    var text = "\u{1B}P0;1;0q\"1;1;\(picture.width);\(picture.height)"
    for index in Set(indices).sorted() {
        let (r, g, b) = (index / (greens * blues), index / blues % greens, index % blues)
        text += "#\(index);2;\(r * 100 / (reds - 1));\(g * 100 / (greens - 1));\(b * 100 / (blues - 1))"
    }
    for top in stride(from: 0, to: picture.height, by: 6) {
        let rows = min(6, picture.height - top)
        let band = indices[top * picture.width..<(top + rows) * picture.width]
        for color in Set(band).sorted() {
            text += "#\(color)"
            var (last, run) = (-1, 0)
            func flush() {
                guard run > 0, let scalar = Unicode.Scalar(UInt32(63 + last)) else { return }
                text += run > 3 ? "!\(run)\(Character(scalar))" : String(repeating: Character(scalar), count: run)
            }
            for x in 0..<picture.width {
                var bits = 0
                for row in 0..<rows where indices[(top + row) * picture.width + x] == color { bits |= 1 << row }
                if bits != last {
                    flush()
                    (last, run) = (bits, 0)
                }
                run += 1
            }
            if last != 0 { flush() }
            text += "$"
        }
        if top + 6 < picture.height { text += "-" }
    }
    return text + "\u{1B}\\"
}

extension PixelImage {
    fileprivate func color(_ x: Int, _ y: Int) -> (Int, Int, Int) {
        let start = (y * width + x) * 3
        return (Int(rgb[start]), Int(rgb[start + 1]), Int(rgb[start + 2]))
    }
}
