// Models on a device: memory that the host cannot address, operations that run later on another thread. What models get wrong about
// either gives other bits than the CPU's, or ends the process.
import SoradCPU
import SoradModel
import SoradSystem
@_spi(HostMemory) import SoradTensor
import SoradTestSupport
import Testing

@Suite struct DeviceTests {
    @Test(arguments: [false, true]) func aDeviceMakesTheGoldenClip(int8Decoder: Bool) throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: int8Decoder)
        let backend = try DeferredBackend.factory.make()
        let hash = try GoldenClipTests.clip(VideoModel(file: file, backend: backend))
        #expect(hash == GoldenClipTests.golden(int8Decoder).frames)
    }

    /// The clip of a device whose downloads do not wait is another one: the golden hash finds host code that looks too early.
    @Test func withoutTheSettlePointTheClipIsAnother() throws {
        let file = try Fixture("tiny").modelFile(.int8)
        let hash = try GoldenClipTests.clip(VideoModel(file: file, backend: DeferredBackend(forgetsToSettle: true)))
        #expect(hash != GoldenClipTests.golden(false).frames)
    }

    @Test func operationsRunWhenTheHostLooks() throws {
        let backend = try DeferredBackend()
        let x = backend.tensor(Shape(3), [1, 2, 3])
        let before = backend.operationsRun
        backend.add(x, x, into: x)
        backend.add(x, x, into: x)
        #expect(backend.operationsRun == before)
        #expect(x.elements == [4, 8, 12])
        #expect(backend.operationsRun > before)
    }

    /// Encoding, conditioning on conditioning frames, and the picture of a preview.
    @Test func whatABranchComputesIsTheSameOnADevice() throws {
        let file = try Fixture("tiny").modelFile(.int8)
        let results = try [BackendFactory.cpu(threads: 2), DeferredBackend.factory].map { factory in
            let model = try VideoModel(file: file, backend: factory.make())
            let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
            let picture = (0..<96 * 64 * 3).map { UInt8(truncatingIfNeeded: $0 / 7) }
            let known = try model.encodeVideo([picture], width: 96, height: 64)
            let text = try model.encodeText([20, 30, 40, 1])
            let latent = model.initialNoise(seed: 3, size)
            let denoiser = try model.denoiser(
                size, prompt: text, negativePrompt: text, guidanceScale: 3, steps: 2, shift: 3,
                known: ConditioningFrames([(0, known, 0), (2, known, 0)]))
            denoiser.step(0, latent)
            let preview = denoiser.predictedFrame(1, of: latent, afterStep: 0)
            return [known.elements, text.elements, latent.elements, preview.elements].map { $0.map(\.bitPattern) }
        }
        #expect(results[0] == results[1])
    }

    /// A decoder continues on a device where one on the CPU stopped, and the other way round.
    @Test(arguments: [false, true]) func aDecoderGoesOnOnAnotherBackend(startsOnDevice: Bool) throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let factories = [BackendFactory.cpu(threads: 1), DeferredBackend.factory]
        let models = try (startsOnDevice ? factories.reversed() : factories).map { try VideoModel(file: file, backend: $0.make()) }
        let size = try models[0].configuration.latentSize(width: 64, height: 32, numFrames: 13)
        let latents = models.map { $0.initialNoise(seed: 5, size) }
        var whole: [[UInt8]] = []
        models[0].decode(latents[0]) { whole.append($1) }
        var frames: [[UInt8]] = []
        let (first, second) = (models[0].decoder(latents[0]), models[1].decoder(latents[1]))
        while first.groups < 2 { first.next(stop: {}) { frames.append($1) } }
        for (old, new) in zip(first.memory, second.memory) { old.withBytes { new.buffer.upload($0, at: new.offset) } }
        second.resume(first.counters)
        while second.isUnfinished { second.next(stop: {}) { frames.append($1) } }
        #expect(frames == whole && frames.count == 13)
    }

    @Test func theHostHasNoAddressOfADevice() async {
        await #expect(processExitsWith: .failure) {
            let tensor = try DeferredBackend().tensor(Shape(4))
            unsafe print(tensor.pointer()[0])
        }
    }

    @Test func deviceMemoryIsClosedWhileNothingRuns() async {
        await #expect(processExitsWith: .failure) {
            let backend = try DeferredBackend()
            let tensor = backend.tensor(Shape(4), [1, 2, 3, 4])
            let address = unsafe backend.addressInside(tensor)
            backend.finish()
            unsafe print(address[0])
        }
    }

    @Test func aDeviceRefusesTheHostsMemory() async {
        await #expect(processExitsWith: .failure) {
            let backend = try DeferredBackend()
            backend.add(backend.tensor(Shape(4)), Tensor(Shape(4)), into: backend.tensor(Shape(4)))
        }
    }

    @Test func theCPURefusesADevicesMemory() async {
        await #expect(processExitsWith: .failure) {
            let tensor = try DeferredBackend().tensor(Shape(4))
            try CPUBackend(threads: 1).add(tensor, tensor, into: tensor)
        }
    }
}
