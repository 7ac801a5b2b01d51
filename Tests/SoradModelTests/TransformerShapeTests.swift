// Wan's transformers of every kind in shapes that the pipelines' fixtures do not have, against diffusers: patches of one and of nine latent
// pixels, odd grids, widths that no vector divides. The fixtures are written by quantization/reference/write_transformer_shapes.py.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct TransformerShapeTests {
    struct Kind: CustomTestStringConvertible, Sendable {
        let name: String
        /// The fixture with its image encoder.
        var pictures: String?
        /// Latent frames at timestep 0.
        var known = 0
        /// Of the clip that is followed.
        var scale: Float = 1

        var testDescription: String { name }
    }

    static let all = [
        Kind(name: "t2v-1"), Kind(name: "t2v-3"), Kind(name: "ti2v-1", known: 1), Kind(name: "ti2v-2", known: 2),
        Kind(name: "ti2v-3", known: 1), Kind(name: "i2v-1"), Kind(name: "i2v-3"), Kind(name: "clip-1", pictures: "i2v-clip"),
        Kind(name: "clip-3", pictures: "i2v-clip"), Kind(name: "ends-1", pictures: "flf2v-clip"),
        Kind(name: "ends-3", pictures: "flf2v-clip"), Kind(name: "vace-1", scale: 0.8), Kind(name: "vace-3", scale: 1.2),
    ]

    private static func model(_ kind: Kind, float: Bool) throws -> VideoModel {
        let file = try PictureModelTests.file("shapes-" + kind.name, float: float) { folder in
            guard let pictures = kind.pictures else { return }
            for part in ["image_encoder", "image_processor"] {
                unsafe symlink("\(Fixture.folder)/\(pictures)/\(part)", "\(folder)/\(part)")
            }
        }
        return try VideoModel(file: file, backend: CPUBackend(threads: 2))
    }

    private static func velocity(_ kind: Kind, _ model: VideoModel) throws -> [Float] {
        let fixture = try Fixture("shapes-" + kind.name)
        let transformer = try #require(model.network as? WanTransformer)
        let (latent, expected) = (try fixture.tensor("latent"), try fixture.tensor("output").shape)
        let grid = transformer.grid(LatentSize(channels: expected[0], frames: expected[1], height: expected[2], width: expected[3]))
        var groups = ModulationGroups()
        groups.append(kind.known * grid.height * grid.width, group: 1)
        groups.append((grid.frames - kind.known) * grid.height * grid.width, group: 0)
        let timesteps: [Float] = kind.known > 0 ? [700.25, 0] : [700.25]
        let prompt = transformer.prepare(try fixture.tensor("text"), textLength: model.configuration.textLength)
        let picture = kind.pictures == nil ? nil : transformer.prepare(picture: try fixture.tensor("pictures"), stop: {})
        let guide =
            fixture.reference["control"] == nil
            ? nil : transformer.prepare(ControlClip(channels: try fixture.tensor("control"), scale: kind.scale))
        let out = Tensor(expected)
        transformer.forward(
            latent, timesteps: timesteps, groups: groups, prompts: [prompt], picture: picture, guide: guide,
            workspace: transformer.workspace(grid, sequences: 1, timesteps: timesteps.count), into: [out], stop: {})
        return out.elements
    }

    @Test(arguments: all) func aPassEqualsDiffusers(kind: Kind) throws {
        let found = try Self.velocity(kind, try Self.model(kind, float: true))
        let error = relativeError(found, try Fixture("shapes-" + kind.name).tensor("output").elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test(arguments: all) func aPassOfInt8KeepsItsDirection(kind: Kind) throws {
        let found = try Self.velocity(kind, try Self.model(kind, float: false))
        let similarity = cosine(found, try Fixture("shapes-" + kind.name).tensor("output").elements)
        #expect(similarity > 0.998, "\(similarity)")
    }
}
