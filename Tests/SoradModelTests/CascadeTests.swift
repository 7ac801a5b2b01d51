// The maps between the two sizes of a clip against PyTorch. The fixture is written by quantization/reference/write_cascade_fixture.py.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct CascadeTests {
    private static let folder = Fixture.folder + "/cascade"

    private static func model(_ backend: any ComputeBackend) throws -> VideoModel {
        try VideoModel(file: try tinyModelFile(vae: Fixture.folder + "/tiny/vae", cascade: folder), backend: backend)
    }

    /// [C, T, h, w]
    private static func reference(_ key: String) throws -> Tensor {
        let tensors = try SafetensorsFile(opening: folder + "/reference.safetensors")
        guard let tensor = tensors[key], tensor.shape.count == 4 else { throw SoradError(.notFound, "no reference tensor \(key)") }
        return Tensor(Shape(tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]), try tensor.floats())
    }

    @Test func bothMapsEqualPyTorch() throws {
        let cascade = try #require(try Self.model(CPUBackend(threads: 2)).cascade)
        for (made, key) in [
            (cascade.enlarge(try Self.reference("small")), "enlarged"), (cascade.reduce(try Self.reference("large")), "reduced"),
        ] {
            let reference = try Self.reference(key)
            #expect(made.shape == reference.shape)
            let error = relativeError(made.elements, reference.elements)
            #expect(error < 1e-6, "\(key): \(error)")
        }
    }

    /// The same bits on any number of threads, and where the host only waits for a device.
    @Test func theSameBitsOnEveryBackend() throws {
        let backends: [any ComputeBackend] = [try CPUBackend(threads: 1), try CPUBackend(threads: 3), try DeferredBackend()]
        let made = try backends.map { backend in
            let cascade = try #require(try Self.model(backend).cascade)
            return [cascade.enlarge(try Self.reference("small")).elements, cascade.reduce(try Self.reference("large")).elements]
        }
        #expect(made[1] == made[0] && made[2] == made[0])
    }

    @Test func aModelWithoutMapsHasNoCascade() throws {
        let file = try tinyModelFile(vae: Fixture.folder + "/tiny/vae")
        let model = try VideoModel(file: file, backend: CPUBackend(threads: 1))
        #expect(model.cascade == nil && model.configuration.cascade == nil)
        let other = try Self.model(CPUBackend(threads: 1)).configuration.cascade
        #expect(other?.refineFrom == 0.75 && other?.baseFlowShift == 2 && other?.leastSide == 32)
    }
}
