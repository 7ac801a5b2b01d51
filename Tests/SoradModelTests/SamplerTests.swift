// The samplers against diffusers (fixtures: quantization/reference/write_samplers.py) and against their definitions.
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import Testing

@Suite struct SamplerTests {
    private static func sampler(_ name: String, _ request: SamplerRequest) throws -> any Sampler {
        try #require(ModelRegistry.standard.samplers.rows.first { $0.name == name }).part(request)
    }

    private static func numbers(_ json: JSONValue?) throws -> [Float] { try #require(json?.array).map { Float($0.double ?? .nan) } }

    /// ‖a − b‖ / ‖b‖
    private static func distance(_ a: [Float], _ b: [Float]) -> Double {
        let lost = zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        return (lost / b.reduce(0.0) { $0 + Double($1) * Double($1) }).squareRoot()
    }

    /// Noise levels, timesteps, and the sample after every step, from the first step or a later one.
    @Test func unipcHasTheNumbersOfDiffusers() throws {
        let backend = try CPUBackend(threads: 1)
        let rows = try #require(try JSONValue(file: Fixture.folder + "/samplers/unipc.json").array)
        #expect(rows.count == 7)
        for row in rows {
            let steps = try #require(row["steps"]?.wholeNumber)
            let shift = try #require(row["shift"]?.double)
            let first = try #require(row["first"]?.wholeNumber)
            var request = SamplerRequest(steps: steps, shift: Float(shift), numTrainTimesteps: 1000)
            request.firstStep = first
            let sampler = try Self.sampler("unipc", request)
            let sigmas = try Self.numbers(row["sigmas"])
            #expect(
                sampler.sigmas.count == sigmas.count && zip(sampler.sigmas, sigmas).allSatisfy { abs($0 - $1) <= $1.ulp }, "\(steps) steps")
            #expect(sampler.timesteps == (try Self.numbers(row["timesteps"])), "\(steps) steps, shift \(shift)")
            let shape = Shape(1, 1, 2, 4)
            let latent = Tensor(shape, try Self.numbers(row["start"]))
            let tensors = (0..<sampler.tensorCount).map { _ in Tensor(shape) }
            let velocities = try #require(row["velocities"]?.array)
            let samples = try #require(row["samples"]?.array)
            for (step, (velocity, sample)) in zip(velocities, samples).enumerated() {
                sampler.step(first + step, latent, velocity: Tensor(shape, try Self.numbers(velocity)), tensors: tensors, backend)
                let distance = Self.distance(latent.elements, try Self.numbers(sample))
                #expect(distance < 1e-5, "step \(step) of \(steps), shift \(shift): \(distance)")
            }
        }
    }

    /// Noise levels that a request names are used as they are, whatever the shift.
    @Test func namedLevelsHaveTheNumbersOfDiffusers() throws {
        let backend = try CPUBackend(threads: 1)
        let rows = try #require(try JSONValue(file: Fixture.folder + "/samplers/given.json").array)
        #expect(rows.count == 8)
        for row in rows {
            let name = try #require(row["sampler"]?.string) == "unipc" ? "unipc" : "flow_match_euler"
            let given = try #require(row["given"]?.array).compactMap(\.double)
            var request = SamplerRequest(steps: given.count, shift: 7, numTrainTimesteps: 1000)
            request.sigmas = given
            request.timesteps = given.map { _ in 1 }
            let sampler = try Self.sampler(name, request)
            let (sigmas, timesteps) = (try Self.numbers(row["sigmas"]), try Self.numbers(row["timesteps"]))
            #expect(zip(sampler.sigmas, sigmas).allSatisfy { abs($0 - $1) <= $1.ulp }, "\(name) \(given)")
            #expect(zip(sampler.timesteps, timesteps).allSatisfy { abs($0 - $1) <= 2 * $1.ulp }, "\(name) \(sampler.timesteps)")
            let shape = Shape(1, 1, 2, 4)
            let latent = Tensor(shape, try Self.numbers(row["start"]))
            let tensors = (0..<sampler.tensorCount).map { _ in Tensor(shape) }
            let (velocities, samples) = (try #require(row["velocities"]?.array), try #require(row["samples"]?.array))
            #expect(velocities.count == given.count && samples.count == given.count)
            for (step, (velocity, sample)) in zip(velocities, samples).enumerated() {
                sampler.step(step, latent, velocity: Tensor(shape, try Self.numbers(velocity)), tensors: tensors, backend)
                let distance = Self.distance(latent.elements, try Self.numbers(sample))
                #expect(distance < 1e-5, "\(name), step \(step) of \(given): \(distance)")
            }
        }
        // Timesteps divided by their number come back whole.
        var request = SamplerRequest(steps: 3, shift: 3, numTrainTimesteps: 1000)
        request.sigmas = [757.0 / 1000, 522.0 / 1000, 57.0 / 1000]
        #expect(try Self.sampler("unipc", request).timesteps == [757, 522, 57])
        #expect(try Self.sampler("renoise", request).sigmas == [0.757, 0.522, 0.057, 0])
    }

    private static func model(_ recipe: String) throws -> VideoModel {
        let folder = try temporaryFolder()
        var options = ConversionOptions()
        options.float = true
        let path = folder + "/m.gguf"
        _ = try Converter.convert(Fixture.folder + "/tiny", recipe: recipe, to: path, options: options)
        return try VideoModel(file: ModelFile(opening: path), backend: CPUBackend(threads: 2))
    }

    private static func denoiser(_ model: VideoModel, _ fixture: Fixture, _ latent: Tensor, steps: Int, guidance: Float) throws -> Denoiser
    {
        let shape = latent.shape
        return try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]),
            prompt: try fixture.tensor("transformer.text"), negativePrompt: try fixture.tensor("transformer.negative_text"),
            guidanceScale: guidance, steps: steps, shift: 3, seed: 9)
    }

    /// Twenty guided steps around the transformer.
    @Test func theLoopOfUniPCEqualsDiffusers() throws {
        let fixture = try Fixture("tiny")
        let model = try Self.model("wan2.1-t2v")
        let latent = try fixture.tensor("transformer.latent")
        let denoiser = try Self.denoiser(model, fixture, latent, steps: 20, guidance: 3)
        for step in 0..<20 { denoiser.step(step, latent) }
        try model.backend.finish()
        let file = try SafetensorsFile(opening: Fixture.folder + "/samplers/loop.safetensors")
        let expected = try #require(try file["unipc"]?.floats())
        let distance = Self.distance(latent.elements, expected)
        #expect(distance < 1e-3, "\(distance)")
    }

    /// What a run keeps is all that it needs: a second denoiser that gets it continues with the same bits.
    @Test(arguments: ["wan2.1-t2v", "fastwan2.1", "lightx2v"]) func aRunCanBeContinued(recipe: String) throws {
        let fixture = try Fixture("tiny")
        let model = try Self.model(recipe)
        let steps = model.configuration.defaults.numInferenceSteps == 50 ? 6 : model.configuration.defaults.numInferenceSteps
        let whole = try fixture.tensor("transformer.latent")
        let first = try Self.denoiser(model, fixture, whole, steps: steps, guidance: 1)
        let parted = try fixture.tensor("transformer.latent")
        let second = try Self.denoiser(model, fixture, parted, steps: steps, guidance: 1)
        for step in 0..<2 { second.step(step, parted) }
        try model.backend.finish()
        let third = try Self.denoiser(model, fixture, parted, steps: steps, guidance: 1)
        for (tensor, kept) in zip(third.state, second.state) { tensor.copy(from: kept) }
        for step in 0..<steps { first.step(step, whole) }
        for step in 2..<steps { third.step(step, parted) }
        try model.backend.finish()
        #expect(parted.elements == whole.elements && whole.elements.allSatisfy(\.isFinite))
    }

    @Test func fewStepSchedules() throws {
        var request = SamplerRequest(steps: 4, shift: 5, numTrainTimesteps: 1000)
        let euler = try Self.sampler("euler", request)
        for (found, expected) in zip(euler.timesteps, [1000, 937.5, 833.3333, 625] as [Float]) { #expect(abs(found - expected) < 1e-3) }
        #expect(euler.sigmas.count == 5 && euler.sigmas[4] == 0 && euler.startScale == 1)
        request = SamplerRequest(steps: 3, shift: 8, numTrainTimesteps: 1000)
        request.timesteps = [1000, 757, 522]
        #expect(try Self.sampler("renoise", request).timesteps == [1000, 757, 522])
        // Another number of steps than the list has is spread by the shift.
        request.timesteps = [900, 500]
        #expect(try Self.sampler("renoise", request).timesteps.count == 3)
        request = SamplerRequest(steps: 2, shift: 8, numTrainTimesteps: 1000)
        request.timesteps = [900, 500]
        #expect(try Self.sampler("renoise", request).startScale == 0.9)
    }

    /// clip = x − σ·v; x' = (1 − σ')·clip + σ'·noise, with other noise in every step and for every seed.
    @Test func renoisingMixesThePredictedClipWithFreshNoise() throws {
        let backend = try CPUBackend(threads: 1)
        let shape = Shape(1, 1, 2, 4)
        var request = SamplerRequest(steps: 2, shift: 1, numTrainTimesteps: 1000)
        request.timesteps = [800, 400]
        request.seed = 4
        let sampler = try Self.sampler("renoise", request)
        let start: [Float] = [1, 2, 3, 4, 5, 6, 7, 8]
        let velocity: [Float] = [1, -1, 1, -1, 2, -2, 2, -2]
        let latent = Tensor(shape, start)
        let tensors = (0..<sampler.tensorCount).map { _ in Tensor(shape) }
        sampler.step(0, latent, velocity: Tensor(shape, velocity), tensors: tensors, backend)
        let noise = Tensor(shape)
        noise.fillNormal(seed: 4, stream: 1)
        for i in 0..<8 {
            let clip = start[i] - 0.8 * velocity[i]
            #expect(abs(latent.elements[i] - (0.6 * clip + 0.4 * noise.elements[i])) < 1e-5)
            #expect(abs(tensors[0].elements[i] - clip) < 1e-5)
        }
        let middle = latent.elements
        sampler.step(1, latent, velocity: Tensor(shape, velocity), tensors: tensors, backend)
        for i in 0..<8 { #expect(abs(latent.elements[i] - (middle[i] - 0.4 * velocity[i])) < 1e-5) }
    }
}
