// Owns a loaded model: from token ids to frames, written down in the order of the pipeline. Everything in the file is checked when the
// model is made, so that nothing can fail in the middle of a clip.
public import SoradModelFile
public import SoradSystem
public import SoradTensor

/// One model, ready to make clips on one backend. Used by one thread at a time.
///
///     let text = try model.encodeText(ids)                                       // [L, text width]
///     let size = try model.configuration.latentSize(width: 128, height: 128, numFrames: 17)
///     let latent = model.initialNoise(seed: 7, size)                             // [C, T, h, w]
///     let denoiser = try model.denoiser(size, prompt: text, negativePrompt: none, guidanceScale: 5, steps: 20, shift: 3)
///     for step in 0..<20 { denoiser.step(step, latent) }
///     model.decode(latent) { index, rgb in … }                                   // frames [H, W, 3] bytes
public final class VideoModel {
    public let configuration: ModelConfiguration
    public let backend: any ComputeBackend
    package let textEncoder: any TextEncoder
    /// Of given pictures, where the network reads their embeddings; it runs where texts are encoded.
    package let imageEncoder: (any ImageEncoder)?
    package let network: any DiffusionNetwork
    package let autoencoder: any Autoencoder
    /// The networks behind the decoder that the file has. They run where texts are encoded: frames come to them as bytes of the host.
    package let enhancers: [FrameEnhancer]
    /// Between the two sizes of a clip; nil for a model that makes it at one. It runs where texts are encoded.
    public let cascade: LatentCascade?

    /// - Parameters:
    ///   - backend: for everything that is computed more than once for a clip.
    ///   - textBackend: for the text encoder, where that is another.
    /// - Throws: `.badInput` when a size in the metadata is impossible or a tensor is missing or has another shape or type; what `finish`
    ///   of the backend throws.
    public convenience init(file: ModelFile, backend: any ComputeBackend, textBackend: (any ComputeBackend)? = nil) throws(SoradError) {
        try self.init(file: file, backend: backend, textBackend: textBackend, registry: .standard)
    }

    package init(
        file: ModelFile, backend: any ComputeBackend, textBackend: (any ComputeBackend)? = nil, registry: ModelRegistry
    ) throws(SoradError) {
        configuration = try ModelConfiguration(file, registry)
        self.backend = backend
        let textBackend = textBackend ?? backend
        textEncoder = try configuration.text.encoder(WeightReader(file: file, prefix: "te.", textBackend), textBackend)
        imageEncoder = try configuration.image?.encoder(WeightReader(file: file, prefix: "ie.", textBackend), textBackend)
        network = try configuration.network.network(WeightReader(file: file, prefix: "dit.", backend), backend)
        autoencoder = try configuration.autoencoder.autoencoder(WeightReader(file: file, prefix: "vae.", backend), backend)
        var enhancers: [FrameEnhancer] = []
        for kind in FrameEnhancer.Kind.allCases {
            if let enhancer = try FrameEnhancer(kind, file, textBackend) { enhancers.append(enhancer) }
        }
        self.enhancers = enhancers
        let channels = configuration.latentChannels
        cascade =
            configuration.cascade == nil
            ? nil : try LatentCascade(channels: channels, WeightReader(file: file, prefix: "cascade.", textBackend), textBackend)
        try backend.finish()
    }

    /// Encodes a prompt.
    /// - Parameter ids: token ids with the end mark, without padding. More than `textLength` are cut, keeping the last one (the end mark).
    /// - Returns: [L, text width]; Wan's zeros up to `textLength` are not stored, but stand for the missing rows.
    /// - Parameter stop: asked between the layers.
    /// - Throws: `.badInput` for no ids or an id outside the vocabulary; what `stop` throws.
    public func encodeText(_ ids: [Int32], stop: StopCheck = {}) throws(SoradError) -> Tensor {
        var found: Tensor?
        try encodeTexts([ids], stop: stop) { found = $1 }
        return found!
    }

    /// The same of several prompts, reading and unpacking every weight once for as many as have the tokens of two of the full length.
    /// - Parameter take: gets the place of each prompt and what became of it, in their order.
    public func encodeTexts(
        _ texts: [[Int32]], stop: StopCheck = {}, take: (_ index: Int, _ embedding: Tensor) -> Void
    ) throws(SoradError) {
        let limit = configuration.textLength
        let cut = try texts.map { ids throws(SoradError) in
            guard let end = ids.last else { throw SoradError(.badInput, "a prompt without tokens cannot be encoded") }
            return ids.count > limit ? Array(ids.prefix(limit - 1)) + [end] : ids
        }
        var next = 0
        while next < cut.count {
            var (together, tokens) = (next, 0)
            while together < cut.count, tokens + cut[together].count <= 2 * limit {
                tokens += cut[together].count
                together += 1
            }
            for (offset, embedding) in try textEncoder.encode(Array(cut[next..<together]), stop: stop).enumerated() {
                take(next + offset, embedding)
            }
            next = together
        }
    }

    /// What a pass takes on this machine, by running parts of the model; nil where nobody can tell.
    public func passCost() -> PassCost? { network.measuredCost() }
    /// The same of a pass of prompts through the text encoder.
    public func textCost() -> TextCost { textEncoder.measuredCost() }
    /// Seconds of a picture of which the network reads embeddings; 0 where it reads none.
    public func pictureSeconds() -> Double { imageEncoder?.measuredSeconds() ?? 0 }

    /// Standard normal latents [C, T, h, w]: the same for the same seed, whatever computes them.
    /// - Parameter window: of the clip; each has noise of its own.
    public func initialNoise(seed: UInt64, _ size: LatentSize, window: Int = 0) -> Tensor {
        let noise = backend.tensor(Shape(size.channels, size.frames, size.height, size.width))
        noise.fillNormal(seed: seed, stream: SamplerRequest.stream(ofWindow: window))
        return noise
    }

    /// Prepares the denoising of one clip: encodes the prompts for the transformer and sets its workspace aside.
    /// - Parameters:
    ///   - prompt, negativePrompt: [L, text width] from `encodeText`. The negative one is not looked at when the guidance scale is 1.
    ///   - known: latent frames that are given, for models that take them so.
    ///   - clip: a clip of which frames are given, for models that take it so.
    ///   - control: what the network follows, for models that take it so.
    ///   - region: part of every latent frame that is given.
    ///   - firstStep: where the run begins; above 0 with a clip mixed into the noise.
    ///   - seed, window: of the noise that samplers add.
    ///   - sigmas: the noise level before each of the steps, falling; none for the model's schedule.
    ///   - stop: asked between the blocks.
    /// - Throws: `.badInput` for no steps, a shift or guidance that is no sensible number, or frames given in a form that the model
    ///   does not take, or missing where it needs them; what `stop` throws.
    public func denoiser(
        _ size: LatentSize, prompt: Tensor, negativePrompt: Tensor, settings: PassSettings, steps: Int, shift: Float,
        known: ConditioningFrames? = nil, clip: ConditioningClip? = nil, control: ControlClip? = nil, region: KnownRegion? = nil,
        firstStep: Int = 0, seed: UInt64 = 0, window: Int = 0, sigmas: [Double] = [], stop: StopCheck = {}
    ) throws(SoradError) -> Denoiser {
        try checkGiven(known, clip, control)
        guard (1...configuration.numTrainTimesteps).contains(steps) else {
            throw SoradError(
                .badInput, "num_inference_steps is \(steps), outside 1…\(configuration.numTrainTimesteps)", param: "num_inference_steps")
        }
        guard shift > 0, shift.isFinite else {
            throw SoradError(.badInput, "flow_shift is \(shift), not a positive number", param: "flow_shift")
        }
        guard settings.guidanceScale.isFinite else {
            throw SoradError(.badInput, "guidance_scale is \(settings.guidanceScale), not a number", param: "guidance_scale")
        }
        guard sigmas.isEmpty || sigmas.count == steps else {
            throw SoradError(.badInput, "there are \(sigmas.count) noise levels for \(steps) steps", param: "sigmas")
        }
        let schedule = sampler(steps: steps, shift: shift, firstStep: firstStep, seed: seed, window: window, sigmas: sigmas)
        return try Denoiser(
            network, backend, size: size, prompt: prompt, negativePrompt: negativePrompt, settings: settings, schedule: schedule,
            given: Conditioning(frames: known, clip: clip, control: control), region: region, textLength: configuration.textLength,
            stop: stop)
    }

    /// As above, with a guidance scale alone.
    public func denoiser(
        _ size: LatentSize, prompt: Tensor, negativePrompt: Tensor, guidanceScale: Float, steps: Int, shift: Float,
        known: ConditioningFrames? = nil, clip: ConditioningClip? = nil, control: ControlClip? = nil, region: KnownRegion? = nil,
        firstStep: Int = 0, seed: UInt64 = 0, window: Int = 0, sigmas: [Double] = [], stop: StopCheck = {}
    ) throws(SoradError) -> Denoiser {
        try denoiser(
            size, prompt: prompt, negativePrompt: negativePrompt, settings: PassSettings(guidanceScale: guidanceScale), steps: steps,
            shift: shift, known: known, clip: clip, control: control, region: region, firstStep: firstStep, seed: seed, window: window,
            sigmas: sigmas, stop: stop)
    }

    private func checkGiven(_ known: ConditioningFrames?, _ clip: ConditioningClip?, _ control: ControlClip?) throws(SoradError) {
        switch configuration.network.conditioning {
        case .none where known == nil && clip == nil && control == nil, .frames where clip == nil && control == nil,
            .control where known == nil && clip == nil && control != nil:
            return
        case .channels:
            guard known == nil, control == nil, let clip else {
                throw SoradError(.badInput, "the model \(configuration.id) starts from a picture, and none is given")
            }
            let pictures = configuration.picturesEncoded
            guard clip.pictures.map({ $0.shape == Shape(configuration.pictureTokens, configuration.network.imageWidth) }) ?? (pictures == 0)
            else { throw SoradError(.badInput, "the model \(configuration.id) reads \(pictures) pictures, and others are given") }
        default: throw SoradError(.badInput, "the model \(configuration.id) cannot start from given frames")
        }
    }

    /// Embeddings of given pictures, one behind the other, [tokens, width]; in the host's memory.
    /// - Parameter pictures: [height, width, 3] RGB bytes each; as many as `configuration.picturesEncoded`.
    /// - Throws: what `stop` throws.
    public func encodePictures(_ pictures: [[UInt8]], width: Int, height: Int, stop: StopCheck = {}) throws(SoradError) -> Tensor? {
        guard let imageEncoder else { return nil }
        let parts = try pictures.map { picture throws(SoradError) in
            try imageEncoder.encode(picture, width: width, height: height, stop: stop)
        }
        let (rows, columns) = (parts[0].shape[0], parts[0].shape[1])
        let all = Tensor(Shape(rows * parts.count, columns))
        for (index, part) in parts.enumerated() { all.rows(index * rows..<(index + 1) * rows).copy(from: part) }
        return all
    }

    /// The sampler of a run; `steps` and `shift` are within what `denoiser` takes.
    package func sampler(
        steps: Int, shift: Float, firstStep: Int = 0, seed: UInt64 = 0, window: Int = 0, sigmas: [Double] = []
    ) -> any Sampler {
        var request = SamplerRequest(steps: steps, shift: shift, numTrainTimesteps: configuration.numTrainTimesteps)
        request.timesteps = configuration.timesteps
        request.sigmas = sigmas
        request.firstStep = firstStep
        request.seed = seed
        request.window = window
        return configuration.samplerMaker(request)
    }

    /// As below, to the end.
    public func decode<Failure: Error>(_ latent: Tensor, frame: (Int, [UInt8]) throws(Failure) -> Void) throws(Failure) {
        try decode(latent, stop: { () throws(Failure) in }, frame: frame)
    }

    /// Decodes latents [C, T, h, w] frame by frame, with memory for a few frames only.
    /// - Parameters:
    ///   - stop: called between the layers; what it throws ends the decoding.
    ///   - frame: gets the frame's index and its bytes, [H, W, 3] RGB; what it throws ends the decoding.
    public func decode<Failure: Error>(
        _ latent: Tensor, stop: () throws(Failure) -> Void, frame: (Int, [UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        let decoder = decoder(latent)
        while decoder.isUnfinished { try decoder.next(stop: stop, frame: frame) }
    }

    /// A decoder of latents [C, T, h, w] that its caller drives, one group of frames (what one latent frame becomes) after the other.
    public func decoder(_ latent: Tensor) -> ClipDecoder {
        ClipDecoder(backend.resident(latent), autoencoder.decoder(latentHeight: latent.shape[2], latentWidth: latent.shape[3]))
    }

    /// A decoder of `total` latent frames that its caller hands over one by one, each [C, 1, h, w]: the memory of a clip of any length is
    /// that of a few frames.
    public func decoder(total: Int, latentHeight: Int, latentWidth: Int) -> ClipDecoder {
        ClipDecoder(total: total, autoencoder.decoder(latentHeight: latentHeight, latentWidth: latentWidth))
    }

    /// Encodes frames to latents [C, T, h, w].
    /// - Parameter frames: [H, W, 3] RGB bytes each; H and W are multiples of the autoencoder's scale.
    /// - Throws: `.badInput` for no frames or sizes that do not fit.
    public func encodeVideo(_ frames: [[UInt8]], width: Int, height: Int) throws(SoradError) -> Tensor {
        try autoencoder.encode(frames, width: width, height: height)
    }

    /// Encodes a clip frame by frame, with memory for a few frames only.
    /// - Throws: as `encodeVideo`.
    public func latentEncoder(numFrames: Int, width: Int, height: Int) throws(SoradError) -> LatentEncoder {
        try autoencoder.latentEncoder(numFrames: numFrames, width: width, height: height)
    }
}
