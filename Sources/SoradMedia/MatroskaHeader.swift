// Reads the first picture track of a Matroska or WebM file (RFC 9559 on RFC 8794). Elements up to the tracks are walked by their heads.
import SoradSystem

extension MovieHeader {
    /// Bytes of the element that describes the tracks.
    private static let tracksLimit = 16 << 20

    init(matroska file: MediaReader) throws(SoradError) {
        let head = try file.bytes(0, 4096)
        guard let header = EBMLElement(head, at: 0), header.id == 0x1A45_DFA3, let content = header.content else {
            throw damaged("it has no header")
        }
        let type = content.children.first { $0.id == 0x4282 }?.content.map { String(decoding: $0.bytes.prefix { $0 != 0 }, as: UTF8.self) }
        let name = type == "webm" ? "WebM" : "Matroska"
        guard type == "webm" || type == "matroska" else {
            throw SoradError(
                .badInput, "the file is an EBML document of the kind \"\(printable(type ?? ""))\"; give an MP4, MOV or WebM clip")
        }
        let tracks = try MovieHeader.tracks(of: file, from: header.end, name: name)
        let pictures = tracks.children.filter { $0.id == 0xAE }.compactMap(\.content).filter { $0.number(0x83) == 1 }
        guard let track = pictures.first, let video = track.child(0xE0) else {
            throw SoradError(.badInput, "the \(name) file holds no picture, only sound or text")
        }
        let identifier = track.child(0x86).map { String(decoding: $0.bytes.prefix { $0 != 0 }, as: UTF8.self) } ?? ""
        guard let codec = MovieHeader.matroskaCodecs[identifier] else {
            throw undecodable(MovieHeader.matroskaNames[identifier] ?? "video of the unknown kind \"\(printable(identifier))\"", in: name)
        }
        guard track.child(0x6D80)?.children.contains(where: { $0.content?.child(0x5035) != nil }) != true else {
            throw undecodable("encrypted video", in: name)
        }
        self.init(codec: codec, width: video.number(0xB0) ?? 0, height: video.number(0xBA) ?? 0)
        hasAlpha = video.number(0x53C0) == 1 && [.vp8, .vp9].contains(codec)
        if let turn = video.child(0x7670)?.child(0x7675)?.float {
            // ProjectionPoseRoll: degrees anti-clockwise.
            let turns: [Orientation] = [.upright, .threeQuarterTurn, .halfTurn, .quarterTurn]
            if turn.isFinite, abs(turn) <= 360 { orientation = turns[(Int((turn / 90).rounded()) + 8) % 4] }
        }
        if codec != .vp9, let record = track.child(0x63A2) { profile = VideoProfile(codec, record: record, pixels: width * height) }
    }

    /// The content of `Tracks`, which stands before the first cluster in all but a few files.
    private static func tracks(of file: MediaReader, from start: Int, name: String) throws(SoradError) -> MediaBytes {
        guard let segment = EBMLElement(try file.bytes(start, 16), at: 0), segment.id == 0x1853_8067 else {
            throw damaged("it has no segment")
        }
        var offset = start + segment.headBytes
        for _ in 0..<10_000 where offset < file.size {
            guard let element = EBMLElement(try file.bytes(offset, 16), at: 0) else { throw damaged("an element has no head") }
            let place = offset + element.headBytes
            if element.id == 0x1654_AE6B {
                guard let size = element.size, size <= file.size - place else {
                    throw SoradError(.badInput, "the \(name) clip is cut off after \(file.size) bytes")
                }
                guard size <= tracksLimit else { throw damaged("it describes its tracks in \(size) bytes") }
                return try file.bytes(place, size)
            }
            // A cluster of unknown length comes from a live recording, and holds all that follows.
            guard let size = element.size else { break }
            guard size <= file.size - place else { throw SoradError(.badInput, "the \(name) clip is cut off after \(file.size) bytes") }
            offset = place + size
        }
        throw damaged("it does not describe its tracks")

        func damaged(_ what: String) -> SoradError { SoradError(.badInput, "the \(name) clip is damaged: \(what)") }
    }

    private static let matroskaCodecs: [String: VideoCodec] = [
        "V_MPEG4/ISO/AVC": .h264, "V_MPEGH/ISO/HEVC": .hevc, "V_AV1": .av1, "V_VP8": .vp8, "V_VP9": .vp9, "V_MJPEG": .mjpeg,
        "V_PRORES": .prores,
    ]
    private static let matroskaNames: [String: String] = [
        "V_MPEG4/ISO/ASP": "MPEG-4 part 2 video", "V_MPEG4/ISO/SP": "MPEG-4 part 2 video", "V_MPEG4/MS/V3": "MS MPEG-4 video",
        "V_MPEG1": "MPEG-1 video", "V_MPEG2": "MPEG-2 video", "V_THEORA": "Theora video", "V_FFV1": "FFV1 video",
        "V_UNCOMPRESSED": "uncompressed video", "V_QUICKTIME": "QuickTime video", "V_MS/VFW/FOURCC": "video of a Windows codec",
        "V_MPEGI/ISO/VVC": "H.266 video",
    ]
}

private func damaged(_ what: String) -> SoradError { SoradError(.badInput, "the Matroska clip is damaged: \(what)") }

/// At most 32 characters of ASCII.
private func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(32).map { (0x20..<0x7F).contains($0.value) ? $0 : "?" }))
}

/// One element: its number with the marker bit, its length, its content as far as it is in memory.
private struct EBMLElement {
    let id: Int
    /// nil for "unknown".
    let size: Int?
    /// Bytes of number and length.
    let headBytes: Int
    /// nil when it does not lie in memory whole.
    let content: MediaBytes?
    /// Behind the element.
    var end: Int { start + headBytes + (size ?? 0) }
    private let start: Int

    init?(_ bytes: MediaBytes, at offset: Int) {
        guard let first = bytes.big(offset, 1), first >= 0x10 else { return nil }
        let idBytes = UInt8(truncatingIfNeeded: first).leadingZeroBitCount + 1
        guard let id = bytes.big(offset, idBytes), let mark = bytes.big(offset + idBytes, 1), mark > 0 else { return nil }
        let sizeBytes = UInt8(truncatingIfNeeded: mark).leadingZeroBitCount + 1
        guard let rest = sizeBytes == 1 ? 0 : bytes.big(offset + idBytes + 1, sizeBytes - 1) else { return nil }
        let highest = mark & (0xFF >> sizeBytes)
        let isUnknown = highest == 0xFF >> sizeBytes && rest == 1 << (8 * (sizeBytes - 1)) - 1
        self.id = id
        start = offset
        headBytes = idBytes + sizeBytes
        size = isUnknown ? nil : highest << (8 * (sizeBytes - 1)) | rest
        content = size.flatMap { bytes.part(offset + idBytes + sizeBytes, $0) }
    }
}

extension MediaBytes {
    fileprivate var children: [EBMLElement] {
        var result: [EBMLElement] = []
        var offset = 0
        while result.count < 10_000, let element = EBMLElement(self, at: offset), element.content != nil {
            result.append(element)
            offset = element.end
        }
        return result
    }

    fileprivate func child(_ id: Int) -> MediaBytes? { children.first { $0.id == id }?.content }

    fileprivate func number(_ id: Int) -> Int? { child(id).flatMap { $0.count <= 7 ? $0.big(0, $0.count) : nil } }

    fileprivate var float: Double? {
        switch count {
        case 4: big(0, 4).map { Double(Float(bitPattern: UInt32($0))) }
        case 8: Double(bitPattern: UInt64(big(0, 4)!) << 32 | UInt64(big(4, 4)!))
        default: nil
        }
    }
}
