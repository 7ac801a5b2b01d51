// Clips of several windows and prompts, regions, and clips that are made from the latents of clips.
import Glibc
import SoradAPI
import SoradCPU
import SoradMedia
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

@Suite struct WindowTests {
    /// Writing a checkpoint takes no time on this clock, so every step is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })

    private func pipeline(threads: Int = 1) throws -> ClipPipeline {
        try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: threads), time: Self.frozen, checkpointInterval: .zero)
    }

    /// 29 frames in windows of 13, with a second prompt from frame 17 on.
    private func storyboard(_ prompts: [String] = ["a red ball", "a blue box"], seed: UInt64 = 7) -> ClipPlan {
        var request = PipelineFixture.request(seed: seed)
        request.numFrames = 29
        request.scenes = prompts.count > 1 ? [17, 12].enumerated().map { ClipScene(prompt: prompts[$0], numFrames: $1) } : []
        request.prompt = prompts[0]
        request.windows = ClipWindow.cover(total: 8, length: 4, before: 0, after: 0, sceneEnds: prompts.count > 1 ? [5, 8] : [8])
        return request
    }

    /// The frames as they were hashed: those of the file of latents, decoded.
    private func frames(_ pipeline: ClipPipeline, _ request: ClipPlan, _ directory: String) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        try pipeline.decode(request.parts, of: request, in: directory) { frame throws(SoradError) in frames.append(frame) }
        return frames
    }

    private func sha256(_ frames: [[UInt8]]) -> String {
        var hash = SHA256()
        for frame in frames { hash.update(frame) }
        return SHA256.hexadecimal(hash.finalize())
    }

    /// The clip that a second run makes where a first one was stopped after some steps.
    private func clip(_ request: ClipPlan, stoppedAfter steps: Int, _ pipeline: ClipPipeline) throws -> ClipResult {
        let directory = PipelineFixture.scratch("killed")
        let stop = StopFlag()
        _ = #expect(throws: JobError.self) {
            try pipeline.makeClip(request, into: directory, stop: stop.check) { progress in
                if progress.phase == .denoising, progress.step >= steps { stop.stop() }
            }
        }
        return try pipeline.makeClip(request, into: directory)
    }

    @Test func killedAtAnyStepTheClipIsTheSame() throws {
        let pipeline = try pipeline()
        let request = storyboard()
        try #require(request.windows.count == 4)
        let directory = PipelineFixture.scratch("whole")
        let percents = Mutex<[Int]>([])
        let whole = try pipeline.makeClip(request, into: directory) { progress in percents.withLock { $0.append(progress.percent) } }
        #expect(percents.withLock { $0 == $0.sorted() && Set($0).count > 20 }, "progress over the whole clip")
        #expect(try frames(pipeline, request, directory).count == 29)
        #expect(try sha256(frames(pipeline, request, directory)) == whole.sha256)
        #expect(try self.pipeline(threads: 2).makeClip(request, into: PipelineFixture.scratch("two")).sha256 == whole.sha256)
        for steps in 0...request.stepsToRun {
            let again = try clip(request, stoppedAfter: steps, pipeline)
            #expect(again.sha256 == whole.sha256 && again.resumedStep == steps, "killed after \(steps) steps")
        }
    }

    /// Where encoded prompts are kept, those of all scenes are encoded before the first step, each once; the frames are the same.
    @Test func theScenesPromptsAreEncodedTogether() throws {
        let request = storyboard()
        let alone = try pipeline().makeClip(request, into: PipelineFixture.scratch("alone"))
        let together = try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: Self.frozen, checkpointInterval: .zero, frameStages: nil,
            longEncoding: 0)
        let (directory, embeddings) = (PipelineFixture.scratch("together"), PipelineFixture.scratch("embeddings"))
        let atFirst = Mutex<[String]?>(nil)
        let clip = try together.makeClip(request, into: directory, embeddings: embeddings, stop: {}) { progress in
            guard progress.phase == .denoising else { return }
            atFirst.withLock { $0 = $0 ?? PipelineFixture.names(in: embeddings) }
        }
        #expect(clip.sha256 == alone.sha256)
        #expect(atFirst.withLock { $0?.count } == 3 && PipelineFixture.names(in: embeddings) == atFirst.withLock { $0 })
        // One of a later scene that is no longer there is encoded again.
        for name in PipelineFixture.names(in: embeddings) {
            removeFile(embeddings + "/" + name)
            let again = try together.makeClip(request, into: PipelineFixture.scratch("again"), embeddings: embeddings, stop: {})
            #expect(again.sha256 == alone.sha256 && PipelineFixture.names(in: embeddings).count == 3)
        }
    }

    /// Steps that are left out are the same ones whenever the worker dies, and so is the number of passes.
    @Test func killedAtAnyStepTheSameStepsAreLeftOut() throws {
        let pipeline = try pipeline()
        var request = storyboard(["a red ball"])
        request.numInferenceSteps = 20
        request.guidanceInterval = 0.3...0.95
        let plain = try pipeline.makeClip(request, into: PipelineFixture.scratch("plain"))
        #expect(plain.passes.map { abs($0 - request.passesPerWindow * request.windows.count) <= 2 * request.windows.count } == true)
        request.cache = 0.25
        let whole = try pipeline.makeClip(request, into: PipelineFixture.scratch("whole"))
        let passes = try #require(whole.passes)
        #expect(passes < plain.passes ?? 0 && whole.sha256 != plain.sha256, "\(passes) passes")
        #expect(try self.pipeline(threads: 2).makeClip(request, into: PipelineFixture.scratch("two")).sha256 == whole.sha256)
        for steps in stride(from: 1, through: request.stepsToRun, by: 3) {
            let again = try clip(request, stoppedAfter: steps, pipeline)
            #expect(again.sha256 == whole.sha256 && again.passes == passes, "killed after \(steps) steps")
            // A step that is left out has ended before anybody asks for a stop.
            #expect(again.resumedStep >= steps, "\(again.resumedStep) after \(steps) steps")
        }
        print("cache: \(passes) of \(plain.passes ?? 0) passes in \(request.windows.count) windows")
    }

    /// A checkpoint that says that windows are done whose latents are gone is of no use.
    @Test func latentsThatAreDamagedAreMadeAgain() throws {
        let pipeline = try pipeline()
        let request = storyboard()
        let whole = try pipeline.makeClip(request, into: PipelineFixture.scratch("whole"))
        let directory = PipelineFixture.scratch("damaged")
        let stop = StopFlag()
        _ = #expect(throws: JobError.self) {
            try pipeline.makeClip(request, into: directory, stop: stop.check) { progress in
                if progress.step >= 5 { stop.stop() }
            }
        }
        let path = directory + "/" + ClipPlan.latentsName
        var content = try bytes(path)
        content[200] ^= 1
        try writeDurably(content, named: ClipPlan.latentsName, in: directory)
        let again = try pipeline.makeClip(request, into: directory)
        // Windows have two steps here; the files of steps 1 and 2 need no latents before them.
        #expect(again.sha256 == whole.sha256 && again.resumedStep <= 2)
    }

    /// A later prompt changes what comes later, and nothing before it.
    @Test func aSceneChangesItsOwnFrames() throws {
        let pipeline = try pipeline()
        var all: [[[UInt8]]] = []
        for prompts in [["a red ball", "a blue box"], ["a red ball", "a green cone"], ["a red ball"]] {
            let directory = PipelineFixture.scratch("scene")
            _ = try pipeline.makeClip(storyboard(prompts), into: directory)
            all.append(try frames(pipeline, storyboard(prompts), directory))
        }
        #expect(all[0][..<17] == all[1][..<17] && all[0][17...] != all[1][17...])
        #expect(all[2].count == 29 && all[2] != all[0])
    }

    /// Six times longer: the frames that were there stay as they were decoded, bit for bit.
    @Test func framesOfAClipMadeHereStayAsTheyAre() throws {
        let pipeline = try pipeline()
        var request = PipelineFixture.request()
        request.numFrames = 13
        var directory = PipelineFixture.scratch("source")
        _ = try pipeline.makeClip(request, into: directory)
        let first = try frames(pipeline, request, directory)
        for turn in 1...6 {
            (request, directory) = try longer(request, directory, pipeline, seed: UInt64(turn))
            #expect(try Array(frames(pipeline, request, directory)[..<first.count]) == first, "after \(turn) extensions")
        }
        #expect(request.clipFrames == 13 + 6 * 8 && request.parts.count == 7)
    }

    /// The same with the shipped model, as a viewer sees it: the MP4 files against the frames that were decoded first.
    @Test func sixExtensionsCostNoQuality() throws {
        let model = MemoryTests.mini
        let pipeline = try ClipPipeline(modelPath: model, backend: .cpu(threads: 2), time: Self.frozen, checkpointInterval: .zero)
        var request = ClipPlan(
            model: pipeline.info.id, prompt: "a red ball rolls to the left on grass", negativePrompt: "", width: 128, height: 128,
            numFrames: 17, fps: 8, seed: 3, numInferenceSteps: 8, guidanceScale: 1, flowShift: 3)
        var directory = PipelineFixture.scratch("first")
        _ = try pipeline.makeClip(request, into: directory)
        let first = try frames(pipeline, request, directory)
        func quality() throws -> Double {
            let reader = try FrameReader(directory + "/video.mp4", width: 128, height: 128, count: first.count, fps: 8)
            var (sum, count) = (0.0, 0)
            for frame in first {
                for (a, b) in zip(frame, try #require(try reader.next())) { sum += Double((Int(a) - Int(b)) * (Int(a) - Int(b))) }
                count += frame.count
            }
            return psnr(sum / Double(count))
        }
        var all = [try quality()]
        for turn in 1...6 {
            (request, directory) = try longer(request, directory, pipeline, seed: UInt64(turn))
            all.append(try quality())
        }
        print("frames 0 to 16 after 0 to 6 extensions: \(all) dB")
        #expect(all.allSatisfy { $0 > all[0] - 0.5 })
    }

    private func psnr(_ error: Double) -> Double { 10 * log10(255 * 255 / error) }

    /// 8 new frames behind a clip that was made here.
    private func longer(
        _ request: ClipPlan, _ directory: String, _ pipeline: ClipPipeline, seed: UInt64
    ) throws -> (ClipPlan, String) {
        var longer = request
        longer.given = ReferenceMedia()
        longer.numFrames = 13
        longer.seed = seed
        let parts = request.parts
        longer.given?.before = ReferenceClip(numFrames: request.clipFrames, contextFrames: 5, parts: parts.map(\.part))
        let next = PipelineFixture.scratch("longer")
        for (index, part) in parts.enumerated() {
            let name = try #require(longer.given?.before?.fileName(index, as: .before))
            try writeDurably(try bytes("\(directory)/\(part.file)"), named: name, in: next)
        }
        let result = try pipeline.makeClip(longer, into: next)
        // The hash covers the frames of all parts in their order.
        let all = try frames(pipeline, longer, next)
        #expect(sha256(all) == result.sha256 && all.count == longer.clipFrames)
        return (longer, next)
    }

    /// A remix of the same latents at little strength stays near them; black in the mask stays as it is.
    @Test func aMaskKeepsTheRest() throws {
        let pipeline = try pipeline()
        var source = PipelineFixture.request()
        source.numFrames = 13
        let origin = PipelineFixture.scratch("source")
        _ = try pipeline.makeClip(source, into: origin)
        let before = try LatentFile(reading: origin + "/latents", model: pipeline.info.sha256)
        for (mask, isKept) in [("left", true), ("white", false), ("black", true)] {
            var edit = source
            edit.prompt = "a blue box"
            edit.given = ReferenceMedia()
            edit.given?.strength = 1
            edit.given?.hasMask = true
            edit.given?.source = ReferenceClip(numFrames: 13, contextFrames: 13, parts: source.parts.map(\.part))
            let directory = PipelineFixture.scratch("edit")
            try writeDurably(try bytes(origin + "/latents"), named: "given-source-0", in: directory)
            // White on the left half, all over, or nowhere.
            let filter = mask == "left" ? "color=black:size=64x64,drawbox=w=32:c=white:t=fill" : "color=\(mask):size=64x64"
            let program = try #require(ChildProcess.executablePath(of: "ffmpeg"))
            let command = ["-loglevel", "error", "-f", "lavfi", "-i", filter, "-frames:v", "1", "-c:v", "png", "-f", "image2pipe"]
            _ = try captureOutput(of: .init(program, command + [directory + "/given-mask"]), timeout: .seconds(30), limit: 1 << 16)
            guard mask != "black" else {
                let error = #expect(throws: JobError.self) { try pipeline.makeClip(edit, into: directory) }
                #expect(error?.code == "invalid_request" && error?.message.contains("white") == true)
                continue
            }
            _ = try pipeline.makeClip(edit, into: directory)
            let after = try LatentFile(reading: directory + "/latents", model: pipeline.info.sha256)
            #expect(after.frames == before.frames)
            for frame in 0..<after.frames {
                let (old, new) = (try before.read(frame).elements, try after.read(frame).elements)
                var (kept, changed) = (true, false)
                for index in old.indices {
                    let isSame = old[index] == new[index]
                    if index % after.width < after.width / 2 { changed = changed || !isSame } else { kept = kept && isSame }
                }
                #expect(kept == isKept && changed, "\(mask), latent frame \(frame)")
            }
        }
    }

    /// The clip begins with the one picture and ends on the other, though no latent frame lies between them.
    @Test func fiveFramesFromPictureToPicture() throws {
        let directory = PipelineFixture.scratch("pictures")
        let program = try #require(ChildProcess.executablePath(of: "ffmpeg"))
        for (name, color) in [(ReferenceFile.firstFrame, "red"), (.lastFrame, "blue")] {
            let command = [
                "-loglevel", "error", "-f", "lavfi", "-i", "color=\(color):size=64x64", "-frames:v", "1", "-c:v", "png", "-f", "image2pipe",
                "\(directory)/\(name.rawValue)",
            ]
            #expect(try captureOutput(of: .init(program, command), timeout: .seconds(30), limit: 1 << 16).ending?.isSuccess == true)
        }
        var request = PipelineFixture.request()
        request.given = ReferenceMedia()
        request.given?.hasFirstFrame = true
        request.given?.hasLastFrame = true
        let result = try pipeline().makeClip(request, into: directory)
        #expect(try inspectMedia(at: directory + "/" + result.video).numFrames == 5)
    }

    @Test func latentsOfAnotherModelOrDamagedOnesAreRefused() throws {
        let pipeline = try pipeline()
        let directory = PipelineFixture.scratch("latents")
        _ = try pipeline.makeClip(PipelineFixture.request(), into: directory)
        let path = directory + "/latents"
        let whole = try bytes(path)
        func fails(_ content: [UInt8], model: String? = nil, reading frame: Int? = nil) throws -> Bool {
            try writeDurably(content, named: "copy", in: directory)
            do throws(SoradError) {
                let file = try LatentFile(reading: directory + "/copy", model: model ?? pipeline.info.sha256)
                if let frame { _ = try file.read(frame) }
                return false
            } catch { return error.code == JobError.mediaFailed }
        }
        #expect(try !fails(whole, reading: 1))
        #expect(try fails(whole, model: String(repeating: "0", count: 64)))
        #expect(try fails(Array(whole.dropLast())) && fails([]) && fails(Array(whole.prefix(80))))
        for index in [0, 72, 76, 80, 84] {
            var bad = whole
            bad[index] ^= 0x40
            #expect(try fails(bad), "byte \(index)")
        }
        for index in [8, 88, whole.count - 1] {
            var bad = whole
            bad[index] ^= 1
            #expect(try fails(bad, reading: index == 88 ? 0 : 1), "byte \(index)")
        }
    }
}
