// The sizes of Wan's causal autoencoder, read from a model file and checked once.
import SoradModelFile
package import SoradSystem
package import SoradTensor

package struct WanAutoencoderConfiguration: AutoencoderConfiguration {
    package let latentChannels: Int
    /// Channels behind the encoder's first convolution.
    let baseWidth: Int
    /// Channels of each level, the finest first.
    let widths, decoderWidths: [Int]
    /// Residual blocks of a level in the encoder; the decoder has one more.
    let residualBlocks: Int
    /// The encoder's levels of these scales (1 is the picture's own, then 1/2, …) have attention.
    let attentionScales: [Float]
    /// Behind each level but the coarsest.
    let halvesTime: [Bool]
    let mean, std: [Float]
    /// Pixels along a side that enter the encoder and leave the decoder as channels, and whether every level has a shortcut around it: Wan 2.2.
    let patch: Int
    let isResidual: Bool

    /// Pixels of the decoded clip per latent pixel.
    package var spatialScale: Int { patch << halvesTime.count }
    /// Of the images that the network reads and writes.
    var imageChannels: Int { 3 * patch * patch }
    /// Frames per latent frame, the first aside.
    package var timeScale: Int { 1 << halvesTime.filter { $0 }.count }

    func hasAttention(level: Int) -> Bool { attentionScales.contains(1 / Float(1 << level)) }

    init(_ data: Metadata) throws(SoradError) {
        latentChannels = try data.integer("vae.latent_channels", in: 1...1024)
        let base = try data.integer("vae.base_dim", in: 1...1024)
        let decoderBase = try data.integer("vae.decoder_base_dim", in: 1...1024)
        let factors = try data.integers("vae.dim_mult", in: 1...64)
        residualBlocks = try data.integer("vae.num_res_blocks", in: 1...16)
        attentionScales = try data.floats("vae.attn_scales")
        halvesTime = try data.bools("vae.temporal_downsample")
        mean = try data.floats("vae.latents_mean")
        std = try data.floats("vae.latents_std")
        guard (2...6).contains(factors.count), halvesTime.count == factors.count - 1 else {
            throw SoradError(
                .badInput,
                "\(data.path): vae.dim_mult has \(factors.count) levels and vae.temporal_downsample \(halvesTime.count); 2 to 6 and one less belong there"
            )
        }
        guard mean.count == latentChannels, std.count == latentChannels, std.allSatisfy({ $0 > 0 }) else {
            throw SoradError(
                .badInput, "\(data.path): vae.latents_mean and vae.latents_std must have \(latentChannels) numbers, the latter positive")
        }
        patch = data.contains("vae.patch_size") ? try data.integer("vae.patch_size", in: 1...8) : 1
        isResidual = data.contains("vae.is_residual") ? try data.bool("vae.is_residual") : false
        baseWidth = base
        widths = factors.map { $0 * base }
        decoderWidths = factors.map { $0 * decoderBase }
        // Half of a width enters the next level of the decoder.
        guard (widths + decoderWidths).allSatisfy({ (2...4096).contains($0) }) else {
            throw SoradError(.badInput, "\(data.path): levels of \(widths + decoderWidths) channels are outside 2…4096")
        }
        if isResidual, let wrong = (encoderShortcuts + decoderShortcuts).first(where: { !$0.isPossible }) {
            throw SoradError(
                .badInput, "\(data.path): the autoencoder has no way around a level from \(wrong.inputs) to \(wrong.outputs) channels")
        }
        var attended = [widths[factors.count - 1], decoderWidths[factors.count - 1]]
        for level in factors.indices where hasAttention(level: level) { attended.append(widths[level]) }
        if let wrong = attended.first(where: { $0 > AttentionPrecision.float.widestHead || $0 % 2 == 1 }) {
            throw SoradError(
                .badInput,
                "\(data.path): the autoencoder attends over \(wrong) channels; even numbers up to \(AttentionPrecision.float.widestHead) are possible"
            )
        }
    }

    /// Around the levels of the encoder, the finest first, and of the decoder, the coarsest first; none without them.
    var encoderShortcuts: [LevelShortcut] {
        widths.indices.map { level in
            LevelShortcut(
                inputs: level == 0 ? baseWidth : widths[level - 1], outputs: widths[level],
                time: level < halvesTime.count && halvesTime[level] ? 2 : 1, space: level < halvesTime.count ? 2 : 1, grows: false)
        }
    }
    var decoderShortcuts: [LevelShortcut] {
        let widths: [Int] = decoderWidths.reversed()
        return halvesTime.indices.map { level in
            LevelShortcut(
                inputs: widths[max(0, level - 1)], outputs: widths[level], time: halvesTime[halvesTime.count - 1 - level] ? 2 : 1, space: 2,
                grows: true)
        }
    }

    package func autoencoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder {
        try WanAutoencoder(self, weights, backend)
    }
}
