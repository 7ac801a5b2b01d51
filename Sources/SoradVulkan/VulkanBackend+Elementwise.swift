// Copies and elementwise operations on a Vulkan device.
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
            run(out, .fill, out, out, numbers: (value, 0))
        } sample: {
            sample(of: out) { cpu.fill($0, with: value) }
        }
    }

    /// As in shaders/elementwise.comp.
    private enum Kind: UInt32 {
        case fill, add, silu, geluTanhMultiply, softClamp, affine, guide, eulerStep
    }

    /// - Parameter numbers: factor and offset, where the kind has them.
    private func run(_ out: Tensor, _ kind: Kind, _ a: Tensor, _ b: Tensor, numbers: (Float, Float)?) {
        OperationChecks.elementwise(a, b, into: out)
        guard device.fault == nil else { return }
        run(
            .elementwise, [binding(a), binding(b), binding(out), numbers.map { device.numbers([$0.0, $0.1]) }],
            [UInt32(out.count), kind.rawValue], groups: Self.groups(out.count, of: 64), work: out.count * 4)
    }

    /// An operation on values of their own: any few of them are a sample.
    private func elementwise(
        _ operation: VulkanOperation, _ kind: Kind, _ a: Tensor, _ b: Tensor, _ out: Tensor, numbers: (Float, Float)? = nil,
        onCPU: (_ a: Tensor, _ b: Tensor, _ out: Tensor) -> Void
    ) {
        perform(operation, into: out) {
            run(out, kind, a, b, numbers: numbers)
        } sample: {
            // From the start of a row, so that a mistake in any row of a lying device is in one of the samples.
            let part = Shape(min(out.count, 4096))
            return sample(of: out.prefix(part)) { onCPU(onHost(a.prefix(part)), onHost(b.prefix(part)), $0) }
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
        elementwise(.affine, .affine, x, x, out, numbers: (scale, shift)) { cpu.affine($0, scale: scale, shift: shift, into: $2) }
    }

    public func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor) {
        elementwise(.guide, .guide, unconditional, conditional, out, numbers: (scale, 0)) {
            cpu.guide(unconditional: $0, conditional: $1, scale: scale, into: $2)
        }
    }

    public func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor) {
        elementwise(.eulerStep, .eulerStep, sample, velocity, out, numbers: (dt, 0)) {
            cpu.eulerStep(sample: $0, velocity: $1, dt: dt, into: $2)
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
