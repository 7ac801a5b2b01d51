import SoradCPU
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct BackendTests {
    private let backend: CPUBackend

    init() throws { backend = try CPUBackend(threads: 2) }

    @Test(arguments: [(1, 5, 3), (7, 72, 50), (200, 33, 129)]) func floatLinearEqualsTheDefinition(m: Int, k: Int, n: Int) {
        var random = SplitMix64(seed: 1)
        let x = random.tensor(Shape(m, k))
        let w = random.tensor(Shape(n, k)).elements
        let bias = random.tensor(Shape(n)).elements
        let out = Tensor(Shape(m, n))
        backend.linear(
            makeInput(x, backend),
            LinearWeights(outputs: n, inputs: k, precision: .float(packFloat(w, outputs: n, inputs: k)), bias: Parameter(bias)), into: out)
        let expected = product(x, w, outputs: n).enumerated().map { $1 + bias[$0 % n] }
        #expect(relativeError(out.elements, expected) < 1e-6)
    }

    /// Weights of 10 bits are the floats that they stand for, bit for bit, on every instruction set and number of threads: with residual and
    /// activation, rows of several bands with few and with many panels, more inputs than a thread's panel holds.
    @Test(arguments: [(1, 5, 3), (7, 72, 50), (200, 33, 129), (3, 9000, 40), (97, 260, 300), (200, 4000, 400)])
    func tenBitsEqualTheirFloats(m: Int, k: Int, n: Int) throws {
        var random = SplitMix64(seed: 12)
        let x = random.tensor(Shape(m, k))
        let weights = int10Weights(&random, outputs: n, inputs: k, bias: random.tensor(Shape(n)).elements)
        let before = random.tensor(Shape(m, n))
        func run(_ backend: CPUBackend, _ weights: LinearWeights) -> [UInt32] {
            let out = Tensor(Shape(m, n))
            backend.linear(makeInput(x, backend), weights, activation: .silu, gate: nil, residual: before, into: out)
            return bits(out)
        }
        let expected = run(backend, weights.withoutInt10)
        for instructionSet in InstructionSet.available {
            #expect(run(try CPUBackend(threads: 1, instructionSet: instructionSet), weights) == expected, "\(instructionSet)")
        }
        let three = try CPUBackend(threads: 3)
        #expect(run(backend, weights) == expected && run(three, weights) == expected)
    }

    @Test(arguments: [true, false]) func int8LinearIsCloseToTheDefinition(asymmetric: Bool) {
        var random = SplitMix64(seed: 2)
        let x = random.tensor(Shape(33, 150))
        let w = random.tensor(Shape(70, 150)).elements
        let out = Tensor(Shape(33, 70))
        if asymmetric { x.withMutableElements { span in for i in span.indices where span[i] < 0 { span[i] *= 0.1 } } }
        backend.linear(makeInput(x, backend), int8Weights(w, outputs: 70, inputs: 150, asymmetricInput: asymmetric), into: out)
        let error = relativeError(out.elements, product(x, w, outputs: 70))
        #expect(error < 0.012 && error > 0, "\(error)")
    }

    /// One input serves layers of different precision and rotation, in any order, and forgets its quantized values when it is
    /// written again.
    @Test func inputIsQuantizedForEachFormAndAnew() {
        var random = SplitMix64(seed: 3)
        let x = random.tensor(Shape(9, 64))
        let y = random.tensor(Shape(9, 64))
        let w = random.tensor(Shape(32, 64)).elements
        let plain = int8Weights(w, outputs: 32, inputs: 64)
        guard case .int8(let values, let scale, let sum) = plain.precision else { return }
        let rotated = LinearWeights(outputs: 32, inputs: 64, precision: .int8(values: values, scale: scale, sum: sum), rotation: 64)
        func run(_ values: Tensor, _ weights: LinearWeights) -> [UInt32] {
            let out = Tensor(Shape(9, 32))
            backend.linear(makeInput(values, backend), weights, into: out)
            return bits(out)
        }
        let input = makeInput(x, backend)
        let out = Tensor(Shape(9, 32))
        for weights in [plain, rotated, plain] {
            backend.linear(input, weights, into: out)
            #expect(bits(out) == run(x, weights))
        }
        input.overwrite(rows: 9).copy(from: y)
        backend.linear(input, plain, into: out)
        #expect(bits(out) == run(y, plain))
        #expect(run(x, plain) != run(x, rotated))
    }

    /// A norm that a layer takes when it reads its rows is the norm taken before: int8 of either form, and float, in any order, with row
    /// groups that begin in the middle of what the kernels pack together.
    @Test func aNormTakenByTheLayersThatReadItIsTheSameNorm() {
        var random = SplitMix64(seed: 9)
        let x = random.tensor(Shape(31, 64))
        let table = random.tensor(Shape(2, 2, 64))
        let w = random.tensor(Shape(40, 64)).elements
        var groups = ModulationGroups()
        for row in 0..<31 { groups.append(1, group: row / 5 % 2) }
        let plain = int8Weights(w, outputs: 40, inputs: 64)
        guard case .int8(let values, let scale, let sum) = plain.precision else { return }
        let rotated = LinearWeights(outputs: 40, inputs: 64, precision: .int8(values: values, scale: scale, sum: sum), rotation: 64)
        let float = LinearWeights(outputs: 40, inputs: 64, precision: .float(packFloat(w, outputs: 40, inputs: 64)))
        let (gain, shift) = (RowModulation(table, 1, groups), RowModulation(table, 0, groups))
        let before = layerNormed(x, scale: gain, shift: shift)
        let input = makeInput(x, backend)
        backend.layerNorm(x, epsilon: 1e-6, weight: nil, bias: nil, scale: gain, shift: shift, into: input)
        for weights in [plain, rotated, float, plain] {
            let (here, expected) = (Tensor(Shape(31, 40)), Tensor(Shape(31, 40)))
            backend.linear(input, weights, into: here)
            backend.linear(makeInput(before, backend), weights, into: expected)
            #expect(bits(here) == bits(expected))
        }
    }

    /// Position 0 is not turned, no pair changes its length, and a further sequence begins at position 0 again.
    @Test func normAndRotateTurnsPairsAndBeginsAnew() {
        var random = SplitMix64(seed: 10)
        let table = backend.make { RotaryTable(frames: 2, height: 3, width: 2, headWidth: 12, in: $0) }
        table.fill()
        let weight = Parameter(random.tensor(Shape(24)).elements)
        let x = random.tensor(Shape(24, 24))
        x.rows(12..<24).copy(from: x.rows(0..<12))
        let normed = Tensor(x.shape)
        backend.rmsNorm(x, epsilon: 1e-6, weight: weight, into: normed)
        backend.normAndRotate(x, epsilon: 1e-6, weight: weight, heads: 2, by: table)
        #expect(bits(x.rows(0..<1)) == bits(normed.rows(0..<1)))
        #expect(bits(x.rows(0..<12)) == bits(x.rows(12..<24)))
        #expect(bits(x.rows(1..<2)) != bits(normed.rows(1..<2)))
        let (here, before) = (x.elements, normed.elements)
        for pair in 0..<here.count / 2 {
            let length = { (v: [Float]) in v[2 * pair] * v[2 * pair] + v[2 * pair + 1] * v[2 * pair + 1] }
            #expect(abs(length(here) - length(before)) <= 1e-5 * max(length(before), 1e-3))
        }
    }

    /// The norm as a float layer leaves it in its rows, [M, K].
    private func layerNormed(_ x: Tensor, scale: RowModulation, shift: RowModulation) -> Tensor {
        let k = x.shape[1]
        let rows = backend.make { $0.activations(capacity: x.shape[0], width: k) }
        let one = LinearWeights(
            outputs: 1, inputs: k, precision: .float(packFloat([Float](repeating: 1, count: k), outputs: 1, inputs: k)))
        backend.layerNorm(x, epsilon: 1e-6, weight: nil, bias: nil, scale: scale, shift: shift, into: rows)
        backend.linear(rows, one, into: Tensor(Shape(x.shape[0], 1)))
        return rows.values
    }

    @Test func gatesAndModulationFollowTheRowGroups() {
        var random = SplitMix64(seed: 4)
        let x = random.tensor(Shape(10, 20))
        let w = random.tensor(Shape(20, 20)).elements
        let table = random.tensor(Shape(2, 3, 20))
        let weights = LinearWeights(outputs: 20, inputs: 20, precision: .float(packFloat(w, outputs: 20, inputs: 20)))
        var groups = ModulationGroups()
        for row in 0..<10 { groups.append(1, group: row % 3 == 0 ? 1 : 0) }
        let gated = x.clone()
        let vectors = table.elements
        backend.linear(
            makeInput(x, backend), weights, activation: .none, gate: RowModulation(table, 2, groups), residual: gated, into: gated)
        let normed = layerNormed(x, scale: RowModulation(table, 1, groups), shift: RowModulation(table, 0, groups))
        let plain = product(x, w, outputs: 20)
        let input = x.elements
        var expectedGated: [Float] = []
        var expectedNormed: [Float] = []
        for row in 0..<10 {
            let group = row % 3 == 0 ? 1 : 0
            let values = input[row * 20..<row * 20 + 20]
            let mean = values.reduce(0, +) / 20
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20
            for column in 0..<20 {
                expectedGated.append(input[row * 20 + column] + vectors[(group * 3 + 2) * 20 + column] * plain[row * 20 + column])
                let unit = (input[row * 20 + column] - mean) / (variance + 1e-6).squareRoot()
                expectedNormed.append(unit * (1 + vectors[(group * 3 + 1) * 20 + column]) + vectors[group * 3 * 20 + column])
            }
        }
        #expect(relativeError(gated.elements, expectedGated) < 1e-6)
        #expect(relativeError(normed.elements, expectedNormed) < 1e-6)
    }

    @Test func attentionFoldsEqualKeys() {
        var random = SplitMix64(seed: 5)
        let q = random.tensor(Shape(5, 24))
        let k = random.tensor(Shape(40, 24))
        let v = random.tensor(Shape(40, 24))
        // The last thirty keys are equal, so one with ln 30 on its logit does the same.
        for row in 11..<40 {
            k.rows(row..<row + 1).copy(from: k.rows(10..<11))
            v.rows(row..<row + 1).copy(from: v.rows(10..<11))
        }
        func attend(_ keys: Int, _ bias: Tensor?) -> [Float] {
            let packed = backend.make { $0.keysValues(capacity: 40, heads: 2, headWidth: 12) }
            let out = Tensor(q.shape)
            backend.pack(keys: k.rows(0..<keys), into: packed)
            backend.pack(values: v.rows(0..<keys), into: packed)
            backend.attend(queries: q, to: packed, scale: 0.3, keyBias: bias, bias: nil, into: out)
            return out.elements
        }
        let bias = Tensor(Shape(11), [Float](repeating: 0, count: 10) + [Float(naturalLogarithm(30))])
        #expect(relativeError(attend(11, bias), attend(40, nil)) < 1e-6)
    }

    /// Sharp attention: a few keys take most of the weight, and the many others together the rest, each less than half a 255th of theirs.
    @Test func probsOf16BitsAreMoreExactThanOf8() {
        var random = SplitMix64(seed: 9)
        let (keys, width) = (512, 64)
        let q = random.tensor(Shape(40, width))
        let k = random.tensor(Shape(keys, width))
        let v = random.tensor(Shape(keys, width))
        func attend(_ precision: AttentionPrecision) -> [Float] {
            let packed = backend.make { $0.keysValues(capacity: keys, heads: 1, headWidth: width, precision: precision) }
            let out = Tensor(q.shape)
            backend.pack(keys: k, into: packed)
            backend.pack(values: v, into: packed)
            // Scores about four times as large as usual.
            backend.attend(queries: q, to: packed, scale: 0.5, keyBias: nil, bias: nil, into: out)
            return out.elements
        }
        let exact = attend(.float)
        let (one, two) = (relativeError(attend(.int8), exact), relativeError(attend(.int8Probs16), exact))
        print("int8 attention, sharp: relative error \(one) with one plane of weights, \(two) with two")
        #expect(two < one && one < 0.05)
    }

    @Test func everyThreadCountAndInstructionSetGivesTheSameBits() throws {
        var random = SplitMix64(seed: 6)
        let x = random.tensor(Shape(150, 200))
        let w = random.tensor(Shape(300, 200)).elements
        let image = random.tensor(Shape(40, 30, 20))
        let kernel = random.tensor(Shape(24, 9 * 40)).elements
        let int8 = int8Weights(w, outputs: 300, inputs: 200)
        let float = LinearWeights(outputs: 300, inputs: 200, precision: .float(packFloat(w, outputs: 300, inputs: 200)))
        let convolution = ConvolutionWeights(
            outputs: 24, inputs: 40, kernel: 3, precision: .float(packFloat(kernel, outputs: 24, inputs: 360)), bias: nil)
        let int8Convolution = int8Convolution(kernel, outputs: 24, inputs: 40, kernel: 3)
        var results: [[[UInt32]]] = []
        for backend in try everyBackend() {
            let a = Tensor(Shape(150, 300))
            let b = Tensor(Shape(150, 300))
            let c = Tensor(Shape(80, 60, 24))
            let d = Tensor(x.shape)
            let e = Tensor(c.shape)
            backend.linear(makeInput(x, backend), int8, activation: .geluTanh, into: a)
            backend.linear(makeInput(x, backend), float, activation: .silu, into: b)
            backend.convolve(
                image, .tensor(image), convolution, upsample: true, activation: .relu, residual: nil, reluAtEnd: false, into: c)
            backend.convolve(
                image, .tensor(image), int8Convolution, upsample: true, activation: .relu, residual: nil, reluAtEnd: false, into: e)
            let packed = backend.make { $0.keysValues(capacity: 150, heads: 5, headWidth: 40) }
            backend.pack(keys: x, into: packed)
            backend.pack(values: x, into: packed)
            backend.attend(queries: x, to: packed, scale: 0.2, keyBias: nil, bias: nil, into: d)
            #expect(relativeError(e.elements, c.elements) < 0.02)
            results.append([a, b, c, d, e].map(bits))
        }
        for (index, result) in results.enumerated() { #expect(result == results[0], "backend \(index)") }
        #expect(results.count >= 3)
    }
}
