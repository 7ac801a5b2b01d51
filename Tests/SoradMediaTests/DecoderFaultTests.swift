// What an ffmpeg that fails on a given file proves: nothing, or that the file is at fault (docs/FAULTS.md). The ffmpegs here are scripts.
import Glibc
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

@Suite struct DecoderFaultTests {
    private let folder: ScratchDirectory
    /// A whole picture, as far as its structure tells.
    private let picture: String

    init() throws {
        folder = try ScratchDirectory()
        picture = folder.path + "/a.png"
        _ = try output(
            of: "ffmpeg", ["-loglevel", "error", "-f", "lavfi", "-i", "color=red:size=8x8", "-frames:v", "1", "-y", picture])
    }

    /// An ffmpeg that does `first` when it is started for the first time, and then what the real one does.
    private func once(_ first: String) throws -> String {
        try folder.script("once", "if [ ! -e \(folder.path)/mark ]; then touch \(folder.path)/mark; \(first); fi; exec ffmpeg \"$@\"")
    }

    private static let passing: [String] = [
        "kill -KILL $$", "kill -TERM $$", "kill -HUP $$", "exit 255", "exit 127", "kill -STOP $$", "kill -SEGV $$", "exit 1",
        "echo 'pthread_create() failed: Resource temporarily unavailable' >&2; exit 1", "echo 'x: Too many open files' >&2; exit 1",
    ]

    @Test(arguments: passing.indices) func whatPassesCostsNothing(index: Int) throws {
        let facts = try inspectMedia(at: picture, program: once(Self.passing[index]))
        #expect(facts.format == .png && facts.width == 8 && facts.height == 8 && facts.isPicture)
    }

    @Test(arguments: ["kill -KILL $$", "kill -TERM $$", "echo 'x: Too many open files' >&2; exit 1"])
    func whatDoesNotPassIsTheMachinesFault(end: String) throws {
        let program = try folder.script("always", end)
        let error = #expect(throws: SoradError.self) { try inspectMedia(at: picture, program: program) }
        #expect(
            error?.kind == .unavailable && error?.message.hasPrefix("the ffmpeg that reads the file ") == true, "\(error?.message ?? "")")
    }

    @Test(arguments: ["exit 1", "exit 183", "kill -SEGV $$", "kill -ABRT $$"])
    func aRefusalOfTwoIsTheFilesFault(end: String) throws {
        let program = try folder.script("always", "mkdir \(folder.path)/try-$$; \(end)")
        let error = #expect(throws: SoradError.self) { try inspectMedia(at: picture, program: program) }
        #expect(error?.kind == .badInput && error?.message == "the PNG picture is damaged; it cannot be decoded")
        #expect(try folder.names().count { $0.hasPrefix("try-") } == 2)
    }

    @Test func anFFmpegThatIsAwayForAMomentIsFound() throws {
        let program = folder.path + "/later"
        let thread = try SystemThread(name: "later") { [folder] in
            usleep(300_000)
            _ = try? folder.script("later", "exec ffmpeg \"$@\"")
        }
        #expect(try inspectMedia(at: picture, program: program).width == 8)
        thread.join()
        let error = #expect(throws: SoradError.self) { try inspectMedia(at: picture, program: "/nowhere/ffmpeg") }
        #expect(error?.kind == .unavailable && error?.hint == "sudo apt install ffmpeg")
    }

    /// A file that was accepted is known to be good.
    @Test(arguments: ["kill -KILL $$", "exit 1", "exit 0", "head -c 10 /dev/zero; exit 0"])
    func anAcceptedFileIsNeverAtFault(end: String) throws {
        let program = try folder.script("always", end)
        let error = #expect(throws: SoradError.self) {
            try FrameReader(picture, width: 8, height: 8, count: 1, fps: 8, program: program).next()
        }
        #expect(error.map { $0.kind == .unavailable || JobError($0).code == JobError.mediaFailed } == true, "\(error?.message ?? "")")
    }

    @Test func anAcceptedFileThatIsGoneOrSpoiltIsNotAtFaultEither() throws {
        for path in [folder.path + "/none.png", try spoilt()] {
            let error = #expect(throws: SoradError.self) { try FrameReader(path, width: 8, height: 8, count: 1, fps: 8) }
            #expect(error.map { JobError($0).code } == JobError.mediaFailed)
        }
        let error = #expect(throws: SoradError.self) {
            try FrameReader(picture, width: 8, height: 8, count: 1, fps: 8, program: "/nowhere/ffmpeg")
        }
        #expect(error.map { JobError($0).code } == JobError.configuration)
    }

    private func spoilt() throws -> String {
        try writeDurably(Array("no picture".utf8), named: "spoilt.png", in: folder.path)
        return folder.path + "/spoilt.png"
    }
}
