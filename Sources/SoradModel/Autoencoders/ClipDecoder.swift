// Owns the way from a clip's latents to its frames, group by group, and what is needed to continue after any of them.
// Invariant: `counters` and `memory`, put back into a decoder of the same latents, give the same frames from there on, bit for bit.
public import SoradTensor

/// Decodes one clip.
public final class ClipDecoder {
    /// The whole clip's; nil where the caller hands them over one by one.
    private let latent: Tensor?
    private let total: Int
    private let decoder: any LatentDecoder
    /// Latent frames that were decoded.
    public private(set) var groups = 0
    /// Frames that were made of them.
    public private(set) var frames = 0

    /// - Parameter latent: [C, T, h, w], in the decoder's backend's memory.
    init(_ latent: Tensor, _ decoder: any LatentDecoder) {
        self.latent = latent
        total = latent.shape[1]
        self.decoder = decoder
    }

    /// - Parameter total: latent frames of the clip, each of which `next` gets.
    init(total: Int, _ decoder: any LatentDecoder) {
        latent = nil
        self.total = total
        self.decoder = decoder
    }

    public var isUnfinished: Bool { groups < total }

    /// Decodes the next latent frame.
    /// - Parameters:
    ///   - stop: called between the layers; what it throws ends the decoding.
    ///   - frame: gets the frame's index and its bytes, [H, W, 3] RGB; what it throws ends the decoding.
    public func next<Failure: Error>(stop: () throws(Failure) -> Void, frame: (Int, [UInt8]) throws(Failure) -> Void) throws(Failure) {
        guard let latent else { preconditionFailure("the decoder has no latents of its own") }
        try push(latent, time: groups, stop, frame)
    }

    /// Decodes the next latent frame, [C, 1, h, w]; else as above.
    public func next<Failure: Error>(
        _ latent: Tensor, stop: () throws(Failure) -> Void, frame: (Int, [UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(latent.shape.rank == 4 && latent.shape[1] == 1 && isUnfinished, "latents \(latent.shape) after \(groups) of \(total)")
        try push(latent, time: 0, stop, frame)
    }

    private func push<Failure: Error>(
        _ latent: Tensor, time: Int, _ stop: () throws(Failure) -> Void, _ frame: (Int, [UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        try decoder.push(latent, time: time, stop: stop) { (image) throws(Failure) in
            var bytes: [UInt8] = []
            image.appendBytes(to: &bytes)
            try frame(frames, bytes)
            frames += 1
        }
        groups += 1
    }

    /// How far it is; always as many for one model.
    public var counters: [UInt32] { [UInt32(groups), UInt32(frames)] + decoder.counters }

    /// The decoder's own memory, not a copy of it.
    public var memory: [ByteBuffer] { decoder.memory }

    /// Continues where the decoder was that had these counters and of which `memory` was filled.
    public func resume(_ counters: [UInt32]) {
        precondition(counters.count > 2 && counters[0] <= total, "\(counters.prefix(2)) for \(total) latent frames")
        (groups, frames) = (Int(counters[0]), Int(counters[1]))
        decoder.counters = Array(counters[2...])
    }
}
