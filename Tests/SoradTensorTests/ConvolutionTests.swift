// Int8 convolutions where they lose nothing: on whole numbers from 0 to 254 and weights that are whole numbers too, the codes are exact,
// so they must equal the float convolution to the last bit, borders, partners and strides included.
import SoradTensor
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
        var random = Random(seed: UInt64(c.kernel * 100 + c.channels * 10 + c.partner))
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

    /// Nothing to quantise, and numbers that are none: the convolution is that of zeros, and nothing faults.
    @Test(arguments: [Float(0), .nan, 1e-38]) func emptyImagesGiveTheBias(_ value: Float) throws {
        let x = Tensor(Shape(4, 4, 4))
        x.fill(value)
        let weights = int8Convolution([Float](repeating: 0.5, count: 3 * 9 * 4), outputs: 3, inputs: 4, kernel: 3, bias: [1, 2, 3])
        let out = Tensor(Shape(4, 4, 3))
        try CPUBackend(threads: 1).convolve(
            x, .none, weights, upsample: false, activation: .none, residual: nil, reluAtEnd: false, into: out)
        #expect(out.elements == (0..<48).map { Float($0 % 3 + 1) })
    }
}
