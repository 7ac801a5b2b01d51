// Owns the proof that a device computes what the CPU does: every operation once or a few times, with odd sizes and hostile numbers, on
// both, compared to the last bit. A device is used for clips only after it has passed.
//
// Inputs come from a seed, so that both get the same. Attention reads no NaN and no infinity: what these become there depends on the sign
// that a processor gives to NaN.
package import SoradCPU
public import SoradSystem
import SoradTensor

/// What came of one operation.
public struct SelfTestRow: Sendable {
    /// The operation and its sizes.
    public let name: String
    /// Values that differ, of how many.
    public let wrong, count: Int
    /// Seconds that the device's side took, its pipeline's compilation included.
    public let seconds: Double
}

/// One comparison: the same closure runs on both backends and returns what they must agree in.
package struct SelfTestCase: Sendable {
    package let name: String
    let body: @Sendable (_ backend: any ComputeBackend, _ random: inout TestNumbers) -> [Tensor]
}

/// Numbers from a seed.
struct TestNumbers {
    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { random.next() }

    /// Between −1 and 1.
    mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) / Float(1 << 23) }

    /// Mostly moderate, some tiny, denormal, huge, infinite or NaN.
    mutating func hostile() -> Float {
        switch next() % 24 {
        case 0: .nan
        case 1: next() % 2 == 0 ? .infinity : -.infinity
        case 2: Float(bitPattern: UInt32(truncatingIfNeeded: next()) & 0x807F_FFFF)
        case 3: float() * 3e38
        case 4: float() * 1e-37
        case 5: next() % 2 == 0 ? 0 : -0.0
        case 6: float() * 100
        default: float() * 4
        }
    }

    mutating func floats(_ count: Int) -> [Float] { (0..<count).map { _ in float() } }
    mutating func tensor(_ backend: any ComputeBackend, _ shape: Shape) -> Tensor { backend.tensor(shape, floats(shape.count)) }
    mutating func hostile(_ backend: any ComputeBackend, _ shape: Shape) -> Tensor {
        backend.tensor(shape, (0..<shape.count).map { _ in hostile() })
    }
    /// Moderate numbers and denormals.
    mutating func finite(_ backend: any ComputeBackend, _ shape: Shape) -> Tensor {
        backend.tensor(
            shape,
            (0..<shape.count).map { _ in
                next() % 20 == 0 ? Float(bitPattern: UInt32(truncatingIfNeeded: next()) & 0x807F_FFFF) : float() * 3 + 0.5
            })
    }

    mutating func linear(_ outputs: Int, _ inputs: Int, rotation: Int? = nil, asymmetric: Bool = false) -> LinearWeights {
        let (codes, scale, sum) = int8(outputs, inputs)
        return LinearWeights(
            outputs: outputs, inputs: inputs, precision: .int8(values: codes, scale: scale, sum: sum), bias: Parameter(floats(outputs)),
            rotation: rotation, asymmetricInput: asymmetric)
    }

    mutating func floatLinear(_ outputs: Int, _ inputs: Int) -> LinearWeights {
        LinearWeights(outputs: outputs, inputs: inputs, precision: .float(packed(outputs, inputs)), bias: nil)
    }

    /// Float weights [N/16][K][16].
    mutating func packed(_ outputs: Int, _ inputs: Int) -> Parameter {
        var packed = [Float](repeating: 0, count: (outputs + 15) / 16 * 16 * inputs)
        for n in 0..<outputs { for k in 0..<inputs { packed[(n / 16 * inputs + k) * 16 + n % 16] = float() } }
        return Parameter(packed)
    }

    /// Int8 weights [N/16][K/4][16][4], scales and sums.
    mutating func int8(_ outputs: Int, _ inputs: Int) -> (codes: Parameter, scale: Parameter, sum: Parameter) {
        let groups = (inputs + 3) / 4
        var codes = [Int8](repeating: 0, count: (outputs + 15) / 16 * 16 * groups * 4)
        var sums = [Int32](repeating: 0, count: outputs)
        for n in 0..<outputs {
            for k in 0..<inputs {
                let q = Int8(truncatingIfNeeded: Int(next() % 255) - 127)
                codes[((n / 16 * groups + k / 4) * 16 + n % 16) * 4 + k % 4] = q
                sums[n] += Int32(q)
            }
        }
        return (Parameter(codes), Parameter((0..<outputs).map { _ in float() * 0.001 + 0.002 }), Parameter(sums))
    }

    mutating func convolution(
        _ outputs: Int, _ inputs: Int, kernel: Int, stride: Int = 1, isInt8: Bool, padsAtEnd: Bool = false, scaled: Bool = false,
        fine: Bool = false, hasBias: Bool = true
    ) -> ConvolutionWeights {
        let precision: ConvolutionWeights.Precision
        if isInt8 {
            let (codes, scale, sum) = int8(outputs, kernel * kernel * ((inputs + 3) / 4 * 4))
            precision = .int8(values: codes, scale: scale, sum: sum)
        } else {
            precision = .float(packed(outputs, kernel * kernel * inputs))
        }
        return ConvolutionWeights(
            outputs: outputs, inputs: inputs, kernel: kernel, stride: stride, padsAtEnd: padsAtEnd, precision: precision,
            bias: hasBias ? Parameter(floats(outputs)) : nil, inputScale: scaled ? Parameter((0..<inputs).map { _ in float() + 1.5 }) : nil,
            has16BitInput: fine)
    }
}

public enum SelfTest {
    /// Runs all cases on `device` and on scalar kernels.
    /// - Parameter progress: called before each, e.g. so that a log says where a driver crashed.
    public static func run(_ device: VulkanBackend, progress: (String) -> Void = { _ in }) throws(SoradError) -> [SelfTestRow] {
        let scalar = try CPUBackend(threads: 1, instructionSet: InstructionSet(atMost: "scalar"))
        var rows = [singleOperations(device)]
        for one in cases {
            progress(one.name)
            rows.append(try compare(one, device, with: scalar))
        }
        return rows
    }

    package static func compare(_ one: SelfTestCase, _ device: VulkanBackend, with scalar: CPUBackend) throws(SoradError) -> SelfTestRow {
        var numbers = TestNumbers(seed: 7)
        let expected = one.body(scalar, &numbers)
        numbers = TestNumbers(seed: 7)
        let began = MonotonicTime.now()
        let made = one.body(device, &numbers).map(\.elements)
        try device.finish()
        let took = (MonotonicTime.now() - began).inSeconds
        let pairs = zip(expected, made).map { zip($0.elements, $1) }
        let wrong = pairs.reduce(0) { $0 + $1.count { !isSame($0, $1) } }
        return SelfTestRow(name: one.name, wrong: wrong, count: expected.reduce(0) { $0 + $1.count }, seconds: took)
    }

    static func isSame(_ a: Float, _ b: Float) -> Bool { a.bitPattern == b.bitPattern || a.isNaN && b.isNaN }

    /// Additions, products, quotients and roots on any bits, with the host's own arithmetic as the measure.
    package static func singleOperations(_ device: VulkanBackend, count: Int = 4096) -> SelfTestRow {
        var numbers = TestNumbers(seed: 99)
        var (a, b, c) = (numbers.floats(count), numbers.floats(count), numbers.floats(count))
        for i in 0..<count {
            switch i % 4 {
            case 0: (a[i], b[i], c[i]) = (bits(&numbers, .max), bits(&numbers, .max), bits(&numbers, .max))
            case 1: (a[i], c[i]) = (bits(&numbers, 0x80FF_FFFF), bits(&numbers, 0x80FF_FFFF))
            case 2: c[i] = -(a[i] * b[i])
            default: break
            }
        }
        let began = MonotonicTime.now()
        let results = SingleOperations.run(device.device, device.pipelines, a, b, c)
        var wrong = 0
        for kind in SingleOperations.Kind.allCases {
            for i in 0..<count where !isSame(results[kind.rawValue][i], kind.value(a[i], b[i], c[i])) { wrong += 1 }
        }
        return SelfTestRow(
            name: "single operations", wrong: wrong, count: results.count * count, seconds: (MonotonicTime.now() - began).inSeconds)
    }

    private static func bits(_ numbers: inout TestNumbers, _ mask: UInt32) -> Float {
        Float(bitPattern: UInt32(truncatingIfNeeded: numbers.next() >> 8) & mask)
    }
}

extension SingleOperations.Kind {
    /// By the host's arithmetic, which is IEEE's.
    func value(_ a: Float, _ b: Float, _ c: Float) -> Float {
        switch self {
        case .sum: a + b
        case .difference: a - b
        case .product: a * b
        case .fused: c.addingProduct(a, b)
        case .quotient: a / b
        case .root: a.squareRoot()
        case .conversion: Float(Int32(bitPattern: a.bitPattern))
        case .dot: Float(Self.dot(a.bitPattern, b.bitPattern, isSigned: true) + Self.dot(a.bitPattern, c.bitPattern, isSigned: false))
        }
    }

    private static func dot(_ a: UInt32, _ b: UInt32, isSigned: Bool) -> Int32 {
        (0..<4).reduce(0) { sum, i in
            let (x, y) = (UInt8(truncatingIfNeeded: a >> (8 * UInt32(i))), UInt8(truncatingIfNeeded: b >> (8 * UInt32(i))))
            return sum + Int32(Int8(bitPattern: x)) * (isSigned ? Int32(Int8(bitPattern: y)) : Int32(y))
        }
    }
}
