// Owns transformers and autoencoders without a file, of any size, on synthetic weights (see WeightSource.swift): for benchmarks.
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
    package static func synthetic(_ configuration: WanConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> WanTransformer
    {
        try WanTransformer(configuration, WeightReader(synthetic: "dit.", backend), backend)
    }
}

extension WanAutoencoder {
    package static func synthetic(_ configuration: WanAutoencoderConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> WanAutoencoder
    {
        try WanAutoencoder(configuration, WeightReader(synthetic: "vae.", backend), backend)
    }
}

extension TAEHVAutoencoder {
    package static func synthetic(_ configuration: TAEHVConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> TAEHVAutoencoder
    {
        try TAEHVAutoencoder(configuration, WeightReader(synthetic: "vae.", backend), backend)
    }
}
