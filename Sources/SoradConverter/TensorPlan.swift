// The decision about one tensor: its form in the model file, and the error of that form.
//
// A plan holds the scales but not the weights: they are read from the page cache, rotated and rounded again when they are packed, so that
// deciding needs no more memory than it must.
import SoradModelFile
import SoradSystem
import SoradTensor

struct TensorPlan {
    enum Storage {
        /// int8 with these scales, [N], of weights rotated in groups if there is a rotation.
        case int8(scales: [Float], rotation: Int?)
        /// 10 bits in blocks, which have their scales from the weights alone.
        case int10
        /// int8 as the checkpoint stores it.
        case storedInt8(Int8Rows)
        /// Blocks of sixteen outputs, F32.
        case packedFloat
        /// Blocks of sixteen outputs for each part of the outputs and each frame of the kernel, F32.
        case packedFrames(parts: Int)
        /// The same as int8, with a scale for each output, [parts·N], that its frames share, of weights multiplied by `inputGains` [Cin].
        case int8Frames(scales: [Float], inputGains: [Float], parts: Int)
        /// Row by row in this type.
        case rows(ElementType)
    }

    let rule: TensorRule
    let tensor: CheckpointTensor
    let storage: Storage
    let row: ConversionReport.Row

    /// The tensors that this one becomes, in the order of the file.
    var descriptions: [TensorDescription] {
        switch storage {
        case .int8, .storedInt8:
            [
                TensorDescription(name: rule.name, type: .i8, dims: WeightPacking.int8Dims(outputs: outputs, inputs: int8Inputs)),
                TensorDescription(name: rule.name + "_scale", type: .f32, dims: [outputs]),
                TensorDescription(name: rule.name + "_sum", type: .i32, dims: [outputs]),
            ]
        case .int10:
            [
                TensorDescription(name: rule.name, type: .i8, dims: Int10Quantization.highDims(outputs: outputs, inputs: inputs)),
                TensorDescription(name: rule.name + "_low", type: .i32, dims: Int10Quantization.lowDims(outputs: outputs, inputs: inputs)),
                TensorDescription(
                    name: rule.name + "_scale", type: .f16, dims: Int10Quantization.scaleDims(outputs: outputs, inputs: inputs)),
            ]
        case .packedFloat: [TensorDescription(name: rule.name, type: .f32, dims: WeightPacking.floatDims(outputs: outputs, inputs: inputs))]
        case .packedFrames(let parts):
            [TensorDescription(name: rule.name, type: .f32, dims: WeightPacking.framesDims(shape: rule.shape, parts: parts))]
        case .int8Frames(_, let gains, let parts):
            [
                TensorDescription(name: rule.name, type: .i8, dims: WeightPacking.int8FramesDims(shape: rule.shape, parts: parts)),
                TensorDescription(name: rule.name + "_scale", type: .f32, dims: [outputs]),
                TensorDescription(
                    name: rule.name + "_sum", type: .i32,
                    dims: [outputs / parts, WeightPacking.int8FramesDims(shape: rule.shape, parts: parts)[3]]),
                TensorDescription(name: rule.name + "_input", type: .f32, dims: [gains.count]),
            ]
        case .rows(let type):
            [TensorDescription(name: rule.name, type: type, dims: rule.form == .vector ? [rule.shape[0]] : rule.shape.reversed())]
        }
    }

    /// Groups in which the weights are rotated; nil for none.
    var rotation: Int? {
        switch storage {
        case .int8(_, let rotation): rotation
        case .storedInt8(let rows): rows.rotation
        default: nil
        }
    }

    /// `rotation.X` for a rotated layer `X`.
    var metadata: [(key: String, value: MetadataValue)] {
        rotation.map { [("rotation." + rule.layer, .uint32(UInt32($0)))] } ?? []
    }

    private var outputs: Int { rule.shape[0] }
    private var inputs: Int { rule.shape.dropFirst().reduce(1, *) }
    private var isConvolution: Bool { if case .convolution = rule.form { true } else { false } }
    /// Inputs of the int8 form: a convolution's channels are filled up to a multiple of 4.
    private var int8Inputs: Int { isConvolution ? WeightPacking.int8Channels(rule.shape[1]) * rule.shape[2] * rule.shape[3] : inputs }

    /// Bytes in the model file.
    var byteCount: Int { descriptions.reduce(0) { $0 + ($1.byteCount ?? 0) } }

    /// The weights, read again, in their form; nil where they are written row by row.
    func packed() throws(SoradError) -> PackedTensors? {
        var all = PackedTensors()
        switch storage {
        case .int8(let scales, let rotation):
            var values = try tensor.floats()
            if let rotation { rotateHadamard(&values, group: rotation) }
            if isConvolution { values = WeightPacking.int8ChannelsLast(values, shape: rule.shape) }
            let (packed, sums) = WeightPacking.int8(WeightMatrix(outputs: outputs, inputs: int8Inputs, values), scales: scales)
            all.add(rule.name, .words(packed))
            all.add(rule.name + "_scale", .floats(scales))
            all.add(rule.name + "_sum", .int32s(sums))
        case .int10:
            let weights = WeightMatrix(outputs: outputs, inputs: inputs, try tensor.floats())
            guard let scales = Int10Quantization.scales(weights) else { preconditionFailure("\(rule.name) has changed") }
            let packed = Int10Quantization.packed(weights, scales)
            all.add(rule.name, .words(packed.high))
            all.add(rule.name + "_low", .words(packed.low))
            all.add(rule.name + "_scale", .halves(packed.scales))
        case .storedInt8(let rows):
            let matrix = WeightMatrix(outputs: outputs, inputs: inputs, try rows.values(count: outputs * inputs).values)
            let (packed, sums) = WeightPacking.int8(matrix, scales: [Float](repeating: 1, count: outputs))
            all.add(rule.name, .words(packed))
            all.add(rule.name + "_scale", .floats(rows.scales))
            all.add(rule.name + "_sum", .int32s(sums))
        case .packedFloat:
            var values = try tensor.floats()
            if isConvolution { values = WeightPacking.channelsLast(values, shape: rule.shape) }
            all.add(rule.name, .floats(WeightPacking.float(values, outputs: outputs, inputs: inputs)))
        case .packedFrames(let parts):
            all.add(rule.name, .floats(WeightPacking.frames(try tensor.floats(), shape: rule.shape, parts: parts)))
        case .int8Frames(let scales, let gains, let parts):
            let values = WeightPacking.multiplied(try tensor.floats(), shape: rule.shape, byInput: gains)
            let (packed, sums) = WeightPacking.int8Frames(values, shape: rule.shape, parts: parts, scales: scales)
            all.add(rule.name, .words(packed))
            all.add(rule.name + "_scale", .floats(scales))
            all.add(rule.name + "_sum", .int32s(sums))
            all.add(rule.name + "_input", .floats(gains.map { 1 / $0 }))
        case .rows: return nil
        }
        return all
    }

    /// Reads the rows again and writes them.
    func writeRows(to writer: inout GGUFWriter, threads: Int) throws(SoradError) {
        guard case .rows(let type) = storage else { preconditionFailure("\(rule.name) is packed") }
        let source = tensor
        let pieces = source.pieces
        try ParallelWork.run(pieces.count, threads: threads) { index throws(SoradError) in
            let values = try source.floats(pieces[index])
            return type == .f16 ? PackedTensors.Values.halves(values.map { Float16($0).bitPattern }) : .floats(values)
        } take: { (_, values) throws(SoradError) in
            try values.write(to: &writer, rule.name)
        }
    }
}

/// The tensors that one of the checkpoint becomes, ready to be written.
struct PackedTensors: Sendable {
    enum Values: Sendable {
        /// Int8 or parts of it, four or more in a word.
        case words([UInt32])
        case int32s([Int32])
        case floats([Float])
        /// Bits of F16.
        case halves([UInt16])
    }

    private var tensors: [(name: String, values: Values)] = []

    mutating func add(_ name: String, _ values: Values) { tensors.append((name, values)) }

    /// By name, as a network reads them.
    var parameters: [String: Parameter] {
        Dictionary(
            uniqueKeysWithValues: tensors.map { name, values in
                switch values {
                // The low bits of 10 are words themselves.
                case .words(let words) where name.hasSuffix("_low"): (name, Parameter(words.map { Int32(bitPattern: $0) }))
                case .words(let words): (name, Parameter(int8: words))
                case .int32s(let numbers): (name, Parameter(numbers))
                case .floats(let numbers): (name, Parameter(numbers))
                case .halves(let bits): (name, Parameter(bits.map { Float16(bitPattern: $0) }))
                }
            })
    }

    func write(to writer: inout GGUFWriter) throws(SoradError) {
        for (name, values) in tensors { try values.write(to: &writer, name) }
    }
}

extension PackedTensors.Values {
    fileprivate func write(to writer: inout GGUFWriter, _ name: String) throws(SoradError) {
        switch self {
        case .words(let values): try unsafe writer.append(values.span.bytes, to: name)
        case .int32s(let values): try writer.append(values, to: name)
        case .floats(let values): try writer.append(values, to: name)
        case .halves(let values): try unsafe writer.append(values.span.bytes, to: name)
        }
    }
}

extension TensorRule {
    /// The layer's name: without ".weight".
    var layer: String { name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name }
}
