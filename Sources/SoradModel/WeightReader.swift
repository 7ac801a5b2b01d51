// Owns the step from a source of tensors to weights in a backend's memory: every tensor is asked for with the type and dimensions that
// the metadata imply, and a file in which one differs is refused with a sentence. docs/MODEL_FILE.md gives names and layouts.
package import SoradModelFile
package import SoradSystem
package import SoradTensor

package struct WeightReader {
    private let source: any WeightSource
    private let backend: any ComputeBackend
    /// In front of every name.
    private let prefix: String

    /// The tensors of a model file whose names begin with `prefix`.
    package init(file: ModelFile, prefix: String, _ backend: any ComputeBackend) {
        self.init(FileWeights(file: file), prefix, backend)
    }

    /// The tensors of `source` whose names begin with `prefix`.
    package init(_ source: any WeightSource, _ prefix: String, _ backend: any ComputeBackend) {
        self.source = source
        self.prefix = prefix
        self.backend = backend
    }

    /// The tensors below `prefix.name`.
    package func at(_ name: String) -> WeightReader { WeightReader(source, prefix + name + ".", backend) }

    func has(_ name: String) -> Bool { source.contains(prefix + name) }

    /// Says that none of these tensors will be read soon.
    func giveBack() { source.giveBack(below: prefix) }

    /// A linear layer, int8, of 10 bits or float as the source has it.
    package func linear(_ name: String, outputs: Int, inputs: Int, bias: Bool = true, asymmetricInput: Bool = false)
        throws(SoradError) -> LinearWeights
    {
        let full = prefix + name
        let blocks = (outputs + 15) / 16
        let type = try source.type(of: full + ".weight")
        let offsets: Parameter? = bias ? try floats(name + ".bias", [outputs]) : nil
        guard type == .i8 else {
            let values = try source.tensor(full + ".weight", [.f32], dims: [16, inputs, blocks])
            return backend.load(LinearWeights(outputs: outputs, inputs: inputs, precision: .float(values), bias: offsets))
        }
        if source.contains(full + ".weight_low") {
            let scales = (inputs + LinearWeights.int10Block - 1) / LinearWeights.int10Block
            let precision = LinearWeights.Precision.int10(
                high: try source.tensor(full + ".weight", [.i8], dims: [4, 16, (inputs + 3) / 4, blocks]),
                low: try source.tensor(full + ".weight_low", [.i32], dims: [16, (inputs + 15) / 16, blocks]),
                scale: try source.tensor(full + ".weight_scale", [.f16], dims: [16, scales, blocks]))
            return backend.load(LinearWeights(outputs: outputs, inputs: inputs, precision: precision, bias: offsets))
        }
        return backend.load(
            LinearWeights(
                outputs: outputs, inputs: inputs,
                precision: .int8(
                    values: try source.tensor(full + ".weight", [.i8], dims: [4, 16, (inputs + 3) / 4, blocks]),
                    scale: try floats(name + ".weight_scale", [outputs]),
                    sum: try source.tensor(full + ".weight_sum", [.i32], dims: [outputs])),
                bias: offsets, rotation: try source.hadamardGroup(full, inputs: inputs), asymmetricInput: asymmetricInput))
    }

    /// A 3×3 or 1×1 convolution, int8 or float as the source has it.
    func convolution(_ name: String, outputs: Int, inputs: Int, kernel: Int = 3, stride: Int = 1, bias: Bool = true) throws(SoradError)
        -> ConvolutionWeights
    {
        let full = prefix + name
        let blocks = (outputs + 15) / 16
        let offsets: Parameter? = bias ? try floats(name + ".bias", [outputs]) : nil
        func weights(_ precision: ConvolutionWeights.Precision) -> ConvolutionWeights {
            backend.load(
                ConvolutionWeights(
                    outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, precision: precision, bias: offsets))
        }
        guard try source.type(of: full + ".weight") == .i8 else {
            return weights(.float(try source.tensor(full + ".weight", [.f32], dims: [16, kernel * kernel * inputs, blocks])))
        }
        let groups = try int8Groups(full, kernel * kernel * ((inputs + 3) / 4))
        return weights(
            .int8(
                values: try source.tensor(full + ".weight", [.i8], dims: [4, 16, groups, blocks]),
                scale: try floats(name + ".weight_scale", [outputs]),
                sum: try source.tensor(full + ".weight_sum", [.i32], dims: [outputs])))
    }

    /// The weights of several convolutions of the same sizes behind each other, `parts` times `frames`, int8 or float as the source has
    /// them; [part][frame]. The frames of a part share their outputs and scales, and all of them the scales of the inputs, which are
    /// there for int8. Not yet loaded: that is done with the whole convolution.
    func framePrecisions(_ name: String, outputs: Int, inputs: Int, kernel: Int, frames: Int, parts: Int, onlyFloat: Bool)
        throws(SoradError) -> (precisions: [[ConvolutionWeights.Precision]], inputScale: Parameter?)
    {
        let blocks = (outputs + 15) / 16
        let count = parts * frames
        let area = kernel * kernel
        let full = prefix + name
        guard try source.type(of: full + ".weight") == .i8, !onlyFloat else {
            let all = try source.tensor(full + ".weight", [.f32], dims: [16, area * inputs, blocks, count])
            return ((0..<parts).map { part in (0..<frames).map { .float(all.part(part * frames + $0, of: count)) } }, nil)
        }
        let groups = try int8Groups(full, area * ((inputs + 3) / 4))
        let values = try source.tensor(full + ".weight", [.i8], dims: [64, groups, blocks, count])
        let sums = try source.tensor(full + ".weight_sum", [.i32], dims: [outputs, count])
        let scales = try floats(name + ".weight_scale", [outputs * parts])
        let precisions: [[ConvolutionWeights.Precision]] = (0..<parts).map { part in
            (0..<frames).map { frame in
                let index = part * frames + frame
                return .int8(values: values.part(index, of: count), scale: scales.part(part, of: parts), sum: sums.part(index, of: count))
            }
        }
        return (precisions, try floats(name + ".weight_input", [inputs]))
    }

    /// Groups of four inputs of an int8 sum.
    private func int8Groups(_ name: String, _ groups: Int) throws(SoradError) -> Int {
        guard groups * 4 <= ConvolutionWeights.mostInt8Inputs else {
            throw SoradError(
                .badInput,
                "\(source.path): \(name) multiplies \(groups * 4) inputs, more than the \(ConvolutionWeights.mostInt8Inputs) of an int8 sum",
                hint: "convert it again with --keep-float '\(name)*'")
        }
        return groups
    }

    /// Float32 [count].
    package func vector(_ name: String, _ count: Int) throws(SoradError) -> Parameter { backend.load(try floats(name, [count])) }

    /// The same, not yet loaded: for parts of a convolution.
    func unloadedVector(_ name: String, _ count: Int) throws(SoradError) -> Parameter { try floats(name, [count]) }

    /// A convolution whose parts were read by `framePrecisions`, where operations can read it.
    func load(_ weights: ConvolutionWeights) -> ConvolutionWeights { backend.load(weights) }

    /// A float32 table [a, b, c] that operations read as a tensor.
    package func table(_ name: String, _ shape: Shape) throws(SoradError) -> Tensor {
        backend.tensor(shape, try floats(name, (0..<shape.rank).map { shape[shape.rank - 1 - $0] }).floats)
    }

    /// The elements of a float32 matrix [rows, width], for the host.
    func matrix(_ name: String, rows: Int, width: Int) throws(SoradError) -> [Float] { try floats(name, [width, rows]).floats }

    /// An embedding table [rows, width] of float16, bfloat16 or float32, for the host, which gathers the rows of a prompt.
    func embedding(_ name: String, rows: Int, width: Int) throws(SoradError) -> Parameter {
        try source.tensor(prefix + name, [.f32, .f16, .bf16], dims: [width, rows])
    }

    private func floats(_ name: String, _ dims: [Int]) throws(SoradError) -> Parameter {
        try source.tensor(prefix + name, [.f32], dims: dims)
    }
}
