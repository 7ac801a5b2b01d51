// Operations that go through in bands of rows: the bits of the same operations one after the other.
import SoradCPU
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct AlongRowsTests {
    /// The numbers that a block reads: `rows` of two sequences, more than one timestep, three heads of 16, weights with all that they may
    /// have.
    private struct Material {
        let width = 48
        let heads = 3
        let x, table: Tensor
        let projection, rotated, float, up, down: LinearWeights
        let norm: Parameter
        let groups: ModulationGroups

        init(rows: Int) {
            var random = SplitMix64(seed: UInt64(rows))
            func weights(_ n: Int, _ k: Int, asymmetric: Bool = false) -> LinearWeights {
                int8Weights(
                    random.tensor(Shape(n, k)).elements, outputs: n, inputs: k, bias: random.tensor(Shape(n)).elements,
                    asymmetricInput: asymmetric)
            }
            x = random.tensor(Shape(rows, width))
            table = random.tensor(Shape(2, 3, width))
            projection = weights(width, width)
            guard case .int8(let values, let scale, let sum) = projection.precision else { preconditionFailure("not int8") }
            rotated = LinearWeights(
                outputs: width, inputs: width, precision: .int8(values: values, scale: scale, sum: sum), rotation: 16)
            float = LinearWeights(
                outputs: width, inputs: width,
                precision: .float(packFloat(random.tensor(Shape(width, width)).elements, outputs: width, inputs: width)))
            (up, down) = (weights(300, width), weights(width, 300, asymmetric: true))
            norm = Parameter(random.tensor(Shape(width)).elements)
            var groups = ModulationGroups()
            for row in 0..<rows { groups.append(1, group: row / 7 % 2) }
            self.groups = groups
        }

        /// A block as a transformer has it, with operations of other rows in between; everything that it leaves.
        func run(_ backend: CPUBackend, alongRows: Bool) -> [[UInt32]] {
            let rows = x.shape[0]
            let (hidden, projected) = (x.clone(), Tensor(x.shape))
            let (input, intermediate, rotary, packed) = backend.make { arena in
                (
                    arena.activations(capacity: rows, width: width), arena.activations(capacity: rows, width: 300),
                    RotaryTable(frames: 1, height: 1, width: rows / 2, headWidth: width / heads, in: arena),
                    (0..<2).map { _ in arena.keysValues(capacity: rows / 2, heads: heads, headWidth: width / heads, precision: .int8) }
                )
            }
            rotary.fill()
            func block() {
                backend.layerNorm(
                    hidden, epsilon: 1e-6, weight: nil, bias: nil, scale: RowModulation(table, 1, groups),
                    shift: RowModulation(table, 0, groups), into: input)
                backend.linear(input, projection, into: projected)
                backend.normAndRotate(projected, epsilon: 1e-6, weight: norm, heads: heads, by: rotary)
                backend.pack(keys: projected, into: packed)
                backend.linear(input, rotated, into: projected)
                backend.pack(values: projected, into: packed)
                backend.linear(input, projection, into: projected)
                backend.rmsNorm(projected, epsilon: 1e-6, weight: norm, into: projected)
                backend.attend(
                    queries: projected, to: packed, scale: 0.25, keyBiases: [nil, nil], into: input.overwrite(rows: rows))
                backend.linear(
                    input, rotated, activation: .none, gate: RowModulation(table, 2, groups), residual: hidden, into: hidden)
                // An operation that is not of rows, and a product that is not of int8.
                backend.add(hidden, hidden, into: hidden)
                backend.copy(hidden, into: input.overwrite(rows: rows))
                backend.linear(input, float, into: projected)
                backend.rmsNorm(projected, epsilon: 1e-6, weight: norm, into: projected)
                // Fewer rows.
                let part = rows / 2 + 3
                backend.layerNorm(
                    hidden.rows(rows - part..<rows), epsilon: 1e-6, weight: nil, bias: nil, scale: nil, shift: nil, into: input)
                backend.linear(input, up, activation: .geluTanh, into: intermediate.overwrite(rows: part))
                backend.linear(
                    intermediate, down, activation: .none, gate: nil, residual: hidden.rows(rows - part..<rows),
                    into: hidden.rows(rows - part..<rows))
            }
            if alongRows { backend.alongRows(block) } else { block() }
            return [bits(hidden), bits(projected)]
        }
    }

    @Test(arguments: [6, 50, 160, 334]) func bandsOfRowsGiveTheBitsOfOneOperationAfterTheOther(rows: Int) throws {
        let material = Material(rows: rows)
        let expected = material.run(try CPUBackend(threads: 1), alongRows: false)
        for backend in try everyBackend() {
            for _ in 0..<3 { #expect(material.run(backend, alongRows: true) == expected, "\(backend.description)") }
        }
    }

    /// Sequences together are each sequence alone, with prompts of different lengths and biases; here nothing waits.
    @Test func sequencesTogetherAreEachAlone() throws {
        var random = SplitMix64(seed: 3)
        let queries = random.tensor(Shape(26, 48))
        let keys = [random.tensor(Shape(5, 48)), random.tensor(Shape(70, 48))]
        let biases = [random.tensor(Shape(5)), nil]
        for backend in try everyBackend() {
            let packed = backend.make { arena in keys.map { arena.keysValues(capacity: $0.shape[0], heads: 3, headWidth: 16) } }
            let (together, alone) = (Tensor(queries.shape), Tensor(queries.shape))
            for (keys, packed) in zip(keys, packed) {
                backend.pack(keys: keys, into: packed)
                backend.pack(values: keys, into: packed)
            }
            backend.attend(queries: queries, to: packed, scale: 0.3, keyBiases: biases, into: together)
            for index in 0..<2 {
                backend.attend(
                    queries: queries.sequence(index, of: 2), to: packed[index], scale: 0.3, keyBias: biases[index], bias: nil,
                    into: alone.sequence(index, of: 2))
            }
            #expect(bits(together) == bits(alone))
        }
    }
}
