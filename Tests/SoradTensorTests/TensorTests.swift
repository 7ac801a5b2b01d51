import SoradCPU
import SoradTensor
import Testing

@Suite struct TensorTests {
    @Test func viewsShareElements() {
        let tensor = Tensor(Shape(3, 2), [1, 2, 3, 4, 5, 6])
        tensor.rows(1..<2).fill(9)
        #expect(tensor.elements == [1, 2, 9, 9, 5, 6])
        #expect(tensor.reshaped(Shape(3, 1, 2)).item(2).elements == [5, 6])
        #expect(tensor.prefix(Shape(2)).elements == [1, 2])
        let copy = tensor.clone()
        copy.fill(0)
        #expect(tensor.elements[0] == 1)
    }

    @Test func arenaGivesWhatItMeasured() throws {
        let backend = try CPUBackend(threads: 1)
        var first: [Float] = []
        var apart = true
        let (a, b, bytes) = backend.make { arena in (arena.tensor(Shape(5, 3)), arena.tensor(Shape(7)), arena.bytes(3)) }
        a.fill(1)
        b.fill(2)
        first = a.elements
        apart = b.elements.allSatisfy { $0 == 2 }
        #expect(first.allSatisfy { $0 == 1 } && apart && bytes.count == 3)
        // 15 floats, 7 floats and 3 bytes, each rounded up to a cache line.
        #expect(backend.measure { ($0.tensor(Shape(5, 3)), $0.tensor(Shape(7)), $0.bytes(3)) } == 64 + 64 + 64)
    }

    @Test func rowGroupsJoinNeighbors() {
        var groups = ModulationGroups()
        groups.append(2, group: 1)
        groups.append(3, group: 1)
        groups.append(0, group: 4)
        groups.append(1, group: 0)
        #expect(groups.runs.map(\.rows) == [0..<5, 5..<6] && groups.runs.map(\.group) == [1, 0])
        #expect(groups.repeated(2).runs.map(\.rows) == [0..<5, 5..<6, 6..<11, 11..<12])
        #expect(groups.within(4..<6).runs.map(\.rows) == [0..<1, 1..<2] && groups.within(4..<6).runs.map(\.group) == [1, 0])
    }

    @Test func noiseIsTheSameHoweverItIsAsked() {
        let whole = Tensor(Shape(1000))
        let again = Tensor(Shape(10, 100))
        let other = Tensor(Shape(1000))
        whole.fillNormal(seed: 5, stream: 0)
        again.fillNormal(seed: 5, stream: 0)
        other.fillNormal(seed: 6, stream: 0)
        #expect(bits(whole) == bits(again))
        #expect(bits(whole) != bits(other))
        let mean = whole.elements.reduce(0, +) / 1000
        let variance = whole.elements.reduce(0) { $0 + $1 * $1 } / 1000
        #expect(abs(mean) < 0.1 && abs(variance - 1) < 0.15, "mean \(mean), variance \(variance)")
    }
}

private func bits(_ tensor: Tensor) -> [UInt32] { tensor.elements.map(\.bitPattern) }
