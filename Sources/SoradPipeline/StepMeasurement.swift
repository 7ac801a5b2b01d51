// Measures denoise steps of a model on several backends: how a worker decides where clips are made.
import SoradAPI
import SoradModel
import SoradModelFile
public import SoradSystem
public import SoradTensor

/// A model whose denoise steps are measured.
public final class StepMeter {
    /// Width, height and frames of a clip.
    public struct Size: Sendable, Equatable {
        public let width, height, numFrames: Int

        public init(width: Int, height: Int, numFrames: Int) { (self.width, self.height, self.numFrames) = (width, height, numFrames) }

        public var volume: Int { width * height * numFrames }
    }

    /// The model's own size behind smaller ones, if it has any: rising.
    public let sizes: [Size]
    private let file: ModelFile
    private let text: any ComputeBackend
    private var models: [ObjectIdentifier: VideoModel] = [:]

    /// - Parameter text: for the text encoder, and one of the backends that may be measured.
    /// - Throws: as `ClipPipeline.init`.
    public init(modelPath: String, text: any ComputeBackend) throws(SoradError) {
        file = try ModelFile(opening: modelPath)
        self.text = text
        let model = try VideoModel(file: file, backend: text)
        models[ObjectIdentifier(text)] = model
        let info = try ModelInfo(file, model.configuration)
        let multiple = info.sizeMultiple
        var sizes: [Size] = []
        for halvings in [2, 1, 0] {
            func side(_ side: Int) -> Int { max(multiple, (side >> halvings) / multiple * multiple) }
            let size = Size(width: side(info.defaultWidth), height: side(info.defaultHeight), numFrames: info.defaultNumFrames)
            let isPossible = (try? model.configuration.latentSize(width: size.width, height: size.height, numFrames: size.numFrames)) != nil
            if isPossible, sizes.last != size { sizes.append(size) }
        }
        self.sizes = sizes
    }

    /// Seconds of one step with guidance, the first one aside: that one compiles, records and fills caches.
    /// - Throws: what a device that fails says.
    public func secondsPerStep(_ size: Size, on backend: any ComputeBackend) throws(SoradError) -> Double {
        let model = try model(on: backend)
        let latentSize = try model.configuration.latentSize(width: size.width, height: size.height, numFrames: size.numFrames)
        let prompt = Tensor(Shape(8, model.configuration.textWidth))
        let denoiser = try model.denoiser(
            latentSize, prompt: prompt, negativePrompt: prompt, guidanceScale: 2, steps: 3, shift: 3,
            clip: model.configuration.greyClip(latentSize, numFrames: size.numFrames),
            control: model.configuration.greyControl(latentSize))
        let latent = model.initialNoise(seed: 1, latentSize)
        try backend.finish()
        denoiser.step(0, latent)
        try backend.finish()
        let began = MonotonicTime.now()
        denoiser.step(1, latent)
        _ = latent.onHost
        try backend.finish()
        return (MonotonicTime.now() - began).inSeconds
    }

    private func model(on backend: any ComputeBackend) throws(SoradError) -> VideoModel {
        if let model = models[ObjectIdentifier(backend)] { return model }
        let model = try VideoModel(file: file, backend: backend, textBackend: text)
        models[ObjectIdentifier(backend)] = model
        return model
    }
}
