// Copies, elementwise operations, and the ways between latents, tokens and pixels on a Vulkan device.
import SoradCPU
public import SoradTensor

extension VulkanBackend {
    public func copy(_ source: Blocks, into target: Blocks) {
        OperationChecks.copy(source, into: target)
        guard source.count > 0, source.length > 0 else { return }
        let count = source.count * source.length
        perform(.copy, into: target.tensor) {
            let (from, to) = (binding(source.tensor.from(source.start)), binding(target.tensor.from(target.start)))
            run(
                .copy, [from, to], [source.count, source.length, source.stride, target.stride].map(UInt32.init),
                groups: Self.groups(count, of: 64), work: count)
        } sample: {
            let expected = onHost(target.tensor)
            cpu.copy(source.over(onHost(source.tensor)), into: target.over(expected))
            return Sample(expected: expected, made: target.tensor)
        }
    }

    public func fill(_ out: Tensor, with value: Float) {
        perform(.fill, into: out) {
            run(out, .fill, out, out, factor: value)
        } sample: {
            let expected = Tensor(out.shape)
            cpu.fill(expected, with: value)
            return Sample(expected: expected, made: out)
        }
    }

    /// As in shaders/elementwise.comp.
    private enum Kind: UInt32 {
        case fill, add, silu, geluTanhMultiply, softClamp, affine, guide, eulerStep
    }

    private func run(_ out: Tensor, _ kind: Kind, _ a: Tensor, _ b: Tensor, factor: Float = 0, offset: Float = 0) {
        OperationChecks.elementwise(a, b, into: out)
        run(
            .elementwise, [binding(a), binding(b), binding(out)],
            [UInt32(out.count), kind.rawValue, factor.bitPattern, offset.bitPattern], groups: Self.groups(out.count, of: 64),
            work: out.count * 4)
    }

    /// An operation on values of their own: any few of them are a sample.
    private func elementwise(
        _ operation: VulkanOperation, _ kind: Kind, _ a: Tensor, _ b: Tensor, _ out: Tensor, factor: Float = 0, offset: Float = 0,
        onCPU: (_ a: Tensor, _ b: Tensor, _ out: Tensor) -> Void
    ) {
        perform(operation, into: out) {
            run(out, kind, a, b, factor: factor, offset: offset)
        } sample: {
            // From the start of a row, so that a mistake in any row of a lying device is in one of the samples.
            let part = Shape(min(out.count, 4096))
            let expected = Tensor(part)
            onCPU(onHost(a.prefix(part)), onHost(b.prefix(part)), expected)
            return Sample(expected: expected, made: out.prefix(part))
        }
    }

    public func add(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        elementwise(.add, .add, a, b, out) { cpu.add($0, $1, into: $2) }
    }

    public func silu(_ x: Tensor, into out: Tensor) { elementwise(.silu, .silu, x, x, out) { cpu.silu($0, into: $2) } }

    public func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        elementwise(.geluTanhMultiply, .geluTanhMultiply, a, b, out) { cpu.geluTanhMultiply($0, $1, into: $2) }
    }

    public func softClamp(_ x: Tensor, into out: Tensor) { elementwise(.softClamp, .softClamp, x, x, out) { cpu.softClamp($0, into: $2) } }

    public func affine(_ x: Tensor, scale: Float, shift: Float, into out: Tensor) {
        elementwise(.affine, .affine, x, x, out, factor: scale, offset: shift) { cpu.affine($0, scale: scale, shift: shift, into: $2) }
    }

    public func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor) {
        elementwise(.guide, .guide, unconditional, conditional, out, factor: scale) {
            cpu.guide(unconditional: $0, conditional: $1, scale: scale, into: $2)
        }
    }

    public func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor) {
        elementwise(.eulerStep, .eulerStep, sample, velocity, out, factor: dt) {
            cpu.eulerStep(sample: $0, velocity: $1, dt: dt, into: $2)
        }
    }

    // MARK: Latents and pixels

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

    public func patchify(_ latent: Tensor, _ layout: PatchLayout, into rows: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        perform(.patchify, into: rows) {
            move(.patchify, latent, rows, layout)
        } sample: {
            let expected = Tensor(rows.shape)
            cpu.patchify(onHost(latent), layout, into: expected)
            return Sample(expected: expected, made: rows)
        }
    }

    public func unpatchify(_ rows: Tensor, _ layout: PatchLayout, into latent: Tensor) {
        OperationChecks.patches(latent, layout, rows)
        perform(.unpatchify, into: latent) {
            move(.unpatchify, rows, latent, layout)
        } sample: {
            let expected = Tensor(latent.shape)
            cpu.unpatchify(onHost(rows), layout, into: expected)
            return Sample(expected: expected, made: latent)
        }
    }

    private func move(_ way: Way, _ x: Tensor, _ out: Tensor, _ layout: PatchLayout) {
        move(
            way, x, out, count: layout.latent.count, channels: layout.channels, planeStride: layout.latent.count / layout.channels,
            patch: layout.patch, gridHeight: layout.grid.height, gridWidth: layout.grid.width)
    }

    public func denormalize(_ latent: Tensor, frame: Int, mean: Tensor, std: Tensor, into out: Tensor) {
        let plane = checkedFrame(latent, frame, mean, std, out)
        perform(.denormalize, into: out) {
            move(.denormalize, plane, out, mean, std, count: out.count, channels: mean.count, planeStride: latent.count / mean.count)
        } sample: {
            let expected = Tensor(out.shape)
            cpu.denormalize(onHost(latent), frame: frame, mean: onHost(mean), std: onHost(std), into: expected)
            return Sample(expected: expected, made: out)
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

    public func shufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: out, deep: x, r)
        perform(.shufflePixels, into: out) {
            move(.shuffle, x, out, count: out.count, channels: out.shape[2], patch: (1, 1, r), gridWidth: x.shape[1])
        } sample: {
            let expected = Tensor(out.shape)
            cpu.shufflePixels(onHost(x), r, into: expected)
            return Sample(expected: expected, made: out)
        }
    }

    public func unshufflePixels(_ x: Tensor, _ r: Int, into out: Tensor) {
        OperationChecks.shuffle(wide: x, deep: out, r)
        perform(.unshufflePixels, into: out) {
            move(.unshuffle, x, out, count: x.count, channels: x.shape[2], patch: (1, 1, r), gridWidth: out.shape[1])
        } sample: {
            let expected = Tensor(out.shape)
            cpu.unshufflePixels(onHost(x), r, into: expected)
            return Sample(expected: expected, made: out)
        }
    }
}

extension Tensor {
    /// The elements from `start` on.
    func from(_ start: Int) -> Tensor { Tensor(Shape(count - start), buffer: buffer, offset: offset + start * 4) }
}

extension Blocks {
    /// The same blocks of another tensor of this shape.
    func over(_ other: Tensor) -> Blocks { Blocks(other, start: start, length: length, stride: stride, count: count) }
}
