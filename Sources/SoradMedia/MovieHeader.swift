// Reads what the decoder must know of a clip from its container: the codec of the first picture track, its size, and how it is turned.
// MP4 and QuickTime (ISO/IEC 14496-12, QuickTime File Format) here, Matroska and WebM in MatroskaHeader.swift. Only heads and one bounded
// index are read. Invariant: a codec that is not in the table reaches no decoder, and is called by its name.
import SoradAPI
import SoradSystem

/// The first track with a picture.
struct MovieHeader: Sendable, Equatable {
    var codec: VideoCodec
    /// Its number among the tracks with a picture.
    var track = 0
    /// Pixels of a stored frame, as the container says.
    var width: Int
    var height: Int
    var orientation = Orientation.upright
    /// What the codec's own record says; nil without one.
    var profile: VideoProfile?
    var hasAlpha = false
}

/// The codecs that are decoded, each by the named decoder of ffmpeg.
enum VideoCodec: String, Sendable, CaseIterable {
    case h264, hevc, av1, vp8, vp9, prores, mjpeg, png

    var decoder: String { self == .av1 ? "libdav1d" : rawValue }
}

/// Bounds on what a decoder holds, from a codec's own record.
struct VideoProfile: Sendable, Equatable {
    /// Bytes of a stored pixel, all planes.
    var bytesPerPixel: Double
    /// Frames that later ones may refer to.
    var references: Int
}

/// The bytes of a file that are read on demand: an offset and a number of bytes that lie within it.
struct MediaReader {
    var size: Int
    var read: (Int, Int) throws(SoradError) -> [UInt8]

    /// Fewer bytes at the end of the file.
    func bytes(_ offset: Int, _ count: Int) throws(SoradError) -> MediaBytes {
        MediaBytes(offset >= 0 && offset < size ? try read(offset, min(count, size - offset)) : [])
    }
}

extension MovieHeader {
    /// Bytes of an index.
    private static let indexLimit = 64 << 20

    /// - Parameter name: "MP4", for the sentences.
    init(movie file: MediaReader, name: String) throws(SoradError) {
        let index = try MovieHeader.index(of: file, name: name)
        let upright = index.box("mvhd").flatMap { MovieHeader.orientation($0, version: $0.big(0, 1), old: 36, new: 48) } ?? .upright
        var pictures: [MediaBytes] = []
        for (type, track) in index.boxes() where type == "trak" {
            let handler = track.box("mdia")?.box("hdlr")
            // `pict` is a sequence of pictures, as animated AVIF is; `auxv` is its opacity, without which hidden colors would show.
            if handler?.begins("vide", at: 8) == true || handler?.begins("pict", at: 8) == true { pictures.append(track) }
            if handler?.begins("auxv", at: 8) == true {
                throw SoradError(
                    .badInput, "the \(name) clip has a track of its opacity, which is not decoded here; save it as WebM or GIF")
            }
        }
        // What a player does not show by itself (flag 1 of the track) counts only where nothing else is there.
        let shown = pictures.firstIndex { ($0.box("tkhd")?.big(1, 3) ?? 1) & 1 == 1 } ?? 0
        guard shown < pictures.count else { throw SoradError(.badInput, "the \(name) file holds no picture, only sound or text") }
        let track = pictures[shown]
        guard let entries = track.box("mdia")?.box("minf")?.box("stbl")?.box("stsd"), let entry = entries.boxes(from: 8).first,
            let width = entry.content.big(24, 2), let height = entry.content.big(26, 2)
        else { throw SoradError(.badInput, "the \(name) clip is damaged: its index does not describe the picture") }
        guard let codec = MovieHeader.codecs[entry.type] else {
            throw undecodable(MovieHeader.names[entry.type] ?? "video of the unknown kind \"\(entry.type)\"", in: name)
        }
        self.init(codec: codec, track: shown, width: width, height: height)
        if let head = track.box("tkhd"),
            let turned = MovieHeader.orientation(head, version: head.big(0, 1), old: 40, new: 52)
        {
            orientation = turned.then(upright)
        }
        for (type, record) in entry.content.boxes(from: 78) where ["avcC", "hvcC", "av1C", "vpcC"].contains(type) {
            profile = VideoProfile(codec, record: type == "vpcC" ? record.from(4) ?? record : record, pixels: width * height)
        }
    }

    /// The content of `moov`, which may stand at the end, and behind which anything may follow.
    private static func index(of file: MediaReader, name: String) throws(SoradError) -> MediaBytes {
        var offset = 0
        var count = 0
        while offset < file.size, count < 10_000 {
            let head = try file.bytes(offset, 16)
            guard var size = head.big(0, 4), let type = head.fourCharacters(4) else { break }
            var header = 8
            if size == 1 {
                guard head.big(8, 1) == 0, let long = head.big(9, 7) else { break }
                (size, header) = (long, 16)
            } else if size == 0 {
                size = file.size - offset
            }
            guard size >= header else { break }
            if type == "moov" {
                guard size <= file.size - offset else { throw cutOff(file, name) }
                guard size <= indexLimit else {
                    throw SoradError(.badInput, "the \(name) clip has an index of \(size) bytes; cut it first")
                }
                return try file.bytes(offset + header, size - header)
            }
            guard size <= file.size - offset else { throw cutOff(file, name) }
            offset += size
            count += 1
        }
        throw SoradError(.badInput, "the \(name) clip is damaged: it has no index (moov); it was cut off, or its recording did not end")
    }

    private static func cutOff(_ file: MediaReader, _ name: String) -> SoradError {
        SoradError(.badInput, "the \(name) clip is cut off after \(file.size) bytes")
    }

    /// The matrix at one of two places, by the version of the box.
    private static func orientation(_ box: MediaBytes, version: Int?, old: Int, new: Int) -> Orientation? {
        let place = version == 1 ? new : old
        guard let a = box.signedBig(place), let b = box.signedBig(place + 4), let c = box.signedBig(place + 12),
            let d = box.signedBig(place + 16)
        else { return nil }
        return Orientation(a: a, b: b, c: c, d: d)
    }

    private static let codecs: [String: VideoCodec] = [
        "avc1": .h264, "avc2": .h264, "avc3": .h264, "avc4": .h264, "hvc1": .hevc, "hev1": .hevc, "av01": .av1, "vp08": .vp8,
        "vp09": .vp9, "apch": .prores, "apcn": .prores, "apcs": .prores, "apco": .prores, "ap4h": .prores, "ap4x": .prores,
        "jpeg": .mjpeg, "mjpa": .mjpeg, "png ": .png,
    ]
    private static let names: [String: String] = [
        "mp4v": "MPEG-4 part 2 video", "encv": "encrypted video", "drmi": "encrypted video", "dvh1": "Dolby Vision video",
        "dvhe": "Dolby Vision video", "dva1": "Dolby Vision video", "dvav": "Dolby Vision video", "s263": "H.263 video",
        "h263": "H.263 video", "vvc1": "H.266 video", "vvi1": "H.266 video", "SVQ1": "Sorenson video", "SVQ3": "Sorenson video",
        "rle ": "QuickTime Animation video", "CFHD": "CineForm video", "AVdn": "DNxHD video", "AVdh": "DNxHR video",
        "dvc ": "DV video", "dvcp": "DV video", "dvhp": "DV video", "mp2v": "MPEG-2 video", "hdv2": "HDV video", "cvid": "Cinepak video",
        "raw ": "uncompressed video", "2vuy": "uncompressed video", "v210": "uncompressed video", "mjpb": "Motion JPEG B video",
        "mjp2": "JPEG 2000 video", "aprn": "ProRes RAW video", "aprh": "ProRes RAW video", "icod": "Apple Intermediate video",
        "Hap1": "HAP video", "FFV1": "FFV1 video", "rpza": "Apple Video", "8BPS": "Planar RGB video", "tmcd": "a time code",
    ]
}

/// A picture in a codec that has no decoder here.
func undecodable(_ what: String, in name: String) -> SoradError {
    SoradError(
        .badInput,
        "the \(name) clip holds \(what), which is not decoded here; save it as H.264: ffmpeg -i FILE -pix_fmt yuv420p clip.mp4")
}

extension VideoProfile {
    /// The bounds of the records avcC (ISO/IEC 14496-15, 5.3.3), hvcC (8.3.3), av1C and vpcC; nil where they say nothing.
    init?(_ codec: VideoCodec, record: MediaBytes, pixels: Int) {
        switch codec {
        case .h264:
            guard let profile = record.big(1, 1), let level = record.big(3, 1) else { return nil }
            let blocks = max(1, (pixels + 255) / 256)
            let held = VideoProfile.h264Blocks.first { $0.level >= level }?.blocks ?? 696_320
            self.init(bytesPerPixel: [110: 3.0, 122: 4.0, 244: 6.0, 44: 6.0][profile] ?? 1.5, references: min(16, max(1, held / blocks)))
        case .hevc:
            guard let chroma = record.big(16, 1), let depth = record.big(17, 1), let level = record.big(12, 1) else { return nil }
            let most = VideoProfile.hevcSamples.first { $0.level >= level }?.samples ?? 35_651_584
            let references = pixels * 4 <= most ? 16 : pixels * 2 <= most ? 12 : pixels * 4 <= most * 3 ? 8 : 6
            self.init(bytesPerPixel: [1, 1.5, 2, 3][chroma & 3] * (depth & 7 > 0 ? 2 : 1), references: references)
        case .av1:
            guard let flags = record.big(2, 1) else { return nil }
            self.init(bytesPerPixel: (flags & 0x0C == 0x0C ? 1.5 : flags & 8 == 8 ? 2 : 3) * (flags & 0x40 == 0 ? 1 : 2), references: 8)
        case .vp9:
            guard let profile = record.big(0, 1) else { return nil }
            self.init(bytesPerPixel: [1.5, 3, 3, 6][min(profile, 3)], references: 8)
        case .vp8, .prores, .mjpeg, .png: return nil
        }
    }

    /// What a codec may hold at most, without its record.
    init(most codec: VideoCodec) {
        switch codec {
        case .h264, .hevc: self.init(bytesPerPixel: 3, references: 16)
        case .av1, .vp9: self.init(bytesPerPixel: 3, references: 8)
        case .vp8: self.init(bytesPerPixel: 1.5, references: 3)
        case .prores: self.init(bytesPerPixel: 8, references: 0)
        case .mjpeg: self.init(bytesPerPixel: 4, references: 0)
        case .png: self.init(bytesPerPixel: 8, references: 1)
        }
    }

    /// MaxDpbMbs by level number (ITU-T H.264, table A-1).
    private static let h264Blocks: [(level: Int, blocks: Int)] = [
        (10, 396), (11, 900), (13, 2376), (20, 2376), (21, 4752), (22, 8100), (30, 8100), (31, 18_000), (32, 20_480), (41, 32_768),
        (42, 34_816), (50, 110_400), (51, 184_320), (52, 184_320), (62, 696_320),
    ]
    /// MaxLumaPs by 30 times the level (ITU-T H.265, table A.8).
    private static let hevcSamples: [(level: Int, samples: Int)] = [
        (30, 36_864), (60, 122_880), (63, 245_760), (90, 552_960), (93, 983_040), (123, 2_228_224), (156, 8_912_896), (186, 35_651_584),
    ]
}
