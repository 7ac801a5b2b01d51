// What an ffmpeg that reads a given file may do: nothing but that. A program in its place tries the rest.
import Glibc
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

@Suite struct ConfinementTests {
    private let folder: ScratchDirectory
    private let secret: String

    init() throws {
        folder = try ScratchDirectory()
        let elsewhere = folder.path + "/elsewhere"
        for name in [elsewhere, folder.path + "/program"] { #expect(unsafe mkdir(name, 0o700) == 0) }
        try writeDurably(Array("secret".utf8), named: "other-file", in: elsewhere)
        secret = elsewhere + "/other-file"
        _ = try output(
            of: "ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "color=red:size=16x16", "-frames:v", "1", folder.path + "/elsewhere/a.png"])
    }

    /// A program that runs `test` and then says of itself what an ffmpeg would; the picture is accepted only if all of it succeeds.
    private func isTaken(_ test: String) throws -> Bool {
        let script = try folder.script(
            "program/ffmpeg-\(UInt32.random(in: 0...UInt32.max))",
            "set -e\n\(test)\necho '[Parsed_showinfo_2 @ 0x1] n: 0 fmt:rgb24 sar:0/1 s:16x16 i:P' >&2")
        do throws(SoradError) {
            return try inspectMedia(at: folder.path + "/elsewhere/a.png", program: script).width == 16
        } catch {
            #expect(error.kind == .badInput, "\(error)")
            return false
        }
    }

    @Test func theFileCanBeReadAndNoOther() throws {
        #expect(try isTaken("cat \(folder.path)/elsewhere/a.png > /dev/null"))
        for path in [secret, "/etc/passwd", "/proc/1/environ", "/proc/self/environ"] {
            #expect(try !isTaken("cat \(path) > /dev/null"), "\(path)")
            #expect(try isTaken("! cat \(path) > /dev/null 2>&1"), "\(path)")
        }
        #expect(try isTaken("! ls \(folder.path)/elsewhere > /dev/null 2>&1"))
    }

    @Test func nothingCanBeWritten() throws {
        #expect(try !isTaken("head -c 100 /dev/urandom > \(folder.path)/elsewhere/new"))
        #expect(try folder.bytes(of: "elsewhere/other-file") == Array("secret".utf8))
    }

    @Test func thereIsNoNetwork() throws {
        let connect = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9' 2>&1"
        // Not "connection refused": the socket itself is.
        #expect(try isTaken("\(connect) | grep -q 'Permission denied'"))
        #expect(try isTaken("bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>&1 | grep -q 'Permission denied'"))
    }

    @Test func memoryAndTimeAreLimited() throws {
        #expect(try isTaken("[ $(ulimit -d) -lt 200000 ] && [ $(ulimit -f) = 0 ] && [ $(ulimit -c) = 0 ] && [ $(ulimit -t) -le 120 ]"))
        // 400 MB of text in a variable.
        #expect(try !isTaken("x=$(head -c 400000000 /dev/zero | tr '\\0' x); [ ${#x} = 400000000 ]"))
    }

    /// The real ffmpeg, named parts alone: a container of another kind behind a good beginning, and references out of a container.
    @Test func otherPartsOfFFmpegAreNotReached() throws {
        let clip = folder.path + "/clip.mp4"
        _ = try output(
            of: "ffmpeg",
            [
                "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=8", "-frames:v", "8", "-c:v", "libx264", "-pix_fmt", "yuv420p",
                clip,
            ])
        let whole = try folder.bytes(of: "clip.mp4")
        #expect(try inspectMedia(at: clip).numFrames == 8)
        // The data reference leaves the file ("self-contained" unset) for another one.
        let place = try #require(whole.firstRange(of: Array("url ".utf8) + [0, 0, 0, 1]))
        var outside = whole
        outside[place.upperBound - 1] = 0
        try writeDurably(outside, named: "outside.mp4", in: folder.path)
        // No name lies there, so ffmpeg may read on in the file itself; it must open no other.
        _ = try? inspectMedia(at: folder.path + "/outside.mp4")
        // The codec of the index is not the one of the data.
        let table = try #require(whole.firstRange(of: Array("stsd".utf8)))
        let entry = try #require(whole.firstRange(of: Array("avc1".utf8), from: table.upperBound))
        for other in ["mp4v", "mjpb", "SVQ3", "tmcd", "text"] {
            var changed = whole
            changed.replaceSubrange(entry, with: other.utf8)
            try writeDurably(changed, named: "other.mp4", in: folder.path)
            let error = #expect(throws: SoradError.self) { try inspectMedia(at: folder.path + "/other.mp4") }
            #expect(error?.message.contains("which is not decoded here") == true, "\(other): \(error?.message ?? "")")
        }
        for list in ["#EXTM3U\n#EXTINF:1,\nfile://\(secret)\n", "ffconcat version 1.0\nfile '\(secret)'\n", "<?xml version='1.0'?><MPD/>"] {
            try writeDurably(Array(list.utf8), named: "list.mp4", in: folder.path)
            #expect(throws: SoradError.self) { try inspectMedia(at: folder.path + "/list.mp4") }
        }
    }
}

extension Array where Element == UInt8 {
    fileprivate func firstRange(of pattern: [UInt8], from start: Int = 0) -> Range<Int>? {
        guard count >= pattern.count else { return nil }
        return (start...count - pattern.count).first { self[$0...].starts(with: pattern) }.map { $0..<$0 + pattern.count }
    }
}
