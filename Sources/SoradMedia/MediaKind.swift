// Tells what a file is by its first bytes, whatever its name or claimed type: the formats that are decoded, and by its true name what is not.
public import SoradAPI
public import SoradSystem

/// What a given file may be at most.
public enum MediaLimits {
    public static let pictureBytes = 32 << 20
    public static let clipBytes = 256 << 20
    /// Pixels along one side, and of one frame.
    public static let side = 16_384
    public static let pixels = 50_000_000
    /// Frames of a clip at the rate at which it is used.
    public static let clipFrames = 3_000
    /// Frames of a clip as it comes.
    public static let storedFrames = 30_000
    /// Bytes that ffmpeg may take to decode, beyond its own.
    public static let decodeBytes = 1 << 30
}

extension MediaFacts.Format {
    /// As people call it.
    var name: String {
        switch self {
        case .png, .jpeg, .gif, .bmp, .tiff, .avif, .mp4: rawValue.uppercased()
        case .webp: "WebP"
        case .jpegXL: "JPEG XL"
        case .quickTime: "QuickTime"
        case .matroska: "Matroska"
        }
    }

    /// Containers that are read in parts and may hold many frames; a GIF is read whole.
    var isMovie: Bool { [.mp4, .quickTime, .matroska].contains(self) }
}

/// The format that the first 64 bytes of a file show.
/// - Throws: `.badInput` with one sentence that says what the file is instead, as far as it can be told.
public func mediaFormat(of head: [UInt8]) throws(SoradError) -> MediaFacts.Format {
    let bytes = MediaBytes(head)
    if let format = decodedFormat(of: bytes) { return format }
    let (what, remedy) = trueName(of: bytes)
    throw SoradError(.badInput, "the file \(what); \(remedy ?? "give a PNG, JPEG or WebP picture, or an MP4, MOV or WebM clip")")
}

private func decodedFormat(of head: MediaBytes) -> MediaFacts.Format? {
    func begins(_ bytes: [UInt8]) -> Bool { head.bytes.starts(with: bytes) }
    if begins([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return .png }
    if begins([0xFF, 0xD8, 0xFF]) { return .jpeg }
    if head.begins("RIFF"), head.begins("WEBP", at: 8) { return .webp }
    if head.begins("GIF87a") || head.begins("GIF89a") { return .gif }
    if head.begins("BM"), let size = head.little(14, 4), size == 12 || (40...128).contains(size) { return .bmp }
    if head.begins("II*\0") || head.begins("MM\0*") { return .tiff }
    if begins([0xFF, 0x0A]) || begins([0, 0, 0, 12]) && head.begins("JXL ", at: 4) { return .jpegXL }
    if begins([0x1A, 0x45, 0xDF, 0xA3]) { return .matroska }
    guard let type = head.fourCharacters(4) else { return nil }
    if type == "ftyp" {
        if head.begins("qt  ", at: 8) { return .quickTime }
        let size = min(head.big(0, 4) ?? 0, head.count)
        let isAVIF = stride(from: 16, to: size, by: 4).contains { head.begins("avif", at: $0) }
        if head.begins("avif", at: 8) || head.begins("mif1", at: 8) && isAVIF { return .avif }
        return isStillBrand(head) ? nil : .mp4
    }
    // Old QuickTime files have no `ftyp`; they begin with any of these.
    return ["moov", "mdat", "wide", "free", "skip", "pnot"].contains(type) ? .quickTime : nil
}

/// Containers with `ftyp` that hold no clip.
private func isStillBrand(_ head: MediaBytes) -> Bool { stillBrands.contains { head.begins($0.brand, at: 8) } }

private let stillBrands: [(brand: String, what: String, remedy: String)] = [
    ("heic", "is an HEIC picture", heicRemedy), ("heix", "is an HEIC picture", heicRemedy), ("heim", "is an HEIC picture", heicRemedy),
    ("heis", "is an HEIC picture", heicRemedy), ("hevc", "is a sequence of HEIC pictures", heicRemedy),
    ("hevx", "is a sequence of HEIC pictures", heicRemedy), ("mif1", "is an HEIF picture", heicRemedy),
    ("msf1", "is a sequence of HEIF pictures", heicRemedy), ("crx ", "is a raw picture of a Canon camera", rawRemedy),
    ("M4A ", "is sound without a picture", "give a clip with a picture"),
    ("M4B ", "is sound without a picture", "give a clip with a picture"),
    ("M4P ", "is sound without a picture", "give a clip with a picture"), ("jxl ", "is a JPEG XL picture in another container", rawRemedy),
]
private let heicRemedy = "the ffmpeg here cannot decode it; save it as JPEG or PNG"
private let rawRemedy = "save it as JPEG or PNG"
private let clipRemedy = "save it as MP4 with H.264 video: ffmpeg -i FILE -pix_fmt yuv420p clip.mp4"

/// A clause that follows "the file", and what to do; nil for the usual words.
private func trueName(of head: MediaBytes) -> (what: String, remedy: String?) {
    if head.count == 0 { return ("is empty", nil) }
    if let brand = stillBrands.first(where: { head.begins("ftyp", at: 4) && head.begins($0.brand, at: 8) }) {
        return (brand.what, brand.remedy)
    }
    for (signature, offset, what, remedy) in signatures where head.part(offset, signature.count)?.bytes.elementsEqual(signature) == true {
        return (what, remedy)
    }
    if head.bytes.allSatisfy({ $0 == 0 }) { return ("begins with zeros: it was not copied whole", nil) }
    let text = head.bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? head.bytes.dropFirst(3) : head.bytes
    let words = String(decoding: text.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self).drop { $0.isWhitespace }
    for (start, what) in texts where words.hasPrefix(start) { return (what, nil) }
    if text.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || (0x09...0x0D).contains($0) }) { return ("is text", nil) }
    return ("is of an unknown kind", nil)
}

private let texts: [(start: String, what: String)] = [
    ("#extm3u", "is a playlist"), ("[playlist]", "is a playlist"), ("ffconcat", "is a playlist"), ("<svg", "is an SVG or XML document"),
    ("<?xml", "is an SVG or XML document"), ("<!doctype svg", "is an SVG or XML document"), ("<!doctype", "is an HTML page"),
    ("<html", "is an HTML page"), ("<head", "is an HTML page"), ("version https://git-lfs", "is a pointer of Git LFS, not the file itself"),
    ("{\"", "is JSON"), ("data:", "is a data: URL as text"),
]

private let signatures: [(signature: [UInt8], offset: Int, what: String, remedy: String?)] = [
    (Array("II+\0".utf8), 0, "is a BigTIFF picture", rawRemedy), (Array("MM\0+".utf8), 0, "is a BigTIFF picture", rawRemedy),
    ([0, 0, 0, 12] + Array("jP  ".utf8), 0, "is a JPEG 2000 picture", rawRemedy),
    ([0xFF, 0x4F, 0xFF, 0x51], 0, "is a JPEG 2000 picture", rawRemedy),
    (Array("8BPS".utf8), 0, "is a Photoshop document", rawRemedy), (Array("%PDF".utf8), 0, "is a PDF document", nil),
    (Array("%!PS".utf8), 0, "is a PostScript document", nil), ([0x76, 0x2F, 0x31, 0x01], 0, "is an OpenEXR picture", rawRemedy),
    (Array("#?RA".utf8), 0, "is a Radiance HDR picture", rawRemedy), (Array("qoif".utf8), 0, "is a QOI picture", rawRemedy),
    (Array("DDS ".utf8), 0, "is a DDS texture", rawRemedy), ([0, 0, 1, 0], 0, "is an icon", rawRemedy),
    (Array("P5".utf8), 0, "is a PGM picture", rawRemedy), (Array("P6".utf8), 0, "is a PPM picture", rawRemedy),
    (Array("AVI ".utf8), 8, "is an AVI clip", clipRemedy), (Array("WAVE".utf8), 8, "is sound without a picture", nil),
    (Array("OggS".utf8), 0, "is an Ogg clip or sound", clipRemedy), (Array("FLV".utf8), 0, "is a Flash clip", clipRemedy),
    ([0x30, 0x26, 0xB2, 0x75], 0, "is a Windows Media clip or sound", clipRemedy),
    ([0, 0, 1, 0xBA], 0, "is an MPEG program stream", clipRemedy),
    ([0, 0, 1, 0xB3], 0, "is an MPEG video without a container", clipRemedy),
    ([0, 0, 0, 1], 0, "is H.264 or H.265 video without a container", clipRemedy),
    (Array("DKIF".utf8), 0, "is VP8, VP9 or AV1 video in an IVF file", clipRemedy),
    (Array("YUV4MPEG2".utf8), 0, "is raw video (Y4M)", clipRemedy),
    ([0x47, 0x40], 0, "is an MPEG transport stream", clipRemedy), (Array("ID3".utf8), 0, "is sound without a picture", nil),
    (Array("fLaC".utf8), 0, "is sound without a picture", nil), ([0xFF, 0xFB], 0, "is sound without a picture", nil),
    (Array("PK\u{3}\u{4}".utf8), 0, "is a ZIP archive or an office document", "unpack it first"),
    ([0x1F, 0x8B], 0, "is compressed with gzip", "unpack it first"),
    (Array("Rar!".utf8), 0, "is a RAR archive", "unpack it first"),
    (Array("7z".utf8) + [0xBC, 0xAF], 0, "is a 7-Zip archive", "unpack it first"),
    ([0x28, 0xB5, 0x2F, 0xFD], 0, "is compressed with zstd", "unpack it first"), (Array("GGUF".utf8), 0, "is a model file", nil),
    ([0x7F] + Array("ELF".utf8), 0, "is a program", nil), (Array("MZ".utf8), 0, "is a Windows program", nil),
    (Array("SQLite format 3".utf8), 0, "is a database", nil), ([0x01, 0xDA], 0, "is an SGI picture", rawRemedy),
    (Array("FUJIFILM".utf8), 0, "is a raw picture of a Fujifilm camera", rawRemedy),
    (Array("IIRO".utf8), 0, "is a raw picture of an Olympus camera", rawRemedy),
    (Array("moof".utf8), 4, "is a segment of a stream without its beginning", clipRemedy),
    (Array("styp".utf8), 4, "is a segment of a stream without its beginning", clipRemedy),
    (Array("BPG".utf8) + [0xFB], 0, "is a BPG picture", rawRemedy), (Array("gimp xcf".utf8), 0, "is a GIMP document", rawRemedy),
]
