// Owns the one conditioning mechanism: some latent frames are given. Their tokens carry timestep 0 and they stay as they are, so
// pictures, first and last frames, extensions and loops are all the same thing (Wan 2.2's expand_timesteps).
public import SoradTensor

/// Latent frames that are given from outside.
public struct ConditioningFrames {
    /// Which latent frames, rising.
    public let indices: [Int]
    /// [C, indices.count, h, w], normalized as the transformer sees latents, in the host's memory.
    public let latents: Tensor

    public init(indices: [Int], latents: Tensor) {
        precondition(latents.shape.rank == 4 && latents.shape[1] == indices.count, "\(indices.count) frames in \(latents.shape)")
        precondition(zip(indices, indices.dropFirst()).allSatisfy { $0 < $1 } && (indices.first ?? 0) >= 0, "frames \(indices)")
        self.indices = indices
        self.latents = latents
    }

    /// Single frames out of latents of several clips.
    /// - Parameter frames: for each index of the clip to make, rising, the latents [C, T, h, w] and which of their frames it is.
    public init(_ frames: [(index: Int, latents: Tensor, frame: Int)]) {
        precondition(!frames.isEmpty, "no conditioning frames")
        let shape = frames[0].latents.shape
        let plane = shape[2] * shape[3]
        let gathered = Tensor(Shape(shape[0], frames.count, shape[2], shape[3]))
        for (place, known) in frames.enumerated() {
            let count = known.latents.shape[1]
            precondition(
                known.latents.shape == Shape(shape[0], count, shape[2], shape[3]) && (0..<count).contains(known.frame),
                "frame \(known.frame) of \(known.latents.shape)")
            known.latents.withElements { source in
                gathered.withMutableElements { target in
                    for channel in 0..<shape[0] {
                        for pixel in 0..<plane {
                            target[(channel * frames.count + place) * plane + pixel] =
                                source[(channel * count + known.frame) * plane + pixel]
                        }
                    }
                }
            }
        }
        self.init(indices: frames.map(\.index), latents: gathered)
    }
}
