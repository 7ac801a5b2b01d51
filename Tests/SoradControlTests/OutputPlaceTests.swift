// Where -o leads: only plain files are replaced, the place is opened before the job is made, and a clip that cannot be saved is not lost.
import FoundationEssentials
import Glibc
import SoradAPI
import SoradSystem
import Testing

private let small = ["--size", "64x64", "--frames", "5", "--steps", "2", "--seed", "7"]

private func isMP4(_ bytes: [UInt8]) -> Bool { bytes.count > 1000 && Array(bytes[4..<8]) == Array("ftyp".utf8) }

@Suite(.serialized) struct OutputPlaceTests {
    private func jobs(_ service: Service) throws -> Int {
        let jobs = try service.control(["jobs", "--json"])
        #expect(jobs.status() == 0)
        return try json(jobs.text)["data"]?.array?.count ?? -1
    }

    @Test func aPlaceThatCannotBeWrittenCostsNoClip() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        for (place, words) in [
            ("/nowhere/clip.mp4", "directory does not exist"), (folder, "names a directory"), (folder + "/", "names a directory"),
            (service.socket, "a socket"), ("/proc/version", "cannot"), ("/proc/sys/clip.mp4", "cannot create"),
        ] {
            let control = try service.control(["generate", "x", "-o", place] + small)
            #expect([64, 73].contains(control.status()) && control.errors.contains(words), "\(place): \(control.errors)")
        }
        let both = try service.control(["generate", "x", "-o", "clip.mp4", "--no-wait"] + small)
        #expect(both.status() == 64 && both.errors.contains("--output has no effect"))
        #expect(try jobs(service) == 0)
    }

    @Test func devicesPipesAndLinksAreWrittenThrough() throws {
        let service = try Service()
        let folder = Fixture.scratch()
        // A link stays a link, and a file keeps its rights.
        let file = folder + "/clip.mp4"
        try FileDescriptor(opening: file, flags: O_WRONLY | O_CREAT, mode: 0o600).write(Array("old".utf8))
        unsafe symlink("clip.mp4", folder + "/link")
        let linked = try service.control(["generate", "x", "-o", folder + "/link"] + small)
        #expect(linked.status() == 0, "\(linked.errors)")
        #expect(FilePlace(folder + "/link", followingLinks: false)?.kind == .link)
        #expect(FilePlace(file, followingLinks: false)?.mode == 0o600)
        let clip = try Fixture.bytes(file)
        #expect(isMP4(clip))
        let id = try #require(linked.errors.split(separator: " ").map(String.init).first { $0.hasPrefix("video_") }).prefix { $0 != "\n" }

        // A pipe gets the bytes and stays.
        unsafe mkfifo(folder + "/pipe", 0o600)
        let piped = try service.control(["get", String(id), "-o", folder + "/pipe"])
        #expect(try Fixture.bytes(folder + "/pipe") == clip)
        #expect(piped.status() == 0 && FilePlace(folder + "/pipe", followingLinks: false)?.kind == .pipe)

        // Other names of standard output are standard output: nothing else is written there.
        for name in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
            let control = try service.control(["get", String(id), "-o", name])
            #expect(control.status() == 0 && control.output == clip, "\(name): \(control.errors)")
            #expect(try service.control(["get", String(id), "-o", name, "--json"]).status() == 64)
        }
        let nothing = try service.control(["get", String(id), "-o", "/dev/null"])
        #expect(nothing.status() == 0 && FilePlace("/dev/null", followingLinks: false)?.kind == .device)

        // A place that fails later: the clip is there, and the way to it is said.
        let full = try service.control(["generate", "x", "-o", "/dev/full"] + small)
        #expect(full.status() == 74, "\(full.errors)")
        #expect(full.errors.contains("the clip is kept\nhint: sorad-ctl get video_"), "\(full.errors)")
        let sheet = try service.control(["get", String(id), "--variant", "thumbnail", "-o", "/dev/full"])
        #expect(sheet.status() == 74 && sheet.errors.contains("get \(id) --variant thumbnail -o FILE"), "\(sheet.errors)")
    }

    @Test func theIDIsPrintedAsSoonAsThereIsOne() throws {
        let service = try Service()
        let long = ["generate", "a long one", "-o", "long.mp4", "--steps", "1000", "--size", "128x64", "--frames", "61"]
        for options in [[], ["-q"], ["-q", "--json"]] {
            let generate = try service.control(long + options)
            while generate.errors.isEmpty, generate.process.wait(timeout: .milliseconds(20)) == nil {}
            #expect(generate.errors.hasPrefix("sorad-ctl: the job is video_"), "\(options): \(generate.errors)")
            #expect(generate.text.isEmpty)
            generate.process.kill(SIGINT)
            #expect(generate.status() == 130 && generate.text.isEmpty)
            if options == [] { #expect(!generate.errors.contains("failed")) }
        }
    }

    @Test func aLostDaemonIsNotTheEndOfTheJob() throws {
        let service = try Service(workerOptions: "--checkpoint-interval 0")
        let generate = try service.control(
            ["generate", "a long one", "-o", "long.mp4", "--steps", "1000", "--size", "128x64", "--frames", "61"])
        while !generate.errors.contains("denoising"), generate.process.wait(timeout: .milliseconds(20)) == nil {}
        service.process.kill(SIGKILL)
        #expect(generate.status() == 69, "\(generate.errors)")
        #expect(generate.errors.contains("; the job continues\nhint: sorad-ctl watch video_"), "\(generate.errors)")
        try service.killAndRestart()
        let id = try #require(generate.errors.split(separator: " ").first { $0.hasPrefix("video_") }).prefix { $0 != "\n" }
        let watch = try service.control(["watch", String(id)])
        while !watch.errors.contains("denoising"), watch.process.wait(timeout: .milliseconds(20)) == nil {}
        // Stopped here, it says so in its own words.
        #expect(try service.control(["cancel", String(id)]).status() == 0)
        #expect(watch.status() == 2 && watch.errors.contains("% cancelled\n") && !watch.errors.contains("failed"), "\(watch.errors)")
    }

    /// A prompt and a model's name that would paint in the terminal of whoever looks at the jobs.
    @Test func foreignTextDoesNotCommandTheTerminal() throws {
        let service = try Service()
        let prompt = "\u{1B}[2Jred\u{9B}31m \u{202E}ball\nvideo_forged completed"
        let made = try service.control(["generate", prompt, "--no-wait", "--negative", "\u{1B}]0;x\u{7}"] + small)
        #expect(made.status() == 0, "\(made.errors)")
        let id = try #require(made.lines.first)
        for arguments in [
            ["jobs"], ["jobs", "--json"], ["show", id], ["show", id, "--json"], ["watch", id], ["watch", id, "--json"],
            ["show", "video_\u{1B}[2J"], ["generate", "x", "--model", "\u{1B}[31m\u{202E}", "-o", "x.mp4"], ["status", "--json"],
            ["get", id, "--variant", "\u{1B}[31m"], ["\u{1B}[31m"], ["generate", "x", "--\u{1B}[31m"],
            ["show", id, "--socket", "/nowhere/\u{1B}[31m"],
        ] {
            let control = try service.control(arguments)
            _ = control.status()
            for text in [control.text, control.errors] {
                #expect(!text.unicodeScalars.contains { $0.commandsTerminal && $0 != "\n" }, "\(arguments): \(text)")
            }
            if arguments == ["jobs"] { #expect(control.lines.count == 2) }
            if arguments == ["show", id, "--json"] { #expect(try json(control.text)["prompt"]?.string == prompt) }
        }
    }
}
