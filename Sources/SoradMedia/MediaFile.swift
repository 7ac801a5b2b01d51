// Determines kind, size and completeness of a given file from its own bytes. Pure.
// Invariant: only PNG, JPEG, WebP and MP4 reach a decoder, whatever a file's name or claimed type, and no picture beyond the limits: its
// header is read here, before anything is allocated for it.
public import SoradAPI
public import SoradSystem

/// What a given file may be at most.
public enum MediaLimits {
    public static let pictureBytes = 32 << 20
    public static let clipBytes = 256 << 20
    /// Pixels along one side, and of one frame.
    public static let side = 16_384
    public static let pixels = 50_000_000
    public static let clipFrames = 3_000
}

/// The kind that the first 16 bytes or more of a file show.
/// - Throws: `.badInput` with one sentence that says what the file is instead, as far as it can be told.
public func mediaFormat(of head: [UInt8]) throws(SoradError) -> MediaFacts.Format {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: bytes) }
    if begins([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return .png }
    if begins([0xFF, 0xD8, 0xFF]) { return .jpeg }
    if begins(Array("RIFF".utf8)), begins(Array("WEBP".utf8), at: 8) { return .webp }
    if begins(Array("ftyp".utf8), at: 4) { return .mp4 }
    let what: String
    if head.isEmpty {
        what = "is empty"
    } else if begins(Array("#EXTM3U".utf8)) || begins(Array("[playlist]".utf8)) {
        what = "is a playlist"
    } else if begins(Array("<svg".utf8)) || begins(Array("<?xml".utf8)) || begins(Array("<!".utf8)) {
        what = "is an SVG or XML document"
    } else if begins(Array("GIF8".utf8)) {
        what = "is a GIF"
    } else if head.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || (0x09...0x0D).contains($0) }) {
        what = "is text"
    } else {
        what = "is of an unknown kind"
    }
    throw SoradError(.badInput, "the file \(what); give a PNG, JPEG or WebP picture or an MP4 clip")
}

/// Width and height of a whole picture file.
/// - Throws: `.badInput` if it is cut off, damaged or beyond the limits.
public func pictureSize(of file: [UInt8], format: MediaFacts.Format) throws(SoradError) -> (width: Int, height: Int) {
    let name = format.rawValue.uppercased()
    let bytes = PictureBytes(bytes: file, name: name)
    let (width, height) =
        switch format {
        case .png: try bytes.pngSize()
        case .jpeg: try bytes.jpegSize()
        case .webp: try bytes.webpSize()
        case .mp4: preconditionFailure("a clip is no picture")
        }
    guard width > 0, height > 0 else { throw SoradError(.badInput, "the \(name) picture is damaged: its header says \(width)×\(height)") }
    guard width <= MediaLimits.side, height <= MediaLimits.side, width * height <= MediaLimits.pixels else {
        throw SoradError(
            .badInput,
            "the \(name) picture has \(width)×\(height) pixels; at most \(MediaLimits.side) along a side and \(MediaLimits.pixels) in all are accepted"
        )
    }
    return (width, height)
}

/// Reads numbers from a picture; every place is checked against the end of the file.
private struct PictureBytes {
    let bytes: [UInt8]
    let name: String

    var cutOff: SoradError { SoradError(.badInput, "the \(name) picture is cut off after \(bytes.count) bytes") }

    func big(_ offset: Int, _ count: Int) throws(SoradError) -> Int {
        guard offset >= 0, bytes.count - offset >= count else { throw cutOff }
        return bytes[offset..<offset + count].reduce(0) { $0 << 8 | Int($1) }
    }

    func little(_ offset: Int, _ count: Int) throws(SoradError) -> Int {
        guard offset >= 0, bytes.count - offset >= count else { throw cutOff }
        return bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    func isText(_ text: StaticString, at offset: Int) -> Bool {
        bytes.dropFirst(offset).starts(with: Array(text.description.utf8))
    }

    /// Chunks (length, type, data, checksum) from IHDR to IEND (PNG, third edition, 5.3).
    func pngSize() throws(SoradError) -> (Int, Int) {
        guard isText("IHDR", at: 12) else { throw SoradError(.badInput, "the PNG picture is damaged: it does not begin with its header") }
        let size = (try big(16, 4), try big(20, 4))
        var offset = 8
        while !isText("IEND", at: offset + 4) {
            // At most 2³² + 12 further: no overflow.
            offset += try big(offset, 4) + 12
            guard offset < bytes.count else { throw cutOff }
        }
        return size
    }

    /// Segments up to the frame header (ITU T.81, B.2.2), and an end mark after it.
    func jpegSize() throws(SoradError) -> (Int, Int) {
        var offset = 2
        while true {
            guard try big(offset, 1) == 0xFF else { throw SoradError(.badInput, "the JPEG picture is damaged: a segment is missing") }
            let marker = try big(offset + 1, 1)
            if marker == 0xFF {
                offset += 1
                continue
            }
            let isFrame = (0xC0...0xCF).contains(marker) && ![0xC4, 0xC8, 0xCC].contains(marker)
            if isFrame {
                let size = (try big(offset + 7, 2), try big(offset + 5, 2))
                guard hasEnd(after: offset) else { throw cutOff }
                return size
            }
            offset += try big(offset + 2, 2) + 2
        }
    }

    private func hasEnd(after start: Int) -> Bool {
        var index = bytes.count - 1
        while index > start {
            if bytes[index] == 0xD9, bytes[index - 1] == 0xFF { return true }
            index -= 1
        }
        return false
    }

    /// RFC 9649, 2.3 to 2.7.
    func webpSize() throws(SoradError) -> (Int, Int) {
        guard try little(4, 4) <= bytes.count - 8 else { throw cutOff }
        if isText("VP8X", at: 12) {
            guard try little(20, 1) & 2 == 0 else { throw SoradError(.badInput, "the WebP picture is animated; give a still one") }
            return (try little(24, 3) + 1, try little(27, 3) + 1)
        }
        if isText("VP8L", at: 12) {
            let bits = try little(21, 4)
            return (bits & 0x3FFF + 1, bits >> 14 & 0x3FFF + 1)
        }
        guard isText("VP8 ", at: 12) else { throw SoradError(.badInput, "the WebP picture is damaged: it has no image") }
        return (try little(26, 2) & 0x3FFF, try little(28, 2) & 0x3FFF)
    }
}
