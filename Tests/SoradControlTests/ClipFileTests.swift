// Clips in other forms, several at once, again, and of a file of one's own.
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let small = ["--size", "64x64", "--frames", "5", "--steps", "2"]

@Suite(.serialized) struct ClipFileTests {
    private func probe(_ path: String) throws -> String {
        let output = try captureOutput(
            of: .init(
                ChildProcess.executablePath(of: "ffprobe") ?? "ffprobe",
                ["-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,height,nb_read_frames", "-of", "csv=p=0", path]),
            timeout: .seconds(20), limit: 1 << 20)
        return String(decoding: output.standardOutput, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
    }

    @Test func aClipIsSavedAsAnAnimatedPicture() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        for (name, start, codec) in [
            ("b.gif", "GIF89a", "gif,64,64,5"), ("b.PNG", "\u{89}PNG", "apng,64,64,5"), ("b.webp", "RIFF", "webp"),
        ] {
            let made = try service.control(["generate", "a red ball", "--seed", "7", "-o", name] + small, directory: folder)
            #expect(made.status() == 0 && made.text == name + "\n", "\(made.errors)")
            let bytes = try Fixture.bytes(folder + "/" + name)
            #expect(Array(bytes.prefix(start.unicodeScalars.count)) == start.unicodeScalars.map { UInt8($0.value) }, "\(name)")
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.contains("<?xpacket begin") && text.contains("trainedAlgorithmicMedia"), "\(name) has no mark")
            if codec != "webp" { #expect(try probe(folder + "/" + name) == codec, "\(name)") }
            if name == "b.webp" { #expect(text.contains("ANMF") && bytes[20] & 6 == 6) }
        }
        // The same rules as for an MP4: devices stay, and what cannot be is known before the job.
        let count = { try json(try service.control(["jobs", "--json"]).finished().text)["data"]?.array?.count }
        let before = try count()
        let nowhere = try service.control(["generate", "x", "-o", "/nowhere/x.gif"] + small)
        #expect(nowhere.status() == 73)
        let bare = try Control(
            ["generate", "x", "-o", "x.gif"] + small, environment: ["SORAD_SOCKET": service.socket, "PATH": "/nowhere"])
        #expect(bare.status() == 69 && bare.errors.contains("made by ffmpeg, which is not installed"), "\(bare.errors)")
        #expect(try count() == before)
        let thumbnail = try service.control(["get", "latest", "--variant", "thumbnail", "-o", "t.png"], directory: folder)
        #expect(thumbnail.status() == 0)
        #expect(try Fixture.bytes(folder + "/t.png").starts(with: "RIFF".utf8), "only clips are converted")
    }

    @Test func severalClipsHaveSeedsThatCountUp() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let many = try service.control(
            ["generate", "a red ball", "-n", "6", "--seed", "40", "-o", "ball.mp4", "--json"] + small, directory: folder)
        #expect(many.status() == 0, "\(many.errors)")
        let clips = try many.lines.map(json).filter { $0["schema"] == "sorad.clip/1" }
        #expect(clips.compactMap { $0["file"]?.string } == (1...6).map { "ball-\($0).mp4" })
        #expect(clips.compactMap { $0["video"]?["seed"]?.integer } == Array(40...45))
        let output = try service.control(["generate", "x", "--count", "2", "-o", "-"] + small)
        #expect(output.status() == 64 && output.errors.contains("cannot all go to standard output"))
        #expect(try service.control(["generate", "x", "--count", "0"]).status() == 64)
        let ids = try service.control(["generate", "x", "--count", "3", "--no-wait"] + small)
        #expect(ids.status() == 0 && ids.lines.count == 3 && ids.lines.allSatisfy { $0.hasPrefix("video_") })
    }

    @Test func aBatchIsAFileOfPrompts() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let text = """
            # comments and empty lines are nothing

            a red ball
            {"prompt": "a blue cube", "seed": 9, "output": "cube.gif"}
            {"prompt": "too large", "size": "17x9999"}
            """
        try FileDescriptor(opening: folder + "/batch", flags: O_WRONLY | O_CREAT).write(Array(text.utf8))
        let batch = try service.control(["generate", "--batch", "batch", "-o", "clip.mp4"] + small, directory: folder)
        #expect(batch.status() == 1, "\(batch.errors)")
        #expect(
            batch.lines == ["clip-1.mp4", "cube.gif"] && batch.errors.contains("1 of 3 clips were not made"),
            "\(batch.text) \(batch.errors)")
        #expect(try Fixture.bytes(folder + "/cube.gif").starts(with: "GIF".utf8))
        for (words, input, sentence) in [
            (["--batch", "-"], "{nonsense", "line 1 of the batch begins like JSON"), (["--batch", "-"], "\n#\n", "has no prompts"),
            (["--batch", "missing"], "", "cannot read missing"), (["x", "--batch", "-"], "", "exclude each other"),
            (["--batch", "-"], "{\"seed\": 1}", "line 1 of the batch has no prompt"), ([], "", "generate needs PROMPT, or --batch FILE"),
        ] {
            let wrong = try service.control(["generate"] + words, input: input)
            #expect([64, 65, 66].contains(wrong.status()) && wrong.errors.contains(sentence), "\(words): \(wrong.errors)")
        }
    }

    @Test func aRequestIsMadeAgain() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let first = try service.control(
            ["generate", "a red ball", "--negative", "rain", "--guidance", "2", "--json", "-o", "1.mp4"] + small, directory: folder)
        #expect(first.status() == 0)
        let again = try service.control(["retry", "latest", "--json", "-o", "2.mp4"], directory: folder)
        #expect(again.status() == 0, "\(again.errors)")
        let hashes = try [first, again].map { try json($0.lines.last ?? "")["video"]?["sha256"]?.string }
        #expect(hashes[0] != nil && hashes[0] == hashes[1])
        let other = try service.control(["retry", "--seed", "-1", "--json", "-o", "3.mp4"], directory: folder)
        #expect(other.status() == 0)
        #expect(try json(other.lines.last ?? "")["video"]?["sha256"]?.string != hashes[0])
        let get = try service.control(["get", "latest", "--variant", "thumbnail", "-o", "t.webp"], directory: folder)
        #expect(get.status() == 0)
        let pictured = try service.control(["generate", "a ball", "--image", "t.webp", "-o", "4.mp4"] + small, directory: folder)
        #expect(pictured.status() == 0, "\(pictured.errors)")
        let refused = try service.control(["retry", "latest"], directory: folder)
        #expect(refused.status() == 65 && refused.errors.contains("the daemon does not keep how"), "\(refused.errors)")
    }

    @Test func aFileOfOnesOwnIsEditedAndChecked() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        let made = try service.control(["generate", "a red ball", "-o", "1.mp4"] + small, directory: folder)
        #expect(made.status() == 0)
        let check = try service.control(["check", "1.mp4"], directory: folder)
        #expect(
            check.status() == 0 && check.text.contains("made by this sorad") && check.text.contains("tiny"), "\(check.text)\(check.errors)")
        let edit = try service.control(["edit", "1.mp4", "a green ball", "--strength", "0.5", "-o", "2.mp4"], directory: folder)
        #expect(edit.status() == 0, "\(edit.errors)")
        let again = try service.control(["edit", "latest", "a blue ball", "-o", "3.mp4"], directory: folder)
        #expect(again.status() == 0, "\(again.errors)")
        let missing = try service.control(["check", "missing.mp4"], directory: folder)
        #expect(missing.status() == 66 && missing.errors.contains("cannot read missing.mp4"))
    }
}

extension Control {
    /// Itself, when it has ended.
    func finished() -> Control {
        _ = status()
        return self
    }
}
