// Int8 convolutions where they lose nothing: on whole numbers from 0 to 254 and weights that are whole numbers too, the quantized values
// are exact, so they must equal the float convolution to the last bit, borders, partners and strides included.
import SoradCPU
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct ConvolutionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let kernel, stride, channels, partner: Int
        let upsample, zeros: Bool
        var testDescription: String {
            "\(kernel)x\(kernel), stride \(stride), \(channels)+\(partner)\(zeros ? " zeros" : "")\(upsample ? ", upsampled" : "")"
        }
    }

    static let cases = [1, 3].flatMap { kernel in
        [(1, false), (1, true), (2, false)].flatMap { stride, upsample in
            [(8, 0, false), (5, 0, false), (6, 5, false), (4, 4, true)].map {
                Case(kernel: kernel, stride: stride, channels: $0.0, partner: $0.1, upsample: upsample, zeros: $0.2)
            }
        }
    }

    @Test(arguments: cases) func wholeNumbersStayExact(_ c: Case) throws {
        var random = SplitMix64(seed: UInt64(c.kernel * 100 + c.channels * 10 + c.partner))
        func image(_ channels: Int) -> Tensor {
            var values = (0..<9 * 7 * channels).map { _ in Float(random.next() % 255) }
            values[0] = 0
            values[1] = 254
            return Tensor(Shape(9, 7, channels), values)
        }
        let x = image(c.channels)
        let partner: ConvolutionPartner =
            c.partner == 0 ? .none : c.zeros ? .zeros(c.partner) : .tensor(image(c.partner))
        let inputs = c.channels + c.partner
        let outputs = 19
        let k = c.kernel * c.kernel * inputs
        var w = (0..<outputs * k).map { _ in Float(Int(random.next() % 255) - 127) }
        for n in 0..<outputs { w[n * k] = 127 }  // so that every scale is 1
        let bias = (0..<outputs).map { Float($0) / 8 - 1 }
        let float = ConvolutionWeights(
            outputs: outputs, inputs: inputs, kernel: c.kernel, stride: c.stride,
            precision: .float(packFloat(w, outputs: outputs, inputs: k)), bias: Parameter(bias))
        let int8 = int8Convolution(w, outputs: outputs, inputs: inputs, kernel: c.kernel, stride: c.stride, bias: bias)
        let zoom = c.upsample ? 2 : 1
        let shape = Shape((9 * zoom + c.stride - 1) / c.stride, (7 * zoom + c.stride - 1) / c.stride, outputs)
        let residual = random.tensor(shape)
        for backend in try everyBackend() {
            let expected = Tensor(shape)
            let out = Tensor(shape)
            for (weights, result) in [(float, expected), (int8, out)] {
                backend.convolve(
                    x, partner, weights, upsample: c.upsample, activation: .relu, residual: residual, reluAtEnd: true, into: result)
            }
            #expect(bits(out) == bits(expected), "\(backend.description)")
        }
    }

    /// Nothing to quantize, and numbers that are none: the convolution is that of zeros, and nothing faults.
    @Test(arguments: [Float(0), .nan, 1e-38]) func emptyImagesGiveTheBias(_ value: Float) throws {
        let x = Tensor(Shape(4, 4, 4))
        x.fill(value)
        let weights = int8Convolution([Float](repeating: 0.5, count: 3 * 9 * 4), outputs: 3, inputs: 4, kernel: 3, bias: [1, 2, 3])
        let out = Tensor(Shape(4, 4, 3))
        try CPUBackend(threads: 1).convolve(
            x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: out)
        #expect(out.elements == (0..<48).map { Float($0 % 3 + 1) })
    }

    /// Codes that are kept give what a convolution of the floats gives, and several are added in their order, each with its own scale.
    @Test(arguments: [false, true]) func keptCodesAreTheConvolutionsOwn(upsample: Bool) throws {
        var random = SplitMix64(seed: 7)
        let images = (1...3).map { scale in
            let image = random.tensor(Shape(13, 9, 6))
            image.withMutableElements { span in for i in span.indices { span[i] *= Float(scale) } }
            return image
        }
        let weights = (0..<3).map { index in
            int8Convolution(
                (0..<20 * 9 * 6).map { _ in random.float() }, outputs: 20, inputs: 6, kernel: 3,
                bias: index == 2 ? (0..<20).map { Float($0) } : nil)
        }
        let shape = upsample ? Shape(26, 18, 20) : Shape(13, 9, 20)
        let residual = random.tensor(shape)
        var first: [UInt8]?
        for backend in try everyBackend() {
            let expected = Tensor(shape)
            for (index, (image, weights)) in zip(images, weights).enumerated() {
                backend.convolve(
                    image, .none, weights, upsample: upsample, activation: .none, residual: index == 0 ? residual : expected,
                    reluAtEnd: false, into: expected)
            }
            let kept = images.map { image in backend.make { $0.image(image.shape) } }
            for (image, quantized) in zip(images, kept) { backend.quantize(image, norm: nil, scale: nil, into: quantized) }
            // Codes are the same wherever they lie: brought back from a copy of their memory.
            let copies = images.map { image in backend.make { $0.image(image.shape) } }
            for (quantized, copy) in zip(kept, copies) { copyBytes(quantized.bytes, to: copy.bytes) }
            let out = Tensor(shape)
            backend.convolve(copies, weights, upsample: upsample, residual: residual, into: out)
            #expect(bits(out) == bits(expected), "\(backend.description)")
            let memory = kept.flatMap { array($0.bytes) }
            if first == nil { first = memory }
            #expect(memory == first, "\(backend.description) has other quantized values")
        }
    }

    /// Channels of very different sizes, each multiplied by a whole power of two to be of one: as exact as without them.
    @Test func scaledChannelsAreReadAsWell() throws {
        var random = SplitMix64(seed: 5)
        let factors: [Float] = [1, 1 / 1024, 64, 1 / 16, 8, 1]
        let w = (0..<20 * 9 * 6).map { _ in random.float() }
        let even = random.tensor(Shape(11, 7, 6))
        let uneven = even.clone()
        uneven.withMutableElements { span in for i in span.indices { span[i] /= factors[i % 6] } }
        let plain = int8Convolution(w, outputs: 20, inputs: 6, kernel: 3)
        let scaled = ConvolutionWeights(
            outputs: 20, inputs: 6, kernel: 3, precision: plain.precision, bias: nil, inputScale: Parameter(factors))
        for backend in try everyBackend() {
            let (expected, out) = (Tensor(Shape(11, 7, 20)), Tensor(Shape(11, 7, 20)))
            for (x, weights, result) in [(even, plain, expected), (uneven, scaled, out)] {
                backend.convolve(
                    x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: result)
            }
            #expect(bits(out) == bits(expected), "\(backend.description)")
        }
    }

    /// Inputs of 16 bits: the same as float to within the weights' own rounding, which is none here, however uneven the channels are.
    @Test(arguments: [false, true]) func inputsOf16Bits(upsample: Bool) throws {
        var random = SplitMix64(seed: 9)
        let x = random.tensor(Shape(10, 8, 6))
        x.withMutableElements { span in for i in span.indices where i % 6 > 1 { span[i] *= 0.01 } }
        var w = (0..<20 * 9 * 6).map { _ in Float(Int(random.next() % 255) - 127) }
        for n in 0..<20 { w[n * 54] = 127 }
        // The large channels are left out, so that the small ones are all there is.
        for i in w.indices where i % 6 < 2 && i % 54 > 0 { w[i] = 0 }
        let bias = (0..<20).map { Float($0) }
        let coarse = int8Convolution(w, outputs: 20, inputs: 6, kernel: 3, bias: bias)
        let fine = ConvolutionWeights(
            outputs: 20, inputs: 6, kernel: 3, precision: coarse.precision, bias: coarse.bias, has16BitInput: true)
        let float = ConvolutionWeights(
            outputs: 20, inputs: 6, kernel: 3, precision: .float(packFloat(w, outputs: 20, inputs: 54)), bias: coarse.bias)
        let shape = upsample ? Shape(20, 16, 20) : Shape(10, 8, 20)
        var first: [UInt32]?
        for backend in try everyBackend() {
            let results = [float, coarse, fine].map { weights in
                let out = Tensor(shape)
                backend.convolve(
                    x, .none, weights, upsample: upsample, activation: .none, residual: nil, reluAtEnd: false, into: out)
                return out
            }
            let errors = results.dropFirst().map { relativeError($0.elements, results[0].elements) }
            #expect(errors[1] < 1e-4 && errors[0] > 50 * errors[1], "\(errors)")
            if first == nil { first = bits(results[2]) }
            #expect(bits(results[2]) == first, "\(backend.description)")
        }
    }

    /// Scales that are no numbers, as a damaged file may have them, make their channels zero or as large as can be, and nothing faults.
    @Test(arguments: [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude, -1, 0]) func strangeScalesAreHarmless(_ scale: Float)
        throws
    {
        var random = SplitMix64(seed: 3)
        let x = random.tensor(Shape(5, 5, 4))
        let plain = int8Convolution((0..<3 * 9 * 4).map { _ in random.float() }, outputs: 3, inputs: 4, kernel: 3)
        let weights = ConvolutionWeights(
            outputs: 3, inputs: 4, kernel: 3, precision: plain.precision, bias: nil, inputScale: Parameter([1, scale, 1, 1]))
        let results = try everyBackend().map { backend in
            let out = Tensor(Shape(5, 5, 3))
            backend.convolve(x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: out)
            return bits(out)
        }
        #expect(results.allSatisfy { $0 == results[0] })
    }

    /// A fused norm: as norm and SiLU of their own give, to within half a quantization step.
    @Test func normedCodesAreThoseOfTheNormedImage() throws {
        var random = SplitMix64(seed: 11)
        let x = random.tensor(Shape(21, 17, 10))
        let gamma = (0..<10).map { _ in 1 + random.float() }
        let identity = int8Convolution(
            (0..<100).map { $0 / 10 == $0 % 10 ? Float(1) : 0 }, outputs: 10, inputs: 10, kernel: 1)
        var first: [UInt8]?
        for backend in try everyBackend() {
            let normed = Tensor(x.shape)
            backend.rmsNorm(
                x.reshaped(Shape(21 * 17, 10)), epsilon: 1e-24, weight: Parameter(gamma), into: normed.reshaped(Shape(21 * 17, 10)))
            backend.silu(normed, into: normed)
            let quantized = backend.make { $0.image(x.shape) }
            backend.quantize(x, norm: PixelNorm(weight: Parameter(gamma), epsilon: 1e-24), scale: nil, into: quantized)
            let out = Tensor(x.shape)
            backend.convolve([quantized], [identity], upsample: false, residual: nil, into: out)
            let values = normed.elements
            let step = (values.max()! + 0.2785) / 254
            #expect(values.min()! < -0.25 && zip(out.elements, values).allSatisfy { abs($0 - $1) <= 0.501 * step })
            if first == nil { first = array(quantized.bytes) }
            #expect(array(quantized.bytes) == first, "\(backend.description)")
        }
        // Nothing but zeros, and numbers that are none.
        let backend = try CPUBackend(threads: 1)
        for value in [Float(0), .nan, .infinity] {
            let empty = Tensor(Shape(4, 4, 4))
            empty.fill(value)
            let quantized = backend.make { $0.image(empty.shape) }
            backend.quantize(
                empty, norm: PixelNorm(weight: Parameter([Float](repeating: 1, count: 4)), epsilon: 1e-24), scale: nil, into: quantized)
            let weights = int8Convolution([Float](repeating: 0.5, count: 3 * 9 * 4), outputs: 3, inputs: 4, kernel: 3, bias: [1, 2, 3])
            let out = Tensor(Shape(4, 4, 3))
            backend.convolve([quantized], [weights], upsample: false, residual: nil, into: out)
            #expect(out.elements == (0..<48).map { Float($0 % 3 + 1) }, "\(value)")
        }
    }
}
