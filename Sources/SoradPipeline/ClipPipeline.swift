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
    /// What makes this clip: on the device, or on the CPU.
    private(set) var model: VideoModel
    /// Nil where there is no device, and once it has failed.
    private var deviceModel: VideoModel?
    /// Made when it is needed first.
    private var hostModel: VideoModel?
    private let usesDevice: (ClipPlan) -> Bool
    /// Computes what the device does not, and everything once it has failed; nil where the CPU computes alone.
    private let host: (any ComputeBackend)?
    private let report: (String) -> Void
    private let tokenizer: PromptTokenizer
    private let time: TimeSource
    let ffmpeg: String
    /// What clips carry besides the mark that they were generated.
    let marking: ClipMarking
    /// nil for those of the model.
    private let givenStages: [any FrameStageKind]?
    private let checkpointInterval: Duration?
    private let previewInterval: Duration?
    private var rates: ClipRates
    /// Bytes of a text encoder's layers from which on its embeddings are kept and its pages given back.
    private let longEncoding: Int
    /// Of the clip that is being made.
    private var store: EmbeddingStore?
    /// Made for the first clip; the inner nil is a model for which there are none.
    private var preview: LatentPreview??

    /// Reports progress; called on the thread that makes the clip.
    public typealias ProgressHandler = (JobProgress) -> Void

    /// Opens, checks and loads a model file.
    /// - Parameters:
    ///   - verified: as of `ModelFile`.
    ///   - backend: makes what computes.
    ///   - fallback: makes what computes the texts, and everything when the first backend cannot be made or fails; the frames are the
    ///     same. Nil means that there is no other.
    ///   - usesDevice: asked before each clip: whether the first backend is to make it. Where there is a fallback that makes the others.
    ///   - report: gets one sentence when that happens.
    ///   - ffmpeg: a name to look up in PATH, or a path.
    ///   - checkpointInterval: how often at most the latents are written to the job's directory, from which the same request then goes
    ///     on; nil means never. They stay there.
    ///   - previewInterval: how often at most the progress has a picture; nil means never.
    ///   - marking: what clips carry besides the mark that they were generated.
    ///   - meanwhile: called now and then while the file is read.
    /// - Throws: `.notFound`, `.permission`, `.badInput` with one sentence about the file.
    public convenience init(
        modelPath: String, verified: String? = nil, backend: BackendFactory, fallback: BackendFactory? = nil, ffmpeg: String = "ffmpeg",
        time: TimeSource = .system, checkpointInterval: Duration? = nil, previewInterval: Duration? = nil,
        marking: ClipMarking = ClipMarking(), usesDevice: @escaping (ClipPlan) -> Bool = { _ in true },
        report: @escaping (String) -> Void = { _ in }, meanwhile: () -> Void = {}
    ) throws(SoradError) {
        try self.init(
            modelPath: modelPath, verified: verified, backend: backend, fallback: fallback, ffmpeg: ffmpeg, time: time,
            checkpointInterval: checkpointInterval, previewInterval: previewInterval, marking: marking, frameStages: nil,
            usesDevice: usesDevice, report: report, meanwhile: meanwhile)
    }

    /// As above.
    /// - Parameters:
    ///   - frameStages: that clips may pass through, in their order; nil for those of the model.
    ///   - longEncoding: bytes of a text encoder's layers from which on encoding a prompt takes longer than to read it from a file.
    package init(
        modelPath: String, verified: String? = nil, backend: BackendFactory, fallback: BackendFactory? = nil, ffmpeg: String = "ffmpeg",
        time: TimeSource = .system, checkpointInterval: Duration? = nil, previewInterval: Duration? = nil,
        marking: ClipMarking = ClipMarking(), frameStages: [any FrameStageKind]?, longEncoding: Int = 64 << 20,
        usesDevice: @escaping (ClipPlan) -> Bool = { _ in true }, report: @escaping (String) -> Void = { _ in }, meanwhile: () -> Void = {}
    ) throws(SoradError) {
        self.longEncoding = longEncoding
        file = try ModelFile(opening: modelPath, verified: verified, meanwhile: meanwhile)
        host = if let fallback { try fallback.make() } else { nil }
        self.report = report
        self.usesDevice = usesDevice
        do throws(SoradError) {
            model = try VideoModel(file: file, backend: backend.make(), textBackend: host)
            deviceModel = host == nil ? nil : model
        } catch {
            guard let host, error.kind == .unavailable else { throw error }
            report("\(error.message); the CPU makes the same frames")
            model = try VideoModel(file: file, backend: host)
            hostModel = model
        }
        tokenizer = try PromptTokenizer(file.metadata, textLength: model.configuration.textLength)
        info = try ModelInfo(file, model.configuration)
        self.time = time
        self.ffmpeg = ffmpeg
        self.marking = marking
        self.checkpointInterval = checkpointInterval
        self.previewInterval = previewInterval
        givenStages = frameStages
        rates = ClipRates(frameStages ?? FrameStages.all(model))
    }

    /// What a model file offers, and what its clips take of memory in a process like this one. The file is checked whole.
    /// - Parameter backend: makes one like that which will compute; its memory counts.
    /// - Throws: as `init`.
    public static func describe(modelPath: String, backend: BackendFactory) throws(SoradError) -> ModelInfo {
        try describe(modelPath: modelPath, backend: backend, frameStages: nil)
    }

    /// As above, with the memory of `frameStages`.
    package static func describe(modelPath: String, backend: BackendFactory, frameStages: [any FrameStageKind]?) throws(SoradError)
        -> ModelInfo
    {
        let file = try ModelFile(opening: modelPath)
        let model = try VideoModel(file: file, backend: backend.make())
        let tokenizer = try PromptTokenizer(file.metadata, textLength: model.configuration.textLength)
        var info = try ModelInfo(file, model.configuration)
        let identity = try identity(of: modelPath)
        // What a worker holds lies in memory while it is measured.
        withExtendedLifetime(tokenizer) {
            info.memory = ModelMemory(
                model, file: identity, weights: { file.byteCount(below: $0) }, info, frameStages: frameStages ?? FrameStages.all(model))
        }
        info.time = try ModelTime(measuring: model)
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
    ///   - identifier: of the job, for the marks.
    ///   - expectedSeconds: what clips like this one took on this machine, by phase name, for the progress alone; may be empty.
    ///   - embeddings: an existing directory for prompts that were encoded; nil for none.
    ///   - stop: asked between the layers of every network and all the time while files are written; what it throws ends the work.
    ///   - isDue: asked after each denoise step and each group of frames, whether the work is to be put down there. It is, with the code
    ///     `JobError.putDown`, where the disk takes the checkpoint from which it then continues; no older one is left.
    /// - Throws: the fault with its own code, see `JobError`.
    public func makeClip(
        _ request: ClipPlan, into directory: String, identifier: String = "", expectedSeconds: [String: Double] = [:],
        embeddings: String? = nil, stop: @escaping StopCheck, progress: @escaping ProgressHandler = { _ in },
        putDown isDue: @escaping () -> Bool = { false }
    ) throws(JobError) -> ClipResult {
        do throws(SoradError) {
            let isLong = file.byteCount(below: "te.block.") >= longEncoding
            store = isLong ? embeddings.map { EmbeddingStore(directory: $0, model: file.sha256) } : nil
            defer { store = nil }
            return try run(request, directory, identifier, expectedSeconds, stop, isDue, progress)
        } catch { throw JobError(error) }
    }

    private func run(
        _ request: ClipPlan, _ directory: String, _ identifier: String, _ expected: [String: Double], _ stop: @escaping StopCheck,
        _ isPutDown: @escaping () -> Bool, _ progress: @escaping ProgressHandler
    ) throws(SoradError) -> ClipResult {
        guard request.model == info.id else {
            throw SoradError(.badInput, "the request is for the model \(request.model), and \(info.id) is loaded", param: "model")
        }
        // The daemon has checked it against the same `info`; a mistake there must not become a crash here.
        try info.check(request)
        do throws(SoradError) { try file.file.checkUnchanged() } catch {
            throw SoradError(error.kind, error.message, hint: error.hint, code: JobError.modelInvalid)
        }
        try ClipEncoder.checkAvailable(ffmpeg)
        try choosePlace(request)
        let size = try latentSize(request)
        let frames = try FramePlan(request, givenStages ?? FrameStages.all(model))
        let c = model.configuration
        let whole = c.takesControl ? 2 : c.takesConditioningClip ? 1 : nil
        let work = ClipWork(request, size, wholeClips: whole).with(frames.work, after: .decoding)
        let meter = ProgressMeter(work, rates: rates, expected: expected, start: time.monotonic())
        let job = RunningJob(identifier, meter: meter, time: time, stop: stop, isPutDown: isPutDown, progress: progress)

        // [L] ids, [L, text width] embeddings; [C, T, h, w] latents
        let digest = Checkpoint.digest(of: request, model: file.sha256, frameStages: frames.phases)
        let path = "\(directory)/\(ClipPlan.latentsName)"
        var isMade = false
        // Nobody continues a clip that has no checkpoints.
        defer { if checkpointInterval == nil, !isMade { removeFile(path) } }
        let latents = try LatentFile(
            making: path, digest: digest, model: file.sha256,
            Shape(size.channels, size.frames, size.height, size.width))
        let checkpoint = checkpointInterval.map { Checkpoint(of: request, digest: digest, in: directory, interval: $0, time: time) }
        let sampler = model.sampler(steps: request.numInferenceSteps, shift: Float(request.flowShift), sigmas: request.sigmas)
        let windows = WindowPlan(
            request, size, latents, checkpoint, tensors: 1 + Denoiser.stateCount(sampler, caches: request.cache != nil))
        let scene = windows.windows[windows.first].scene
        let earlier = checkpoint?.restorePrompts(scene: scene, width: c.textWidth, length: c.textLength)
        try job.resumed(.encodingText, earlier == nil ? 0 : 1, of: 1)
        let text = if let earlier { earlier } else { try encode(request, scene: scene, stop) }
        if earlier == nil { checkpoint?.keep(text, scene: scene) }
        if request.given != nil { try job.reached(.encodingFrames, 0, of: 1) }
        let given = try onceMoreOnHost { () throws(SoradError) in
            try references(request, directory, digest: digest, stop).encode(size)
        }
        // Before the denoiser's workspace is there: the first time, an encoder runs for them.
        var previews = previewMaker()
        try denoise(request, windows, text, given, into: latents, checkpoint, &previews, job)

        let clip = try write(latents, request, frames, directory, digest: digest, checkpoint, job)
        isMade = true
        var timings = job.finish()
        // Of a clip that was continued only a part was measured, and of one that leaves steps out nobody knows which.
        if windows.done == 0 && earlier == nil && request.cache == nil { rates = work.rates(from: timings, before: rates) }
        // Parts of the other times, reported so that it can be seen how little they are.
        if let previews { timings["previews"] = previews.spent.inSeconds }
        if let checkpoint { timings["checkpoints"] = (checkpoint.spent + clip.checkpointTime).inSeconds }
        var result = ClipResult(
            sha256: clip.sha256, video: clip.files.video, thumbnail: clip.files.thumbnail, spritesheet: clip.files.spritesheet,
            timings: timings, resumedStep: windows.done, resumedFrames: clip.resumedFrames, latents: ClipPlan.latentsName,
            modelSHA256: file.sha256)
        result.passes = job.passes
        return result
    }

    /// Of all latents of the clip. The network itself sees no more of them than a window has.
    private func latentSize(_ request: ClipPlan) throws(SoradError) -> LatentSize {
        let c = model.configuration
        let together = request.windows.map(\.count).max().map { 1 + ($0 - 1) * c.frameMultiple } ?? request.numFrames
        let window = try c.latentSize(width: request.width, height: request.height, numFrames: together)
        guard !request.windows.isEmpty else { return window }
        return LatentSize(
            channels: window.channels, frames: info.latentFrames(request.numFrames), height: window.height, width: window.width)
    }

    var provenance: Provenance { Provenance(program: "sorad \(soradVersion)", model: info.id) }

    /// That of a job's files.
    func provenance(of job: String) -> Provenance {
        var provenance = provenance
        provenance.aigc = marking.producer.map { AIGCLabel(producer: $0, produceID: job) }
        return provenance
    }

    private func previewMaker() -> PreviewMaker? {
        guard let previewInterval else { return nil }
        let began = time.monotonic()
        if preview == nil { preview = .some(LatentPreview(model)) }
        guard case .some(.some(let preview)) = preview else { return nil }
        return PreviewMaker(preview, provenance, interval: previewInterval, spent: time.monotonic() - began, time: time)
    }

    /// Runs `body`, which uses the model, and once more on the CPU when the device fails meanwhile.
    func onceMoreOnHost<Result>(_ body: () throws(SoradError) -> Result) throws(SoradError) -> Result {
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
        deviceModel = nil
        try use(onHost(host))
    }

    /// Takes the device for a clip, or the CPU.
    private func choosePlace(_ request: ClipPlan) throws(SoradError) {
        guard let host, let deviceModel else { return }
        try use(usesDevice(request) ? deviceModel : onHost(host))
    }

    private func onHost(_ host: any ComputeBackend) throws(SoradError) -> VideoModel {
        if let hostModel { return hostModel }
        let new = try VideoModel(file: file, backend: host)
        hostModel = new
        return new
    }

    private func use(_ chosen: VideoModel) {
        guard model !== chosen else { return }
        model = chosen
        preview = nil
    }

    /// Of the model as it is now: not to be kept.
    func references(_ request: ClipPlan, _ directory: String, digest: [UInt8], _ stop: @escaping StopCheck) -> ReferenceEncoder {
        ReferenceEncoder(
            model: model, modelSHA256: file.sha256, request: request, directory: directory, digest: digest, ffmpeg: ffmpeg, stop: stop)
    }

    /// The prompts of a scene. Those of the scenes behind it go through the encoder with them where they can be kept until their turn comes.
    func encode(_ request: ClipPlan, scene: Int, _ stop: @escaping StopCheck) throws(SoradError) -> EncodedPrompts {
        try stop()
        let c = model.configuration
        func kept(_ text: String) -> Tensor? { store?.embedding(of: text, width: c.textWidth, length: c.textLength) }
        let own = [request.prompt(ofScene: scene)] + (request.guidanceScale == 1 ? [] : [request.negativePrompt])
        var found: [String: Tensor] = [:]
        for text in own { found[text] = kept(text) }
        if own.contains(where: { found[$0] == nil }) {
            // More would push each other out before they are wanted.
            let later = store == nil ? [] : request.scenes.dropFirst(scene + 1).prefix(EmbeddingStore.limit - own.count).map(\.prompt)
            var missing: [String] = []
            for text in own + later where !missing.contains(text) && found[text] == nil && kept(text) == nil { missing.append(text) }
            let ids = try missing.map { text throws(SoradError) in try tokenizer.encode(text) }
            try model.encodeTexts(ids, stop: stop) { index, embedding in
                if own.contains(missing[index]) { found[missing[index]] = embedding }
                store?.keep(embedding, of: missing[index])
            }
            // The next steps read the network's weights, and have more use for the memory.
            if file.byteCount(below: "te.block.") >= longEncoding { file.giveBack(below: "te.") }
        }
        return EncodedPrompts(prompt: found[own[0]]!, negative: own.count > 1 ? found[own[1]] : nil)
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
    /// - Parameter wholeClips: clips of the whole length within which what is given is encoded; nil where it is encoded by itself.
    init(_ request: ClipPlan, _ size: LatentSize, wholeClips: Int? = nil) {
        let references = request.given?.references.count ?? 0
        self.init(
            steps: request.stepsToRun,
            // At half the sides, a pass has a quarter of the tokens.
            tokensPerStep: (request.latentsPerWindow(size.frames) + references) * size.height * size.width
                * (4 * request.wholePasses + request.basePasses) / (4 * request.stepsPerWindow),
            frames: request.clipFrames, pixelsPerFrame: request.width * request.height,
            encodedFrames: wholeClips.map { $0 * request.numFrames + references } ?? request.encodedFrames)
    }
}

extension PassSettings {
    init(_ request: ClipPlan) {
        self.init(
            guidanceScale: Float(request.guidanceScale), secondGuidanceScale: request.secondGuidanceScale.map { Float($0) },
            guidanceInterval: request.guidanceInterval.map { Float($0.lowerBound)...Float($0.upperBound) } ?? 0...1,
            cacheTolerance: request.cache.map { Float($0) })
    }
}

extension ClipPlan {
    /// Latent frames of a window, on average.
    fileprivate func latentsPerWindow(_ total: Int) -> Int {
        windows.isEmpty ? total : max(1, windows.reduce(0) { $0 + $1.count } / windows.count)
    }

    /// About how many given frames go through the encoder; for the estimate of the time alone.
    fileprivate var encodedFrames: Int {
        guard let given else { return 0 }
        return (given.hasFirstFrame ? firstStep > 0 ? numFrames : 4 : 0) + (given.hasLastFrame ? 12 : 0)
            + [given.before, given.after, given.source].reduce(0) { $0 + ($1?.contextFrames ?? 0) }
    }
}
