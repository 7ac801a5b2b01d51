// Measures what parts of a model take on this machine; see `ModelTime`. A fraction of a second for a model of a billion weights.
import SoradAPI
import SoradModel
import SoradSystem
import SoradTensor

extension ModelTime {
    /// Latent pixels along a side of the frame that is decoded, and tokens of the prompt: a sentence.
    private static let decodedSide = 8
    private static let promptTokens = 64

    /// nil for a model whose network does not say what it costs.
    init?(measuring model: VideoModel) throws(SoradError) {
        let c = model.configuration
        guard let pass = model.passCost() else { return nil }
        self.init(
            text: try model.promptSeconds(tokens: min(ModelTime.promptTokens, c.textLength)), pass: pass.fixed, perToken: pass.perToken,
            perPair: pass.perPair, perPixel: try ModelTime.pixelSeconds(model), spatialScale: c.spatialScale, timeScale: c.timeScale,
            tokenPixels: c.tokenPixels)
    }

    /// Of a decoded pixel: the group of frames behind the first, whose caches are warm.
    private static func pixelSeconds(_ model: VideoModel) throws(SoradError) -> Double {
        let c = model.configuration
        let side = max(1, decodedSide / c.tokenSide) * c.tokenSide
        let latents = Tensor(Shape(c.latentChannels, 2, side, side))
        latents.fillNormal(seed: 1, stream: 0)
        let decoder = model.decoder(latents)
        decoder.next(stop: {}) { _, _ in }
        var frames = 0
        let began = MonotonicTime.now()
        decoder.next(stop: {}) { _, _ in frames += 1 }
        try model.backend.finish()
        let pixels = frames * side * side * c.spatialScale * c.spatialScale
        return (MonotonicTime.now() - began).inSeconds / Double(max(1, pixels))
    }
}
