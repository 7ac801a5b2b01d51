// What clips say about their own origin, read back.
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

@Suite struct ProvenanceReadingTests {
    private let folder: ScratchDirectory
    private let clip: String

    init() throws {
        folder = try ScratchDirectory()
        let format = try ClipFormat(width: 64, height: 48, numFrames: 5, fps: 8)
        let provenance = Provenance(program: "sorad 0.1.0", model: "mini <&> \"x\"")
        let encoder = try ClipEncoder(format, into: folder.path, provenance: provenance)
        try encoder.append(movingSquare(format))
        clip = folder.path + "/" + (try encoder.finish().video)
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try writeDurably(bytes, named: name, in: folder.path)
        return folder.path + "/" + name
    }

    private func sentence(_ path: String) throws -> String {
        let error = #expect(throws: SoradError.self) { try provenanceMark(at: path) }
        #expect(error?.kind == .badInput)
        return error?.message ?? ""
    }

    @Test func ourOwnMarkIsReadBackFromBothPlaces() throws {
        let mark = try provenanceMark(at: clip)
        #expect(mark == ProvenanceMark(state: .marked, program: "sorad 0.1.0", model: "mini <&> \"x\"", evidence: ["xmp", "comment"]))
        #expect(mark.isOfSorad)
        #expect(try ProvenanceMark(json: mark.json) == mark)
    }

    @Test func aCopiedStreamKeepsTheCommentAndAnEncodedOneLosesAll() throws {
        _ = try output(of: "ffmpeg", ["-loglevel", "error", "-i", clip, "-c", "copy", folder.path + "/copy.mp4"])
        #expect(try provenanceMark(at: folder.path + "/copy.mp4").evidence == ["comment"])
        let clean = folder.path + "/clean.mp4"
        _ = try output(of: "ffmpeg", ["-loglevel", "error", "-i", clip, "-map_metadata", "-1", clean])
        #expect(try provenanceMark(at: clean) == ProvenanceMark(state: .unmarked))
    }

    @Test func otherProgramsMarksAreRead() throws {
        _ = try output(of: "ffmpeg", ["-loglevel", "error", "-i", clip, "-map_metadata", "-1", folder.path + "/plain.mp4"])
        let plain = try folder.bytes(of: "plain.mp4")
        func marked(_ xmp: String) throws -> ProvenanceMark {
            try provenanceMark(at: try write("other.mp4", plain + MP4Box.xmp(Array(xmp.utf8))))
        }
        let source = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
        let element = "<rdf:RDF><a:DigitalSourceType>\(source)</a:DigitalSourceType><x:CreatorTool>Other 2</x:CreatorTool></rdf:RDF>"
        #expect(try marked(element) == ProvenanceMark(state: .marked, program: "Other 2", evidence: ["xmp"]))
        #expect(try marked("<rdf:RDF a:DigitalSourceType = '\(source)'/></rdf:RDF>") == ProvenanceMark(state: .marked, evidence: ["xmp"]))
        #expect(try marked("<rdf:RDF a:DigitalSourceType=\"…/digitalCapture\"></rdf:RDF>") == ProvenanceMark(state: .unmarked))
        #expect(try marked("<rdf:RDF> cut off") == ProvenanceMark(state: .unreadable, evidence: ["xmp"]))
        let manifest: [UInt8] =
            [0, 0, 0, 28] + Array("uuid".utf8)
            + [0xD8, 0xFE, 0xC3, 0xD6, 0x1B, 0x0E, 0x48, 0x3C, 0x92, 0x97, 0x58, 0x28, 0x87, 0x7E, 0xC4, 0x81, 0, 0, 0, 0]
        #expect(try provenanceMark(at: try write("c2pa.mp4", plain + manifest)) == ProvenanceMark(state: .marked, evidence: ["c2pa"]))
    }

    @Test func whatIsNoWholeClipIsNamed() throws {
        let bytes = try folder.bytes(of: "video.mp4")
        #expect(try sentence(try write("cut.mp4", Array(bytes.prefix(bytes.count / 2)))).contains("damaged"))
        #expect(try sentence(try write("head.mp4", Array(bytes.prefix(32)))).contains("damaged"))
        #expect(try sentence(try write("text.mp4", Array("hello, this is no video".utf8))).contains("text"))
        #expect(try sentence(try write("empty.mp4", [])).contains("empty"))
        #expect(try sentence(folder.path + "/thumbnail.webp").contains("picture"))
        // Boxes without end, one that reaches beyond the file, and one of the largest size.
        let start = Array(bytes.prefix(32))
        let small = [UInt8](repeating: 0, count: 3) + [8] + Array("free".utf8)
        #expect(try sentence(try write("many.mp4", start + (0..<10_001).flatMap { _ in small })).contains("boxes"))
        #expect(try sentence(try write("huge.mp4", start + [255, 255, 255, 255] + Array("mdat".utf8))).contains("damaged"))
        let wide = [0, 0, 0, 1] + Array("mdat".utf8) + [UInt8](repeating: 255, count: 8)
        #expect(try sentence(try write("wide.mp4", start + wide)).contains("damaged"))
    }
}
