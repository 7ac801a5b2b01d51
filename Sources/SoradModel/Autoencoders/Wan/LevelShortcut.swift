// The way around a level of Wan 2.2's autoencoder (diffusers' AvgDown3D and DupUp3D): it has no weights. Downwards, neighbors in time and space
// become channels, and groups of those their mean; upwards, channels are repeated and become neighbors.
//
// Letters: S space and T time factors (1 or 2), F = T·S·S; channel c of an image and its neighbor (t, y, x) are number c·F + (t·S + y)·S + x.
import SoradTensor

struct LevelShortcut {
    /// Channels.
    let inputs, outputs: Int
    let time, space: Int
    let grows: Bool

    var factor: Int { time * space * space }

    /// Whether the numbers above divide each other as the arithmetic needs it.
    var isPossible: Bool { grows ? outputs * factor % inputs == 0 : inputs * factor % outputs == 0 }

    /// Images of the entering shape that are kept: those that become one.
    var keptImages: Int { grows ? 1 : time }
}

/// What is kept of one clip between both ends of a level.
final class ShortcutMemory {
    private let shortcut: LevelShortcut
    private let kept: [Tensor]
    /// Images that came in, or, where the level grows, that went out.
    var count = 0

    /// - Parameter input: shape of the images that enter the level.
    init(_ shortcut: LevelShortcut, input: Shape, _ arena: Arena) {
        self.shortcut = shortcut
        kept = (0..<shortcut.keptImages).map { _ in arena.tensor(input) }
    }

    /// Keeps an image [h, w, inputs]. The first of a clip stands alone: where two become one, nothing lies before it.
    func keep(_ image: Tensor, _ backend: any ComputeBackend) {
        guard !shortcut.grows else { return backend.copy(image, into: kept[0]) }
        backend.copy(image, into: kept[place(of: count)])
        count += 1
    }

    /// image += what was kept, as it looks on the other side; `image` is [h, w, outputs].
    func add(to image: Tensor) {
        if shortcut.grows {
            repeatInto(image, at: place(of: count))
            count += 1
        } else {
            averageInto(image)
        }
    }

    /// Of the number `index` of a clip's images within its group; the first one is the last of its own.
    private func place(of index: Int) -> Int {
        shortcut.time == 1 ? 0 : index == 0 ? shortcut.time - 1 : (index - 1) % shortcut.time
    }

    private func averageInto(_ image: Tensor) {
        let s = shortcut
        let (group, width) = (s.inputs * s.factor / s.outputs, image.shape[1])
        // The frame, and the place in it, of each part of a mean.
        let row = width * s.space * s.inputs
        let parts = (0..<s.outputs * group).map { part -> (frame: Int, offset: Int) in
            let (channel, neighbor) = (part / s.factor, part % s.factor)
            let (y, x) = (neighbor / s.space % s.space, neighbor % s.space)
            return (neighbor / (s.space * s.space), y * row + x * s.inputs + channel)
        }
        let isFirst = s.time > 1 && count == 1
        let share = 1 / Float(group)
        kept[0].withElements { first in
            kept[s.time - 1].withElements { last in
                image.withMutableElements { out in
                    for pixel in 0..<image.shape[0] * width {
                        let from = pixel / width * s.space * row + pixel % width * s.space * s.inputs
                        for channel in 0..<s.outputs {
                            var sum: Float = 0
                            for part in channel * group..<(channel + 1) * group {
                                let (frame, offset) = parts[part]
                                if frame == s.time - 1 { sum += last[from + offset] } else if !isFirst { sum += first[from + offset] }
                            }
                            out[pixel * s.outputs + channel] += sum * share
                        }
                    }
                }
            }
        }
    }

    /// - Parameter time: which of the frames that the kept one becomes.
    private func repeatInto(_ image: Tensor, at time: Int) {
        let s = shortcut
        let (repeats, width) = (s.outputs * s.factor / s.inputs, image.shape[1])
        let narrow = width / s.space
        kept[0].withElements { source in
            image.withMutableElements { out in
                for y in 0..<image.shape[0] {
                    for x in 0..<width {
                        let neighbor = (time * s.space + y % s.space) * s.space + x % s.space
                        let from = (y / s.space * narrow + x / s.space) * s.inputs
                        let to = (y * width + x) * s.outputs
                        for channel in 0..<s.outputs {
                            out[to + channel] += source[from + (channel * s.factor + neighbor) / repeats]
                        }
                    }
                }
            }
        }
    }
}
