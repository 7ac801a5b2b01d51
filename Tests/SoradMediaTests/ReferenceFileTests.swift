// Pictures and clips from outside: what is taken, what is refused and with which words, and what comes out of a decoder.
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

@Suite struct ReferenceFileTests {
    private let folder: ScratchDirectory

    init() throws { folder = try ScratchDirectory() }

    /// Has ffmpeg make a file of `frames` 96×64 frames: the left half red, the right half blue.
    private func make(_ name: String, frames: Int = 1, _ options: [String] = []) throws -> String {
        let path = folder.path + "/" + name
        let source = "color=red:size=96x64:rate=8,drawbox=x=48:y=0:w=48:h=64:color=blue:t=fill"
        _ = try output(
            of: "ffmpeg", ["-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", "\(frames)", "-y"] + options + [path])
        return path
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try writeDurably(bytes, named: name, in: folder.path)
        return folder.path + "/" + name
    }

    private func sentence(_ path: String) -> String {
        do throws(SoradError) {
            return "accepted: \(try inspectMedia(at: path))"
        } catch {
            #expect(error.kind == .badInput)
            #expect(!error.message.contains(folder.path), "a path of ours: \(error.message)")
            return error.message
        }
    }

    @Test(arguments: [("a.png", MediaFacts.Format.png), ("a.jpg", .jpeg), ("a.webp", .webp)])
    func picturesAreKnownByTheirBytes(name: String, format: MediaFacts.Format) throws {
        let made = try make(name)
        let disguised = try write("picture.txt", try folder.bytes(of: name))
        for path in [made, disguised] {
            let facts = try inspectMedia(at: path)
            #expect(facts.format == format && facts.width == 96 && facts.height == 64 && facts.isPicture && facts.numFrames == 1)
        }
    }

    @Test func aClipSaysItsFramesAndSpeed() throws {
        let path = try make("a.mp4", frames: 9, ["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        let facts = try inspectMedia(at: path)
        #expect(facts.format == .mp4 && facts.width == 96 && facts.height == 64 && facts.numFrames == 9 && facts.fps == 8)
        #expect(facts.microseconds == 1_125_000)
    }

    @Test func whatIsNoPictureIsNamed() throws {
        #expect(sentence(try write("a", Array("just words".utf8))).contains("is text"))
        #expect(sentence(try write("b", Array("<svg xmlns='http://www.w3.org/2000/svg'/>".utf8))).contains("SVG"))
        #expect(sentence(try write("c", Array("<?xml version='1.0'?><svg/>".utf8))).contains("SVG"))
        #expect(sentence(try write("d", Array("#EXTM3U\nfile:///etc/passwd\n".utf8))).contains("playlist"))
        #expect(sentence(try write("e", Array("GIF89a".utf8) + [0, 1, 2])).contains("GIF picture is cut off"))
        #expect(sentence(try write("f", [0, 1, 2, 3])).contains("unknown kind"))
        #expect(sentence(try write("g", [])).contains("empty"))
        for (head, words) in [
            (Array("\0\0\0\u{1C}ftypheic".utf8), "HEIC picture; the ffmpeg here cannot decode it; save it as JPEG"),
            (Array("\0\0\0\u{1C}ftypcrx ".utf8), "Canon"), (Array("\0\0\0\u{1C}ftypM4A ".utf8), "sound"),
            (Array("RIFF\0\0\0\0AVI LIST".utf8), "AVI clip; save it as MP4"), (Array("8BPS\0\u{1}".utf8), "Photoshop"),
            (Array("%PDF-1.7".utf8), "PDF"), (Array("PK\u{3}\u{4}".utf8), "ZIP"), (Array("<!DOCTYPE html><html>".utf8), "HTML page"),
            (Array("version https://git-lfs.github.com/spec/v1\noid sha256:00".utf8), "Git LFS"),
            (Array("ffconcat version 1.0".utf8), "playlist"),
            ([0x47, 0x40, 0x11, 0x10], "transport stream"), ([UInt8](repeating: 0, count: 300), "zeros"), (Array("OggS".utf8), "Ogg"),
            (Array("data:image/png;base64,AA".utf8), "data: URL"), (Array("GGUF".utf8), "model file"),
            ([0x30, 0x26, 0xB2, 0x75], "Windows Media"),
        ] { #expect(sentence(try write("h", head)).contains(words), "\(words)") }
    }

    @Test(arguments: ["a.png", "a.jpg", "a.webp"]) func aPictureCutOffAnywhereIsRefused(name: String) throws {
        _ = try make(name)
        let whole = try folder.bytes(of: name)
        // Every place of the header, then some of the rest; the last byte of a WebP may be padding.
        let places = Array(16..<min(64, whole.count)) + stride(from: 64, to: whole.count - 1, by: max(1, whole.count / 7))
        for count in places {
            #expect(throws: SoradError.self, "\(count) of \(whole.count) bytes") {
                try PictureHeader(Array(whole.prefix(count)), format: mediaFormat(of: Array(whole.prefix(64))))
            }
        }
        #expect(sentence(try write("half", Array(whole.prefix(whole.count / 2)))).contains("cut off"))
    }

    @Test func aHeaderWithHugeSizesIsRefusedBeforeDecoding() throws {
        _ = try make("a.png")
        var png = try folder.bytes(of: "a.png")
        for (at, value) in zip(16..<24, [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF] as [UInt8]) { png[at] = value }
        #expect(sentence(try write("huge", png)).contains("2147483647×2147483647"))
        for at in 16..<24 { png[at] = 0 }
        #expect(sentence(try write("none", png)).contains("0×0"))
    }

    @Test func aDamagedPictureIsRefused() throws {
        _ = try make("a.png")
        var png = try folder.bytes(of: "a.png")
        png[png.count / 2] ^= 16
        #expect(sentence(try write("flipped", png)).contains("damaged"))
    }

    @Test func aClipThatIsNoneIsRefused() throws {
        let path = try make("a.mp4", frames: 9, ["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        let whole = try folder.bytes(of: "a.mp4")
        #expect(sentence(try write("half.mp4", Array(whole.prefix(whole.count / 2)))).contains("cut off"))
        #expect(sentence(try write("noise.mp4", [0, 0, 0, 24] + Array("ftypisom".utf8) + [1, 2, 3])).contains("cut off"))
        #expect(sentence(try write("none.mp4", [0, 0, 0, 12] + Array("ftypisom".utf8))).contains("no index"))
        // Another codec in the same container never reaches its decoder.
        #expect(
            sentence(try make("mpeg4.mp4", frames: 3, ["-c:v", "mpeg4"])).contains(
                "MPEG-4 part 2 video, which is not decoded here; save it as H.264"))
        #expect(try inspectMedia(at: path).numFrames == 9)
    }

    @Test func framesAreScaledToCoverAndCroppedToTheMiddle() throws {
        let path = try make("a.png")
        let reader = try FrameReader(path, width: 32, height: 32, count: 1, fps: 8)
        let frame = try #require(try reader.next())
        #expect(try reader.next() == nil)
        #expect(frame.count == 32 * 32 * 3)
        func pixel(_ x: Int, _ y: Int) -> [UInt8] { Array(frame[(y * 32 + x) * 3..<(y * 32 + x) * 3 + 3]) }
        // 96×64 covers 32×32 at 48×32; the border between the halves stays in the middle.
        for y in [0, 15, 31] {
            #expect(pixel(0, y)[0] > 240 && pixel(12, y)[0] > 240 && pixel(0, y)[2] < 15)
            #expect(pixel(31, y)[2] > 240 && pixel(20, y)[2] > 240 && pixel(31, y)[0] < 15)
        }
    }

    /// Cropped before scaling: a picture of any shape takes the memory of its own pixels, which is limited, and no more.
    @Test(arguments: [(16_384, 1), (1, 16_384), (1, 1), (3, 16_000), (9_000, 2)]) func extremeShapesAreReadAsTheyWereInspected(
        width: Int, height: Int
    ) throws {
        let path = folder.path + "/shape.png"
        let color = "color=c=0xC82828:s=\(width)x\(height),format=rgb24"
        _ = try output(of: "ffmpeg", ["-loglevel", "error", "-f", "lavfi", "-i", color, "-frames:v", "1", path])
        let facts = try inspectMedia(at: path)
        #expect(facts.width == width && facts.height == height && facts.heldPixels < 3_000_000)
        for (shownWidth, shownHeight) in [(128, 128), (64, 256), (1280, 704)] {
            let reader = try FrameReader(path, width: shownWidth, height: shownHeight, count: 1, fps: 8)
            let frame = try #require(try reader.next())
            #expect(frame.count == shownWidth * shownHeight * 3 && zip(frame, [200, 40, 40]).allSatisfy { abs(Int($0) - $1) <= 2 })
        }
    }

    /// Old QuickTime files have no `ftyp`: they begin with other boxes; and programs add boxes and bytes of their own at the end.
    @Test func containersOfOtherMakings() throws {
        _ = try make("a.mp4", frames: 9, ["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        let whole = try folder.bytes(of: "a.mp4")
        for (start, end) in [("free", ""), ("wide", ""), ("skip", "junk"), ("ftyp", "\0\0\0\u{10}sefdabcdefgh"), ("ftyp", "\0\0\0\u{1}")] {
            let changed = whole[..<4] + Array(start.utf8) + whole[8...] + Array(end.utf8)
            #expect(try inspectMedia(at: write("changed.mov", Array(changed))).numFrames == 9, "\(start) … \(end)")
        }
    }

    @Test(
        arguments: [
            ("m.mkv", ["-c:v", "mpeg4"], "Matroska clip holds MPEG-4 part 2 video"),
            ("t.mkv", ["-c:v", "libtheora"], "Matroska clip holds Theora video"),
            ("r.mov", ["-c:v", "qtrle"], "QuickTime clip holds QuickTime Animation video"),
            ("d.mov", ["-c:v", "mpeg2video"], "which is not decoded here"),
            ("a.avi", [], "is an AVI clip"), ("a.ts", ["-c:v", "mpeg2video"], "is an MPEG transport stream"),
            ("a.ogv", ["-c:v", "libtheora"], "is an Ogg clip"),
            ("a.flv", [], "is a Flash clip"), ("a.wmv", [], "is a Windows Media clip"), ("a.ppm", [], "is a PPM picture"),
            ("a.y4m", ["-pix_fmt", "yuv420p"], "raw video"), ("a.png", ["-f", "apng"], "PNG picture is animated"),
        ] as [(String, [String], String)])
    func otherKindsAreCalledByTheirNames(name: String, options: [String], words: String) throws {
        #expect(sentence(try make(name, frames: name.hasSuffix("ppm") ? 1 : 3, options)).contains(words))
    }

    @Test func aReaderGivesEveryFrameAndStopsWhenAsked() throws {
        let path = try make("a.mp4", frames: 9, ["-c:v", "libx264", "-pix_fmt", "yuv420p"])
        // Rounding may leave one frame less than was counted, so the last one may come twice more, and never longer.
        for (limit, expected) in [(20, 11), (9, 9), (4, 4)] {
            let reader = try FrameReader(path, width: 16, height: 16, count: limit, fps: 8)
            var count = 0
            while try reader.next() != nil { count += 1 }
            #expect(count == expected)
        }
        let stopped = try FrameReader(path, width: 16, height: 16, count: 9, fps: 8, shouldStop: { true })
        let error = #expect(throws: SoradError.self) { try stopped.next() }
        #expect(error?.kind == .cancelled)
    }
}
