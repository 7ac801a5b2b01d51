// Clips from pictures and clips, from files to files.
import Glibc
import SoradAPI
import SoradCPU
import SoradMedia
import SoradPipeline
import SoradSystem
import SoradTensor
import Testing

@Suite struct ReferenceMediaTests {
    /// A job's directory with the given files in it: two pictures and a clip of `frames` frames, 64×64.
    private func directory(_ roles: [ReferenceFile], frames: Int = 9) throws -> String {
        let directory = PipelineFixture.scratch("given")
        for role in roles {
            let isClip = [.before, .after, .source].contains(role)
            let path = directory + "/" + role.rawValue
            let source = role == .lastFrame ? "testsrc2=size=80x64:rate=8" : "testsrc=size=80x64:rate=8"
            let coding = isClip ? ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mp4"] : ["-c:v", "png", "-f", "image2pipe"]
            let command =
                ["-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", "\(isClip ? frames : 1)", "-y"] + coding + [path]
            let program = try #require(ChildProcess.executablePath(of: "ffmpeg"))
            #expect(try captureOutput(of: .init(program, command), timeout: .seconds(30), limit: 1 << 16).ending?.isSuccess == true)
        }
        return directory
    }

    private func request(_ change: (inout ReferenceMedia) -> Void) -> ClipPlan {
        var request = PipelineFixture.request()
        request.numFrames = 13
        var given = ReferenceMedia()
        change(&given)
        request.given = given
        return request
    }

    private func clip(_ request: ClipPlan, _ directory: String, threads: Int = 1) throws -> ClipResult {
        try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: threads)).makeClip(request, into: directory)
    }

    /// Frames of a finished clip as ffprobe counts them.
    private func frames(_ directory: String, _ result: ClipResult) throws -> Int {
        try inspectMedia(at: directory + "/" + result.video).numFrames
    }

    private let shapes: [(roles: [ReferenceFile], frames: Int, change: @Sendable (inout ReferenceMedia) -> Void)] = [
        ([.firstFrame], 13, { $0.hasFirstFrame = true }),
        (
            [.firstFrame, .lastFrame], 13,
            {
                $0.hasFirstFrame = true; $0.hasLastFrame = true
            }
        ),
        (
            [.firstFrame], 13,
            {
                $0.hasFirstFrame = true; $0.strength = 0.5
            }
        ),
        (
            [.source], 13,
            {
                $0.source = ReferenceClip(numFrames: 14, contextFrames: 13); $0.strength = 0.5
            }
        ),
        ([.before], 9 + 8, { $0.before = ReferenceClip(numFrames: 9, contextFrames: 5) }),
        ([.after], 8 + 9, { $0.after = ReferenceClip(numFrames: 9, contextFrames: 5) }),
        (
            [.before, .after], 9 + 3,
            {
                $0.before = ReferenceClip(numFrames: 9, contextFrames: 5); $0.after = ReferenceClip(numFrames: 9, contextFrames: 5)
                $0.isLoop = true
            }
        ),
        (
            [.before, .after], 9 + 3 + 9,
            {
                $0.before = ReferenceClip(numFrames: 9, contextFrames: 5); $0.after = ReferenceClip(numFrames: 9, contextFrames: 5)
            }
        ),
    ]

    @Test(arguments: 0..<8) func theSameFramesOnOneAndTwoThreadsAndAsManyAsPromised(index: Int) throws {
        let shape = shapes[index]
        let request = request(shape.change)
        #expect(request.clipFrames == shape.frames)
        let directory = try directory(shape.roles, frames: request.given?.source?.numFrames ?? 9)
        let one = try clip(request, directory)
        #expect(try frames(directory, one) == shape.frames)
        #expect(try clip(request, directory, threads: 2).sha256 == one.sha256)
        var plain = request
        plain.given = nil
        #expect(try clip(plain, PipelineFixture.scratch("plain")).sha256 != one.sha256)
    }

    /// The hash covers the old frames as they were and the new ones behind them.
    @Test func anExtensionBeginsWithItsSource() throws {
        let directory = try directory([.before])
        let result = try clip(request { $0.before = ReferenceClip(numFrames: 9, contextFrames: 5) }, directory)
        func pixels(_ path: String, _ count: Int) throws -> [[UInt8]] {
            let reader = try FrameReader(path, width: 64, height: 64, count: count, fps: 8)
            var frames: [[UInt8]] = []
            while let frame = try reader.next() { frames.append(frame) }
            return frames
        }
        let old = try pixels(directory + "/" + ReferenceFile.before.rawValue, 9)
        let new = try pixels(directory + "/" + result.video, 9)
        for (before, after) in zip(old, new) {
            let difference = zip(before, after).reduce(0.0) { $0 + Double(abs(Int($1.0) - Int($1.1))) } / Double(before.count)
            #expect(difference < 12, "only the coding may have changed them: \(difference)")
        }
    }

    /// The frames before the new ones pass again, and are reported only once.
    @Test func anExtensionThatContinuesTellsTheFrameThatItHad() throws {
        let directory = try directory([.before])
        var request = request { $0.before = ReferenceClip(numFrames: 9, contextFrames: 5) }
        request.numFrames = 29
        // On a clock that stands still every group is written down.
        let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })
        let pipeline = try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: frozen, checkpointInterval: .zero)
        let whole = try clip(request, try self.directory([.before]))
        let stop = StopFlag()
        var told = 0
        _ = #expect(throws: JobError.self) {
            try pipeline.makeClip(request, into: directory, stop: stop.check) { progress in
                guard progress.phase == .decoding else { return }
                told = progress.frame
                if told >= 9 + 14 { stop.stop() }
            }
        }
        var frames: [Int] = []
        let result = try pipeline.makeClip(request, into: directory) { if $0.phase == .decoding { frames.append($0.frame) } }
        #expect(result.sha256 == whole.sha256)
        // At most one group is decoded again.
        #expect(frames.first.map { $0 > told - 8 && $0 > 9 } == true, "\(frames) after \(told)")
        #expect(frames == frames.sorted() && frames.last == 9 + 24)
    }

    @Test func strengthDecidesHowManyStepsAreRun() throws {
        var steps: [Int] = []
        for strength in [0.25, 0.5, 1] {
            var request = request {
                $0.source = ReferenceClip(numFrames: 13, contextFrames: 13); $0.strength = strength
            }
            request.numInferenceSteps = 4
            #expect(request.stepsToRun == Int(4 * strength) && request.firstStep == 4 - Int(4 * strength))
            let result = try clip(request, try directory([.source], frames: 13))
            steps.append(result.sha256.count)
        }
        #expect(steps == [64, 64, 64])
    }

    @Test func whatDoesNotFitIsAnErrorAndNoCrash() throws {
        let directory = try directory([.firstFrame, .before, .after, .source])
        let impossible: [@Sendable (inout ReferenceMedia) -> Void] = [
            { $0.before = ReferenceClip(numFrames: 17, contextFrames: 17) }, { $0.before = ReferenceClip(numFrames: 9, contextFrames: 4) },
            { $0.before = ReferenceClip(numFrames: 20, contextFrames: 5) }, { $0.after = ReferenceClip(numFrames: 9, contextFrames: 4) },
            { $0.source = ReferenceClip(numFrames: 9, contextFrames: 9) }, { $0.source = ReferenceClip(numFrames: 13, contextFrames: 13) },
            {
                $0.hasFirstFrame = true; $0.strength = .nan
            },
            {
                $0.hasFirstFrame = true; $0.strength = -1
            },
            {
                $0.hasFirstFrame = true; $0.before = ReferenceClip(numFrames: 9, contextFrames: 5)
            }, { $0.hasLastFrame = true },
        ]
        for change in impossible {
            let error = #expect(throws: JobError.self) { try clip(request(change), directory) }
            #expect(error?.code == "invalid_request" || error?.code == "media_failed", "\(String(describing: error))")
        }
    }
}
