// The ways between latents, tokens and pixels on a Vulkan device: each value of the result is one value of the input, moved or normalized.
import SoradCPU
public import SoradTensor

extension VulkanBackend {
    /// As in shaders/latents.comp.
    private enum Way: UInt32 {
        case patchify, unpatchify, denormalize, normalize, shuffle, unshuffle
    }

    private func move(
        _ way: Way, _ x: Tensor, _ out: Tensor, _ mean: Tensor? = nil, _ std: Tensor? = nil, count: Int, channels: Int,
        planeStride: Int = 0,
        patch: (frames: Int, height: Int, width: Int) = (1, 1, 1), gridHeight: Int = 1, gridWidth: Int = 1
    ) {
        let sizes = [channels, planeStride, patch.frames, patch.height, patch.width, gridHeight, gridWidth]
        run(
            .latents, [binding(x), binding(out), binding(mean), binding(std)],
            [UInt32(count), way.rawValue] + sizes.map(UInt32.init), groups: Self.groups(count, of: 64), work: count * 8)
    }

    // MARK: Patches

    public func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        movePatches(.patchify, .patchify, latent, rows, layout) { cpu.patchify($0, layout, into: $1) }
    }

    public func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        movePatches(.unpatchify, .unpatchify, rows, latent, layout) { cpu.unpatchify($0, layout, into: $1) }
    }

    private func movePatches(
        _ operation: VulkanOperation, _ way: Way, _ x: Tensor, _ out: Tensor, _ layout: PatchLayout,
        onCPU: (_ x: Tensor, _ out: Tensor) -> Void
    ) {
        perform(operation, into: out) {
            move(
                way, x, out, count: layout.latent.count, channels: layout.channels, planeStride: layout.latent.count / layout.channels,
                patch: layout.patch, gridHeight: layout.grid.height, gridWidth: layout.grid.width)
        } sample: {
            sample(of: out) { onCPU(onHost(x), $0) }
        }
    }

    // MARK: Frames

    public func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        let plane = checkedFrame(latent, frame, mean, std, out)
        perform(.denormalize, into: out) {
            move(.denormalize, plane, out, mean, std, count: out.count, channels: mean.count, planeStride: latent.count / mean.count)
        } sample: {
            sample(of: out) { cpu.denormalize(onHost(latent), frame: frame, mean: onHost(mean), std: onHost(std), into: $0) }
        }
    }

    public func normalize(_ image: Tensor, mean: Tensor, std: Tensor, into latent: Tensor, frame: Int) {
        let plane = checkedFrame(latent, frame, mean, std, image)
        perform(.normalize, into: plane) {
            move(.normalize, image, plane, mean, std, count: image.count, channels: mean.count, planeStride: latent.count / mean.count)
        } sample: {
            let expected = onHost(latent)
            cpu.normalize(onHost(image), mean: onHost(mean), std: onHost(std), into: expected, frame: frame)
            return Sample(expected: expected, made: latent)
        }
    }

    /// Latents from the first value of a frame on.
    private func checkedFrame(_ latents: Tensor, _ frame: Int, _ mean: Tensor, _ std: Tensor, _ image: Tensor) -> Tensor {
        OperationChecks.frame(frame, of: latents, mean: mean, std: std, image: image)
        return latents.from(frame * latents.shape[2] * latents.shape[3])
    }

    // MARK: Pixels

    public func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: out, deep: x, r)
        perform(.shufflePixels, into: out) {
            move(.shuffle, x, out, count: out.count, channels: out.shape[2], patch: (1, 1, r), gridWidth: x.shape[1])
        } sample: {
            sample(of: out) { cpu.shufflePixels(onHost(x), r, into: $0) }
        }
    }

    public func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: x, deep: out, r)
        perform(.unshufflePixels, into: out) {
            move(.unshuffle, x, out, count: x.count, channels: x.shape[2], patch: (1, 1, r), gridWidth: out.shape[1])
        } sample: {
            sample(of: out) { cpu.unshufflePixels(onHost(x), r, into: $0) }
        }
    }
}
