// The folder of a job in the pool: what is copied in, what is given back, and the number of the attempt.
import Glibc
import SoradAPI
import SoradFleet
import SoradSystem
import Testing

@Suite struct JobFolderTests {
    private let root: String
    private var spool: String { "\(root)/spool" }
    private let folder: JobFolder
    private static let digest = String(repeating: "0123456789abcdef", count: 4)
    private let plan = ClipPlan(
        model: "m", prompt: "a ball", negativePrompt: "", width: 64, height: 64, numFrames: 9, fps: 8, seed: 7, numInferenceSteps: 4,
        guidanceScale: 1, flowShift: 3)

    init() throws {
        root = "/tmp/sorad-fleet-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try makeDirectories("\(root)/spool")
        try makeDirectories("\(root)/fleet")
        folder = JobFolder("video_1", in: "\(root)/fleet")
    }

    private func write(_ text: String, _ path: String) throws { try FileDescriptor(creating: path).write(Array(text.utf8)) }

    private func read(_ path: String) throws -> String {
        String(decoding: try FileDescriptor(openingForReading: path).read(upTo: 1 << 16), as: UTF8.self)
    }

    private func result(_ video: String, thumbnail: String = "t.webp") throws {
        let made = ClipResult(sha256: JobFolderTests.digest, video: video, thumbnail: thumbnail, spritesheet: "s.jpg", timings: [:])
        try write(PortablePlan(job: "video_1", plan: plan).json(made).text(), "\(folder.path)/job/result.json")
    }

    @Test func whatTravelsIsACopy() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try write("a picture", "\(spool)/given-first-frame")
        try write("not for a box", "\(spool)/video.mp4")
        #expect(folder.attempt == nil)
        try folder.make(plan, from: spool)
        #expect(folder.attempt == 1)
        #expect(try fileNames(in: "\(folder.path)/job").sorted() == ["given-first-frame", "plan.json"])
        try FileDescriptor(opening: "\(folder.path)/job/given-first-frame", flags: O_WRONLY | O_TRUNC).write(Array("a lie".utf8))
        #expect(try read("\(spool)/given-first-frame") == "a picture")
    }

    @Test func attemptsGrowAndAreKept() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        try folder.beginNextAttempt()
        #expect(folder.attempt == 2 && folder.log.hasSuffix("/log.2"))
        // A second start finds the folder as it is.
        try write("x", "\(folder.path)/job/checkpoint-0")
        try folder.make(plan, from: spool)
        #expect(folder.attempt == 2 && fileExists("\(folder.path)/job/checkpoint-0"))
    }

    @Test func whatABoxSentBackIsNotGivenToTheNext() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try write("a picture", "\(spool)/given-first-frame")
        try write("old", "\(spool)/checkpoint-0")
        try folder.make(plan, from: spool)
        let before = try read("\(folder.path)/job/plan.json")
        for name in ["plan.json", "given-first-frame", "checkpoint-0"] {
            removeFile("\(folder.path)/job/\(name)")
            try write("sent back", "\(folder.path)/job/\(name)")
        }
        try folder.renew(plan, from: spool)
        #expect(try read("\(folder.path)/job/plan.json") == before)
        #expect(try read("\(folder.path)/job/given-first-frame") == "a picture")
        #expect(try read("\(folder.path)/job/checkpoint-0") == "sent back", "its own work continues")
    }

    @Test func aFolderThatWasNotMadeWholeIsMadeAgain() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try makeDirectories("\(folder.path)/job")
        try write("half", "\(folder.path)/job/given-source")
        try folder.make(plan, from: spool)
        #expect(try fileNames(in: "\(folder.path)/job") == ["plan.json"])
    }

    @Test func oneHoldsTheLock() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        let first = try folder.lock()
        #expect(first != nil)
        #expect(try folder.lock() == nil)
        withExtendedLifetime(first) {}
    }

    @Test func resultsAreGivenTwiceWithoutHarm() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        #expect(folder.result == nil)
        for name in ["v.mp4", "t.webp", "s.jpg"] { try write(name, "\(folder.path)/job/\(name)") }
        try result("v.mp4")
        let made = try #require(folder.result)
        try folder.check(made)
        try folder.deliver(made, isMarked: false, to: spool)
        try folder.deliver(made, isMarked: false, to: spool)
        #expect(try read("\(spool)/v.mp4") == "v.mp4")
        try write("signed", folder.marked)
        try folder.deliver(made, isMarked: true, to: spool)
        #expect(try read("\(spool)/v.mp4") == "signed")
        #expect(try read("\(folder.path)/job/v.mp4") == "v.mp4")
        try folder.remove()
        #expect(try read("\(spool)/s.jpg") == "s.jpg")
        #expect(!directoryExists(folder.path))
    }

    @Test(arguments: ["../../jobs.sqlite", "/etc/passwd", ".", "..", "", "plan.json", "given-source", ".hidden", "a/b"])
    func namesThatAreNoResultAreRefused(name: String) throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        for name in ["t.webp", "s.jpg"] { try write(name, "\(folder.path)/job/\(name)") }
        try result(name)
        let made = try #require(folder.result)
        #expect(throws: SoradError.self) { try folder.check(made) }
        #expect(folder.result == nil, "it would be handed over again and again")
    }

    @Test func aLinkIsNoResult() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        for name in ["t.webp", "s.jpg"] { try write(name, "\(folder.path)/job/\(name)") }
        let link = "\(folder.path)/job/v.mp4"
        #expect(unsafe symlink("/etc/passwd", link) == 0)
        try result("v.mp4")
        let made = try #require(folder.result)
        #expect(throws: SoradError.self) { try folder.check(made) }
        #expect(folder.result == nil, "it would be handed over again and again")
        #expect(!fileExists("\(spool)/v.mp4"))
    }

    @Test func aResultOfAnotherJobIsNone() throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        let made = ClipResult(sha256: JobFolderTests.digest, video: "v.mp4", thumbnail: "t.webp", spritesheet: "s.jpg", timings: [:])
        try write(PortablePlan(job: "video_2", plan: plan).json(made).text(), "\(folder.path)/job/result.json")
        #expect(folder.result == nil)
    }

    @Test(arguments: [
        #"{"sha256": "00"}"#, #"{"sha256": "\u000d\nset-cookie: x"}"#, #"{"resumedStep": -9223372036854775808}"#,
        #"{"timings": {"Denoising": 1}}"#,
        #"{"timings": {"denoising": -1}}"#, #"{"timings": {"denoising": 1e300}}"#, #"{"modelSHA256": "x"}"#,
    ]) func whatABoxCannotHaveMeasuredIsNoResult(change: String) throws {
        defer { try? removeDirectory(root, depth: 4) }
        try folder.make(plan, from: spool)
        let made = ClipResult(sha256: JobFolderTests.digest, video: "v.mp4", thumbnail: "t.webp", spritesheet: "s.jpg", timings: [:])
        guard case .object(var object) = made.json, let members = try JSONValue(parsing: Array(change.utf8)).object?.members else { return }
        for member in members { object[member.key] = member.value }
        let json: JSONValue = ["version": 1, "job": "video_1", "result": .object(object)]
        try write(json.text(), "\(folder.path)/job/result.json")
        #expect(folder.result == nil)
    }
}
