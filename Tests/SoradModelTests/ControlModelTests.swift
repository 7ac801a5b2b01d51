// Models that follow a clip (VACE), against diffusers' own pipeline. The fixtures are written by quantization/reference/write_vace.py.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct ControlModelTests {
    private static let (width, height, frames) = (48, 32, 9)
    private static let size = LatentSize(channels: 10, frames: 3, height: 4, width: 6)

    /// What write_vace.py gives the pipeline.
    struct Given: CustomTestStringConvertible, Sendable {
        let name: String
        var hasClip = false
        var hasMask = false
        /// First and last frame alone.
        var hasEnds = false
        let references: Int
        let scale: Float

        var testDescription: String { name }
    }

    static let all = [
        Given(name: "vace-mask", hasClip: true, hasMask: true, references: 1, scale: 1),
        Given(name: "vace-clip", hasClip: true, references: 0, scale: 0.6),
        Given(name: "vace-ends", hasEnds: true, references: 2, scale: 1.3),
    ]

    /// `frame` of write_vace.py.
    private static func frame(_ time: Int) -> [UInt8] {
        (0..<height).flatMap { y in
            (0..<width).flatMap { x in (0..<3).map { UInt8((5 * x + 3 * ($0 + 1) * y + 17 * time + 60 * $0) % 256) } }
        }
    }

    /// Its `mask_frame`.
    private static func mask(_ time: Int) -> [Bool] {
        (0..<height).flatMap { y in (0..<width).map { x in (x + 2 * time) / 5 % 2 == 0 || y < 3 + time } }
    }

    private static func model(_ given: Given, float: Bool = true, _ backend: (any ComputeBackend)? = nil) throws -> VideoModel {
        try VideoModel(file: PictureModelTests.file(given.name, float: float), backend: backend ?? CPUBackend(threads: 2))
    }

    private static func clip(_ model: VideoModel, _ given: Given) throws -> ControlClip {
        let (kept, new) = try (
            model.latentEncoder(numFrames: frames, width: width, height: height),
            model.latentEncoder(numFrames: frames, width: width, height: height)
        )
        let whole = ControlMask(size, side: 8, frames: frames)
        for time in 0..<frames {
            let isEnd = given.hasEnds && (time == 0 || time == frames - 1)
            let isNew = given.hasMask ? mask(time) : [Bool](repeating: !isEnd, count: width * height)
            whole.set(isNew, frame: time)
            if given.hasClip || isEnd {
                kept.append(frame(time), isGrey: isNew)
                new.append(frame(time), isGrey: isNew.map { !$0 })
            } else {
                kept.appendGrey()
                new.appendGrey()
            }
        }
        let references = try (0..<given.references).map { try model.encodeVideo([frame(100 + $0)], width: width, height: height) }
        return ControlClip(kept: kept.finish(), new: new.finish(), mask: whole, references: references, scale: given.scale)
    }

    private static func sampled(_ model: VideoModel, _ given: Given) throws -> Tensor {
        let fixture = try Fixture(given.name)
        let latent = model.backend.resident(try fixture.tensor("noise"))
        let shape = latent.shape
        let denoiser = try model.denoiser(
            LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]), prompt: try fixture.tensor("text"),
            negativePrompt: try fixture.tensor("negative"), guidanceScale: 4, steps: 4, shift: 3, control: try clip(model, given))
        for step in 0..<4 { denoiser.step(step, latent) }
        return latent.clone()
    }

    /// Grey where nothing is given, a channel of the mask for each pixel of a latent pixel, pictures in front.
    @Test(arguments: all) func whatIsFollowedEqualsDiffusers(given: Given) throws {
        let model = try Self.model(given)
        let clip = try Self.clip(model, given)
        let expected = try Fixture(given.name).tensor("condition")
        #expect(clip.channels.shape == expected.shape && clip.references == given.references)
        let masks = 2 * 10 * expected.count / expected.shape[0]
        #expect(Array(clip.channels.elements[masks...]) == Array(expected.elements[masks...]))
        let error = relativeError(Array(clip.channels.elements[..<masks]), Array(expected.elements[..<masks]))
        #expect(error < 1e-5, "\(error)")
    }

    @Test(arguments: all) func aPassEqualsDiffusers(given: Given) throws {
        let fixture = try Fixture(given.name)
        let model = try Self.model(given)
        let transformer = try #require(model.network as? WanTransformer)
        let noise = try fixture.tensor("noise")
        let shape = noise.shape
        let grid = transformer.grid(LatentSize(channels: shape[0], frames: shape[1], height: shape[2], width: shape[3]))
        let out = Tensor(shape)
        transformer.forward(
            noise, timesteps: [700.25], groups: ModulationGroups(all: grid.count),
            prompts: [transformer.prepare(try fixture.tensor("text"), textLength: model.configuration.textLength)],
            guide: transformer.prepare(try Self.clip(model, given)),
            workspace: transformer.workspace(grid, sequences: 1, timesteps: 1), into: [out], stop: {})
        let error = relativeError(out.elements, try fixture.tensor("output").elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test(arguments: all) func aClipEqualsDiffusersPipeline(given: Given) throws {
        let error = relativeError(
            try Self.sampled(try Self.model(given), given).elements, try Fixture(given.name).tensor("latents").elements)
        #expect(error < 1e-4, "\(error)")
    }

    @Test(arguments: all) func everyStepOfInt8KeepsItsDirection(given: Given) throws {
        let noise = try Fixture(given.name).tensor("noise").elements
        let (exact, quantized) = try (Self.sampled(Self.model(given), given), Self.sampled(Self.model(given, float: false), given))
        let similarity = cosine(zip(exact.elements, noise).map(-), zip(quantized.elements, noise).map(-))
        #expect(similarity >= 0.999, "\(similarity)")
    }

    @Test func everyBackendGivesTheSameBits() throws {
        let given = Self.all[2]
        let file = try PictureModelTests.file(given.name, float: false)
        let results = try everyBackend().map { backend in
            try Self.sampled(VideoModel(file: file, backend: backend), given).elements.map(\.bitPattern)
        }
        #expect(results.count > 2 && results.allSatisfy { $0 == results[0] })
    }

    /// A clip to follow belongs to a model that follows one, and such a model makes nothing without.
    @Test func modelsSayWhatTheyFollow() throws {
        let given = Self.all[1]
        let model = try Self.model(given)
        let c = model.configuration
        #expect(c.takesControl && c.takesConditioningFrames && !c.takesConditioningClip && c.picturesNeeded == 0)
        let text = try Fixture(given.name).tensor("text")
        func refusal(_ model: VideoModel, known: ConditioningFrames? = nil, control: ControlClip? = nil) -> String? {
            do throws(SoradError) {
                _ = try model.denoiser(
                    Self.size, prompt: text, negativePrompt: text, guidanceScale: 1, steps: 4, shift: 3, known: known, control: control)
                return nil
            } catch { return error.message }
        }
        let clip = try Self.clip(model, given)
        #expect(refusal(model) != nil)
        #expect(refusal(model, known: ConditioningFrames(indices: [0], latents: Tensor(Shape(10, 1, 4, 6)))) != nil)
        #expect(refusal(model, control: clip) == nil)
        #expect(refusal(model, control: c.greyControl(Self.size)) == nil)
        let other = try VideoModel(file: PictureModelTests.file("i2v-clip"), backend: CPUBackend(threads: 1))
        #expect(refusal(other, control: clip) != nil && other.configuration.greyControl(Self.size) == nil)
    }

    /// What a run takes is planned before it is taken.
    @Test func theBranchIsCounted() throws {
        let (mask, ends) = try (Self.model(Self.all[0]), Self.model(Self.all[2]))
        for model in [mask, ends] {
            #expect(model.encodeBytes(Self.size) > 2 * 84 * Self.size.frames * Self.size.height * Self.size.width * 4)
            let small = model.denoiseBytes(Self.size, guided: true)
            let large = LatentSize(channels: 10, frames: 5, height: 4, width: 6)
            #expect(model.denoiseBytes(large, guided: true) - small > 2 * 84 * 2 * 24 * 4)
        }
    }

    @Test func hostileKeysAreRefused() throws {
        let original = try PictureModelTests.file("vace-clip")
        let backend = try CPUBackend(threads: 1)
        for (key, value) in [
            ("dit.vace_layers", .uint32s([1, 2])), ("dit.vace_layers", .uint32s([0, 3])), ("dit.vace_layers", .uint32s([0, 0])),
            ("dit.vace_layers", .uint32s([0, 1, 2])), ("dit.vace_layers", .uint32(0)), ("dit.vace_in_channels", .uint32(20)),
            ("dit.vace_in_channels", .uint32(83)), ("dit.vace_in_channels", .uint32(0)), ("dit.vace_in_channels", .uint32(4096)),
            ("dit.expand_timesteps", .bool(true)), ("dit.in_channels", .uint32(24)),
        ] as [(String, MetadataValue)] {
            let error = try PictureModelTests.loading(original, key, value, backend)
            #expect(error?.kind == .badInput, "\(key) = \(value): \(error.map { "\($0)" } ?? "loaded")")
        }
    }
}
