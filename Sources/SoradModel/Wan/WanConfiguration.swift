// The sizes of the Wan transformer, read from a model file and checked once.
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// The Wan diffusion transformer (diffusers WanTransformer3DModel).
package struct WanConfiguration: NetworkConfiguration {
    package let textWidth, maxPositions: Int
    package let patch: (frames: Int, height: Int, width: Int)
    let layers, heads, headWidth, inChannels, outChannels, feedForward: Int
    package let frequencyWidth: Int
    let crossAttentionNorm, expandTimesteps: Bool
    /// Of the embeddings of given pictures, and how many of them one table of positions is added to; 0 for none.
    package let imageWidth, imagePositions: Int
    /// The blocks behind which the control branch adds a hint, rising from 0, and channels of what the branch reads (VACE); none without one.
    let controlLayers: [Int]
    package let controlChannels: Int
    /// Timestep from which on the network is the one for high noise, where the file has two.
    let boundary: Float?
    /// The guidance of the network for low noise: 1 + this · (guidance − 1).
    let lowNoiseGuidance: Float
    package let autoencoder, sampler: String
    let epsilon: Float
    /// Of the attention between the clip's own tokens: int8 where its linear layers are. The text's few keys stay float.
    package var attentionPrecision = AttentionPrecision.float
    /// Bytes of a weight of int8 attention.
    var attentionProbBytes = 1

    /// Channels of the hidden state.
    var width: Int { heads * headWidth }
    /// Latent values in one token.
    var patchVolume: Int { patch.frames * patch.height * patch.width }

    init(_ data: Metadata) throws(SoradError) {
        layers = try data.integer("dit.num_layers", in: 1...512)
        heads = try data.integer("dit.num_attention_heads", in: 1...256)
        headWidth = try data.integer("dit.attention_head_dim", in: 6...256)
        inChannels = try data.integer("dit.in_channels", in: 1...1024)
        outChannels = try data.integer("dit.out_channels", in: 1...1024)
        textWidth = try data.integer("dit.text_dim", in: 1...65536)
        frequencyWidth = try data.integer("dit.freq_dim", in: 2...65536)
        feedForward = try data.integer("dit.ffn_dim", in: 1...65536)
        maxPositions = try data.integer("dit.rope_max_seq_len", in: 1...65536)
        let sizes = try data.integers("dit.patch_size", in: 1...16)
        crossAttentionNorm = try data.bool("dit.cross_attn_norm")
        expandTimesteps = try data.bool("dit.expand_timesteps")
        epsilon = try data.float("dit.eps")
        if data.contains("dit.attention_planes") { attentionProbBytes = try data.integer("dit.attention_planes", in: 1...2) }
        imageWidth = data.contains("dit.image_dim") ? try data.integer("dit.image_dim", in: 1...65536) : 0
        imagePositions = data.contains("dit.pos_embed_seq_len") ? try data.integer("dit.pos_embed_seq_len", in: 1...65536) : 0
        controlLayers = data.contains("dit.vace_layers") ? try data.integers("dit.vace_layers", in: 0...511) : []
        controlChannels = controlLayers.isEmpty ? 0 : try data.integer("dit.vace_in_channels", in: 1...4096)
        boundary = try data.contains("dit.boundary") ? data.float("dit.boundary") : nil
        lowNoiseGuidance = try data.contains("dit.low_noise_guidance") ? data.float("dit.low_noise_guidance") : 1
        autoencoder = try data.string("vae.type")
        sampler = try data.string("scheduler.type")
        let norm = try data.string("dit.qk_norm")
        guard sizes.count == 3 else { throw SoradError(.badInput, "\(data.path): dit.patch_size has \(sizes.count) numbers, not 3") }
        patch = (sizes[0], sizes[1], sizes[2])
        guard norm == "rms_norm_across_heads" else {
            throw SoradError(.badInput, "\(data.path): dit.qk_norm is \"\(norm)\", and only rms_norm_across_heads is known")
        }
        guard sizes[1] == sizes[2], inChannels * patchVolume <= 65536, outChannels * patchVolume <= 65536 else {
            throw SoradError(
                .badInput, "\(data.path): patches of \(sizes) with \(inChannels) and \(outChannels) channels are not square or too large")
        }
        // Latents alone, or behind them a mask of few channels and the latents of a clip of which some frames are given.
        guard inChannels == outChannels || inChannels > 2 * outChannels && !expandTimesteps else {
            throw SoradError(.badInput, "\(data.path): the transformer has \(inChannels) channels in and \(outChannels) out")
        }
        guard imageWidth > 0 ? inChannels != outChannels : imagePositions == 0 else {
            throw SoradError(.badInput, "\(data.path): the transformer reads embeddings of pictures, and no pictures")
        }
        try checkControl(data.path)
        guard boundary.map({ $0 > 0 }) ?? true, (0...100).contains(lowNoiseGuidance) else {
            throw SoradError(.badInput, "\(data.path): dit.boundary or dit.low_noise_guidance is out of range")
        }
        guard headWidth % 2 == 0, frequencyWidth % 2 == 0 else {
            throw SoradError(.badInput, "\(data.path): dit.attention_head_dim \(headWidth) and dit.freq_dim \(frequencyWidth) must be even")
        }
    }

    private func checkControl(_ path: String) throws(SoradError) {
        guard let last = controlLayers.last else { return }
        guard controlLayers[0] == 0, last < layers, zip(controlLayers, controlLayers.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw SoradError(
                .badInput, "\(path): dit.vace_layers is \(controlLayers), and must rise from 0 within the \(layers) layers")
        }
        guard controlChannels > 2 * outChannels, controlChannels * patchVolume <= 65536, inChannels == outChannels, !expandTimesteps else {
            throw SoradError(
                .badInput, "\(path): a control branch of \(controlChannels) channels does not go with \(inChannels) channels in")
        }
    }

    package var textEncoder: String { "umt5" }
    package var latentChannels: Int { outChannels }

    package var conditioning: ConditioningForm {
        controlChannels > 0
            ? .control(mask: controlChannels - 2 * outChannels)
            : inChannels > outChannels ? .channels(mask: inChannels - 2 * outChannels) : expandTimesteps ? .frames : .none
    }

    package var hasExperts: Bool { boundary != nil }

    package var picturesNeeded: Int {
        switch conditioning {
        case .channels: imagePositions > 0 ? 2 : 1
        case .frames, .control, .none: 0
        }
    }

    package func network(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any DiffusionNetwork {
        let transformer = try WanTransformer(self, weights, backend)
        guard let boundary else { return transformer }
        return WanExperts(high: transformer, low: try WanTransformer(self, weights.at("low_noise"), backend), boundary: boundary)
    }
}
