// Linear layers, norms, rotary embedding and attention on a Vulkan device.
import SoradCPU
public import SoradTensor

/// As in shaders/epilogue.glsl.
struct EpilogueFlags: OptionSet {
    let rawValue: UInt32
    static let bias = EpilogueFlags(rawValue: 4), gate = EpilogueFlags(rawValue: 8), residual = EpilogueFlags(rawValue: 16),
        reluAtEnd = EpilogueFlags(rawValue: 32), zero = EpilogueFlags(rawValue: 64)

    init(rawValue: UInt32) { self.rawValue = rawValue }

    init(_ activation: Activation) {
        switch activation {
        case .none: self.init(rawValue: 0)
        case .relu: self.init(rawValue: 1)
        case .geluTanh: self.init(rawValue: 2)
        case .silu: self.init(rawValue: 3)
        }
    }
}

extension VulkanBackend {
    // MARK: Linear layers

    public func linear(
        _ input: any ActivationMatrix, _ weights: LinearWeights, activation: Activation, gate: RowModulation?, residual: Tensor?,
        into out: Tensor
    ) {
        let input = own(input)
        let rows = input.values.shape[0]
        OperationChecks.linear(input, weights, gate: gate, residual: residual, into: out)
        guard rows > 0 else { return }
        let isInt8 = if case .int8 = weights.precision { true } else { false }
        func onCPU(_ part: Range<Int>) -> Tensor {
            let result = Tensor(Shape(part.count, weights.outputs))
            cpu.linear(
                matrix(onHost(input.values.rows(part))), onHost(weights), activation: activation, gate: onHost(gate, part),
                residual: onHost(residual?.rows(part)), into: result)
            return result
        }
        perform(isInt8 ? .linearInt8 : .linearFloat, into: out) {
            let part = productTimes == nil ? shares.rowsOnCPU(rows, weights) : rows..<rows
            let own = part.lowerBound
            let layer = own > 0 ? onDevice(weights) : weights
            if isInt8 && own > 0 { quantize(input, for: weights) }
            if productTimes != nil {
                // The CPU first: `out` may be what it reads.
                let cpuSeconds = seconds { _ = onCPU(0..<rows) }
                let deviceSeconds = seconds { multiply(input, layer, activation, gate, residual, 0..<rows, out) }
                productTimes?.add(weights, rows: rows, device: deviceSeconds, cpu: cpuSeconds)
                return
            }
            guard own < rows else {
                multiply(input, layer, activation, gate, residual, 0..<rows, out)
                return
            }
            // What the CPU reads is fetched before the device begins; then both work.
            let (values, before, modulation) = (onHost(input.values.rows(part)), onHost(residual?.rows(part)), onHost(gate, part))
            if own > 0 { multiply(input, layer, activation, gate, residual, 0..<own, out) }
            device.submit()
            let result = Tensor(Shape(part.count, weights.outputs))
            cpu.linear(matrix(values), onHost(weights), activation: activation, gate: modulation, residual: before, into: result)
            out.rows(part).copy(from: result)
        } sample: {
            let part = sampler.rows(rows)
            return Sample(expected: onCPU(part), made: out.rows(part))
        }
    }

    /// Makes the int8 rows that `weights` expect, unless they are there.
    private func quantize(_ input: VulkanActivationMatrix, for weights: LinearWeights) {
        let form = VulkanActivationMatrix.Form(rotation: weights.rotation, isAsymmetric: weights.asymmetricInput)
        guard input.form != form else { return }
        input.form = form
        let rows = input.values.shape[0]
        run(
            .quantizeRows, [binding(input.values), binding(input.rows), binding(input.scale), binding(input.zero)],
            [UInt32(rows), UInt32(input.width), UInt32(weights.rotation ?? 0), weights.asymmetricInput ? 1 : 0],
            groups: Self.groups(rows, of: 1), work: input.values.count * 10)
    }

    /// The product for some rows, cut by gates and by what one submission may take.
    private func multiply(
        _ input: VulkanActivationMatrix, _ weights: LinearWeights, _ activation: Activation, _ gate: RowModulation?, _ residual: Tensor?,
        _ rows: Range<Int>, _ out: Tensor
    ) {
        var flags = EpilogueFlags(activation)
        if weights.bias != nil { flags.insert(.bias) }
        if gate != nil { flags.insert(.gate) }
        if residual != nil { flags.insert(.residual) }
        if weights.asymmetricInput { flags.insert(.zero) }
        let perRow = weights.outputs * weights.inputs
        let step = max(1, options.submissionLimit / max(perRow, 1) / rowGranularity) * rowGranularity
        for run in gate?.groups.runs ?? [ModulationGroups.Run(rows: rows, group: 0)] {
            let part = run.rows.clamped(to: rows)
            for first in stride(from: part.lowerBound, to: part.upperBound, by: step) {
                let piece = first..<min(first + step, part.upperBound)
                multiply(
                    input, weights, flags, gate?.vector(group: run.group), residual, piece, out, work: piece.count * perRow)
            }
        }
    }

    private func multiply(
        _ input: VulkanActivationMatrix, _ weights: LinearWeights, _ flags: EpilogueFlags, _ gate: Tensor?, _ residual: Tensor?,
        _ rows: Range<Int>, _ out: Tensor, work: Int
    ) {
        let columns = (weights.outputs + 63) / 64
        func parameters(_ inputs: Int) -> [UInt32] {
            [UInt32(rows.lowerBound), UInt32(rows.upperBound), UInt32(weights.outputs), UInt32(inputs), flags.rawValue]
        }
        switch weights.precision {
        case .int8(let values, let scale, let sum):
            run(
                .linearInt8,
                [
                    binding(input.rows), binding(input.scale), binding(input.zero), binding(values), binding(scale), binding(sum),
                    binding(weights.bias), binding(gate), binding(residual), binding(out),
                ], parameters((weights.inputs + 3) / 4), groups: (columns, (rows.count + 63) / 64), work: work)
        case .int10: preconditionFailure("weights of 10 bits, which `load` makes floats")
        case .float(let values):
            run(
                .linearFloat,
                [
                    binding(input.values), nil, nil, binding(values), nil, nil, binding(weights.bias), binding(gate), binding(residual),
                    binding(out),
                ], parameters(weights.inputs), groups: (columns, (rows.count + 31) / 32), work: work)
        }
    }

    // MARK: Norms

    /// As in shaders/norm.comp.
    private struct NormFlags: OptionSet {
        let rawValue: UInt32
        static let layer = NormFlags(rawValue: 1), weight = NormFlags(rawValue: 2), bias = NormFlags(rawValue: 4),
            scale = NormFlags(rawValue: 8), onlyInverse = NormFlags(rawValue: 16)
    }

    public func layerNorm(
        _ x: Tensor, epsilon: Float, weight: Parameter?, bias: Parameter?, scale: RowModulation?, shift: RowModulation?,
        into input: any ActivationMatrix
    ) {
        let k = x.shape[1]
        OperationChecks.layerNorm(x, weight: weight, bias: bias, scale: scale, shift: shift, into: input)
        let out = own(input).overwrite(rows: x.shape[0])
        perform(.layerNorm, into: out) {
            var flags: NormFlags = [.layer]
            if weight != nil { flags.insert(.weight) }
            if bias != nil { flags.insert(.bias) }
            if scale != nil { flags.insert(.scale) }
            for run in scale?.groups.runs ?? [ModulationGroups.Run(rows: 0..<x.shape[0], group: 0)] {
                norm(
                    x, epsilon, flags,
                    [
                        binding(weight), binding(bias), binding(scale?.vector(group: run.group)),
                        binding(shift?.vector(group: run.group)),
                    ], run.rows, out)
            }
        } sample: {
            let part = sampler.rows(x.shape[0])
            let (own, expected) = (cpu.make { $0.activations(capacity: part.count, width: k) }, Tensor(Shape(part.count, k)))
            cpu.layerNorm(
                onHost(x.rows(part)), epsilon: epsilon, weight: onHost(weight), bias: onHost(bias), scale: onHost(scale, part),
                shift: onHost(shift, part), into: own)
            // Rows are normalized when a float layer reads them.
            cpu.linear(own, Self.anyLayer(inputs: k), into: Tensor(Shape(part.count, 1)))
            expected.copy(from: own.values)
            return Sample(expected: expected, made: out.rows(part))
        }
    }

    private static func anyLayer(inputs: Int) -> LinearWeights {
        LinearWeights(outputs: 1, inputs: inputs, precision: .float(Parameter([Float](repeating: 0, count: 16 * inputs))))
    }

    private func norm(
        _ x: Tensor, _ epsilon: Float, _ flags: NormFlags, _ vectors: [VulkanBinding?], _ rows: Range<Int>, _ out: Tensor
    ) {
        run(
            .norm, [binding(x)] + vectors + [binding(out)],
            [UInt32(rows.lowerBound), UInt32(rows.upperBound), UInt32(x.shape.last), flags.rawValue, epsilon.bitPattern],
            groups: Self.groups(rows.count, of: 4), work: rows.count * x.shape.last * 6)
    }

    public func rmsNorm(_ x: Tensor, epsilon: Float, weight: Parameter, into out: Tensor) {
        OperationChecks.rmsNorm(x, weight: weight, into: out)
        perform(.rmsNorm, into: out) {
            norm(x, epsilon, [.weight], [binding(weight), nil, nil, nil], 0..<x.shape[0], out)
        } sample: {
            let part = sampler.rows(x.shape[0])
            let expected = Tensor(Shape(part.count, x.shape[1]))
            cpu.rmsNorm(onHost(x.rows(part)), epsilon: epsilon, weight: onHost(weight), into: expected)
            return Sample(expected: expected, made: out.rows(part))
        }
    }

    /// 1 / sqrt(mean square + epsilon) of each row of x, to the first floats of `out`.
    func inverseRoots(_ x: Tensor, epsilon: Float, into out: Tensor) {
        norm(x, epsilon, [.onlyInverse], [nil, nil, nil, nil], 0..<x.shape[0], out)
    }

    public func normAndRotate(_ x: Tensor, epsilon: Float, weight: Parameter, heads: Int, by table: RotaryTable) {
        OperationChecks.normAndRotate(x, weight: weight, heads: heads, by: table)
        let (rows, headWidth) = (x.shape[0], x.shape[1] / heads)
        perform(.normAndRotate, into: x) {
            norm(x, epsilon, [.weight], [binding(weight), nil, nil, nil], 0..<rows, x)
            run(
                .rope, [binding(x), binding(table.cosines), binding(table.sines)],
                [rows, heads, headWidth / 2, table.tokens].map(UInt32.init), groups: Self.groups(x.count / 2, of: 64), work: x.count * 4)
        } sample: {
            // All of the first sequence, so that rows keep their positions.
            let part = x.rows(0..<table.tokens)
            let expected = onHost(part)
            let own = RotaryTable(table, cosines: onHost(table.cosines), sines: onHost(table.sines))
            cpu.normAndRotate(expected, epsilon: epsilon, weight: onHost(weight), heads: heads, by: own)
            return Sample(expected: expected, made: part)
        }
    }

    // MARK: Attention

    public func pack(keys: Tensor, into packed: any PackedKeysValues) {
        let packed = own(packed)
        OperationChecks.pack(keys: keys, into: packed)
        packed.keys = keys.shape[0]
        // The keys are gone when the attention runs, so it is chosen now whether that one will be compared.
        let isDue = options.takesSamples && sampler.isDue(packed.precision == .float ? .attendFloat : .attendInt8)
        packed.shadow = (isDue ? forSample { onHost(keys) } : nil, nil)
        guard packed.precision != .float else { return copyRows(keys, to: packed.packedKeys) }
        run(keys, packed, kind: 0, mean: packed.keyMean, nil, nil, count: keys.shape[1])
        run(keys, packed, kind: 1, mean: packed.keyMean, packed.keyScale, packed.packedKeys, count: packed.keys * packed.heads)
    }

    public func pack(values: Tensor, into packed: any PackedKeysValues) {
        let packed = own(packed)
        OperationChecks.pack(values: values, into: packed)
        if packed.shadow.keys != nil { packed.shadow.values = forSample { onHost(values) } }
        guard packed.precision != .float else { return copyRows(values, to: packed.packedValues) }
        run(values, packed, kind: 0, mean: packed.valueMean, nil, nil, count: values.shape[1])
        run(values, packed, kind: 2, mean: packed.valueMean, packed.valueScale, packed.packedValues, count: values.shape[1])
    }

    private func copyRows(_ rows: Tensor, to bytes: ByteBuffer) {
        run(
            .copy, [binding(rows), binding(bytes)], [1, UInt32(rows.count), UInt32(rows.count), UInt32(rows.count)],
            groups: Self.groups(rows.count, of: 64), work: rows.count)
    }

    private func run(
        _ x: Tensor, _ packed: VulkanKeysValues, kind: UInt32, mean: ByteBuffer, _ scale: ByteBuffer?, _ target: ByteBuffer?, count: Int
    ) {
        run(
            .packInt8, [binding(x), binding(mean), scale.map { binding($0) }, target.map { binding($0) }],
            [kind, UInt32(packed.keys), UInt32(packed.heads), UInt32(packed.headWidth)], groups: Self.groups(count, of: 64),
            work: x.count * 4)
    }

    public func attend(queries: Tensor, to packed: any PackedKeysValues, scale: Float, keyBias: Tensor?, bias: Tensor?, into out: Tensor) {
        let packed = own(packed)
        let (rows, heads, keys) = (queries.shape[0], packed.heads, packed.keys)
        let width = heads * packed.headWidth
        OperationChecks.attend(queries: queries, to: packed, keyBias: keyBias, bias: bias, into: out)
        guard device.fault == nil, rows > 0 else { return }
        let operation: VulkanOperation = packed.precision == .float ? .attendFloat : .attendInt8
        let expected = options.takesSamples ? forSample { attendOnCPU(queries, packed, scale, keyBias, bias) } : nil
        let step = max(1, options.submissionLimit / max(keys * width * 2, 1))
        for first in stride(from: 0, to: rows, by: step) {
            let part = first..<min(first + step, rows)
            if packed.precision == .float {
                attendFloat(queries, packed, scale, keyBias, bias, part, out)
            } else {
                attendInt8(queries, packed, scale, keyBias, part, out)
            }
        }
        compare(operation, out, expected)
    }

    /// The result of some queries, where keys and values were kept for it.
    private func attendOnCPU(
        _ queries: Tensor, _ packed: VulkanKeysValues, _ scale: Float, _ keyBias: Tensor?, _ bias: Tensor?
    ) -> (rows: Range<Int>, result: Tensor)? {
        guard let keys = packed.shadow.keys, let values = packed.shadow.values else { return nil }
        let part = bias == nil ? sampler.rows(queries.shape[0], atMost: 4) : 0..<queries.shape[0]
        let own = cpu.make {
            $0.keysValues(capacity: packed.keys, heads: packed.heads, headWidth: packed.headWidth, precision: packed.precision)
        }
        cpu.pack(keys: keys, into: own)
        cpu.pack(values: values, into: own)
        let result = Tensor(Shape(part.count, queries.shape[1]))
        cpu.attend(
            queries: onHost(queries.rows(part)), to: own, scale: scale, keyBias: onHost(keyBias), bias: onHost(bias), into: result)
        return (part, result)
    }

    private func compare(_ operation: VulkanOperation, _ out: Tensor, _ expected: (rows: Range<Int>, result: Tensor)?) {
        perform(operation, into: out, isCounted: false) {
        } sample: {
            expected.map { Sample(expected: $0.result, made: out.rows($0.rows)) }
        }
    }

    private func attendInt8(
        _ queries: Tensor, _ packed: VulkanKeysValues, _ scale: Float, _ keyBias: Tensor?, _ rows: Range<Int>, _ out: Tensor
    ) {
        let flags: UInt32 = (keyBias == nil ? 0 : 1) | (packed.precision == .int8Probs16 ? 2 : 0)
        run(
            .attendInt8,
            [
                binding(queries), binding(packed.packedKeys), binding(packed.keyScale), binding(packed.packedValues),
                binding(packed.valueScale), binding(packed.valueMean), binding(keyBias), binding(out),
            ],
            [rows.lowerBound, rows.upperBound, packed.keys, packed.heads, packed.headWidth].map(UInt32.init) + [flags, scale.bitPattern],
            groups: (rows.count, packed.heads), work: rows.count * packed.keys * queries.shape[1] * 2)
    }

    private func attendFloat(
        _ queries: Tensor, _ packed: VulkanKeysValues, _ scale: Float, _ keyBias: Tensor?, _ bias: Tensor?, _ rows: Range<Int>,
        _ out: Tensor
    ) {
        let flags: UInt32 = (keyBias == nil ? 0 : 1) | (bias == nil ? 0 : 2)
        run(
            .attendFloat,
            [
                binding(queries), binding(packed.packedKeys), binding(packed.packedValues), binding(keyBias), binding(bias), binding(out),
            ],
            [rows.lowerBound, rows.upperBound, packed.keys, packed.heads, packed.headWidth].map(UInt32.init)
                + [flags, UInt32(queries.shape[0]), scale.bitPattern],
            groups: (rows.count, packed.heads), work: rows.count * packed.keys * queries.shape[1] * 2)
    }
}
