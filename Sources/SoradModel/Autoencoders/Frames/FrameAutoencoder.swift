// Owns an autoencoder that is a stack of frame blocks in each half: latents to frames and back, both streamed. The first 2^k − 1 frames
// that the decoder makes, k being its doublings of time, are dropped.
package import SoradSystem
package import SoradTensor

/// What running a stack of frame blocks needs to know besides its blocks.
struct FrameGeometry {
    let patchSize, latentChannels: Int
    /// Pixels along a side of one latent pixel, as the decoder makes it and as the encoder takes it.
    let spatialScale, encoderScale: Int
    /// Frames of one latent frame.
    let timeScale: Int
    /// Missing frames of the first group are put in front of the clip (the first frame repeated) or behind it.
    let padsInFront: Bool
    let mean, std: [Float]

    /// Channels of a picture.
    static let imageChannels = 3
}

package final class FrameAutoencoder: Autoencoder {
    private let geometry: FrameGeometry
    package let backend: any ComputeBackend
    private let encoder, decoder: [FrameBlock]
    private let mean, std: Tensor

    init(_ geometry: FrameGeometry, encoder: [FrameBlock], decoder: [FrameBlock], _ backend: any ComputeBackend) {
        self.geometry = geometry
        self.backend = backend
        self.encoder = encoder
        self.decoder = decoder
        mean = backend.tensor(Shape(geometry.latentChannels), geometry.mean)
        std = backend.tensor(Shape(geometry.latentChannels), geometry.std)
    }

    package func decoder(latentHeight: Int, latentWidth: Int) -> any LatentDecoder {
        let g = geometry
        let input = backend.tensor(Shape(latentHeight, latentWidth, g.latentChannels))
        let image = backend.tensor(Shape(latentHeight * g.spatialScale, latentWidth * g.spatialScale, FrameGeometry.imageChannels))
        let network = FrameNetwork(decoder, input: input.shape, dropping: g.timeScale - 1, backend)
        return NetworkDecoder(backend, mean: mean, std: std, input: input, network: network) { [backend] packed in
            backend.shufflePixels(packed, g.patchSize, into: image)
            return image
        }
    }

    package func decodeBytes(_ size: LatentSize) -> Int {
        let g = geometry
        let pixels = size.height * size.width * g.spatialScale * g.spatialScale
        return FrameNetwork.byteCount(decoder, input: Shape(size.height, size.width, g.latentChannels), backend)
            + pixels * FrameGeometry.imageChannels * 5
    }

    package func latentEncoder(numFrames: Int, width: Int, height: Int) throws(SoradError) -> LatentEncoder {
        let g = geometry
        let scale = g.encoderScale
        try LatentEncoder.check(numFrames: numFrames, width: width, height: height, scale: scale)
        let missing = (g.timeScale - numFrames % g.timeScale) % g.timeScale
        let packed = backend.tensor(
            Shape(height / g.patchSize, width / g.patchSize, FrameGeometry.imageChannels * g.patchSize * g.patchSize))
        let network = FrameNetwork(encoder, input: packed.shape, dropping: 0, backend)
        return LatentEncoder(
            backend, numFrames: numFrames, image: Shape(height, width, FrameGeometry.imageChannels),
            latent: Shape(g.latentChannels, (numFrames + missing) / g.timeScale, height / scale, width / scale),
            missing: missing, padsInFront: g.padsInFront, mean: mean, std: std
        ) { [backend] image, emit in
            backend.unshufflePixels(image, g.patchSize, into: packed)
            network.push(packed, stop: {}, emit: emit)
        }
    }

    package func encodeBytes(_ size: LatentSize) -> Int {
        let g = geometry
        let pixels = size.height * size.width * g.spatialScale * g.spatialScale
        let packed = Shape(
            size.height * g.spatialScale / g.patchSize, size.width * g.spatialScale / g.patchSize,
            FrameGeometry.imageChannels * g.patchSize * g.patchSize)
        return FrameNetwork.byteCount(encoder, input: packed, backend) + pixels * FrameGeometry.imageChannels * 9
    }
}
