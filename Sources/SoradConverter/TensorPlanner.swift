// Decides the form of each tensor. A linear layer is tried in int8, then in int8 with a Hadamard transform of its input, and stays float when
// neither keeps the error of its output within the limit; the report gives all errors.
import SoradModelFile
import SoradSystem
import SoradTensor

struct TensorPlanner: Sendable {
    let options: ConversionOptions
    let calibration: (any TensorSource)?
    /// All tensors of the checkpoint by their names in the model file.
    let tensors: [String: CheckpointTensor]
    /// Group sizes of the Hadamard transform, the better one first.
    static let rotations = [256, 64]

    init(_ options: ConversionOptions, _ checkpoint: Checkpoint) throws(SoradError) {
        self.options = options
        tensors = Dictionary(uniqueKeysWithValues: checkpoint.tensors.map { ($0.rule.name, $0.tensor) })
        calibration = if let path = options.calibration { try SafetensorsSource(file: path) } else { nil }
    }

    func plan(_ rule: TensorRule, _ tensor: CheckpointTensor) throws(SoradError) -> TensorPlan {
        switch rule.form {
        case .linear(let input, let gain, let isDeep):
            if options.keepsFloat(rule.name) { return try float(rule, tensor, .packedFloat, "float, as asked") }
            if isDeep && !options.int8TextEncoder { return try deepLinear(rule, tensor, input, gain) }
            return try linear(rule, tensor, input, gain)
        case .convolution(let input?, let always) where options.int8Decoder || always:
            if options.keepsFloat(rule.name) { return try float(rule, tensor, .packedFloat, "float, as asked") }
            return try convolution(rule, tensor, input)
        case .floatLinear, .convolution: return try float(rule, tensor, .packedFloat, "float")
        case .table:
            let fits = try largest(tensor) <= Float(Float16.greatestFiniteMagnitude)
            if options.keepsFloat(rule.name) { return try float(rule, tensor, .rows(.f32), "float, as asked") }
            return try float(rule, tensor, .rows(fits ? .f16 : .f32), fits ? "half precision" : "float: too large for half precision")
        case .frames(let parts, let input?, let gain) where options.int8Decoder:
            if options.keepsFloat(rule.name) { return try float(rule, tensor, .packedFrames(parts: parts), "float, as asked") }
            return try frames(rule, tensor, parts, input, gain)
        case .frames(let parts, _, _): return try float(rule, tensor, .packedFrames(parts: parts), "float")
        case .plain, .vector: return try float(rule, tensor, .rows(.f32), "float")
        }
    }

    private func float(
        _ rule: TensorRule, _ tensor: CheckpointTensor, _ storage: TensorPlan.Storage, _ decision: String
    ) throws(SoradError) -> TensorPlan {
        _ = try largest(tensor)
        let type: ElementType = if case .rows(let type) = storage { type } else { .f32 }
        return TensorPlan(
            rule: rule, tensor: tensor, storage: storage,
            row: ConversionReport.Row(name: rule.name, shape: rule.shape, type: type, decision: decision))
    }

    /// One way to make a layer int8, and what it loses.
    private struct Attempt {
        let rotation: Int?
        let scales: [Float]
        let weightError: Double
        let error: Double
    }

    /// The largest ratio of the errors with and without a rotation that is worth the rotation's time.
    private static let rotationGain = 0.8

    private func linear(_ rule: TensorRule, _ tensor: CheckpointTensor, _ input: LayerInput, _ gain: InputGain?) throws(SoradError)
        -> TensorPlan
    {
        let (n, k) = (rule.shape[0], rule.shape[1])
        let values = try checkedFloats(tensor)
        let activations = try activations(rule, input, gain, inputs: k)
        let reference = LayerError(WeightMatrix(outputs: n, inputs: k, values), on: activations)
        var row = ConversionReport.Row(name: rule.name, shape: rule.shape, type: .i8, decision: "int8")
        row.spread = (LayerSpread(values, width: k), LayerSpread(activations.values, width: k))
        if let rows = try tensor.int8Rows(),
            let plan = try stored(rule, tensor, rows, row, reference, activations, asymmetric: input.asymmetric)
        {
            return plan
        }
        row.captured = activations.captured
        func attempt(_ rotation: Int?) -> Attempt {
            var turned = values
            var inputs = activations
            if let rotation {
                rotateHadamard(&turned, group: rotation)
                inputs = activations.rotated(group: rotation)
            }
            let weights = WeightMatrix(outputs: n, inputs: k, turned)
            let scales = Int8Quantization.scales(weights, importance: activations.captured ? inputs.meanSquares() : nil)
            return Attempt(
                rotation: rotation, scales: scales, weightError: Int8Quantization.error(weights, scales: scales),
                error: reference.relative(weights, scales: scales, on: inputs.quantized(asymmetric: input.asymmetric)))
        }
        var best = attempt(nil)
        row.attempts.append((nil, best.error))
        for rotation in Self.rotations
        where k % rotation == 0 && best.error > (best.rotation == nil ? options.rotationThreshold : options.errorLimit) {
            let turned = attempt(rotation)
            row.attempts.append((rotation, turned.error))
            if turned.error < (best.rotation == nil ? Self.rotationGain : 1) * best.error { best = turned }
        }
        row.weightError = best.weightError
        if best.error <= options.errorLimit {
            row.bits = 8
            if let rotation = best.rotation {
                row.rotation = rotation
                row.decision = "int8, rotated by \(rotation)"
            }
            return TensorPlan(rule: rule, tensor: tensor, storage: .int8(scales: best.scales, rotation: best.rotation), row: row)
        }
        row.type = .f32
        row.decision = "float: int8 loses too much"
        return TensorPlan(rule: rule, tensor: tensor, storage: .packedFloat, row: row)
    }

    /// A layer that float activations multiply: 10 bits, or float where the large weights of a block take the small ones' bits.
    private func deepLinear(_ rule: TensorRule, _ tensor: CheckpointTensor, _ input: LayerInput, _ gain: InputGain?) throws(SoradError)
        -> TensorPlan
    {
        let values = try checkedFloats(tensor)
        let weights = WeightMatrix(outputs: rule.shape[0], inputs: rule.shape[1], values)
        var row = ConversionReport.Row(
            name: rule.name, shape: rule.shape, type: .i8, decision: "10 bits in blocks of \(Int10Quantization.block)")
        if let scales = Int10Quantization.scales(weights) {
            let activations = try activations(rule, input, gain, inputs: rule.shape[1])
            let rounded = Int10Quantization.rounded(weights, scales)
            let errors = Int10Quantization.errors(weights, rounded)
            let error = LayerError(weights, on: activations).relative(rounded, on: activations)
            row.captured = activations.captured
            row.spread = (LayerSpread(values, width: rule.shape[1]), LayerSpread(activations.values, width: rule.shape[1]))
            row.weightError = errors.all
            row.attempts.append((nil, error))
            if max(error, errors.columns) <= options.int10ErrorLimit {
                row.bits = 10
                return TensorPlan(rule: rule, tensor: tensor, storage: .int10, row: row)
            }
        }
        row.type = .f32
        row.decision = "float: 10 bits lose too much"
        return TensorPlan(rule: rule, tensor: tensor, storage: .packedFloat, row: row)
    }

    /// Rows that the checkpoint has in int8 are taken as they are, where that is good enough: quantizing them again could only lose.
    /// - Parameters:
    ///   - account: what is known of the layer.
    ///   - reference: of the dequantized weights, so the error is that of the activations alone.
    private func stored(
        _ rule: TensorRule, _ tensor: CheckpointTensor, _ rows: Int8Rows, _ account: ConversionReport.Row, _ reference: LayerError,
        _ activations: LayerActivations, asymmetric: Bool
    ) throws(SoradError) -> TensorPlan? {
        if let rotation = rows.rotation, !LinearWeights.rotations.contains(rotation) { return nil }
        guard rows.scales.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            throw SoradError(.badInput, "\(tensor.location): the tensor \(tensor.name) has a scale that is negative or no number")
        }
        let (n, k) = (rule.shape[0], rule.shape[1])
        var (values, clamped) = try rows.values(count: n * k)
        for row in 0..<n { for i in row * k..<(row + 1) * k { values[i] *= rows.scales[row] } }
        let weights = WeightMatrix(outputs: n, inputs: k, values)
        let inputs = rows.rotation.map { activations.rotated(group: $0) } ?? activations
        let error = reference.relative(weights, scales: rows.scales, on: inputs.quantized(asymmetric: asymmetric))
        // Without a rotation there is another form to try.
        guard error <= (rows.rotation == nil ? options.rotationThreshold : options.errorLimit) else { return nil }
        var row = account
        row.decision = "int8 as stored"
        row.captured = activations.captured
        row.attempts.append((rows.rotation, error))
        row.weightError = 0
        row.bits = 8
        row.rotation = rows.rotation
        if let rotation = rows.rotation { row.decision += ", rotated by \(rotation)" }
        if clamped > 0 { row.decision += ", \(clamped) values of -128 made -127" }
        return TensorPlan(rule: rule, tensor: tensor, storage: .storedInt8(rows), row: row)
    }

    private func convolution(_ rule: TensorRule, _ tensor: CheckpointTensor, _ input: LayerInput) throws(SoradError) -> TensorPlan {
        let values = WeightPacking.int8ChannelsLast(try checkedFloats(tensor), shape: rule.shape)
        let weights = WeightMatrix(outputs: rule.shape[0], inputs: values.count / rule.shape[0], values)
        let activations = LayerActivations(synthetic: input, inputs: weights.inputs, gain: nil, name: rule.name)
        let quantized = activations.quantized(asymmetric: true, together: true)
        return convolution(
            rule, tensor, LayerError(weights, on: activations), weights, quantized, weights.inputs, limit: options.errorLimit,
            else: .packedFloat
        ) { .int8(scales: $0, rotation: nil) }
    }

    private func frames(_ rule: TensorRule, _ tensor: CheckpointTensor, _ parts: Int, _ input: LayerInput, _ gain: InputGain?)
        throws(SoradError) -> TensorPlan
    {
        let values = try checkedFloats(tensor)
        let weights = WeightPacking.wholeRows(values, shape: rule.shape)
        let gains: [Float]? = if let gain { try self.gains(rule, gain, rule.shape[1]) } else { nil }
        let activations = LayerActivations(synthetic: input, inputs: weights.inputs, gain: gains, name: rule.name)
        let balance = activations.balance(with: weights, channels: rule.shape[1])
        let balanced = WeightPacking.wholeRows(WeightPacking.multiplied(values, shape: rule.shape, byInput: balance), shape: rule.shape)
        let frames = rule.shape.count == 5 ? rule.shape[2] : 1
        let inputsOfASum = weights.inputs / frames / rule.shape[1] * WeightPacking.int8Channels(rule.shape[1])
        return convolution(
            rule, tensor, LayerError(weights, on: activations), balanced,
            input == .image
                ? activations.divided(by: balance) : activations.divided(by: balance).quantized(asymmetric: true, together: true),
            inputsOfASum,
            limit: options.causalErrorLimit,
            else: .packedFrames(parts: parts)
        ) { scales in .int8Frames(scales: scales, inputGains: balance, parts: parts) }
    }

    /// A convolution is a linear layer on the neighborhoods of pixels; there is no rotation, and one scale serves all pixels.
    private func convolution(
        _ rule: TensorRule, _ tensor: CheckpointTensor, _ reference: LayerError, _ weights: WeightMatrix,
        _ activations: LayerActivations,
        _ inputsOfASum: Int, limit: Double, else float: TensorPlan.Storage, int8: ([Float]) -> TensorPlan.Storage
    ) -> TensorPlan {
        let scales = Int8Quantization.scales(weights, importance: nil)
        let error = reference.relative(weights, scales: scales, on: activations)
        let fits = error <= limit && inputsOfASum <= ConvolutionWeights.mostInt8Inputs
        var row = ConversionReport.Row(
            name: rule.name, shape: rule.shape, type: fits ? .i8 : .f32, decision: fits ? "int8" : "float: int8 loses too much")
        row.weightError = Int8Quantization.error(weights, scales: scales)
        row.bits = fits ? 8 : nil
        row.attempts.append((nil, error))
        return TensorPlan(rule: rule, tensor: tensor, storage: fits ? int8(scales) : float, row: row)
    }

    private func activations(_ rule: TensorRule, _ input: LayerInput, _ gain: InputGain?, inputs: Int) throws(SoradError)
        -> LayerActivations
    {
        if let captured = calibration?[rule.layer] { return try LayerActivations(captured: captured, inputs: inputs) }
        let gains: [Float]? = if let gain { try self.gains(rule, gain, inputs) } else { nil }
        return LayerActivations(synthetic: input, inputs: inputs, gain: gains, name: rule.name)
    }

    private func gains(_ rule: TensorRule, _ gain: InputGain, _ width: Int) throws(SoradError) -> [Float] {
        guard let tensor = tensors[gain.name] else { preconditionFailure("\(rule.name): no tensor \(gain.name)") }
        return try tensor.floats((gain.row * width)..<((gain.row + 1) * width)).map { gain.addsOne ? 1 + $0 : $0 }
    }

    /// Far above every trained weight; its square, summed over a layer, is a normal float.
    private static let largestWeight: Float = 1e12

    /// The largest magnitude of a tensor that need not be in memory as a whole.
    private func largest(_ tensor: CheckpointTensor) throws(SoradError) -> Float {
        var largest: Float = 0
        for range in tensor.pieces { largest = max(largest, try Self.largest(try tensor.floats(range), of: tensor)) }
        return largest
    }

    /// All elements, read once.
    private func checkedFloats(_ tensor: CheckpointTensor) throws(SoradError) -> [Float] {
        let values = try tensor.floats()
        _ = try Self.largest(values, of: tensor)
        return values
    }

    /// The largest magnitude; refuses numbers that are not finite, which training that went wrong leaves behind.
    private static func largest(_ values: [Float], of tensor: CheckpointTensor) throws(SoradError) -> Float {
        var largest: Float = 0
        for value in values {
            // Rotations, scales and errors are sums and squares of weights, which must stay finite too.
            guard value.magnitude <= largestWeight else {
                throw SoradError(
                    .badInput,
                    "\(tensor.location): the tensor \(tensor.name) holds \(value)"
                        + (value.isFinite ? ", and no weight is beyond \(largestWeight)" : ""),
                    hint: "the checkpoint is damaged or its training diverged")
            }
            largest = max(largest, value.magnitude)
        }
        return largest
    }
}
