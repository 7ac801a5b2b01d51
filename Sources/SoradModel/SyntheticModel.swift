// Owns transformers and autoencoders without a file, of any size, on synthetic weights (see WeightSource.swift): for benchmarks.
package import SoradSystem
package import SoradTensor

extension TransformerConfiguration {
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
    }
}

extension DiffusionTransformer {
    package static func synthetic(_ configuration: TransformerConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> DiffusionTransformer
    {
        try DiffusionTransformer(configuration, WeightReader(synthetic: "dit.", backend), backend)
    }
}

extension WanAutoencoder {
    package static func synthetic(_ configuration: WanAutoencoderConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> WanAutoencoder
    {
        try WanAutoencoder(configuration, WeightReader(synthetic: "vae.", backend), backend)
    }
}

extension VideoAutoencoder {
    package static func synthetic(_ configuration: AutoencoderConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> VideoAutoencoder
    {
        try VideoAutoencoder(configuration, WeightReader(synthetic: "vae.", backend), backend)
    }
}
