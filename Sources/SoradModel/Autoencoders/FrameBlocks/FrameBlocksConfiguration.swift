// The autoencoder of sorad-mini: two lists of blocks that the model file describes line by line (`FrameBlocks`), run by the same streamed
// network as TAEHV's. Every change of resolution addresses each pixel and frame of its block (pixel shuffle, frames along the channels);
// tensor N of a half is that of its line N (quantization/training/sorad_mini/autoencoder.py).
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// Sizes of a frame-block autoencoder.
package struct FrameBlocksConfiguration: AutoencoderConfiguration {
    let blocks: FrameBlocks
    let mean, std: [Float]

    package var latentChannels: Int { blocks.latentChannels }
    package var spatialScale: Int { blocks.spatialScale }
    package var timeScale: Int { blocks.timeScale }

    init(_ data: Metadata) throws(SoradError) {
        blocks = try FrameBlocks(
            encoder: try data.strings("vae.encoder"), decoder: try data.strings("vae.decoder"),
            patchSize: try data.integer("vae.patch_size", in: 1...16),
            latentChannels: try data.integer("vae.latent_channels", in: 1...1024), place: data.path)
        mean = try data.floats("vae.latents_mean")
        std = try data.floats("vae.latents_std")
        guard mean.count == blocks.latentChannels, std.count == blocks.latentChannels, std.allSatisfy({ $0 > 0 }) else {
            throw SoradError(
                .badInput,
                "\(data.path): vae.latents_mean and vae.latents_std must have \(blocks.latentChannels) numbers, the latter positive")
        }
    }

    var geometry: FrameGeometry {
        FrameGeometry(
            patchSize: blocks.patchSize, latentChannels: blocks.latentChannels, spatialScale: blocks.spatialScale,
            encoderScale: blocks.spatialScale, timeScale: blocks.timeScale, padsInFront: true, mean: mean, std: std)
    }

    package func autoencoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any Autoencoder {
        try FrameAutoencoder(self, weights, backend)
    }
}

extension FrameAutoencoder {
    convenience init(
        _ configuration: FrameBlocksConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend
    ) throws(SoradError) {
        self.init(
            configuration.geometry, encoder: try FrameBlock.read(configuration.blocks.encoder, weights.at("encoder")),
            decoder: try FrameBlock.read(configuration.blocks.decoder, weights.at("decoder")), backend)
    }
}

extension FrameBlock {
    /// The blocks of a list with their weights; the names of line N's begin with N.
    static func read(_ lines: [FrameBlockLine], _ weights: WeightReader) throws(SoradError) -> [FrameBlock] {
        var blocks: [FrameBlock] = []
        for (index, line) in lines.enumerated() {
            let reader = weights.at("\(index)")
            var convolutions: [ConvolutionWeights] = []
            for (name, outputs, inputs, kernel) in line.convolutions {
                let stride = if case .down = line { 2 } else { 1 }
                convolutions.append(try reader.convolution(name, outputs: outputs, inputs: inputs, kernel: kernel, stride: stride))
            }
            switch line {
            case .convolution(_, _, let relu): blocks.append(.convolution(convolutions[0], upsample: false, relu: relu))
            case .down: blocks.append(.convolution(convolutions[0], upsample: false, relu: false))
            case .memory: blocks.append(.memory(convolutions[0], convolutions[1], convolutions[2]))
            case .timePool: blocks.append(.pool(convolutions[0], stride: 2))
            case .timeGrow: blocks.append(.grow(convolutions[0], stride: 2))
            case .spaceGrow: blocks.append(.growSpace(convolutions[0]))
            }
        }
        return blocks
    }
}
