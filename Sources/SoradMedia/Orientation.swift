// The way in which a stored picture is turned for display: EXIF's orientation (EXIF 2.32, 4.6.4 A), a movie's matrix, HEIF's `irot` and
// `imir`. One rule for all formats: what the file says is done, by our own reading; ffmpeg turns nothing.

/// The eight orientations, with EXIF's numbers.
enum Orientation: Int, Sendable, CaseIterable {
    case upright = 1, mirrored, halfTurn, flipped, transposed, quarterTurn, transversed, threeQuarterTurn

    /// Width and height change places.
    var isSideways: Bool { rawValue >= 5 }

    /// ffmpeg's filters that turn a stored frame into the displayed one.
    var filters: [String] {
        switch self {
        case .upright: []
        case .mirrored: ["hflip"]
        case .halfTurn: ["hflip", "vflip"]
        case .flipped: ["vflip"]
        case .transposed: ["transpose=cclock_flip"]
        case .quarterTurn: ["transpose=clock"]
        case .transversed: ["transpose=clock_flip"]
        case .threeQuarterTurn: ["transpose=cclock"]
        }
    }

    /// The nearest one to the matrix x' = ax + cy, y' = bx + dy, y downwards; upright for none.
    init(a: Int, b: Int, c: Int, d: Int) {
        let isSideways = abs(b) + abs(c) > abs(a) + abs(d)
        self =
            switch isSideways ? (b < 0, c < 0) : (a < 0, d < 0) {
            case (false, false): isSideways ? .transposed : .upright
            case (true, false): isSideways ? .threeQuarterTurn : .mirrored
            case (true, true): isSideways ? .transversed : .halfTurn
            case (false, true): isSideways ? .quarterTurn : .flipped
            }
    }

    /// This one, then `next`.
    func then(_ next: Orientation) -> Orientation {
        let (p, q) = (matrix, next.matrix)
        return Orientation(
            a: q.a * p.a + q.c * p.b, b: q.b * p.a + q.d * p.b, c: q.a * p.c + q.c * p.d, d: q.b * p.c + q.d * p.d)
    }

    private var matrix: (a: Int, b: Int, c: Int, d: Int) {
        switch self {
        case .upright: (1, 0, 0, 1)
        case .mirrored: (-1, 0, 0, 1)
        case .halfTurn: (-1, 0, 0, -1)
        case .flipped: (1, 0, 0, -1)
        case .transposed: (0, 1, 1, 0)
        case .quarterTurn: (0, 1, -1, 0)
        case .transversed: (0, -1, -1, 0)
        case .threeQuarterTurn: (0, -1, 1, 0)
        }
    }
}

/// One directory of a TIFF file or of EXIF, which has the same structure (TIFF 6.0, section 2).
struct TIFFDirectory {
    private let bytes: MediaBytes
    private let isLittle: Bool
    private let start: Int
    private let count: Int

    /// The first directory; nil if `bytes` is none.
    init?(_ bytes: MediaBytes) {
        self.bytes = bytes
        if bytes.begins("II*\0") { isLittle = true } else if bytes.begins("MM\0*") { isLittle = false } else { return nil }
        guard let start = isLittle ? bytes.little(4, 4) : bytes.big(4, 4), start >= 8,
            let count = isLittle ? bytes.little(start, 2) : bytes.big(start, 2)
        else { return nil }
        self.start = start
        self.count = count
    }

    /// The first value of an entry of whole numbers (8, 16 or 32 bits); nil without it.
    func value(_ tag: Int) -> Int? {
        for index in 0..<count {
            let entry = start + 2 + 12 * index
            guard let found = number(entry, 2) else { return nil }
            guard found == tag, let type = number(entry + 2, 2), let length = number(entry + 4, 4), length > 0 else { continue }
            guard let width = [1: 1, 3: 2, 4: 4][type] else { return nil }
            guard length * width > 4 else { return number(entry + 8, width) }
            return number(entry + 8, 4).flatMap { number($0, width) }
        }
        return nil
    }

    /// The bytes of an entry of bytes; nil without it.
    func content(_ tag: Int) -> MediaBytes? {
        for index in 0..<count {
            let entry = start + 2 + 12 * index
            guard let found = number(entry, 2) else { return nil }
            guard found == tag, let type = number(entry + 2, 2), [1, 7].contains(type), let length = number(entry + 4, 4), length > 4 else {
                continue
            }
            return number(entry + 8, 4).flatMap { bytes.part($0, length) }
        }
        return nil
    }

    var orientation: Orientation { value(0x0112).flatMap { Orientation(rawValue: $0) } ?? .upright }

    private func number(_ offset: Int, _ count: Int) -> Int? { isLittle ? bytes.little(offset, count) : bytes.big(offset, count) }
}

/// The orientation that EXIF data say, with or without the mark that JPEG puts before them.
func exifOrientation(_ exif: MediaBytes) -> Orientation {
    let tiff = exif.begins("Exif\0\0") ? exif.from(6) : exif
    return tiff.flatMap { TIFFDirectory($0) }?.orientation ?? .upright
}
