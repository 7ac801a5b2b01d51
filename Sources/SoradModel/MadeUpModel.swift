// Owns transformers and autoencoders without a file, of any size and with made-up weights, so that the speed and the memory of a model can be measured
// that is not at hand. Layers are int8 or float as in a converted file; what such a model computes means nothing.
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
    package static func madeUp(_ configuration: TransformerConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> DiffusionTransformer
    {
        try DiffusionTransformer(configuration, WeightReader(prefix: "dit."), backend)
    }
}

extension WanAutoencoder {
    package static func madeUp(_ configuration: WanAutoencoderConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> WanAutoencoder
    {
        try WanAutoencoder(configuration, WeightReader(prefix: "vae."), backend)
    }
}

extension VideoAutoencoder {
    package static func madeUp(_ configuration: AutoencoderConfiguration, _ backend: any ComputeBackend) throws(SoradError)
        -> VideoAutoencoder
    {
        try VideoAutoencoder(configuration, WeightReader(prefix: "vae."), backend)
    }
}

enum MadeUpWeights {
    private static let quantised = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]

    static func linear(_ name: String, outputs: Int, inputs: Int, bias: Bool, asymmetricInput: Bool) -> LinearWeights {
        let rows = (outputs + 15) / 16 * 16
        let offsets = bias ? vector(outputs, 0) : nil
        guard quantised.contains(where: name.hasSuffix) else {
            return LinearWeights(
                outputs: outputs, inputs: inputs, precision: .float(vector(rows * inputs, 1 / Float(inputs))), bias: offsets)
        }
        return LinearWeights(
            outputs: outputs, inputs: inputs,
            precision: .int8(
                codes: codes(rows * ((inputs + 3) / 4 * 4)), scale: vector(outputs, 1 / (64 * Float(inputs).squareRoot())),
                sum: Parameter([Int32](repeating: 0, count: outputs))),
            bias: offsets, asymmetricInput: asymmetricInput)
    }

    /// Neighbouring codes are each other's negatives, so the sum of every output's codes is 0.
    private static func codes(_ count: Int) -> Parameter {
        var codes: [Int8] = []
        codes.reserveCapacity(count)
        let pattern = (0..<8192).flatMap { index -> [Int8] in
            let code = Int8(truncatingIfNeeded: index &* 29 % 128)
            return [code, -code]
        }
        while codes.count + pattern.count <= count { codes += pattern }
        codes += pattern[..<(count - codes.count)]
        return Parameter(codes)
    }

    /// One convolution of an autoencoder, int8 where that of a converted one may be.
    static func convolution(_ name: String, outputs: Int, inputs: Int, area: Int) -> ConvolutionWeights.Precision {
        let rows = (outputs + 15) / 16 * 16
        guard name.hasPrefix("vae.decoder."), !floatConvolutions.contains(where: name.hasSuffix) else {
            return .float(vector(rows * area * inputs, 1 / Float(area * inputs)))
        }
        return .int8(
            codes: codes(rows * area * ((inputs + 3) / 4 * 4)), scale: vector(outputs, 1 / (64 * Float(area * inputs).squareRoot())),
            sum: Parameter([Int32](repeating: 0, count: outputs)))
    }

    /// The ends and the attention of Wan's decoder, the ends of TAEHV's.
    private static let floatConvolutions = ["conv_in", "conv_out", "to_qkv", "proj", "time_conv", "decoder.1", "decoder.22"]

    static func vector(_ count: Int, _ value: Float) -> Parameter { Parameter([Float](repeating: value, count: count)) }
}
