// Turns one request into one clip, read from top to bottom: tokens, text embedding, noise, denoise steps, frames, files.
// Invariant: the memory of a clip is that of its latents and a few frames, however long it is; see ClipPipeline+Frames.swift.
public import SoradAPI
import SoradMedia
import SoradModel
import SoradModelFile
public import SoradSystem
public import SoradTensor

/// A loaded model that makes clips, one at a time, on the thread that calls it.
public final class ClipPipeline {
    public let info: ModelInfo
    private let file: ModelFile
    /// On the device, or, once that has failed, on the CPU.
    private(set) var model: VideoModel
    /// Computes what the device does not, and everything once it has failed; nil where the CPU computes alone.
    private let host: (any ComputeBackend)?
    private let report: (String) -> Void
    private let tokenizer: PromptTokenizer
    private let time: TimeSource
    let ffmpeg: String
    private let frameStages: [any FrameStageKind]
    private let checkpointInterval: Duration?
    private let previewInterval: Duration?
    private var rates: ClipRates
    /// Made for the first clip; the inner nil is a model for which there are none.
    private var preview: LatentPreview??

    /// Reports progress; called on the thread that makes the clip.
    public typealias ProgressHandler = (JobProgress) -> Void

    /// Opens, checks and loads a model file.
    /// - Parameters:
    ///   - backend: makes what computes.
    ///   - fallback: makes what computes the texts, and everything when the first backend cannot be made or fails; the frames are the
    ///     same. Nil means that there is no other.
    ///   - report: gets one sentence when that happens.
    ///   - ffmpeg: a name to look up in PATH, or a path.
    ///   - checkpointInterval: how often at most the latents are written to the job's directory, from which the same request then goes
    ///     on; nil means never. They stay there.
    ///   - previewInterval: how often at most the progress has a picture; nil means never.
    ///   - meanwhile: called now and then while the file is read.
    /// - Throws: `.notFound`, `.permission`, `.badInput` with one sentence about the file.
    public convenience init(
        modelPath: String, backend: BackendFactory, fallback: BackendFactory? = nil, ffmpeg: String = "ffmpeg", time: TimeSource = .system,
        checkpointInterval: Duration? = nil, previewInterval: Duration? = nil, report: @escaping (String) -> Void = { _ in },
        meanwhile: () -> Void = {}
    ) throws(SoradError) {
        try self.init(
            modelPath: modelPath, backend: backend, fallback: fallback, ffmpeg: ffmpeg, time: time, checkpointInterval: checkpointInterval,
            previewInterval: previewInterval, frameStages: FrameStages.all, report: report, meanwhile: meanwhile)
    }

    /// As above.
    /// - Parameter frameStages: that clips may pass through, in their order.
    package init(
        modelPath: String, backend: BackendFactory, fallback: BackendFactory? = nil, ffmpeg: String = "ffmpeg", time: TimeSource = .system,
        checkpointInterval: Duration? = nil, previewInterval: Duration? = nil, frameStages: [any FrameStageKind],
        report: @escaping (String) -> Void = { _ in }, meanwhile: () -> Void = {}
    ) throws(SoradError) {
        file = try ModelFile(opening: modelPath, meanwhile: meanwhile)
        host = if let fallback { try fallback.make() } else { nil }
        self.report = report
        do throws(SoradError) {
            model = try VideoModel(file: file, backend: backend.make(), textBackend: host)
        } catch {
            guard let host, error.kind == .unavailable else { throw error }
            report(error.message)
            model = try VideoModel(file: file, backend: host)
        }
        tokenizer = try PromptTokenizer(file.metadata, textLength: model.configuration.textLength)
        info = try ModelInfo(file, model.configuration)
        self.time = time
        self.ffmpeg = ffmpeg
        self.checkpointInterval = checkpointInterval
        self.previewInterval = previewInterval
        self.frameStages = frameStages
        rates = ClipRates(frameStages)
    }

    /// What a model file offers, and what its clips take of memory in a process like this one. The file is checked whole.
    /// - Parameter backend: makes one like that which will compute; its memory counts.
    /// - Throws: as `init`.
    public static func describe(modelPath: String, backend: BackendFactory) throws(SoradError) -> ModelInfo {
        try describe(modelPath: modelPath, backend: backend, frameStages: FrameStages.all)
    }

    /// As above, with the memory of `frameStages`.
    package static func describe(modelPath: String, backend: BackendFactory, frameStages: [any FrameStageKind]) throws(SoradError)
        -> ModelInfo
    {
        let file = try ModelFile(opening: modelPath)
        let model = try VideoModel(file: file, backend: backend.make())
        let tokenizer = try PromptTokenizer(file.metadata, textLength: model.configuration.textLength)
        var info = try ModelInfo(file, model.configuration)
        let identity = try identity(of: modelPath)
        // What a worker holds lies in memory while it is measured.
        withExtendedLifetime(tokenizer) { info.memory = ModelMemory(model, file: identity, info, frameStages: frameStages) }
        return info
    }

    private static func identity(of path: String) throws(SoradError) -> FileIdentity {
        do throws(Errno) { return try FileIdentity(path) } catch {
            throw SoradError(.notFound, "cannot look at \(path): \(error.reason)")
        }
    }

    /// As below, to the end.
    public func makeClip(
        _ request: ClipPlan, into directory: String, progress: @escaping ProgressHandler = { _ in }
    ) throws(JobError) -> ClipResult {
        try makeClip(request, into: directory, stop: {}, progress: progress)
    }

    /// Makes one clip.
    /// - Parameters:
    ///   - directory: exists; receives the files.
    ///   - expectedSeconds: what clips like this one took on this machine, by phase name, for the progress alone; may be empty.
    ///   - stop: asked between the layers of every network and all the time while files are written; what it throws ends the work.
    /// - Throws: the fault with its own code, see `JobError`.
    public func makeClip(
        _ request: ClipPlan, into directory: String, expectedSeconds: [String: Double] = [:], stop: @escaping StopCheck,
        progress: @escaping ProgressHandler = { _ in }
    ) throws(JobError) -> ClipResult {
        do throws(SoradError) {
            return try run(request, directory, expectedSeconds, stop, progress)
        } catch { throw JobError(error) }
    }

    private func run(
        _ request: ClipPlan, _ directory: String, _ expected: [String: Double], _ stop: @escaping StopCheck,
        _ progress: @escaping ProgressHandler
    ) throws(SoradError) -> ClipResult {
        try check(request)
        do throws(SoradError) { try file.file.checkUnchanged() } catch {
            throw SoradError(error.kind, error.message, hint: error.hint, code: JobError.modelInvalid)
        }
        try ClipEncoder.checkAvailable(ffmpeg)
        let size = try model.configuration.latentSize(width: request.width, height: request.height, numFrames: request.numFrames)
        let frames = try FramePlan(request, frameStages)
        let work = ClipWork(request, size).with(frames.work, after: .decoding)
        let meter = ProgressMeter(work, rates: rates, expected: expected, start: time.monotonic())
        let job = RunningJob(meter: meter, time: time, stop: stop, progress: progress)

        // [L] ids, [L, text width] embeddings; [C, T, h, w] latents
        let checkpoint = checkpointInterval.map { interval in
            Checkpoint(
                of: request, model: file.sha256, frameStages: frames.phases, in: directory, interval: interval, time: time)
        }
        let earlier = checkpoint?.restorePrompts(width: model.configuration.textWidth, length: model.configuration.textLength)
        try job.resumed(.encodingText, earlier == nil ? 0 : 1, of: 1)
        let text = if let earlier { earlier } else { try encode(request, stop) }
        if earlier == nil { checkpoint?.keep(text) }
        if request.given != nil { try job.reached(.encodingFrames, 0, of: 1) }
        let (references, given) = try onceMoreOnHost { () throws(SoradError) in
            let references = ReferenceEncoder(
                model: model, request: request, directory: directory, ffmpeg: ffmpeg, shouldStop: { (try? stop()) == nil })
            return (references, try references.encode(size))
        }
        // Before the denoiser's workspace is there: the first time, an encoder runs for them.
        var previews = previewMaker()
        let (latent, done) = try denoise(request, size, text, given, checkpoint, &previews, job)

        let clip = try write(latent, request, frames, references, directory, checkpoint, job)
        var timings = job.finish()
        // Of a clip that was continued only a part was measured.
        if done == 0 && earlier == nil { rates = work.rates(from: timings, before: rates) }
        // Parts of the other times, reported so that it can be seen how little they are.
        if let previews { timings["previews"] = previews.spent.inSeconds }
        if let checkpoint { timings["checkpoints"] = (checkpoint.spent + clip.checkpointTime).inSeconds }
        return ClipResult(
            sha256: clip.sha256, video: clip.files.video, thumbnail: clip.files.thumbnail, spritesheet: clip.files.spritesheet,
            timings: timings, resumedStep: done, resumedFrames: clip.resumedFrames)
    }

    var provenance: Provenance { Provenance(program: "sorad \(soradVersion)", model: info.id) }

    private func previewMaker() -> PreviewMaker? {
        guard let previewInterval else { return nil }
        let began = time.monotonic()
        if preview == nil { preview = .some(LatentPreview(model)) }
        guard case .some(.some(let preview)) = preview else { return nil }
        return PreviewMaker(preview, provenance, interval: previewInterval, spent: time.monotonic() - began, time: time)
    }

    /// From noise to latents [C, T, h, w] in the host's memory, and how many steps an earlier worker had done. The denoiser and its
    /// workspace are gone when this returns, so they never lie in memory together with the decoder's. On a device that fails, the CPU
    /// continues after the last step.
    private func denoise(
        _ request: ClipPlan, _ size: LatentSize, _ text: EncodedPrompts, _ given: ReferenceLatents, _ checkpoint: Checkpoint?,
        _ previews: inout PreviewMaker?, _ job: RunningJob
    ) throws(SoradError) -> (latent: Tensor, done: Int) {
        let noise = Tensor(Shape(size.channels, size.frames, size.height, size.width))
        noise.fillNormal(seed: request.seed, stream: 0)
        var (state, resumed): ((tensors: [Tensor], done: Int), Int?) = (([noise], 0), nil)
        do throws(SoradError) {
            try denoise(request, size, text, given, checkpoint, &previews, job, &state, &resumed)
        } catch {
            try leaveDevice(error)
            try denoise(request, size, text, given, checkpoint, &previews, job, &state, &resumed)
        }
        return (state.tensors[0], resumed ?? 0)
    }

    /// - Parameters:
    ///   - state: the latents and then the sampler's own tensors, in the host's memory, and the steps that were done; after each step
    ///     the new ones.
    ///   - resumed: steps that an earlier worker had done; nil when it has not been looked for them, and the latents are the noise.
    private func denoise(
        _ request: ClipPlan, _ size: LatentSize, _ text: EncodedPrompts, _ given: ReferenceLatents, _ checkpoint: Checkpoint?,
        _ previews: inout PreviewMaker?, _ job: RunningJob, _ state: inout (tensors: [Tensor], done: Int), _ resumed: inout Int?
    ) throws(SoradError) {
        let stop = job.stop
        let denoiser = try model.denoiser(
            size, prompt: text.prompt, negativePrompt: text.negative ?? text.prompt, guidanceScale: Float(request.guidanceScale),
            steps: request.numInferenceSteps,
            shift: Float(request.flowShift), known: given.known, firstStep: request.firstStep, seed: request.seed, stop: stop)
        let latent = model.backend.resident(state.tensors[0])
        if resumed == nil {
            if let source = given.source {
                denoiser.schedule.mix(source, into: latent, atStep: request.firstStep)
            } else if denoiser.schedule.startScale != 1 {
                model.backend.affine(latent, scale: denoiser.schedule.startScale, shift: 0, into: latent)
            }
            let done = checkpoint?.restore(into: [latent] + denoiser.state) ?? 0
            try job.resumed(.denoising, done, of: request.stepsToRun)
            let tensors = ([latent] + denoiser.state).map(\.onHost)
            try model.backend.finish()
            (state, resumed) = ((tensors, done), done)
        } else {
            for (tensor, kept) in zip(denoiser.state, state.tensors.dropFirst()) { tensor.copy(from: kept) }
        }
        for step in state.done..<request.stepsToRun {
            try denoiser.step(request.firstStep + step, latent, stop: stop)
            let tensors = ([latent] + denoiser.state).map(\.onHost)
            try model.backend.finish()
            state = (tensors, step + 1)
            let picture = previews?.picture(denoiser, latent, afterStep: request.firstStep + step)
            // What is told has been written down.
            checkpoint?.store(tensors, done: step + 1)
            try job.reached(.denoising, step + 1, of: request.stepsToRun, preview: picture)
        }
    }

    /// Runs `body`, which uses the model, and once more on the CPU when the device fails meanwhile.
    private func onceMoreOnHost<Result>(_ body: () throws(SoradError) -> Result) throws(SoradError) -> Result {
        do throws(SoradError) { return try body() } catch {
            try leaveDevice(error)
            return try body()
        }
    }

    /// Lets the CPU compute from now on.
    /// - Throws: `error` when it is not a device's, or there is no other backend.
    func leaveDevice(_ error: SoradError) throws(SoradError) {
        guard let host, error.code == SoradError.deviceFailed, model.backend !== host else { throw error }
        report("\(error.message); the CPU continues with the same frames")
        model = try VideoModel(file: file, backend: host)
        preview = nil
    }

    private func encode(_ request: ClipPlan, _ stop: @escaping StopCheck) throws(SoradError) -> EncodedPrompts {
        try stop()
        let prompt = try model.encodeText(tokenizer.encode(request.prompt), stop: stop)
        guard request.guidanceScale != 1 else { return EncodedPrompts(prompt: prompt, negative: nil) }
        try stop()
        return EncodedPrompts(prompt: prompt, negative: try model.encodeText(tokenizer.encode(request.negativePrompt), stop: stop))
    }

    /// The daemon has checked all this against the same `info`; a mistake there must not become a crash here.
    private func check(_ request: ClipPlan) throws(SoradError) {
        guard request.model == info.id else {
            throw SoradError(.badInput, "the request is for the model \(request.model), and \(info.id) is loaded", param: "model")
        }
        try info.sizes.check(width: request.width, height: request.height, numFrames: request.numFrames, fps: request.fps)
        try check(request.numInferenceSteps, in: ClipPlan.numInferenceStepsRange, "num_inference_steps")
        try check(request.guidanceScale, in: ClipPlan.guidanceScaleRange, "guidance_scale")
        try check(request.flowShift, in: ClipPlan.flowShiftRange, "flow_shift")
    }

    private func check<Value: Comparable>(_ value: Value, in range: ClosedRange<Value>, _ field: String) throws(SoradError) {
        guard range.contains(value) else {
            throw SoradError(.badInput, "\(field) is \(value), not \(range.lowerBound) to \(range.upperBound)", param: field)
        }
    }

    /// How a model reads prompts: of the file only the metadata are read, and not checked against its checksum.
    /// - Throws: `.badInput` with one sentence about the file or a prompt, `.notFound`, `.permission`.
    public static func read(prompts: [String], modelPath: String) throws(SoradError) -> [PromptReading] {
        let metadata = try ModelFile(opening: modelPath, verify: false).metadata
        let tokenizer = try PromptTokenizer(metadata, textLength: try ModelConfiguration.textLength(metadata))
        return try prompts.map { prompt throws(SoradError) in try tokenizer.reading(of: prompt) }
    }

    /// What a given clip says about its origin; needs no model.
    /// - Throws: `.badInput` with one sentence when it is no MP4 file or a damaged one, `.notFound`.
    public static func origin(_ path: String) throws(SoradError) -> ProvenanceMark { try provenanceMark(at: path) }

    /// What a given picture or clip is; needs no model.
    /// - Throws: `.badInput` with one sentence when it cannot be used, `.notFound`, `.configuration` without ffmpeg.
    public static func inspect(_ path: String, ffmpeg: String = "ffmpeg") throws(SoradError) -> MediaFacts {
        try inspectMedia(at: path, program: ffmpeg)
    }
}

extension ClipWork {
    init(_ request: ClipPlan, _ size: LatentSize) {
        self.init(
            steps: request.stepsToRun, tokensPerStep: size.frames * size.height * size.width * (request.guidanceScale == 1 ? 1 : 2),
            frames: request.clipFrames, pixelsPerFrame: request.width * request.height, encodedFrames: request.encodedFrames)
    }
}

extension ClipPlan {
    /// About how many given frames go through the encoder; for the estimate of the time alone.
    fileprivate var encodedFrames: Int {
        guard let given else { return 0 }
        return (given.hasFirstFrame ? firstStep > 0 ? numFrames : 4 : 0) + (given.hasLastFrame ? 12 : 0)
            + [given.before, given.after, given.source].reduce(0) { $0 + ($1?.contextFrames ?? 0) }
    }
}
