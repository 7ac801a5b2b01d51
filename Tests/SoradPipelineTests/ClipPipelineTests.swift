import Glibc
import SoradAPI
import SoradCPU
import SoradMedia
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

/// Collects what a pipeline reports.
private final class Reports: Sendable {
    private let list = Mutex<[JobProgress]>([])
    func add(_ progress: JobProgress) { list.withLock { $0.append(progress) } }
    var all: [JobProgress] { list.withLock { $0 } }
}

/// Counts how often it is asked whether to continue, and says no from the given question on.
private final class Questions: Sendable {
    private let asked = Mutex<Int>(0)
    private let limit: Int
    init(stoppingAt limit: Int = .max) { self.limit = limit }
    var count: Int { asked.withLock { $0 } }
    @Sendable func ask() throws(SoradError) {
        let number = asked.withLock {
            $0 += 1
            return $0
        }
        if number >= limit { throw SoradError(.cancelled, "stopped at question \(number)") }
    }
}

@Suite struct ClipPipelineTests {
    @Test func aRequestBecomesAClip() throws {
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        let directory = PipelineFixture.scratch("clip")
        let reports = Reports()
        let result = try pipeline.makeClip(PipelineFixture.request(), into: directory) { reports.add($0) }
        #expect(result.sha256.count == 64)
        #expect(
            PipelineFixture.names(in: directory) == [ClipPlan.latentsName, result.spritesheet, result.thumbnail, result.video].sorted())
        #expect(Set(result.timings.keys) == ["encoding_text", "denoising", "decoding", "writing"])
        #expect(result.timings.values.allSatisfy { $0 > 0 })
        let phases = reports.all.map(\.phase)
        let order = PipelineFixture.request().stages.map(\.phase)
        #expect(phases == phases.sorted { order.firstIndex(of: $0)! < order.firstIndex(of: $1)! })
        #expect(Set(phases) == [.encodingText, .denoising, .decoding, .writing])
        let percents = reports.all.map(\.percent)
        #expect(percents == percents.sorted())
        #expect(percents.allSatisfy { (0...99).contains($0) })
        #expect(reports.all.filter { $0.phase == .denoising }.map(\.step) == [0, 1, 2])
    }

    @Test func theSameRequestGivesTheSameFramesAndFilesOnOneAndTwoThreads() throws {
        let (first, second) = (PipelineFixture.scratch("one"), PipelineFixture.scratch("two"))
        let request = PipelineFixture.request()
        let one = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).makeClip(request, into: first)
        let two = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 2)).makeClip(request, into: second)
        #expect(one.sha256 == two.sha256)
        for name in [one.video, one.thumbnail, one.spritesheet] { #expect(try bytes(first + "/" + name) == bytes(second + "/" + name)) }
    }

    @Test func promptSeedAndNegativePromptMatter() throws {
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        func hash(_ request: ClipPlan) throws -> String {
            try pipeline.makeClip(request, into: PipelineFixture.scratch("vary")).sha256
        }
        let base = PipelineFixture.request()
        var negative = base
        negative.negativePrompt = "blue"
        let hashes = try [
            hash(base), hash(PipelineFixture.request(seed: 8)), hash(PipelineFixture.request(prompt: "a blue cube")), hash(negative),
        ]
        #expect(Set(hashes).count == 4)
        #expect(try hash(base) == hashes[0])
    }

    @Test(arguments: [JobPhase.encodingText, .denoising, .decoding, .writing])
    func aCancelIsHeardInEveryPhase(phase: JobPhase) throws {
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        let directory = PipelineFixture.scratch("cancel")
        let stop = StopFlag()
        let error = #expect(throws: JobError.self) {
            try pipeline.makeClip(PipelineFixture.request(), into: directory, stop: stop.check) { if $0.phase == phase { stop.stop() } }
        }
        #expect(error?.code == "cancelled")
        #expect(PipelineFixture.names(in: directory).isEmpty)
    }

    /// Cancelled half-way between two reports of progress: nothing more is begun, and nothing more is reported.
    @Test(arguments: [JobPhase.encodingText, .denoising, .decoding])
    func aCancelIsHeardBetweenTheLayers(phase: JobPhase) throws {
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        let request = PipelineFixture.request(steps: 1)
        // How many times the pipeline asks before each report, in an undisturbed run.
        let questions = Questions()
        let marks = Mutex<[(phase: JobPhase, asked: Int)]>([])
        _ = try pipeline.makeClip(request, into: PipelineFixture.scratch("whole"), stop: questions.ask) { report in
            marks.withLock { $0.append((report.phase, questions.count)) }
        }
        let all = marks.withLock { $0 }
        let start = try #require(all.firstIndex { $0.phase == phase })
        let (first, next) = (all[start].asked, all[start + 1].asked)
        #expect(next - first >= 5, "\(phase) asks only \(next - first) times")
        let middle = (first + next) / 2
        let stopping = Questions(stoppingAt: middle)
        let reports = Reports()
        let directory = PipelineFixture.scratch("middle")
        let error = #expect(throws: JobError.self) {
            try pipeline.makeClip(request, into: directory, stop: stopping.ask) { reports.add($0) }
        }
        #expect(error?.code == "cancelled")
        #expect(reports.all.count == start + 1)
        #expect(PipelineFixture.names(in: directory).isEmpty)
        // Cleaning up may ask again, computing may not: far fewer questions than the rest of the work has.
        #expect(stopping.count <= middle + 1)
    }

    private static let impossible: [(name: String, change: @Sendable (inout ClipPlan) -> Void)] = [
        ("model", { $0.model = "other" }), ("width", { $0.width = 17 }), ("height", { $0.height = -64 }), ("width", { $0.width = 1 << 40 }),
        ("num_frames", { $0.numFrames = 6 }), ("num_frames", { $0.numFrames = 0 }), ("num_inference_steps", { $0.numInferenceSteps = 0 }),
        ("guidance_scale", { $0.guidanceScale = .nan }), ("flow_shift", { $0.flowShift = 0 }),
        ("num_inference_steps", { $0.numInferenceSteps = ClipPlan.numInferenceStepsRange.upperBound + 1 }),
    ]

    @Test(arguments: impossible.indices)
    func aRequestThatTheModelCannotMeetIsRefused(index: Int) throws {
        let (name, change) = Self.impossible[index]
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        var request = PipelineFixture.request()
        change(&request)
        let error = #expect(throws: JobError.self) { try pipeline.makeClip(request, into: PipelineFixture.scratch("refused")) }
        #expect(error?.code == "invalid_request")
        #expect(error?.message.contains(name) == true)
    }

    @Test func aMissingFFmpegIsNoticedBeforeAnyWork() throws {
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1), ffmpeg: "/nowhere/ffmpeg")
        let reports = Reports()
        let error = #expect(throws: JobError.self) {
            try pipeline.makeClip(PipelineFixture.request(), into: PipelineFixture.scratch("none")) { reports.add($0) }
        }
        #expect(error?.code == "configuration_error")
        #expect(error?.message.contains("apt install ffmpeg") == true)
        #expect(reports.all.isEmpty)
    }

    @Test func theLimitsFollowFromTheNativeSize() throws {
        var info = try ClipPipeline.describe(modelPath: PipelineFixture.model, backend: .cpu())
        #expect(info.memory?.isPlausible == true)
        (info.memory, info.time) = (nil, nil)
        #expect(info.id == "tiny")
        #expect(info.sizeMultiple % 2 == 0)
        #expect(info.maxWidth == 2 * info.defaultWidth)
        #expect(info.maxHeight == 2 * info.defaultHeight)
        // A minute at the model's own speed, in windows of its own length.
        #expect(info.maxNumFrames == 481 && info.fps == 8 && info.windowFrames == info.defaultNumFrames && info.declaredSizes.isEmpty)
        #expect(info.maxPixels == 5 * info.defaultWidth * info.defaultHeight * info.defaultNumFrames)
        #expect((info.defaultNumFrames - 1) % info.frameMultiple == 0)
        #expect(try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).info == info)
    }
}

func bytes(_ path: String) throws -> [UInt8] {
    let file = try FileDescriptor(opening: path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    while true {
        let piece = try file.read(upTo: 1 << 20)
        if piece.isEmpty { return bytes }
        bytes += piece
    }
}
