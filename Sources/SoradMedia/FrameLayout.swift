// How a decoded frame becomes the RGB that players show: the part of it, its pixels' shape, its colors, and white where it is transparent.
// Invariant: one rule for all formats, from what the decoder says of its first frame; ffmpeg decides nothing by itself.
import SoradSystem

/// What the decoder says of a frame.
struct FrameDescription: Sendable, Equatable {
    var width: Int
    var height: Int
    /// ffmpeg's name, e.g. "yuv420p".
    var pixelFormat: String
    /// The shape of a pixel, width to height.
    var aspect = (width: 1, height: 1)
    /// ffmpeg's names; "unknown" where the file says nothing.
    var matrix = "unknown"
    var primaries = "unknown"
    var transfer = "unknown"

    static func == (left: FrameDescription, right: FrameDescription) -> Bool {
        left.width == right.width && left.height == right.height && left.pixelFormat == right.pixelFormat
            && left.aspect == right.aspect && left.matrix == right.matrix && left.primaries == right.primaries
            && left.transfer == right.transfer
    }

    /// Reads what the filter `showinfo` wrote of the first frame; nil if that is not what it is.
    init?(showinfo text: [UInt8]) {
        var values: [Substring: Substring] = [:]
        let lines = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline)
        for line in lines where line.hasPrefix("[Parsed_showinfo_") {
            for word in line.split(separator: " ") {
                guard let colon = word.firstIndex(of: ":") else { continue }
                let (name, value) = (word[..<colon], word[word.index(after: colon)...])
                if values[name] == nil { values[name] = value }
            }
        }
        func pair(_ name: Substring, _ separator: Character) -> (Int, Int)? {
            guard let parts = values[name]?.split(separator: separator), parts.count == 2, let first = Int(parts[0]),
                let second = Int(parts[1])
            else { return nil }
            return (first, second)
        }
        guard let size = pair("s", "x"), (1...1 << 20).contains(size.0), (1...1 << 20).contains(size.1), let format = values["fmt"] else {
            return nil
        }
        (width, height) = size
        pixelFormat = String(format)
        // Beyond 16:1 it is a mistake of the file, which players ignore too.
        if let shape = pair("sar", "/"), shape.0 > 0, shape.1 > 0, shape.0 <= 16 * shape.1, shape.1 <= 16 * shape.0,
            max(shape.0, shape.1) <= 1 << 20
        {
            aspect = shape
        }
        matrix = values["color_space"].map { String($0) } ?? matrix
        primaries = values["color_primaries"].map { String($0) } ?? primaries
        transfer = values["color_trc"].map { String($0) } ?? transfer
    }

    var hasAlpha: Bool {
        ["rgba", "bgra", "argb", "abgr", "ya8", "ya16", "yuva", "gbrap", "pal8", "ayuv"].contains { pixelFormat.hasPrefix($0) }
    }
}

/// How frames of a file are asked of ffmpeg, and made RGB.
struct FrameLayout: Sendable {
    /// The layouts that ffmpeg is asked for.
    enum Pixels: String, Sendable {
        /// 3 bytes, the result itself.
        case rgb24
        /// 4 bytes, premultiplied, to be put on white.
        case rgba
        /// 3 numbers of 16 bits, in the file's own colors.
        case rgb48le

        var bytes: Int { self == .rgb24 ? 3 : self == .rgba ? 4 : 6 }
    }

    let pixels: Pixels
    private let matrix: String?
    /// Of planes that are called YUV and hold green, blue and red, as dav1d calls those of AV1: the filter that calls them right.
    private let renaming: String?
    private let isTransparent: Bool
    private let aspect: (width: Int, height: Int)
    private let conversion: ColorConversion?

    /// - Parameter colors: what the file says of them outside of the decoded frame.
    init(_ description: FrameDescription, isPicture: Bool, colors: PictureColors = PictureColors()) {
        // Pictures say a density for printers, by which no viewer stretches them.
        aspect = isPicture ? (1, 1) : description.aspect
        conversion =
            colors.profile.map { ColorConversion($0) }
            ?? ColorConversion(
                transfer: colors.transfer ?? description.transfer, primaries: colors.primaries ?? description.primaries)
        isTransparent = description.hasAlpha
        pixels = isTransparent ? .rgba : conversion != nil ? .rgb48le : .rgb24
        let isMisnamed = description.matrix == "gbr" && description.pixelFormat.hasPrefix("yuv444p")
        renaming = isMisnamed ? "mergeplanes=0x000102:gbrp\(description.pixelFormat.dropFirst(7))" : nil
        let isYUV =
            !isMisnamed && description.pixelFormat.hasPrefix("yuv") || description.pixelFormat.hasPrefix("nv")
            || description.pixelFormat.hasPrefix("p0")
        matrix = isYUV ? FrameLayout.matrix(description, isPicture: isPicture) : nil
    }

    /// The name of the filter `scale`. Where the file says nothing, what players take: BT.601 for pictures and small frames, BT.709 for others.
    private static func matrix(_ description: FrameDescription, isPicture: Bool) -> String {
        switch description.matrix {
        case "bt709": "bt709"
        case "bt2020nc", "bt2020c": "bt2020"
        case "smpte240m": "smpte240m"
        case "fcc": "fcc"
        case "bt470bg", "smpte170m": "bt601"
        default: !isPicture && (description.width >= 1280 || description.height > 576) ? "bt709" : "bt601"
        }
    }

    /// Crops the middle to the shape of `width` × `height`, so that no filter makes more pixels than that or than the file has; then scales.
    func filters(width: Int, height: Int, orientation: Orientation) -> [String] {
        let (w, h) = orientation.isSideways ? (height, width) : (width, height)
        // The shape in stored pixels, as a fraction p / q.
        let (p, q) = (w * aspect.height, h * aspect.width)
        var filters =
            (renaming.map { [$0] } ?? []) + [
                "crop=w='clip(round(ih*\(p)/\(q)),1,iw)':h='clip(round(iw*\(q)/\(p)),1,ih)':x='(iw-ow)/2':y='(ih-oh)/2':exact=1"
            ]
        let from = matrix.map { ":in_color_matrix=\($0)" } ?? ""
        let flags = ":flags=bicubic+accurate_rnd+full_chroma_int+bitexact"
        if isTransparent {
            // Hidden colors must not bleed in while scaling.
            filters += ["scale=w=iw:h=ih\(from)\(flags)", "format=gbrap", "premultiply=inplace=1", "scale=\(w):\(h)\(flags)"]
        } else {
            filters.append("scale=\(w):\(h)\(from)\(flags)")
        }
        return filters + ["format=\(pixels.rawValue)"] + orientation.filters
    }

    /// [H, W, 3] bytes of a frame that ffmpeg gave.
    func rgb(_ frame: [UInt8]) -> [UInt8] {
        switch pixels {
        case .rgb24: return frame
        case .rgb48le: return conversion?.rgb(frame) ?? []
        case .rgba:
            var result: [UInt8] = []
            result.reserveCapacity(frame.count / 4 * 3)
            for pixel in stride(from: 0, to: frame.count, by: 4) {
                let alpha = Int(frame[pixel + 3])
                var shown = (0..<3).map { Int(frame[pixel + $0]) }
                if let conversion, alpha > 0 {
                    let own = shown.map { min(255, ($0 * 255 + alpha / 2) / alpha) * 257 }
                    let (red, green, blue) = conversion.rgb(own[0], own[1], own[2])
                    shown = [red, green, blue].map { (Int($0) * alpha + 127) / 255 }
                }
                for channel in shown { result.append(UInt8(min(255, channel + 255 - alpha))) }
            }
            return result
        }
    }
}
