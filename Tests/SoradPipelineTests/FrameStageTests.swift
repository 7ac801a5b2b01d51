// Stages between decoder and files: one doubles the size, one doubles the rate and looks ahead. Their frames are computed here once more,
// from the frames that the decoder made.
import SoradAPI
import SoradCPU
import SoradMedia
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

/// Every pixel becomes four.
private struct Upscaling: FrameStageKind {
    let phase = JobPhase.upscaling
    let memory = [ModelMemory.Part(.worker, when: .guided, .framePixels, fixed: 1_000, perUnit: 12)]
    let secondsPerPixel = 1e-9

    func output(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> ClipFormat? {
        try ClipFormat(width: 2 * input.width, height: 2 * input.height, numFrames: input.numFrames, fps: input.fps)
    }

    func stage(_ input: ClipFormat, for request: ClipPlan) -> any FrameStage { Stage(width: input.width) }

    static func doubled(_ frame: [UInt8], width: Int) -> [UInt8] {
        let height = frame.count / 3 / width
        var doubled: [UInt8] = []
        for y in 0..<2 * height {
            for x in 0..<2 * width {
                let pixel = (y / 2 * width + x / 2) * 3
                doubled += frame[pixel..<pixel + 3]
            }
        }
        return doubled
    }

    /// Nothing of one frame matters to another.
    final class Stage: FrameStage {
        let width: Int
        let counters: [UInt32] = []
        let memory: [ByteBuffer] = []

        init(width: Int) { self.width = width }

        func push(_ frame: [UInt8], emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            try emit(Upscaling.doubled(frame, width: width))
        }

        func finish(emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {}
        func resume(_ counters: [UInt32]) {}
    }
}

/// Between two frames comes their mean, so a frame leaves only when the next one is there.
private struct Interpolation: FrameStageKind {
    let phase = JobPhase.interpolating
    let memory = [ModelMemory.Part(.worker, .framePixels, fixed: 0, perUnit: 3)]
    let secondsPerPixel = 1e-9

    func output(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> ClipFormat? {
        try ClipFormat(width: input.width, height: input.height, numFrames: 2 * input.numFrames - 1, fps: 2 * input.fps)
    }

    func stage(_ input: ClipFormat, for request: ClipPlan) -> any FrameStage { Stage(frameBytes: input.frameBytes) }

    static func mean(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] { zip(a, b).map { UInt8((Int($0) + Int($1) + 1) / 2) } }

    final class Stage: FrameStage {
        private let last: ByteBuffer
        private var taken: UInt32 = 0

        init(frameBytes: Int) { last = ByteBuffer(count: frameBytes) }

        var counters: [UInt32] { [taken] }
        var memory: [ByteBuffer] { [last] }
        func resume(_ counters: [UInt32]) { taken = counters[0] }

        private var lastFrame: [UInt8] {
            last.withBytes { bytes in (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
        }

        func push(_ frame: [UInt8], emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            if taken > 0 {
                let before = lastFrame
                try emit(before)
                try emit(Interpolation.mean(before, frame))
            }
            last.withMutableBytes { bytes in
                for (index, byte) in frame.enumerated() { bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self) }
            }
            taken += 1
        }

        func finish(emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) { if taken > 0 { try emit(lastFrame) } }
    }
}

/// Lets frames pass and keeps them for the test, or fails at one.
private final class Tap: FrameStageKind {
    let phase = JobPhase(rawValue: "tapping")!
    let memory: [ModelMemory.Part] = []
    let secondsPerPixel = 0.0
    private let seen = Mutex<[[UInt8]]>([])
    private let fault: SoradError?

    init(failingWith fault: SoradError? = nil) { self.fault = fault }

    var frames: [[UInt8]] { seen.withLock { $0 } }
    func output(_ input: ClipFormat, for request: ClipPlan) -> ClipFormat? { input }
    func stage(_ input: ClipFormat, for request: ClipPlan) -> any FrameStage { Stage(self) }

    final class Stage: FrameStage {
        private let tap: Tap
        let counters: [UInt32] = []
        let memory: [ByteBuffer] = []

        init(_ tap: Tap) { self.tap = tap }

        func push(_ frame: [UInt8], emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            if let fault = tap.fault, tap.frames.count == 3 { throw fault }
            tap.seen.withLock { $0.append(frame) }
            try emit(frame)
        }

        func finish(emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {}
        func resume(_ counters: [UInt32]) {}
    }
}

@Suite struct FrameStageTests {
    /// Five groups of frames of 64×64.
    private static let request: ClipPlan = {
        var request = PipelineFixture.request(steps: 2)
        request.numFrames = 17
        return request
    }()
    private static let doubling: [any FrameStageKind] = [Upscaling(), Interpolation()]
    /// Writing a checkpoint takes no time on this clock, so every group is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })

    private func pipeline(_ stages: [any FrameStageKind], time: TimeSource = .system) throws -> ClipPipeline {
        try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: time, checkpointInterval: .zero, frameStages: stages)
    }

    /// SHA-256 of what the two stages make of `frames`.
    private func expectedHash(_ frames: [[UInt8]]) -> String {
        let doubled = frames.map { Upscaling.doubled($0, width: 64) }
        var hash = SHA256()
        for (index, frame) in doubled.enumerated() {
            if index > 0 { hash.update(Interpolation.mean(doubled[index - 1], frame)) }
            hash.update(frame)
        }
        return SHA256.hexadecimal(hash.finalize())
    }

    @Test func framesPassTheStagesInTheirOrder() throws {
        let tap = Tap()
        let directory = PipelineFixture.scratch("doubled")
        let told = Mutex<[JobProgress]>([])
        let clip = try pipeline([tap] + Self.doubling).makeClip(Self.request, into: directory) { news in told.withLock { $0.append(news) } }
        #expect(tap.frames.count == 17 && tap.frames.allSatisfy { $0.count == 64 * 64 * 3 })
        #expect(clip.sha256 == expectedHash(tap.frames))
        let facts = try inspectMedia(at: directory + "/" + clip.video)
        #expect(facts.width == 128 && facts.height == 128 && facts.numFrames == 33 && facts.fps == 16)
        // Each stage has its own time; progress counts finished frames.
        #expect(Set(clip.timings.keys).isSuperset(of: ["decoding", "upscaling", "interpolating", "writing"]))
        #expect(try #require(clip.timings["upscaling"]) > 0 && #require(clip.timings["decoding"]) > 0)
        let decoding = told.withLock { $0 }.filter { $0.phase == .decoding }
        #expect(decoding.map(\.frame) == Array(0...33))
        #expect(told.withLock { $0 }.allSatisfy { $0.phase != .upscaling })
        // Without them the frames are those that the stages got.
        var hash = SHA256()
        for frame in tap.frames { hash.update(frame) }
        let plain = try pipeline([]).makeClip(Self.request, into: PipelineFixture.scratch("plain"))
        #expect(plain.sha256 == SHA256.hexadecimal(hash.finalize()))
    }

    /// Makes the clip until `frames` of it are finished.
    private func stopped(_ pipeline: ClipPipeline, _ request: ClipPlan, in directory: String, afterFrames frames: Int) {
        let stop = StopFlag()
        let taken = Mutex(0)
        _ = #expect(throws: JobError.self) {
            try pipeline.makeClip(request, into: directory, stop: stop.check) { progress in
                guard progress.phase == .decoding else { return }
                // The first report says that decoding begins.
                let count = taken.withLock { count in
                    count += 1
                    return count - 1
                }
                if count >= frames { stop.stop() }
            }
        }
    }

    @Test func aClipGoesOnInTheMiddleOfItsStages() throws {
        let pipeline = try pipeline(Self.doubling, time: Self.frozen)
        let whole = try pipeline.makeClip(Self.request, into: PipelineFixture.scratch("whole"))
        #expect(whole.resumedFrames == 0)
        for frames in stride(from: 0, through: 32, by: 2) {
            let directory = PipelineFixture.scratch("stopped")
            stopped(pipeline, Self.request, in: directory, afterFrames: frames)
            let again = try pipeline.makeClip(Self.request, into: directory)
            #expect(again.sha256 == whole.sha256)
            // Groups end after 1, 5, 9, 13 and 17 decoded frames; of n of them 2n - 2 have come out, and the last one waits.
            #expect(again.resumedFrames == frames / 8 * 8, "stopped after \(frames)")
        }
    }

    /// The frames of the clip that is continued pass through the stages too, and the rate is doubled across the seam.
    @Test(arguments: [0, 12, 36, 44]) func aContinuedClipGoesOnInTheMiddleOfItsStages(frames: Int) throws {
        var request = Self.request
        request.numFrames = 13
        request.given = ReferenceMedia()
        request.given?.before = ReferenceClip(numFrames: 17, contextFrames: 5)
        let source = PipelineFixture.scratch("source")
        let before = try pipeline([]).makeClip(Self.request, into: source)
        func directory() throws -> String {
            let directory = PipelineFixture.scratch("continued")
            try writeDurably(try bytes("\(source)/\(before.video)"), named: ReferenceFile.before.rawValue, in: directory)
            return directory
        }
        let tap = Tap()
        let whole = try pipeline([tap] + Self.doubling, time: Self.frozen).makeClip(request, into: directory())
        #expect(tap.frames.count == 17 + 8 && whole.sha256 == expectedHash(tap.frames))
        let doubling = try pipeline(Self.doubling, time: Self.frozen)
        let place = try directory()
        stopped(doubling, request, in: place, afterFrames: frames)
        let again = try doubling.makeClip(request, into: place)
        #expect(again.sha256 == whole.sha256)
        // 32 frames come of the given clip alone and are made again. A checkpoint before the first new frame holds none.
        #expect(again.resumedFrames == (frames < 40 ? 0 : 8), "\(again.resumedFrames)")
    }

    @Test func aClipOfOtherStagesIsNotTakenUp() throws {
        let directory = PipelineFixture.scratch("other")
        stopped(try pipeline(Self.doubling, time: Self.frozen), Self.request, in: directory, afterFrames: 20)
        let plain = try pipeline([], time: Self.frozen)
        let clip = try plain.makeClip(Self.request, into: directory)
        #expect(clip.resumedStep == 0 && clip.resumedFrames == 0)
        #expect(try clip.sha256 == plain.makeClip(Self.request, into: PipelineFixture.scratch("plain")).sha256)
    }

    @Test func memoryAndTimeOfTheStagesCount() throws {
        let plain = try ClipPipeline.describe(modelPath: PipelineFixture.model, backend: .cpu(), frameStages: [])
        let doubled = try ClipPipeline.describe(modelPath: PipelineFixture.model, backend: .cpu(), frameStages: Self.doubling)
        let without = try #require(plain.memory)
        var with = try #require(doubled.memory)
        // What this process held at the time.
        with.base = without.base
        func parts(_ memory: ModelMemory) -> [Int] { memory.stages.map { $0.phase == .decoding ? $0.parts.count : 0 } }
        #expect(zip(parts(with), parts(without)).allSatisfy { $0 == $1 || $0 == $1 + 2 } && parts(with) != parts(without))
        // A frame that is large enough for decoding to be the highest stage.
        var request = Self.request
        (request.width, request.height, request.numFrames) = (256, 128, 1)
        request.guidanceScale = 1
        let unguided = with.workerBytes(for: request) - without.workerBytes(for: request)
        #expect(unguided == 3 * 256 * 128, "\(unguided)")
        #expect(with.isPlausible)

        let work = ClipWork(steps: 10, tokensPerStep: 1, frames: 10, pixelsPerFrame: 100)
        #expect(work.stages.map(\.phase) == [.encodingText, .encodingFrames, .denoising, .decoding, .writing])
    }

    /// What a stage says of its own fault reaches the client; nobody calls it something else on the way.
    @Test func aFaultKeepsItsKind() throws {
        for (fault, code) in [
            (SoradError(.internalFault, "no", code: "upscaler_broken"), "upscaler_broken"),
            (SoradError(.internalFault, "no"), "internal_error"),
            (SoradError(.badInput, "no"), "invalid_request"), (SoradError(.storageFull, "no"), "insufficient_storage"),
            (SoradError(.cannotWrite, "no"), "media_failed"), (SoradError(.configuration, "no"), "configuration_error"),
            (SoradError(.cancelled, "no"), "cancelled"),
        ] {
            let error = #expect(throws: JobError.self) {
                try pipeline([Tap(failingWith: fault)]).makeClip(Self.request, into: PipelineFixture.scratch("fault"))
            }
            #expect(error == JobError(code: code, message: "no"))
        }
    }
}
