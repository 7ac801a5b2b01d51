// What the pipeline asks of a video autoencoder.
package import SoradSystem
package import SoradTensor

/// Latents to frames and back, both streamed.
package protocol Autoencoder: AnyObject {
    var backend: any ComputeBackend { get }

    /// A decoder for one clip of normalized latents [C, T, h, w].
    func decoder(latentHeight: Int, latentWidth: Int) -> any LatentDecoder

    /// Encodes a clip frame by frame.
    /// - Throws: `.badInput` for no frames or sizes that do not fit.
    func latentEncoder(numFrames: Int, width: Int, height: Int) throws(SoradError) -> LatentEncoder

    /// Bytes that decoding and encoding take while they run, for a clip of this size.
    func decodeBytes(_ size: LatentSize) -> Int
    func encodeBytes(_ size: LatentSize) -> Int
}

/// Decodes one clip, one latent frame after the other. What it remembers between two of them can be written down and put back.
package protocol LatentDecoder: AnyObject {
    /// Takes frame `time` of normalized latents [C, T, h, w]; `frame` gets the values [H, W, 3] of every frame that this completes, not yet
    /// limited to [0, 1], valid until the next. `stop` is called before every block; once it has thrown, the decoder is of no more use.
    func push<Failure: Error>(
        _ latent: Tensor, time: Int, stop: () throws(Failure) -> Void, frame: (Tensor) throws(Failure) -> Void
    ) throws(Failure)

    /// Together all that the frames to come depend on, the latents to come aside. Putting both back into a new decoder makes it this one;
    /// memory of which the counters say that nothing was seen yet is never read.
    var counters: [UInt32] { get set }
    /// The decoder's own memory, not a copy of it.
    var memory: [ByteBuffer] { get }
}

/// What runs a stack of blocks frame by frame and remembers of the frames before what its blocks look back at.
protocol StreamedNetwork: AnyObject {
    /// Sends one frame through, which may change it; `emit` gets every frame that comes out, valid until the next. `stop` is called
    /// before every block; once it has thrown, the network is of no more use.
    func push<Failure: Error>(
        _ frame: Tensor, stop: () throws(Failure) -> Void, emit: (Tensor) throws(Failure) -> Void
    ) throws(Failure)

    /// As in `LatentDecoder`.
    var counters: [UInt32] { get set }
    var memory: [ByteBuffer] { get }
}

/// One clip on its way through a network.
final class NetworkDecoder<Network: StreamedNetwork>: LatentDecoder {
    private let backend: any ComputeBackend
    private let mean, std, input: Tensor
    private let network: Network
    /// What comes out of the network to values [H, W, 3] in [0, 1], about.
    private let image: (Tensor) -> Tensor

    /// - Parameters:
    ///   - mean, std: of the latents' channels.
    ///   - input: [h, w, C], what enters the network.
    init(
        _ backend: any ComputeBackend, mean: Tensor, std: Tensor, input: Tensor, network: Network, image: @escaping (Tensor) -> Tensor
    ) {
        self.backend = backend
        (self.mean, self.std, self.input) = (mean, std, input)
        self.network = network
        self.image = image
    }

    func push<Failure: Error>(
        _ latent: Tensor, time: Int, stop: () throws(Failure) -> Void, frame: (Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(latent.shape.rank == 4 && latent.shape[0] == mean.count, "latents \(latent.shape)")
        backend.denormalize(latent, frame: time, mean: mean, std: std, into: input)
        try network.push(input, stop: stop) { (made) throws(Failure) in try frame(image(made)) }
    }

    var counters: [UInt32] {
        get { network.counters }
        set { network.counters = newValue }
    }

    var memory: [ByteBuffer] { network.memory }
}

extension Autoencoder {
    /// Decodes normalized latents [C, T, h, w]; `frame` gets index and values [H, W, 3] of every frame in order, not yet limited to
    /// [0, 1]. `stop` is called before every block.
    package func decodeValues<Failure: Error>(
        _ latent: Tensor, stop: () throws(Failure) -> Void, frame: (Int, Tensor) throws(Failure) -> Void
    ) throws(Failure) {
        let latent = backend.resident(latent)
        let decoder = decoder(latentHeight: latent.shape[2], latentWidth: latent.shape[3])
        var count = 0
        for time in 0..<latent.shape[1] {
            try decoder.push(latent, time: time, stop: stop) { (image) throws(Failure) in
                try frame(count, image)
                count += 1
            }
        }
    }

    /// Encodes frames of [height, width, 3] bytes to normalized latents [C, T, h, w].
    /// - Throws: `.badInput` for no frames or sizes that do not fit.
    func encode(_ frames: [[UInt8]], width: Int, height: Int) throws(SoradError) -> Tensor {
        let encoder = try latentEncoder(numFrames: frames.count, width: width, height: height)
        guard frames.allSatisfy({ $0.count == width * height * 3 }) else {
            throw SoradError(.badInput, "a frame has another number of bytes than \(width)×\(height)×3")
        }
        for frame in frames { encoder.append(frame) }
        let latents = encoder.finish()
        try backend.finish()
        return latents
    }
}
