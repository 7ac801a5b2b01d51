// Which passes a run makes: steps that are left out, guidance at some noise levels, and the guidance of a second expert.
import SoradCPU
import SoradModel
import SoradTensor
import Testing

@Suite struct PassTests {
    private struct Run {
        var bits: [UInt32]
        var passes: Int
    }

    private static let steps = 24

    /// - Parameter broken: the step before which the run is put down, and continued by another denoiser from its state alone.
    private static func run(
        _ settings: PassSettings, _ backend: any ComputeBackend, broken: Int? = nil, sigmas: [Double] = []
    ) throws -> Run {
        let model = try Fixture("tiny").model(.int8, backend: backend)
        let size = try model.configuration.latentSize(width: 64, height: 32, numFrames: 5)
        let (text, negative) = (try model.encodeText([20, 30, 40, 1]), try model.encodeText([7, 1]))
        func denoiser() throws -> Denoiser {
            try model.denoiser(size, prompt: text, negativePrompt: negative, settings: settings, steps: steps, shift: 3, sigmas: sigmas)
        }
        let latent = model.initialNoise(seed: 3, size)
        var own = try denoiser()
        for step in 0..<steps {
            if step == broken {
                let (state, words) = (own.state.map { $0.clone() }, own.words)
                own = try denoiser()
                own.restore(state, words: words)
            }
            own.step(step, latent)
        }
        return Run(bits: latent.elements.map(\.bitPattern), passes: own.passes)
    }

    private static func cached(_ tolerance: Float?, guidance: Float = 3) -> PassSettings {
        PassSettings(guidanceScale: guidance, cacheTolerance: tolerance)
    }

    @Test func aToleranceOfNearlyNothingChangesNoBit() throws {
        let backend = try CPUBackend(threads: 2)
        let (off, on) = (try Self.run(Self.cached(nil), backend), try Self.run(Self.cached(1e-12), backend))
        #expect(off.bits == on.bits && off.passes == 48 && on.passes == 48)
    }

    /// The first 15 % of the steps and the last one are computed whatever the tolerance.
    @Test(arguments: [(Float(3), 10), (1, 5)]) func noStepThatShapesTheClipIsLeftOut(guidance: Float, passes: Int) throws {
        #expect(try Self.run(Self.cached(1e9, guidance: guidance), CPUBackend(threads: 2)).passes == passes)
    }

    /// The choice of steps follows from the bits, which are the same everywhere, and so does the clip.
    @Test func everyMachineLeavesOutTheSameSteps() throws {
        let tolerance: Float = 0.25
        let expected = try Self.run(Self.cached(tolerance), CPUBackend(threads: 1, instructionSet: InstructionSet(atMost: "scalar")))
        #expect((10..<48).contains(expected.passes), "\(expected.passes) passes")
        for set in InstructionSet.available {
            for threads in [1, 3] {
                let found = try Self.run(Self.cached(tolerance), CPUBackend(threads: threads, instructionSet: set))
                #expect(found.bits == expected.bits && found.passes == expected.passes, "\(set), \(threads) threads")
            }
        }
        print("cache: \(expected.passes) of 48 passes of the tiny model with a tolerance of \(tolerance)")
    }

    /// Put down before any step, the run makes the same clip in the same passes.
    @Test(arguments: [Float(0.2), 0.3]) func aRunContinuesFromItsState(tolerance: Float) throws {
        let backend = try CPUBackend(threads: 2)
        let whole = try Self.run(Self.cached(tolerance), backend)
        for step in 1..<Self.steps {
            let found = try Self.run(Self.cached(tolerance), backend, broken: step)
            #expect(found.bits == whole.bits && found.passes == whole.passes, "before step \(step)")
        }
    }

    // MARK: The interval

    @Test func guidanceIsOnlyInItsInterval() throws {
        let backend = try CPUBackend(threads: 2)
        // Levels whose floats are the decimals.
        let sigmas = (0..<Self.steps).map { 1 - Double($0) / 32 }
        func run(_ interval: ClosedRange<Float>, _ guidance: Float = 3) throws -> Run {
            try Self.run(PassSettings(guidanceScale: guidance, guidanceInterval: interval), backend, sigmas: sigmas)
        }
        let (guided, unguided) = (try run(0...1), try run(0...1, 1))
        #expect(guided.passes == 48 && unguided.passes == 24)
        // Nowhere: as without guidance, to the bit, though the workspace has room for two prompts.
        let nowhere = try run(0...0.01)
        #expect(nowhere.bits == unguided.bits && nowhere.passes == 24)
        // Both ends belong to it: 0.5, 0.53125, … 0.75.
        #expect(try run(0.5...0.75).passes == 24 + 9)
        let high = try run(0.75...1)
        #expect(high.passes == 24 + 9 && high.bits != guided.bits && high.bits != unguided.bits)
    }

    /// A step is computed where guidance begins or ends, because the velocity bends there.
    @Test func theEndsOfTheIntervalAreComputed() throws {
        let settings = PassSettings(guidanceScale: 3, guidanceInterval: 0.4...0.7, cacheTolerance: 1e9)
        let sigmas = (0..<Self.steps).map { 1 - Double($0) / 32 }
        // Four unguided ones at the start, the first of ten guided ones, the first unguided one behind them, and the last.
        #expect(try Self.run(settings, CPUBackend(threads: 2), sigmas: sigmas).passes == 4 + 2 + 1 + 1)
    }
}
