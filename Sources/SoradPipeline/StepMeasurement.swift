// Measures one denoise step of a model on a backend: how a worker decides where clips are made.
import SoradAPI
import SoradModel
import SoradModelFile
public import SoradSystem
public import SoradTensor

extension ClipPipeline {
    /// Seconds of one step with guidance at the model's own size, the first one aside: that one compiles and fills caches.
    /// - Throws: as `init`; what a device that fails says.
    public static func secondsPerStep(modelPath: String, backend: BackendFactory, text: BackendFactory) throws(SoradError) -> Double {
        let file = try ModelFile(opening: modelPath)
        let model = try VideoModel(file: file, backend: backend.make(), textBackend: text.make())
        let info = try ModelInfo(file, model.configuration)
        let size = try model.configuration.latentSize(
            width: info.defaultWidth, height: info.defaultHeight, numFrames: info.defaultNumFrames)
        let prompt = Tensor(Shape(8, model.configuration.textWidth))
        let denoiser = try model.denoiser(size, prompt: prompt, negativePrompt: prompt, guidanceScale: 2, steps: 3, shift: 3)
        let latent = model.initialNoise(seed: 1, size)
        denoiser.step(0, latent)
        try model.backend.finish()
        let began = MonotonicTime.now()
        denoiser.step(1, latent)
        _ = latent.onHost
        try model.backend.finish()
        return (MonotonicTime.now() - began).inSeconds
    }
}
