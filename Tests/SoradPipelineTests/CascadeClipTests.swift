// Clips in two sizes: that both runs are what they should be, and that whatever interrupts them or is given to them, the clip is the same.
import SoradAPI
import SoradCPU
import SoradMedia
import SoradModel
import SoradModelFile
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

@Suite struct CascadeClipTests {
    /// Writing a checkpoint takes no time on this clock, so every step is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })

    private func pipeline(threads: Int = 1) throws -> ClipPipeline {
        try ClipPipeline(modelPath: PipelineFixture.cascade, backend: .cpu(threads: threads), time: Self.frozen, checkpointInterval: .zero)
    }

    /// 64×64, begun at 32×32: four steps, of which the whole size makes the last two.
    private func request(steps: Int = 4, frames: Int = 5, _ change: (inout ClipRequest) -> Void = { _ in }) throws -> ClipPlan {
        var request = ClipRequest()
        request.prompt = "a red ball rolls to the left"
        (request.width, request.height, request.numFrames) = (64, 64, frames)
        (request.seed, request.numInferenceSteps) = (7, steps)
        change(&request)
        return try request.plan(for: try pipeline().info, randomSeed: 0)
    }

    /// [C, T, h, w] of a finished clip.
    private func latents(_ directory: String, _ pipeline: ClipPipeline) throws -> [Float] {
        let file = try LatentFile(reading: directory + "/latents", model: pipeline.info.sha256)
        return try file.read(0..<file.frames).elements
    }

    /// Half the sides from noise to the end, enlarged, noised to the level of the third step, and on at the whole size.
    @Test func theHalfSizeIsMadeToItsEndAndDenoisedOnAtTheWhole() throws {
        let pipeline = try pipeline()
        let plan = try request()
        #expect(plan.cascade == CascadePlan(baseFlowShift: 2, refineStep: 2) && plan.stepsToRun == 6)
        let directory = PipelineFixture.scratch("clip")
        let steps = Mutex<[Int]>([])
        let clip = try pipeline.makeClip(plan, into: directory) { progress in
            if progress.phase == .denoising { steps.withLock { $0.append(progress.step) } }
        }
        #expect(steps.withLock { $0 } == Array(0...6) && clip.passes == 12)

        let file = try ModelFile(opening: PipelineFixture.cascade)
        let model = try VideoModel(file: file, backend: CPUBackend(threads: 1))
        let digest = Checkpoint.digest(of: plan, model: pipeline.info.sha256)
        let kept = Checkpoint(of: plan, digest: digest, in: directory, interval: .zero, time: Self.frozen)
        let c = model.configuration
        let text = try #require(kept.restorePrompts(width: c.textWidth, length: c.textLength))
        func run(_ side: Int, shift: Float, window: Int, from first: Int, _ start: Tensor?) throws -> Tensor {
            let size = try model.configuration.latentSize(width: side, height: side, numFrames: 5)
            let latent = model.initialNoise(seed: 7, size, window: window)
            let denoiser = try model.denoiser(
                size, prompt: text.prompt, negativePrompt: try #require(text.negative), guidanceScale: Float(plan.guidanceScale), steps: 4,
                shift: shift,
                firstStep: first, seed: 7, window: window)
            if let start { denoiser.schedule.mix(start, into: latent, atStep: first) }
            for step in first..<4 { denoiser.step(step, latent) }
            return latent
        }
        let base = try run(32, shift: 2, window: 1 << 24, from: 0, nil)
        let cascade = try #require(model.cascade)
        let whole = try run(64, shift: Float(plan.flowShift), window: 0, from: 2, cascade.enlarge(base))
        #expect(try latents(directory, pipeline) == whole.elements)
    }

    @Test func killedAtAnyStepTheClipIsTheSame() throws {
        let pipeline = try pipeline()
        var plan = try request(frames: 29) { $0.guidanceInterval = [0.4, 0.95] }
        plan.windows = ClipWindow.cover(total: 8, length: 4, before: 0, after: 0, sceneEnds: [8])
        #expect(plan.windows.count == 3 && plan.stepsToRun == 18)
        let whole = try pipeline.makeClip(plan, into: PipelineFixture.scratch("whole"))
        #expect(whole.passes == 3 * plan.passesPerWindow)
        #expect(try self.pipeline(threads: 2).makeClip(plan, into: PipelineFixture.scratch("two")).sha256 == whole.sha256)
        for steps in 0...plan.stepsToRun {
            let directory = PipelineFixture.scratch("killed")
            let stop = StopFlag()
            _ = #expect(throws: JobError.self) {
                try pipeline.makeClip(plan, into: directory, stop: stop.check) { progress in
                    if progress.phase == .denoising, progress.step >= steps { stop.stop() }
                }
            }
            let again = try pipeline.makeClip(plan, into: directory)
            #expect(
                again.sha256 == whole.sha256 && again.resumedStep == steps && again.passes == whole.passes, "killed after \(steps) steps")
        }
    }

    /// The given picture stays as it is, and decides what both sizes make of the rest.
    @Test func aGivenPictureIsKnownToBothSizes() throws {
        let pipeline = try pipeline()
        var clips: [[Float]] = []
        for color in ["red", "blue"] {
            let directory = PipelineFixture.scratch("picture")
            try picture("color=\(color):size=64x64", directory + "/\(ReferenceFile.firstFrame.rawValue)")
            var plan = try request()
            plan.given = ReferenceMedia()
            plan.given?.hasFirstFrame = true
            _ = try pipeline.makeClip(plan, into: directory)
            clips.append(try latents(directory, pipeline))
            let model = try VideoModel(file: try ModelFile(opening: PipelineFixture.cascade), backend: CPUBackend(threads: 1))
            let reader = try FrameReader(directory + "/\(ReferenceFile.firstFrame.rawValue)", width: 64, height: 64, count: 1, fps: 8)
            let given = try model.encodeVideo([try #require(try reader.next())], width: 64, height: 64).elements
            let plane = 16
            for channel in 0..<given.count / plane {
                #expect(given[channel * plane..<(channel + 1) * plane] == clips.last![channel * 2 * plane..<(channel * 2 + 1) * plane])
            }
        }
        #expect(zip(clips[0], clips[1]).allSatisfy { $0 != $1 })
    }

    /// What changes little is changed at the whole size alone, and black in a mask stays as it is in any case.
    @Test func aSourceEntersWhereItsStrengthSays() throws {
        let pipeline = try pipeline()
        let origin = PipelineFixture.scratch("source")
        let source = try request()
        _ = try pipeline.makeClip(source, into: origin)
        let before = try latents(origin, pipeline)
        for (strength, hasMask, expected) in [(0.5, false, 2), (0.75, false, 3 + 2), (1, true, 4 + 2)] {
            var edit = source
            edit.prompt = "a blue box"
            edit.given = ReferenceMedia()
            edit.given?.strength = strength
            edit.given?.hasMask = hasMask
            edit.given?.source = ReferenceClip(numFrames: 5, contextFrames: 5, parts: source.parts.map(\.part))
            #expect(edit.stepsToRun == expected)
            let directory = PipelineFixture.scratch("edit")
            try writeDurably(try bytes(origin + "/latents"), named: "given-source-0", in: directory)
            // White but for the left quarter, so that half the sides have pixels that stay, some that do not, and some that do in part.
            if hasMask {
                try picture("color=white:size=64x64,drawbox=w=16:c=black:t=fill", directory + "/\(ReferenceFile.mask.rawValue)")
            }
            let clip = try pipeline.makeClip(edit, into: directory)
            #expect(clip.passes == 2 * expected)
            let after = try latents(directory, pipeline)
            for index in after.indices { #expect((after[index] == before[index]) == (hasMask && index % 4 == 0), "element \(index)") }
            let again = try self.pipeline(threads: 2).makeClip(edit, into: directory)
            #expect(again.sha256 == clip.sha256)
        }
    }

    /// A plan from before the file had a cascade is made at one size; one that the file cannot make is refused.
    @Test func thePlanDecides() throws {
        let pipeline = try pipeline()
        var plan = try request()
        let two = try pipeline.makeClip(plan, into: PipelineFixture.scratch("two"))
        plan.cascade = nil
        let one = try pipeline.makeClip(plan, into: PipelineFixture.scratch("one"))
        #expect(one.sha256 != two.sha256 && one.passes == 8)
        let plain = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        plan.cascade = CascadePlan(baseFlowShift: 2, refineStep: 2)
        let error = #expect(throws: JobError.self) { try plain.makeClip(plan, into: PipelineFixture.scratch("none")) }
        #expect(error?.code == "invalid_request")
    }

    private func picture(_ filter: String, _ path: String) throws {
        let program = try #require(ChildProcess.executablePath(of: "ffmpeg"))
        let command = ["-loglevel", "error", "-f", "lavfi", "-i", filter, "-frames:v", "1", "-c:v", "png", "-f", "image2pipe", path]
        #expect(try captureOutput(of: .init(program, command), timeout: .seconds(30), limit: 1 << 16).ending?.isSuccess == true)
    }
}
