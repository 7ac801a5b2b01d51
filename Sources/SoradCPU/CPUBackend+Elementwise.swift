// Elementwise operations on the CPU. `unsafe` here: kernels take addresses; counts are checked first.
internal import CSoradKernels
@_spi(HostMemory) public import SoradTensor

extension CPUBackend {
    private typealias Unary = @convention(c) (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    private typealias Binary = @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void

    public func add(_ a: Tensor, _ b: Tensor, into out: Tensor) { unsafe apply(kernels.add_f32, a, b, out, weight: 1) }
    public func geluTanhMultiply(_ a: Tensor, _ b: Tensor, into out: Tensor) {
        unsafe apply(kernels.gelu_tanh_mul_f32, a, b, out, weight: 20)
    }
    public func silu(_ x: Tensor, into out: Tensor) { unsafe apply(kernels.silu_f32, x, out) }
    public func softClamp(_ x: Tensor, into out: Tensor) { unsafe apply(kernels.clamp_tanh_f32, x, out) }

    public func guide(unconditional: Tensor, conditional: Tensor, scale: Float, into out: Tensor) {
        OperationChecks.elementwise(unconditional, conditional, into: out)
        let kernels = kernels
        split(out.count, step: Self.chunk, cost: out.count * 2) { range, _ in
            let first = range.lowerBound
            unsafe kernels.cfg_combine_f32(
                unconditional.pointer() + first, conditional.pointer() + first, scale, out.pointer() + first, range.count)
        }
    }

    public func eulerStep(sample: Tensor, velocity: Tensor, dt: Float, into out: Tensor) {
        OperationChecks.elementwise(sample, velocity, into: out)
        let kernels = kernels
        split(out.count, step: Self.chunk, cost: out.count * 2) { range, _ in
            let first = range.lowerBound
            unsafe kernels.euler_step_f32(sample.pointer() + first, velocity.pointer() + first, dt, out.pointer() + first, range.count)
        }
    }

    private static let chunk = 1 << 14

    @unsafe private func apply(_ kernel: @escaping Unary, _ x: Tensor, _ out: Tensor) {
        OperationChecks.elementwise(x, into: out)
        split(out.count, step: Self.chunk, cost: out.count * 20) { range, _ in
            unsafe kernel(x.pointer() + range.lowerBound, out.pointer() + range.lowerBound, range.count)
        }
    }

    @unsafe private func apply(_ kernel: @escaping Binary, _ a: Tensor, _ b: Tensor, _ out: Tensor, weight: Int) {
        OperationChecks.elementwise(a, b, into: out)
        split(out.count, step: Self.chunk, cost: out.count * weight) { range, _ in
            let first = range.lowerBound
            unsafe kernel(a.pointer() + first, b.pointer() + first, out.pointer() + first, range.count)
        }
    }
}
