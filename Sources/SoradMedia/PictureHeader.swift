// Reads size, orientation and completeness of a still picture from its own bytes. Pure.
// Invariant: no picture beyond the limits reaches a decoder: its header is read here, before anything is allocated for it.
public import SoradAPI
public import SoradSystem

/// What a picture says of its colors.
struct PictureColors: Sendable, Equatable {
    /// nil for sRGB, and where the picture says nothing.
    var profile: ColorProfile?
    /// ffmpeg's names, of a PNG's code points (ITU-T H.273).
    var primaries: String?
    var transfer: String?
}

/// What the header of a picture says.
public struct PictureHeader: Sendable, Equatable {
    /// Pixels as they are stored.
    public var width: Int
    public var height: Int
    var orientation = Orientation.upright
    var colors = PictureColors()
    /// More than one for an animated GIF.
    var frames = 1
    /// Bytes of the picture, where others follow that are none of it, as programs leave them that overwrite a longer file.
    var end: Int?

    /// - Parameter file: the whole file.
    /// - Throws: `.badInput` if it is cut off, damaged, of a kind that ffmpeg cannot decode, or beyond the limits.
    public init(_ file: [UInt8], format: MediaFacts.Format) throws(SoradError) {
        let reader = PictureReader(bytes: MediaBytes(file), name: format.name)
        switch format {
        case .png: self = try reader.png()
        case .jpeg: self = try reader.jpeg()
        case .webp: self = try reader.webp()
        case .gif: self = try reader.gif()
        case .bmp: self = try reader.bmp()
        case .tiff: self = try reader.tiff()
        case .jpegXL: self = try reader.jpegXL()
        case .avif: self = try reader.avif()
        case .mp4, .quickTime, .matroska: preconditionFailure("a clip is no picture")
        }
        try checkSize(format.name)
    }

    fileprivate func checkSize(_ name: String) throws(SoradError) {
        guard width > 0, height > 0 else {
            throw SoradError(.badInput, "the \(name) picture is damaged: its header says \(width)×\(height)")
        }
        guard width <= MediaLimits.side, height <= MediaLimits.side, width * height <= MediaLimits.pixels else {
            throw SoradError(
                .badInput,
                "the \(name) picture has \(width)×\(height) pixels; at most \(MediaLimits.side) along a side and \(MediaLimits.pixels) in all are accepted"
            )
        }
    }

    fileprivate init(_ width: Int, _ height: Int, _ orientation: Orientation = .upright) {
        self.width = width
        self.height = height
        self.orientation = orientation
    }
}

private struct PictureReader {
    let bytes: MediaBytes
    let name: String

    var cutOff: SoradError { SoradError(.badInput, "the \(name) picture is cut off after \(bytes.count) bytes") }

    func damaged(_ what: String) -> SoradError { SoradError(.badInput, "the \(name) picture is damaged: \(what)") }

    func refused(_ what: String, _ remedy: String = "save it as JPEG or PNG") -> SoradError {
        SoradError(.badInput, "the \(name) picture \(what), which the ffmpeg here cannot decode; \(remedy)")
    }

    func need<Value>(_ value: Value?) throws(SoradError) -> Value {
        guard let value else { throw cutOff }
        return value
    }

    /// Chunks (length, type, data, checksum) from IHDR to IEND (PNG, third edition, 5.3). A wrong checksum of a chunk without which the
    /// picture can be shown is no damage: the decoder leaves that chunk out.
    func png() throws(SoradError) -> PictureHeader {
        guard bytes.begins("IHDR", at: 12) else { throw damaged("it does not begin with its header") }
        var header = PictureHeader(try need(bytes.big(16, 4)), try need(bytes.big(20, 4)))
        try header.checkSize(name)
        var offset = 8
        while true {
            let length = try need(bytes.big(offset, 4))
            let checked = try need(bytes.part(offset + 4, length + 4))
            let type = try need(checked.fourCharacters(0))
            let isRight = try need(bytes.big(offset + 8 + length, 4)) == Int(crc32(checked.bytes))
            let isCritical = checked.bytes.first.map { $0 & 0x20 == 0 } ?? false
            guard isRight || !isCritical && type != "tRNS" else { throw damaged("the checksum of its \(type) chunk is wrong") }
            if type == "eXIf", isRight, let exif = checked.from(4) { header.orientation = exifOrientation(exif) }
            if type == "acTL", isRight, checked.big(4, 4) ?? 1 > 1 { throw refused("is animated", "give a still one, or an MP4 clip") }
            if type == "iCCP", isRight, let content = checked.from(4) { header.colors.profile = try pngProfile(content) }
            // Color code points go before a profile (PNG, third edition, 4.3).
            if type == "cICP", isRight, let primaries = checked.big(4, 1), let transfer = checked.big(5, 1) {
                header.colors.primaries = [1: "bt709", 9: "bt2020", 11: "smpte431", 12: "smpte432"][primaries]
                header.colors.transfer = [13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"][transfer]
            }
            if header.colors.primaries != nil { header.colors.profile = nil }
            if type == "IEND" {
                let end = offset + length + 12
                header.end = end < bytes.count ? end : nil
                return header
            }
            offset += length + 12
        }
    }

    /// A name, a zero, the kind of compression, and the profile (11.3.2.3).
    private func pngProfile(_ content: MediaBytes) throws(SoradError) -> ColorProfile? {
        guard let end = content.bytes.firstIndex(of: 0), let packed = content.from(end - content.bytes.startIndex + 2),
            let bytes = inflated(packed.bytes, limit: PictureReader.profileLimit)
        else { return nil }
        return try ColorProfile.read(bytes, of: name)
    }

    private static let profileLimit = 4 << 20

    /// The profile in parts, which may stand in any order (ICC.1, B.4).
    private func jpegProfile(_ parts: [Int: MediaBytes]) throws(SoradError) -> ColorProfile? {
        guard !parts.isEmpty else { return nil }
        let bytes = parts.sorted { $0.key < $1.key }.flatMap { $0.value.bytes }
        return try ColorProfile.read(bytes, of: name)
    }

    /// Segments up to the frame header (ITU T.81, B.2.2), and an end mark after it. Bytes between segments are skipped, as all decoders do.
    func jpeg() throws(SoradError) -> PictureHeader {
        var offset = 2
        var orientation: Orientation?
        var profile: [Int: MediaBytes] = [:]
        while true {
            guard try need(bytes.big(offset, 1)) == 0xFF, let marker = bytes.big(offset + 1, 1), marker != 0xFF, marker != 0 else {
                offset += 1
                _ = try need(bytes.big(offset + 1, 1))
                continue
            }
            let isFrame = (0xC0...0xCF).contains(marker) && ![0xC4, 0xC8, 0xCC].contains(marker)
            if isFrame {
                guard [0xC0, 0xC1, 0xC2].contains(marker) else {
                    throw refused(
                        marker == 0xC3 ? "is compressed without loss" : "is of a rare kind (SOF\(marker - 0xC0))", "save it as PNG")
                }
                var header = PictureHeader(try need(bytes.big(offset + 7, 2)), try need(bytes.big(offset + 5, 2)), orientation ?? .upright)
                guard hasEnd(after: offset) else { throw cutOff }
                header.colors.profile = try jpegProfile(profile)
                return header
            }
            // Marks without a length: restart, start and end of image, TEM.
            if (0xD0...0xD9).contains(marker) || marker == 1 {
                offset += 2
                continue
            }
            let length = try need(bytes.big(offset + 2, 2))
            let content = try need(bytes.part(offset + 4, max(length - 2, 0)))
            if marker == 0xE1, content.begins("Exif\0\0"), orientation == nil { orientation = exifOrientation(content) }
            if marker == 0xE2, content.begins("ICC_PROFILE\0"), let number = content.big(12, 1) { profile[number] = content.from(14) }
            offset += length + 2
        }
    }

    private func hasEnd(after start: Int) -> Bool {
        let tail = bytes.bytes.dropFirst(start)
        var index = tail.endIndex - 1
        while index > tail.startIndex {
            if tail[index] == 0xD9, tail[index - 1] == 0xFF { return true }
            index -= 1
        }
        return false
    }

    /// RFC 9649, 2.3 to 2.7. The last chunk may lack its padding.
    func webp() throws(SoradError) -> PictureHeader {
        let size = try need(bytes.little(4, 4))
        guard size <= bytes.count - 8 + 1 else { throw cutOff }
        if bytes.begins("VP8X", at: 12) {
            guard try need(bytes.little(20, 1)) & 2 == 0 else { throw refused("is animated", "give a still one, or an MP4 clip") }
            var header = PictureHeader(
                try need(bytes.little(24, 3)) + 1, try need(bytes.little(27, 3)) + 1,
                webpChunk("EXIF").map { exifOrientation($0) } ?? .upright)
            header.colors.profile = try webpChunk("ICCP").flatMap { profile throws(SoradError) in
                try ColorProfile.read(Array(profile.bytes), of: name)
            }
            return header
        }
        if bytes.begins("VP8L", at: 12) {
            let bits = try need(bytes.little(21, 4))
            return PictureHeader(bits & 0x3FFF + 1, bits >> 14 & 0x3FFF + 1)
        }
        guard bytes.begins("VP8 ", at: 12) else { throw damaged("it has no image") }
        return PictureHeader(try need(bytes.little(26, 2)) & 0x3FFF, try need(bytes.little(28, 2)) & 0x3FFF)
    }

    private func webpChunk(_ type: String) -> MediaBytes? {
        var offset = 12
        while let length = bytes.little(offset + 4, 4) {
            if bytes.begins(type, at: offset), let content = bytes.part(offset + 8, length) { return content }
            offset += 8 + length + length % 2
        }
        return nil
    }

    /// GIF89a: the screen's size and the blocks, whose images are counted. A missing last byte is no damage.
    func gif() throws(SoradError) -> PictureHeader {
        var header = PictureHeader(try need(bytes.little(6, 2)), try need(bytes.little(8, 2)))
        func tableBytes(_ flags: Int) -> Int { flags & 0x80 == 0 ? 0 : 3 << (flags & 7 + 1) }
        var offset = 13 + tableBytes(try need(bytes.big(10, 1)))
        header.frames = 0
        while let block = bytes.big(offset, 1), block != 0x3B {
            switch block {
            case 0x2C:
                header.frames += 1
                offset += 10 + tableBytes(try need(bytes.big(offset + 9, 1))) + 1
            case 0x21: offset += 2
            case 0:
                offset += 1
                continue
            default: throw damaged("it has a block of the unknown kind \(block)")
            }
            while true {
                let length = try need(bytes.big(offset, 1))
                offset += 1 + length
                if length == 0 { break }
                guard offset <= bytes.count else { throw cutOff }
            }
        }
        guard header.frames > 0 else { throw damaged("it has no image") }
        return header
    }

    func bmp() throws(SoradError) -> PictureHeader {
        guard try need(bytes.little(14, 4)) > 12 else { return PictureHeader(try need(bytes.little(18, 2)), try need(bytes.little(20, 2))) }
        func signed(_ offset: Int) throws(SoradError) -> Int { Int(Int32(truncatingIfNeeded: try need(bytes.little(offset, 4)))) }
        // A negative height says that the upper row comes first.
        return PictureHeader(try signed(18), abs(try signed(22)))
    }

    func tiff() throws(SoradError) -> PictureHeader {
        let directory = try need(TIFFDirectory(bytes))
        guard directory.value(339) ?? 1 != 3 else { throw refused("holds floating-point numbers") }
        // Tiles, and JPEG within TIFF, would come out black; brightness and color differences in other colors.
        guard directory.value(322) == nil else { throw refused("is made of tiles") }
        let photometric = directory.value(262) ?? 2
        guard [0, 1, 2, 3, 5].contains(photometric) || directory.value(259) == 7 else {
            throw refused(photometric == 6 ? "holds YCbCr values" : photometric == 8 ? "holds Lab values" : "holds colors of a rare kind")
        }
        let compression = directory.value(259) ?? 1
        guard ![6, 7].contains(compression) else { throw refused("is compressed as JPEG inside", "save it as JPEG or PNG") }
        guard [1, 2, 3, 4, 5, 8, 32_773, 32_946, 34_925].contains(compression) else {
            throw refused("is compressed in a rare way (\(compression))")
        }
        var header = PictureHeader(try need(directory.value(256)), try need(directory.value(257)), directory.orientation)
        header.colors.profile = try directory.content(34675).flatMap { profile throws(SoradError) in
            try ColorProfile.read(Array(profile.bytes), of: name)
        }
        return header
    }

    /// ISO/IEC 18181-1, the size header; libjxl turns the picture itself.
    func jpegXL() throws(SoradError) -> PictureHeader {
        var stream = bytes
        if !bytes.bytes.starts(with: [0xFF, 0x0A]) {
            let boxes = bytes.boxes()
            guard let part = boxes.first(where: { $0.type == "jxlc" || $0.type == "jxlp" }) else { throw damaged("it has no image") }
            stream = try need(part.content.from(part.type == "jxlp" ? 4 : 0))
            guard stream.bytes.starts(with: [0xFF, 0x0A]) else { throw damaged("its image has no header") }
        }
        var position = 16
        func bits(_ count: Int) throws(SoradError) -> Int {
            var value = 0
            for index in 0..<count {
                value |= (try need(stream.big((position + index) / 8, 1)) >> ((position + index) % 8) & 1) << index
            }
            position += count
            return value
        }
        func side(_ isSmall: Bool) throws(SoradError) -> Int {
            if isSmall { return (try bits(5) + 1) * 8 }
            return try bits([9, 13, 18, 30][try bits(2)]) + 1
        }
        let isSmall = try bits(1) == 1
        let height = try side(isSmall)
        let ratios = [(1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)]
        let ratio = try bits(3)
        let width = ratio == 0 ? try side(isSmall) : height * ratios[ratio - 1].0 / ratios[ratio - 1].1
        return PictureHeader(width, height)
    }

    /// The properties of the primary item (ISO/IEC 23008-12, 6.5): size, turns and mirrors in their order; EXIF does not count there.
    func avif() throws(SoradError) -> PictureHeader {
        let boxes = bytes.boxes()
        guard let meta = boxes.first(where: { $0.type == "meta" })?.content else {
            throw boxes.contains { $0.type == "moov" } ? refused("is animated", "give a still one, or an MP4 clip") : cutOff
        }
        let primary = try need(meta.box("pitm", from: 4).flatMap { $0.big(0, 1) == 0 ? $0.big(4, 2) : $0.big(4, 4) })
        if let items = meta.box("iinf", from: 4) {
            let entries = items.boxes(from: items.big(0, 1) == 0 ? 6 : 8)
            let entry = entries.first { $0.content.big(4, 2) == primary }
            guard entry.map({ $0.content.begins("av01", at: 8) }) ?? true else { throw refused("is made of tiles") }
        }
        // A picture of its opacity (an auxiliary item) is not read by ffmpeg: hidden colors would show.
        if let references = meta.box("iref", from: 4), references.boxes(from: 4).contains(where: { $0.type == "auxl" }) {
            throw refused("is transparent", "save it as PNG")
        }
        let properties = try need(meta.box("iprp", from: 4))
        let list = try need(properties.box("ipco")).boxes()
        var header = PictureHeader(0, 0)
        for index in try associations(of: primary, in: need(properties.box("ipma"))) where list.indices.contains(index - 1) {
            let (type, content) = list[index - 1]
            switch type {
            case "ispe": (header.width, header.height) = (try need(content.big(4, 4)), try need(content.big(8, 4)))
            case "irot":
                let turns: [Orientation] = [.upright, .threeQuarterTurn, .halfTurn, .quarterTurn]
                header.orientation = header.orientation.then(turns[try need(content.big(0, 1)) & 3])
            case "imir": header.orientation = header.orientation.then(try need(content.big(0, 1)) & 1 == 0 ? .flipped : .mirrored)
            case "colr" where content.begins("prof") || content.begins("rICC"):
                if let profile = content.from(4) { header.colors.profile = try ColorProfile.read(Array(profile.bytes), of: name) }
            case "clap": throw refused("is cropped by its container")
            default: break
            }
        }
        return header
    }

    /// Numbers of the properties of an item, from 1 on.
    private func associations(of item: Int, in box: MediaBytes) throws(SoradError) -> [Int] {
        let (version, flags) = (try need(box.big(0, 1)), try need(box.big(3, 1)))
        var offset = 8
        for _ in 0..<(try need(box.big(4, 4))) {
            let found = try need(box.big(offset, version < 1 ? 2 : 4))
            offset += version < 1 ? 2 : 4
            let count = try need(box.big(offset, 1))
            let width = flags & 1 == 0 ? 1 : 2
            guard found != item else {
                return try (0..<count).map { index throws(SoradError) in
                    try need(box.big(offset + 1 + index * width, width)) & (width == 1 ? 0x7F : 0x7FFF)
                }
            }
            offset += 1 + count * width
        }
        return []
    }
}
