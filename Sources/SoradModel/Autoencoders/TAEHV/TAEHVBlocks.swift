// The blocks of the TAEHV family (madebyollin/taehv, published state-dict names, free widths).
import SoradSystem
import SoradTensor

extension FrameAutoencoder {
    convenience init(_ configuration: TAEHVConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        self.init(
            configuration.geometry, encoder: try Self.encoder(configuration, weights.at("encoder")),
            decoder: try Self.decoder(configuration, weights.at("decoder")), backend)
    }

    /// Index in the published Sequential: 0 convolution, 1 relu, then per level pool, convolution, three memory blocks; last a convolution.
    private static func encoder(_ c: TAEHVConfiguration, _ weights: WeightReader) throws(SoradError) -> [FrameBlock] {
        let widths = c.encoderChannels
        var blocks: [FrameBlock] = [
            .convolution(
                try weights.convolution("0", outputs: widths[0], inputs: c.imageChannels * c.patchSize * c.patchSize), upsample: false,
                relu: true)
        ]
        for level in 0..<TAEHVConfiguration.levels {
            let index = 2 + level * 5
            let n = widths[level]
            let next = widths[level + 1]
            let stride = c.encoderTimeDownscale[level] ? 2 : 1
            blocks.append(
                .pool(try weights.convolution("\(index).conv", outputs: n, inputs: n * stride, kernel: 1, bias: false), stride: stride))
            blocks.append(
                .convolution(
                    try weights.convolution("\(index + 1)", outputs: next, inputs: n, stride: 2, bias: false), upsample: false, relu: false)
            )
            for memory in 2..<5 { blocks.append(try memoryBlock(weights.at("\(index + memory)"), next)) }
        }
        let last = try weights.convolution("17", outputs: c.latentChannels, inputs: widths[TAEHVConfiguration.levels])
        return blocks + [.convolution(last, upsample: false, relu: false)]
    }

    /// Index in the published Sequential: 0 clamp, 1 convolution, 2 relu, then per level three memory blocks, upsample, grow, convolution;
    /// last relu and a convolution. Growing in time is done before the upsampling: a 1×1 convolution gives the same either way.
    private static func decoder(_ c: TAEHVConfiguration, _ weights: WeightReader) throws(SoradError) -> [FrameBlock] {
        let widths = c.decoderChannels
        let levels = TAEHVConfiguration.levels
        var blocks: [FrameBlock] = [
            .softClamp,
            .convolution(try weights.convolution("1", outputs: widths[0], inputs: c.latentChannels), upsample: false, relu: true),
        ]
        for level in 0..<levels {
            let index = 3 + level * 6
            let n = widths[level]
            let stride = c.decoderTimeUpscale[level] ? 2 : 1
            for memory in 0..<3 { blocks.append(try memoryBlock(weights.at("\(index + memory)"), n)) }
            blocks.append(
                .grow(try weights.convolution("\(index + 4).conv", outputs: n * stride, inputs: n, kernel: 1, bias: false), stride: stride))
            let widen = try weights.convolution("\(index + 5)", outputs: widths[level + 1], inputs: n, bias: false)
            blocks.append(.convolution(widen, upsample: c.decoderSpaceUpscale[level], relu: level == levels - 1))
        }
        let last = try weights.convolution("22", outputs: c.imageChannels * c.patchSize * c.patchSize, inputs: widths[levels])
        return blocks + [.convolution(last, upsample: false, relu: false)]
    }

    private static func memoryBlock(_ weights: WeightReader, _ n: Int) throws(SoradError) -> FrameBlock {
        .memory(
            try weights.convolution("conv.0", outputs: n, inputs: 2 * n), try weights.convolution("conv.2", outputs: n, inputs: n),
            try weights.convolution("conv.4", outputs: n, inputs: n))
    }
}
