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
            try BackendComparison.branchBits(file, factory.make(), width: 96, height: 64)
        }
        #expect(results[0] == results[1])
    }

    /// A decoder continues on a device where one on the CPU stopped, and the other way round.
    @Test(arguments: [false, true]) func aDecoderGoesOnOnAnotherBackend(startsOnDevice: Bool) throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: true)
        let factories = [BackendFactory.cpu(threads: 1), DeferredBackend.factory]
        let backends = try (startsOnDevice ? factories.reversed() : factories).map { try $0.make() }
        let (parts, whole) = try BackendComparison.decodedInTwoParts(file, backends[0], backends[1])
        #expect(parts == whole && parts.count == 13)
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
