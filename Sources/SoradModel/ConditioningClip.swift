// Owns given frames in the form of a clip next to the latents: networks that were trained so (Wan's I2V models) read the latents of a clip
// whose other frames are grey, and a mask that says which frames are given.
public import SoradTensor

/// What is given of a clip, in one of the forms that networks take; none for a clip of text alone.
public struct Conditioning {
    public var frames: ConditioningFrames?
    public var clip: ConditioningClip?
    public var control: ControlClip?

    public init(frames: ConditioningFrames? = nil, clip: ConditioningClip? = nil, control: ControlClip? = nil) {
        precondition([frames != nil, clip != nil, control != nil].filter { $0 }.count <= 1, "frames are given in two forms")
        self.frames = frames
        self.clip = clip
        self.control = control
    }
}

/// A clip of which some frames are given.
public struct ConditioningClip {
    /// [C, T, h, w], in the host's memory: the latents of the clip with grey frames where none is given.
    public let latents: Tensor
    /// Of every frame of the clip, whether it is given.
    public let isGiven: [Bool]
    /// Embeddings of the pictures at its ends [tokens, width], one picture behind the other; nil without an image encoder.
    public let pictures: Tensor?

    public init(latents: Tensor, isGiven: [Bool], pictures: Tensor? = nil) {
        precondition(latents.shape.rank == 4 && !isGiven.isEmpty, "\(isGiven.count) frames in \(latents.shape)")
        self.latents = latents
        self.isGiven = isGiven
        self.pictures = pictures
    }

    /// [channels, T, h, w]: 1 where a frame is given. Channel j of a latent frame stands for the j-th frame of its group; the first latent
    /// frame stands for the first frame alone, in all channels (diffusers WanImageToVideoPipeline, prepare_latents).
    /// - Parameter channels: frames of a group.
    package func mask(channels: Int, _ size: LatentSize) -> Tensor {
        precondition(
            isGiven.count == 1 + (size.frames - 1) * channels && latents.shape[1] == size.frames,
            "\(isGiven.count) frames, groups of \(channels), latents \(latents.shape)")
        let plane = size.height * size.width
        var values: [Float] = []
        values.reserveCapacity(channels * size.frames * plane)
        for channel in 0..<channels {
            for frame in 0..<size.frames {
                let isGiven = self.isGiven[frame == 0 ? 0 : 1 + (frame - 1) * channels + channel]
                values += [Float](repeating: isGiven ? 1 : 0, count: plane)
            }
        }
        return Tensor(Shape(channels, size.frames, size.height, size.width), values)
    }
}
