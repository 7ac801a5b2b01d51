// Wan transformers without a file, of any size, on synthetic weights (see WeightSource.swift): for benchmarks.
package import SoradSystem
package import SoradTensor

extension WanConfiguration {
    /// As in Wan 2.1, but for the sizes that are named.
    package init(layers: Int, heads: Int, headWidth: Int, feedForward: Int, textWidth: Int, channels: Int) {
        self.layers = layers
        self.heads = heads
        self.headWidth = headWidth
        self.feedForward = feedForward
        self.textWidth = textWidth
        inChannels = channels
        outChannels = channels
        frequencyWidth = 256
        maxPositions = 1024
        patch = (1, 2, 2)
        crossAttentionNorm = true
        expandTimesteps = false
        epsilon = 1e-6
        (autoencoder, sampler) = ("wan", "flow_match_euler")
    }
}

extension WanTransformer {
    private static let int8Layers = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]

    /// Int8 where a converted file's layers may be.
    package static func synthetic(_ configuration: WanConfiguration, _ backend: any ComputeBackend) throws(SoradError) -> WanTransformer {
        let weights = WeightReader(synthetic: "dit.", int8: { int8Layers.contains(where: $0.hasSuffix) }, backend)
        return try WanTransformer(configuration, weights, backend)
    }
}
