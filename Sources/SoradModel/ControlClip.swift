// Owns what a control branch follows (VACE): the latents of the parts of a clip that stay, those of the parts that are new, and a mask that
// tells them apart, pixel by pixel (diffusers WanVACEPipeline, prepare_video_latents and prepare_masks).
//
// What is not there is grey: of a clip that is followed without a mask the first half is grey, of nothing at all both are.
public import SoradTensor

/// A clip that the network follows, of the size of the latents.
public struct ControlClip {
    /// [2·C + s², T, h, w], in the host's memory, s for the pixels along a side of a latent pixel: latents of what stays, latents of what is
    /// new, and the mask of the s×s pixels.
    public let channels: Tensor
    /// Latent frames at the beginning that stand for reference pictures. They are denoised with the others and are no part of the clip.
    public let references: Int
    /// What the branch's hints are multiplied by.
    public let scale: Float

    /// - Parameters:
    ///   - kept, new: [C, T, h, w] each.
    ///   - references: the latents of pictures, [C, 1, h, w] each. The last one comes first, as in diffusers.
    public init(kept: Tensor, new: Tensor, mask: ControlMask, references: [Tensor], scale: Float) {
        let shape = kept.shape
        let front = references.count
        let (latents, frames) = (shape[0], shape[1])
        precondition(
            shape.rank == 4 && new.shape == shape && mask.values.shape == Shape(mask.values.shape[0], frames, shape[2], shape[3])
                && references.allSatisfy { $0.shape == Shape(latents, 1, shape[2], shape[3]) },
            "kept \(kept.shape), new \(new.shape), mask \(mask.values.shape), \(front) references")
        let channels = Tensor(Shape(2 * latents + mask.values.shape[0], front + frames, shape[2], shape[3]))
        kept.place(in: channels, channel: 0, frame: front)
        new.place(in: channels, channel: latents, frame: front)
        mask.values.place(in: channels, channel: 2 * latents, frame: front)
        for (place, reference) in references.reversed().enumerated() { reference.place(in: channels, channel: 0, frame: place) }
        self.channels = channels
        self.references = front
        self.scale = scale
    }

    /// - Parameter channels: as above, of no reference pictures.
    package init(channels: Tensor, scale: Float) {
        (self.channels, self.scale, references) = (channels, scale, 0)
    }

    /// What stands for a given clip while a step is only measured.
    init(grey channels: Int, _ size: LatentSize) {
        self.init(channels: Tensor(Shape(channels, size.frames, size.height, size.width)), scale: 1)
    }
}

extension Tensor {
    /// Copies this [c, T, h, w] into a part of `target` [C, T', h, w], from a channel and a frame on.
    fileprivate func place(in target: Tensor, channel first: Int, frame: Int) {
        let (frames, total, plane) = (shape[1], target.shape[1], shape[2] * shape[3])
        withElements { source in
            target.withMutableElements { values in
                for channel in 0..<shape[0] {
                    let (from, to) = (channel * frames * plane, ((first + channel) * total + frame) * plane)
                    for i in 0..<frames * plane { values[to + i] = source[from + i] }
                }
            }
        }
    }
}

/// Which pixels of a clip are new, as a control branch reads it.
public struct ControlMask {
    /// [s², T, h, w], in the host's memory: 1 where the pixel is new. Channel s·y + x is that of the pixel (y, x) of each latent pixel.
    fileprivate let values: Tensor
    private let side, frames: Int

    /// Nothing is new.
    /// - Parameters:
    ///   - size: of the latents.
    ///   - side: pixels along a side of a latent pixel.
    ///   - frames: of the clip.
    public init(_ size: LatentSize, side: Int, frames: Int) {
        values = Tensor(Shape(side * side, size.frames, size.height, size.width))
        (self.side, self.frames) = (side, frames)
    }

    /// The frame whose mask is that of a latent frame: the one at the middle of its share of the clip (torch's nearest-exact).
    public func frame(ofLatent index: Int) -> Int { (2 * index + 1) * frames / (2 * values.shape[1]) }

    /// Sets the mask of one frame; most frames have none that is read.
    /// - Parameter isNew: [H · W]
    public func set(_ isNew: [Bool], frame: Int) {
        let (latents, rows, columns) = (values.shape[1], values.shape[2], values.shape[3])
        precondition(isNew.count == rows * columns * side * side, "a mask of \(isNew.count) pixels")
        guard let latent = (0..<latents).first(where: { self.frame(ofLatent: $0) == frame }) else { return }
        values.withMutableElements { values in
            for y in 0..<rows * side {
                for x in 0..<columns * side {
                    let channel = y % side * side + x % side
                    values[((channel * latents + latent) * rows + y / side) * columns + x / side] = isNew[y * columns * side + x] ? 1 : 0
                }
            }
        }
    }
}
