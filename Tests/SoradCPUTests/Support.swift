// What the tests of this module share: packed weights, and plain double-precision definitions to compare with.
import SoradCPU
import SoradSystem
import SoradTensor

func bits(_ tensor: Tensor) -> [UInt32] { tensor.elements.map(\.bitPattern) }

/// Row-major weights [N, K] in the float layout [N/16][K][16].
func packFloat(_ w: [Float], outputs: Int, inputs: Int) -> Parameter {
    var packed = [Float](repeating: 0, count: (outputs + 15) / 16 * 16 * inputs)
    for n in 0..<outputs { for k in 0..<inputs { packed[(n / 16 * inputs + k) * 16 + n % 16] = w[n * inputs + k] } }
    return Parameter(packed)
}

/// Row-major values [N, K] in the int8 layout [N/16][K/4][16][4].
func packInt8(_ w: [Int8], outputs: Int, inputs: Int) -> Parameter {
    let quads = (inputs + 3) / 4
    var packed = [Int8](repeating: 0, count: (outputs + 15) / 16 * 16 * quads * 4)
    for n in 0..<outputs { for k in 0..<inputs { packed[((n / 16 * quads + k / 4) * 16 + n % 16) * 4 + k % 4] = w[n * inputs + k] } }
    return Parameter(packed)
}

/// int8 weights with one scale per output, quantized from `w`.
func int8Weights(_ w: [Float], outputs: Int, inputs: Int, bias: [Float]? = nil, asymmetricInput: Bool = false) -> LinearWeights {
    var values: [Int8] = []
    var scales: [Float] = []
    var sums: [Int32] = []
    for n in 0..<outputs {
        let row = w[n * inputs..<(n + 1) * inputs]
        let scale = row.reduce(0) { max($0, abs($1)) } / 127
        let quantized = row.map { Int8(($0 / scale).rounded(.toNearestOrEven)) }
        values += quantized
        scales.append(scale)
        sums.append(quantized.reduce(0) { $0 + Int32($1) })
    }
    return LinearWeights(
        outputs: outputs, inputs: inputs,
        precision: .int8(values: packInt8(values, outputs: outputs, inputs: inputs), scale: Parameter(scales), sum: Parameter(sums)),
        bias: bias.map { Parameter($0) }, asymmetricInput: asymmetricInput)
}

/// Weights of 10 bits with random values and scales.
func int10Weights(_ random: inout SplitMix64, outputs: Int, inputs: Int, bias: [Float]? = nil) -> LinearWeights {
    let panels = (outputs + 15) / 16
    let blocks = panels * ((inputs + 31) / 32) * 16
    let high = (0..<panels * ((inputs + 3) / 4) * 64).map { _ in Int8(Int(random.next() % 255) - 127) }
    let low = (0..<panels * ((inputs + 15) / 16) * 16).map { _ in Int32(truncatingIfNeeded: random.next()) }
    let scales = (0..<blocks).map { Float16(0.001 + 0.0001 * Float($0 % 50)) }
    return LinearWeights(
        outputs: outputs, inputs: inputs, precision: .int10(high: Parameter(high), low: Parameter(low), scale: Parameter(scales)),
        bias: bias.map { Parameter($0) })
}

/// An int8 convolution quantized from `w` [N, kernel², inputs], channels last.
func int8Convolution(_ w: [Float], outputs: Int, inputs: Int, kernel: Int, stride: Int = 1, bias: [Float]? = nil) -> ConvolutionWeights {
    let channels = (inputs + 3) / 4 * 4
    let filled = (0..<outputs * kernel * kernel * channels).map { i in
        i % channels < inputs ? w[i / channels * inputs + i % channels] : 0
    }
    let linear = int8Weights(filled, outputs: outputs, inputs: kernel * kernel * channels)
    guard case .int8(let values, let scale, let sum) = linear.precision else { preconditionFailure("not int8") }
    return ConvolutionWeights(
        outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, precision: .int8(values: values, scale: scale, sum: sum),
        bias: bias.map { Parameter($0) })
}

/// x [M, K] · wᵀ [K, N] in double.
func product(_ x: Tensor, _ w: [Float], outputs: Int) -> [Float] {
    let rows = x.shape[0]
    let inputs = x.shape[1]
    let values = x.elements
    return (0..<rows * outputs).map { index in
        let m = index / outputs
        let n = index % outputs
        return Float((0..<inputs).reduce(0.0) { $0 + Double(values[m * inputs + $1]) * Double(w[n * inputs + $1]) })
    }
}

/// A backend for every instruction set of this machine and 1, 2, 3 threads.
func everyBackend() throws -> [CPUBackend] {
    try InstructionSet.available.flatMap { set in try [1, 2, 3].map { try CPUBackend(threads: $0, instructionSet: set) } }
}

func makeInput(_ x: Tensor, _ backend: CPUBackend) -> any ActivationMatrix {
    let input = backend.make { $0.activations(capacity: x.shape[0], width: x.shape[1]) }
    input.overwrite(rows: x.shape[0]).copy(from: x)
    return input
}

func array(_ bytes: ByteBuffer) -> [UInt8] { bytes.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } } }

func copyBytes(_ source: ByteBuffer, to target: ByteBuffer) { source.withBytes { target.buffer.upload($0, at: target.offset) } }
