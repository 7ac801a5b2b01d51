// Owns the causal video autoencoder of Wan 2.1 and 2.2 (diffusers' AutoencoderKLWan, its tensor names): latents to frames and back, both streamed.
// The first latent frame stands for the first frame alone, each other one for a group. Encoding takes the middle of the distribution.
package import SoradSystem
package import SoradTensor

package final class WanAutoencoder: Autoencoder {
    private let configuration: WanAutoencoderConfiguration
    package let backend: any ComputeBackend
    private let encoder, decoder: [CausalBlock]
    private let mean, std: Tensor

    init(_ configuration: WanAutoencoderConfiguration, _ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) {
        self.configuration = configuration
        self.backend = backend
        encoder = try Self.encoder(configuration, weights)
        decoder = try Self.decoder(configuration, weights)
        mean = backend.tensor(Shape(configuration.latentChannels), configuration.mean)
        std = backend.tensor(Shape(configuration.latentChannels), configuration.std)
    }

    /// Levels from the finest to the coarsest; each but the last ends by halving the sides, and some halve time.
    private static func encoder(_ c: WanAutoencoderConfiguration, _ all: WeightReader) throws(SoradError) -> [CausalBlock] {
        let weights = all.at("encoder")
        let levels = c.widths.count
        var width = c.baseWidth
        var blocks: [CausalBlock] = [.convolution(try weights.causal("conv_in", outputs: width, inputs: c.imageChannels))]
        // diffusers numbers the blocks of all levels in one list.
        var index = 0
        func next() -> WeightReader {
            defer { index += 1 }
            return weights.at("down_blocks.\(index)")
        }
        func halve(_ resample: WeightReader, _ level: Int) throws(SoradError) {
            let halve = try resample.causal("resample.1", outputs: width, inputs: width, frames: 1, stride: 2, onlyFloat: true).frames[0]
            blocks.append(.resize(halve, upsample: false))
            guard c.halvesTime[level] else { return }
            blocks.append(.temporalDownsample(try resample.causal("time_conv", outputs: width, inputs: width, kernel: 1, onlyFloat: true)))
        }
        for level in 0..<levels where c.isResidual {
            let block = weights.at("down_blocks.\(level)")
            blocks.append(.shortcutBegins(c.encoderShortcuts[level]))
            for index in 0..<c.residualBlocks {
                blocks.append(try block.at("resnets.\(index)").residualBlock(outputs: c.widths[level], inputs: width))
                width = c.widths[level]
            }
            if level < levels - 1 { try halve(block.at("downsampler"), level) }
            blocks.append(.shortcutEnds)
        }
        for level in 0..<levels where !c.isResidual {
            for _ in 0..<c.residualBlocks {
                blocks.append(try next().residualBlock(outputs: c.widths[level], inputs: width))
                width = c.widths[level]
                if c.hasAttention(level: level) { blocks.append(try next().frameAttention(width)) }
            }
            if level < levels - 1 { try halve(next(), level) }
        }
        blocks += try middle(weights, width)
        blocks.append(.convolution(try weights.causal("conv_out", outputs: 2 * c.latentChannels, inputs: width, norm: "norm_out")))
        // Its second half would give the spread of the distribution.
        let last = try all.causal("quant_conv", outputs: c.latentChannels, inputs: 2 * c.latentChannels, frames: 1, kernel: 1, parts: 2)
        return blocks + [.convolution(last[0])]
    }

    /// Levels from the coarsest to the finest; each but the last ends by doubling the sides, some after doubling time.
    private static func decoder(_ c: WanAutoencoderConfiguration, _ all: WeightReader) throws(SoradError) -> [CausalBlock] {
        let weights = all.at("decoder")
        let widths: [Int] = c.decoderWidths.reversed()
        var width = widths[0]
        var blocks: [CausalBlock] = [
            .convolution(
                try all.causal("post_quant_conv", outputs: c.latentChannels, inputs: c.latentChannels, frames: 1, kernel: 1)),
            .convolution(try weights.causal("conv_in", outputs: width, inputs: c.latentChannels)),
        ]
        blocks += try middle(weights, width)
        for level in widths.indices {
            let block = weights.at("up_blocks.\(level)")
            let isLast = level == widths.count - 1
            if c.isResidual, !isLast { blocks.append(.shortcutBegins(c.decoderShortcuts[level])) }
            for index in 0...c.residualBlocks {
                blocks.append(try block.at("resnets.\(index)").residualBlock(outputs: widths[level], inputs: width))
                width = widths[level]
            }
            guard !isLast else { continue }
            let sampler = block.at(c.isResidual ? "upsampler" : "upsamplers.0")
            if c.halvesTime[widths.count - 2 - level] {
                let both = try sampler.causal("time_conv", outputs: width, inputs: width, kernel: 1, parts: 2)
                blocks.append(.temporalUpsample(both[0], both[1]))
            }
            let grown = c.isResidual ? width : width / 2
            let grow = try sampler.causal("resample.1", outputs: grown, inputs: width, frames: 1).frames[0]
            blocks.append(.resize(grow, upsample: true))
            if c.isResidual { blocks.append(.shortcutEnds) }
            width = grown
        }
        return blocks + [.convolution(try weights.causal("conv_out", outputs: c.imageChannels, inputs: width, norm: "norm_out"))]
    }

    private static func middle(_ weights: WeightReader, _ width: Int) throws(SoradError) -> [CausalBlock] {
        let middle = weights.at("mid_block")
        return [
            try middle.at("resnets.0").residualBlock(outputs: width, inputs: width), try middle.at("attentions.0").frameAttention(width),
            try middle.at("resnets.1").residualBlock(outputs: width, inputs: width),
        ]
    }

    package func decoder(latentHeight: Int, latentWidth: Int) -> any LatentDecoder {
        let input = backend.tensor(Shape(latentHeight, latentWidth, configuration.latentChannels))
        let network = CausalNetwork(decoder, input: input.shape, backend)
        let scale = configuration.spatialScale
        let pixels = PixelPatches(side: configuration.patch)
        let frame = pixels.side == 1 ? nil : backend.tensor(Shape(latentHeight * scale, latentWidth * scale, 3))
        return NetworkDecoder(backend, mean: mean, std: std, input: input, network: network) { [backend] image in
            // From −1…1.
            backend.affine(image, scale: 0.5, shift: 0.5, into: image)
            guard let frame else { return image }
            pixels.spread(image, into: frame)
            return frame
        }
    }

    package func decodeBytes(_ size: LatentSize) -> Int {
        let pixels = size.height * size.width * configuration.spatialScale * configuration.spatialScale
        // The frame as bytes, and, where it leaves as patches, as floats.
        return CausalNetwork.byteCount(decoder, input: Shape(size.height, size.width, configuration.latentChannels), backend)
            + pixels * (configuration.patch == 1 ? 3 : 15)
    }

    package func latentEncoder(numFrames: Int, width: Int, height: Int) throws(SoradError) -> LatentEncoder {
        let c = configuration
        let scale = c.spatialScale
        try LatentEncoder.check(numFrames: numFrames, width: width, height: height, scale: scale)
        let missing = (c.timeScale - (numFrames - 1) % c.timeScale) % c.timeScale
        let entering = Shape(height / c.patch, width / c.patch, c.imageChannels)
        let network = CausalNetwork(encoder, input: entering, backend)
        let image = backend.tensor(Shape(height, width, 3))
        let pixels = PixelPatches(side: c.patch)
        let patched = c.patch == 1 ? image : backend.tensor(entering)
        return LatentEncoder(
            backend, numFrames: numFrames, image: image.shape,
            latent: Shape(c.latentChannels, 1 + (numFrames - 1 + missing) / c.timeScale, height / scale, width / scale),
            missing: missing, padsInFront: true, mean: mean, std: std
        ) { [backend] frame, emit in
            backend.affine(frame, scale: 2, shift: -1, into: image)
            if pixels.side > 1 { pixels.gather(image, into: patched) }
            network.push(patched, stop: {}, emit: emit)
        }
    }

    package func encodeBytes(_ size: LatentSize) -> Int {
        let scale = configuration.spatialScale
        let image = Shape(size.height * scale, size.width * scale, 3)
        let entering = Shape(image[0] / configuration.patch, image[1] / configuration.patch, configuration.imageChannels)
        return CausalNetwork.byteCount(encoder, input: entering, backend) + image.count * (configuration.patch == 1 ? 9 : 13)
    }
}

/// Pixels of a patch as channels, in the order of Wan 2.2: color, then column, then row (diffusers' patchify).
private struct PixelPatches {
    let side: Int

    /// [H, W, 3] to [H/side, W/side, 3·side²].
    func gather(_ image: Tensor, into patches: Tensor) {
        image.withElements { pixels in
            patches.withMutableElements { out in
                forEach(width: image.shape[1], height: image.shape[0]) { pixel, patch in out[patch] = pixels[pixel] }
            }
        }
    }

    /// The other way.
    func spread(_ patches: Tensor, into image: Tensor) {
        patches.withElements { values in
            image.withMutableElements { out in
                forEach(width: image.shape[1], height: image.shape[0]) { pixel, patch in out[pixel] = values[patch] }
            }
        }
    }

    /// Places of the same value in both.
    private func forEach(width: Int, height: Int, _ body: (_ pixel: Int, _ patch: Int) -> Void) {
        let channels = 3 * side * side
        for y in 0..<height {
            for x in 0..<width {
                let patch = (y / side * (width / side) + x / side) * channels + x % side * side + y % side
                for color in 0..<3 { body((y * width + x) * 3 + color, patch + color * side * side) }
            }
        }
    }
}

extension WeightReader {
    /// One convolution of Wan's autoencoder, 3×3 or 1×1, over one or three frames; `norm` is the norm before it. Those that halve have no
    /// int8 form.
    fileprivate func causal(
        _ name: String, outputs: Int, inputs: Int, frames: Int = 3, kernel: Int = 3, stride: Int = 1, norm: String? = nil,
        onlyFloat: Bool = false
    ) throws(SoradError) -> CausalConvolution {
        var convolution = CausalConvolution(
            frames: try convolutions(
                name, outputs: outputs, inputs: inputs, frames: frames, kernel: kernel, stride: stride, parts: 1, onlyFloat: onlyFloat)[0])
        if let norm { convolution.gamma = try vector(norm + ".gamma", inputs) }
        return convolution
    }

    /// As above with `parts` times as many outputs, as one convolution per part.
    fileprivate func causal(_ name: String, outputs: Int, inputs: Int, frames: Int = 3, kernel: Int, parts: Int) throws(SoradError)
        -> [CausalConvolution]
    {
        try convolutions(name, outputs: outputs, inputs: inputs, frames: frames, kernel: kernel, stride: 1, parts: parts, onlyFloat: false)
            .map { CausalConvolution(frames: $0) }
    }

    fileprivate func residualBlock(outputs: Int, inputs: Int) throws(SoradError) -> CausalBlock {
        .residual(
            try causal("conv1", outputs: outputs, inputs: inputs, norm: "norm1"),
            try causal("conv2", outputs: outputs, inputs: outputs, norm: "norm2"),
            shortcut: inputs == outputs
                ? nil : try causal("conv_shortcut", outputs: outputs, inputs: inputs, frames: 1, kernel: 1).frames[0])
    }

    fileprivate func frameAttention(_ width: Int) throws(SoradError) -> CausalBlock {
        .attention(
            FrameAttention(
                gamma: try vector("norm.gamma", width),
                queryKeyValue: try causal("to_qkv", outputs: width, inputs: width, frames: 1, kernel: 1, parts: 3).map { $0.frames[0] },
                output: try causal("proj", outputs: width, inputs: width, frames: 1, kernel: 1).frames[0]))
    }

    /// [part][frame], the oldest frame first; the bias is with the last. A convolution of one frame reads an image that no norm has evened.
    private func convolutions(
        _ name: String, outputs: Int, inputs: Int, frames: Int, kernel: Int, stride: Int, parts: Int, onlyFloat: Bool
    ) throws(SoradError) -> [[ConvolutionWeights]] {
        let (precisions, inputScale) = try framePrecisions(
            name, outputs: outputs, inputs: inputs, kernel: kernel, frames: frames, parts: parts, onlyFloat: onlyFloat)
        let bias = try unloadedVector(name + ".bias", outputs * parts)
        return (0..<parts).map { part in
            (0..<frames).map { frame in
                load(
                    ConvolutionWeights(
                        outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, padsAtEnd: stride == 2,
                        precision: precisions[part][frame], bias: frame == frames - 1 ? bias.part(part, of: parts) : nil,
                        inputScale: inputScale, has16BitInput: frames == 1))
            }
        }
    }
}
