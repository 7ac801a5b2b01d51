// Owns the step from a model file to weights: every tensor is asked for with the type and dimensions that the metadata imply, and a
// file in which one differs is refused with a sentence. docs/MODEL_FILE.md gives names and layouts.
import SoradModelFile
import SoradSystem
import SoradTensor

struct WeightReader {
    /// Without one, weights are made up; see MadeUpModel.swift.
    private let source: ModelFile?
    let prefix: String

    init(file: ModelFile? = nil, prefix: String) {
        source = file
        self.prefix = prefix
    }

    private var file: ModelFile {
        guard let source else { preconditionFailure("\(prefix) has no file") }
        return source
    }

    /// The tensors below `prefix.name`.
    func at(_ name: String) -> WeightReader { WeightReader(file: source, prefix: prefix + name + ".") }

    func has(_ name: String) -> Bool { file[prefix + name] != nil }

    /// A linear layer, int8 or float as the file has it.
    func linear(_ name: String, outputs: Int, inputs: Int, bias: Bool = true, asymmetricInput: Bool = false) throws(SoradError)
        -> LinearWeights
    {
        if source == nil {
            return MadeUpWeights.linear(name, outputs: outputs, inputs: inputs, bias: bias, asymmetricInput: asymmetricInput)
        }
        let full = prefix + name
        let blocks = (outputs + 15) / 16
        let weight = try file.tensor(full + ".weight")
        let offsets: Parameter? = bias ? try vector(name + ".bias", outputs) : nil
        guard weight.type == .i8 else {
            let values = try file.tensor(full + ".weight", .f32, dims: [16, inputs, blocks])
            return LinearWeights(outputs: outputs, inputs: inputs, precision: .float(Parameter(values.bytes, .f32)), bias: offsets)
        }
        let codes = try file.tensor(full + ".weight", .i8, dims: [4, 16, (inputs + 3) / 4, blocks])
        let sum = try file.tensor(full + ".weight_sum", .i32, dims: [outputs])
        return LinearWeights(
            outputs: outputs, inputs: inputs,
            precision: .int8(
                codes: Parameter(codes.bytes, .i8), scale: try vector(name + ".weight_scale", outputs), sum: Parameter(sum.bytes, .i32)),
            bias: offsets, rotation: try rotation(full, inputs), asymmetricInput: asymmetricInput)
    }

    private func rotation(_ name: String, _ inputs: Int) throws(SoradError) -> Int? {
        let key = "rotation.\(name)"
        guard file.metadata.contains(key) else { return nil }
        let group = try file.metadata.integer(key, in: 4...256)
        guard [4, 16, 64, 256].contains(group), inputs % group == 0 else {
            throw SoradError(
                .badInput, "\(file.path): \(key) is \(group), which does not divide \(inputs) inputs into groups of 4, 16, 64 or 256")
        }
        return group
    }

    /// A 3×3 or 1×1 convolution, int8 or float as the file has it.
    func convolution(_ name: String, outputs: Int, inputs: Int, kernel: Int = 3, stride: Int = 1, bias: Bool = true) throws(SoradError)
        -> ConvolutionWeights
    {
        let full = prefix + name
        let blocks = (outputs + 15) / 16
        let offsets: Parameter? = bias ? try vector(name + ".bias", outputs) : nil
        guard source != nil else {
            return ConvolutionWeights(
                outputs: outputs, inputs: inputs, kernel: kernel, stride: stride,
                precision: MadeUpWeights.convolution(full, outputs: outputs, inputs: inputs, area: kernel * kernel), bias: offsets)
        }
        guard try file.tensor(full + ".weight").type == .i8 else {
            let values = try file.tensor(full + ".weight", .f32, dims: [16, kernel * kernel * inputs, blocks])
            return ConvolutionWeights(
                outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, precision: .float(Parameter(values.bytes, .f32)),
                bias: offsets)
        }
        let groups = kernel * kernel * ((inputs + 3) / 4)
        guard groups * 4 <= ConvolutionWeights.mostInt8Inputs else { throw tooLong(full, groups * 4) }
        let codes = try file.tensor(full + ".weight", .i8, dims: [4, 16, groups, blocks])
        let sum = try file.tensor(full + ".weight_sum", .i32, dims: [outputs])
        return ConvolutionWeights(
            outputs: outputs, inputs: inputs, kernel: kernel, stride: stride,
            precision: .int8(
                codes: Parameter(codes.bytes, .i8), scale: try vector(name + ".weight_scale", outputs), sum: Parameter(sum.bytes, .i32)),
            bias: offsets)
    }

    /// The weights of several convolutions of the same sizes behind each other, `parts` times `frames`, int8 or float as the file has them;
    /// [part][frame]. The frames of a part share their outputs and scales, and all of them the scales of the inputs, which are there for
    /// int8.
    func framePrecisions(_ name: String, outputs: Int, inputs: Int, kernel: Int, frames: Int, parts: Int, onlyFloat: Bool)
        throws(SoradError) -> (precisions: [[ConvolutionWeights.Precision]], inputScale: Parameter?)
    {
        let blocks = (outputs + 15) / 16
        let count = parts * frames
        let area = kernel * kernel
        let full = prefix + name
        guard source != nil else {
            let made = (0..<parts).map { _ in
                (0..<frames).map { _ in MadeUpWeights.convolution(full, outputs: outputs, inputs: inputs, area: area) }
            }
            let isInt8 = if case .int8 = made[0][0] { true } else { false }
            return (made, isInt8 ? MadeUpWeights.vector(inputs, 1) : nil)
        }
        let type = try file.tensor(full + ".weight").type
        guard type == .i8, !onlyFloat else {
            let all = Parameter(try file.tensor(full + ".weight", .f32, dims: [16, area * inputs, blocks, count]).bytes, .f32)
            return ((0..<parts).map { part in (0..<frames).map { .float(all.part(part * frames + $0, of: count)) } }, nil)
        }
        let groups = area * ((inputs + 3) / 4)
        guard groups * 4 <= ConvolutionWeights.mostInt8Inputs else { throw tooLong(full, groups * 4) }
        let codes = Parameter(try file.tensor(full + ".weight", .i8, dims: [64, groups, blocks, count]).bytes, .i8)
        let sums = Parameter(try file.tensor(full + ".weight_sum", .i32, dims: [outputs, count]).bytes, .i32)
        let scales = try vector(name + ".weight_scale", outputs * parts)
        let precisions: [[ConvolutionWeights.Precision]] = (0..<parts).map { part in
            (0..<frames).map { frame in
                let index = part * frames + frame
                return .int8(codes: codes.part(index, of: count), scale: scales.part(part, of: parts), sum: sums.part(index, of: count))
            }
        }
        return (precisions, try vector(name + ".weight_input", inputs))
    }

    private func tooLong(_ name: String, _ inputs: Int) -> SoradError {
        SoradError(
            .badInput,
            "\(file.path): \(name) multiplies \(inputs) inputs, more than the \(ConvolutionWeights.mostInt8Inputs) of an int8 sum",
            hint: "convert it again with --keep-float '\(name)*'")
    }

    /// Float32 [count].
    func vector(_ name: String, _ count: Int) throws(SoradError) -> Parameter {
        source == nil ? MadeUpWeights.vector(count, 1) : Parameter(try file.tensor(prefix + name, .f32, dims: [count]).bytes, .f32)
    }

    /// A float32 table; `dims` as in PyTorch, slowest first.
    func table(_ name: String, dims: Int...) throws(SoradError) -> Parameter {
        source == nil
            ? MadeUpWeights.vector(dims.reduce(1, *), 0.1)
            : Parameter(try file.tensor(prefix + name, .f32, dims: dims.reversed()).bytes, .f32)
    }

    /// An embedding table [rows, width] of float16, bfloat16 or float32.
    func embedding(_ name: String, rows: Int, width: Int) throws(SoradError) -> Parameter {
        let tensor = try file.tensor(prefix + name, .f32, .f16, .bf16, dims: [width, rows])
        return Parameter(tensor.bytes, tensor.type)
    }
}
