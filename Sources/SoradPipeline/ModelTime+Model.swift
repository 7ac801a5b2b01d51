// Measures what parts of a model take on this machine; see `ModelTime`. A fraction of a second for a model of a billion weights.
import SoradAPI
import SoradModel
import SoradSystem
import SoradTensor

extension ModelTime {
    /// Latent pixels along a side of the frame that is decoded.
    private static let decodedSide = 8

    /// nil for a model whose network does not say what it costs.
    init?(measuring model: VideoModel) throws(SoradError) {
        let c = model.configuration
        guard let pass = model.passCost() else { return nil }
        let text = model.textCost()
        self.init(
            textPass: text.fixed, perTextToken: text.perToken, textLength: c.textLength, pass: pass.fixed, perToken: pass.perToken,
            perPair: pass.perPair, perPixel: try ModelTime.pixelSeconds(model),
            perEncodedPixel: c.takesConditioningFrames ? try ModelTime.encodedPixelSeconds(model) : 0, perPicture: model.pictureSeconds(),
            picturesRead: min(c.picturesEncoded, 2), clipsEncoded: c.takesControl ? 2 : c.takesConditioningClip ? 1 : 0,
            spatialScale: c.spatialScale, timeScale: c.timeScale, tokenPixels: c.tokenPixels)
    }

    /// Of an encoded pixel: a grey clip of one frame and one group.
    private static func encodedPixelSeconds(_ model: VideoModel) throws(SoradError) -> Double {
        let c = model.configuration
        let side = max(1, decodedSide / c.tokenSide) * c.tokenSide * c.spatialScale
        let frames = 1 + c.frameMultiple
        let encoder = try model.latentEncoder(numFrames: frames, width: side, height: side)
        let began = MonotonicTime.now()
        for _ in 0..<frames { encoder.appendGrey() }
        _ = encoder.finish()
        try model.backend.finish()
        return (MonotonicTime.now() - began).inSeconds / Double(frames * side * side)
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
