// Command buffers are recorded once and submitted again, and whatever comes in between: the bits are those of the CPU.
import SoradCPU
import SoradSystem
import SoradTensor
import SoradVulkan
import Testing

@Suite(.enabled(if: Vulkan.isHere, "no Vulkan device"), .serialized) struct RecordingTests {
    /// What a model does in a step, on a few small tensors: the same operations in the same order, some numbers apart.
    private final class Step {
        let backend: any ComputeBackend
        let tensors: [Tensor]
        let input: any ActivationMatrix
        let layers: [LinearWeights]
        private static let shape = Shape(9, 24)

        init(_ backend: any ComputeBackend) {
            var random = SplitMix64(seed: 5)
            func floats(_ count: Int) -> [Float] { (0..<count).map { _ in Float(Int64(bitPattern: random.next()) >> 40) / Float(1 << 23) } }
            self.backend = backend
            tensors = (0..<4).map { _ in backend.tensor(Self.shape, floats(Self.shape.count)) }
            input = backend.make { $0.activations(capacity: 9, width: 24) }
            layers = (0..<2).map { _ in
                let values = Parameter(floats(32 * 24))
                return backend.load(LinearWeights(outputs: 24, inputs: 24, precision: .float(values), bias: Parameter(floats(24))))
            }
        }

        func isSame(as other: Step) -> Bool {
            zip(tensors, other.tensors).allSatisfy { $0.elements.map(\.bitPattern) == $1.elements.map(\.bitPattern) }
        }

        /// Operation `index` of the step.
        func run(_ index: Int, dt: Float) {
            let (a, b, c, d) = (tensors[0], tensors[1], tensors[2], tensors[3])
            switch index % 6 {
            case 0: backend.add(a, b, into: c)
            case 1: backend.softClamp(c, into: d)
            case 2:
                // The CPU normalizes when the layer reads the rows, so nothing may come in between.
                backend.layerNorm(d, epsilon: 1e-6, weight: nil, bias: nil, scale: nil, shift: nil, into: input)
                backend.linear(input, layers[index / 6 % 2], activation: .geluTanh, into: c)
            case 3: backend.eulerStep(sample: a, velocity: c, dt: dt, into: a)
            case 4: backend.affine(b, scale: 0.9, shift: dt, into: b)
            default: backend.silu(c, into: d)
            }
        }
    }

    /// More operations than one command buffer takes.
    private static let length = 90

    @Test func aStepIsRecordedOnce() throws {
        let backend = try Vulkan.backend {
            $0.submissionLimit = 100_000
            $0.validation = true
        }
        let (own, expected) = (Step(backend), Step(try Vulkan.scalar()))
        var counts: [VulkanCounters] = []
        for step in 0..<4 {
            try backend.finish()
            counts.append(backend.counters)
            for one in [own, expected] { for index in 0..<Self.length { one.run(index, dt: Float(step) * -0.1) } }
            #expect(own.isSame(as: expected), "step \(step)")
        }
        try backend.finish()
        counts.append(backend.counters)
        let recorded = zip(counts.dropFirst(), counts).map { $0.recordings - $1.recordings }
        let submitted = zip(counts.dropFirst(), counts).map { $0.submissions - $1.submissions }
        #expect(recorded[0] >= 3 && recorded[1...] == [0, 0, 0], "\(recorded)")
        #expect(counts[4].replays >= 3 * recorded[0])
        #expect(Set(submitted).count == 1 && counts[4].longestSubmission <= 100_000, "\(submitted)")
        #expect(Set(zip(counts.dropFirst(), counts).map { $0.dispatches - $1.dispatches }).count == 1)
        #expect(VulkanBackend.validationReport.count == 0, "\(VulkanBackend.validationReport.first)")
    }

    /// Steps that leave operations out, look at results in between, make and drop tensors, and wait anywhere.
    @Test(arguments: [UInt64(1), 2, 3, 4]) func nothingThatComesInBetweenChangesABit(seed: UInt64) throws {
        let backend = try Vulkan.backend {
            $0.submissionLimit = 50_000
            $0.takesSamples = seed % 2 == 0
            $0.validation = seed > 2
        }
        let (own, expected) = (Step(backend), Step(try Vulkan.scalar()))
        var random = SplitMix64(seed: seed)
        for step in 0..<25 {
            let isPlain = random.next() % 3 == 0
            for index in 0..<Self.length {
                let choice = isPlain ? 99 : random.next() % 60
                if choice == 0 { continue }
                let dt = Float(random.next() % 100) * -0.001
                for one in [own, expected] {
                    one.run(index, dt: dt)
                    switch choice {
                    case 1: one.tensors[0].withMutableElements { $0[3] = dt }
                    case 2: one.backend.copy(one.backend.tensor(Shape(9, 24), [Float](repeating: dt, count: 216)), into: one.tensors[1])
                    default: break
                    }
                }
                if choice == 3 { #expect(own.isSame(as: expected), "step \(step), operation \(index)") }
                if choice == 4 { try backend.finish() }
            }
            #expect(own.isSame(as: expected), "step \(step)")
            if step % 2 == 0 { try backend.finish() }
        }
        #expect(backend.counters.replays > 0)
        #expect(VulkanBackend.validationReport.count == 0, "\(VulkanBackend.validationReport.first)")
        print("Vulkan: \(backend.counters.recordings) command buffers were recorded, \(backend.counters.replays) submitted again")
    }
}

/// Weights that do not fit the device are copied to it when they are used.
@Suite(.enabled(if: Vulkan.isHere, "no Vulkan device"), .serialized) struct StreamedWeightTests {
    @Test(arguments: [0, 5000]) func streamedLayersHaveTheSameBits(budget: Int) throws {
        let backend = try Vulkan.backend { $0.weightBudget = budget }
        let scalar = try Vulkan.scalar()
        for one in Vulkan.cases("linear") + Vulkan.cases("convolution") + Vulkan.cases("quantized") {
            #expect(try SelfTest.compare(one, backend, with: scalar).wrong == 0, "\(one.name)")
        }
        #expect(backend.streamedBytes > 100_000)
    }
}
