// The sizes of a TAEHV autoencoder, read from a model file and checked once.
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// The TAEHV-family video autoencoder.
package struct TAEHVConfiguration: AutoencoderConfiguration {
    package let latentChannels: Int
    let imageChannels, patchSize: Int
    let encoderChannels, decoderChannels: [Int]
    let encoderTimeDownscale, decoderTimeUpscale, decoderSpaceUpscale: [Bool]
    /// Missing frames of the first group are put in front of the clip (the first frame repeated) or behind it.
    let padsInFront: Bool
    let mean, std: [Float]

    static let levels = 3
    /// Pixels of the decoded clip per latent pixel.
    package var spatialScale: Int { patchSize << decoderSpaceUpscale.filter { $0 }.count }
    /// Frames per latent frame.
    package var timeScale: Int { 1 << decoderTimeUpscale.filter { $0 }.count }

    var geometry: FrameGeometry {
        FrameGeometry(
            patchSize: patchSize, latentChannels: latentChannels, spatialScale: spatialScale, encoderScale: patchSize << Self.levels,
            timeScale: timeScale, padsInFront: padsInFront, mean: mean, std: std)
    }

    init(_ data: Metadata) throws(SoradError) {
        imageChannels = try data.integer("vae.image_channels", in: 3...3)
        latentChannels = try data.integer("vae.latent_channels", in: 1...1024)
        patchSize = try data.integer("vae.patch_size", in: 1...16)
        encoderChannels = try data.integers("vae.encoder_channels", in: 1...4096)
        decoderChannels = try data.integers("vae.decoder_channels", in: 1...4096)
        encoderTimeDownscale = try data.bools("vae.encoder_time_downscale")
        decoderTimeUpscale = try data.bools("vae.decoder_time_upscale")
        decoderSpaceUpscale = try data.bools("vae.decoder_space_upscale")
        mean = try data.floats("vae.latents_mean")
        std = try data.floats("vae.latents_std")
        let padding = try data.string("vae.encoder_padding")
        padsInFront = padding == "front"
        guard padding == "front" || padding == "back" else {
            throw SoradError(.badInput, "\(data.path): vae.encoder_padding is \"\(padding)\", neither front nor back")
        }
        guard encoderChannels.count == Self.levels + 1, decoderChannels.count == Self.levels + 1,
            [encoderTimeDownscale, decoderTimeUpscale, decoderSpaceUpscale].allSatisfy({ $0.count == Self.levels })
        else { throw SoradError(.badInput, "\(data.path): the autoencoder must have \(Self.levels) levels") }
        guard encoderTimeDownscale.filter({ $0 }).count == decoderTimeUpscale.filter({ $0 }).count else {
            throw SoradError(.badInput, "\(data.path): the autoencoder's encoder and decoder scale time differently")
        }
        guard mean.count == latentChannels, std.count == latentChannels, std.allSatisfy({ $0 > 0 }) else {
            throw SoradError(
                .badInput, "\(data.path): vae.latents_mean and vae.latents_std must have \(latentChannels) numbers, the latter positive")
        }
    }

    package func autoencoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder {
        try FrameAutoencoder(self, weights, backend)
    }
}
