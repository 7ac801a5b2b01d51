// Devices that fail and devices that lie: each is found, ends the device's use with one sentence, and never the process.
import Glibc
import SoradCPU
import SoradSystem
import SoradTensor
import SoradVulkan
import Testing

@Suite(.enabled(if: Vulkan.isHere, "no Vulkan device"), .serialized) struct FaultTests {
    /// The self-test's cases whose first operation of the kind lies.
    private static func run(_ backend: VulkanBackend, _ names: [String]) throws -> SoradError? {
        let scalar = try Vulkan.scalar()
        do throws(SoradError) {
            for name in names { for one in Vulkan.cases(name) { _ = try SelfTest.compare(one, backend, with: scalar) } }
            return nil
        } catch { return error }
    }

    private static let cases: [VulkanOperation: String] = [
        .copy: "copies", .fill: "fill", .linearInt8: "linear int8 70", .linearFloat: "linear float 40",
        .convolveFloat: "convolution float 7×9",
        .convolveInt8: "convolution int8 7×9", .quantizeImage: "quantized images 7", .convolveImages: "quantized images 6",
        .layerNorm: "layer norm 37", .rmsNorm: "RMS", .normAndRotate: "norm and", .attendInt8: "attention int8 24",
        .attendFloat: "attention float 9",
        .add: "add", .silu: "SiLU", .geluTanhMultiply: "GELU", .softClamp: "soft", .affine: "affine", .guide: "guidance",
        .eulerStep: "Euler",
        .patchify: "patches", .unpatchify: "patches", .denormalize: "frames of", .normalize: "frames of", .shufflePixels: "pixels",
        .unshufflePixels: "pixels",
    ]

    @Test(arguments: VulkanOperation.allCases) func aLieIsFound(_ operation: VulkanOperation) throws {
        let name = try #require(Self.cases[operation])
        let error = try Self.run(
            Vulkan.backend {
                $0.takesSamples = true
                $0.faults.lyingOperation = operation
            }, [name])
        #expect(error?.code == "device_failed" && error?.message.contains(operation.rawValue) == true, "\(String(describing: error))")
    }

    /// And an honest device is never suspected.
    @Test func samplesOfAnHonestDevicePass() throws {
        let backend = try Vulkan.backend { $0.takesSamples = true }
        let rows = try SelfTest.run(backend)
        #expect(rows.allSatisfy { $0.wrong == 0 })
        #expect(backend.counters.samples >= VulkanOperation.allCases.count)
    }

    @Test func memoryThatRunsOutIsOneSentence() throws {
        let names = ["linear int8 5", "quantized images 7"]
        let all = try Vulkan.backend()
        #expect(try Self.run(all, names) == nil)
        let count = all.counters.allocations
        #expect(count > 10)
        for number in 0..<count {
            let backend = try Vulkan.backend { $0.faults.failedAllocation = number }
            let error = try Self.run(backend, names)
            // Without memory for weights they are streamed.
            if error == nil {
                #expect(backend.streamedBytes > 0, "allocation \(number)")
            } else {
                #expect(error?.message.contains("out of device memory") == true && error?.code == "device_failed")
            }
        }
    }

    @Test func aLostDeviceIsOneSentence() throws {
        for number in [0, 3, 9] {
            let error = try Self.run(Vulkan.backend { $0.faults.lostAtSubmission = number }, ["linear int8", "norm", "attention"])
            #expect(error?.message.contains("the device was lost") == true)
        }
    }

    /// A long product is cut, so that no submission holds up watchdogs and cancels.
    @Test func submissionsAreShort() throws {
        let backend = try Vulkan.backend { $0.submissionLimit = 1_000_000 }
        #expect(try Self.run(backend, ["linear int8 130", "attention float 4", "convolution int8 7"]) == nil)
        let uncut = try Vulkan.backend()
        #expect(try Self.run(uncut, ["linear int8 130", "attention float 4", "convolution int8 7"]) == nil)
        #expect(backend.counters.submissions >= uncut.counters.submissions + 3)
        // Never more than one tile of rows above it.
        #expect(backend.counters.longestSubmission <= 64 * 64 * 1536)
        #expect(backend.counters.longestSubmission > 0)
    }

    @Test(arguments: [0.1, 0.5, 0.9, 1]) func theCPUsShareOfRowsHasTheSameBits(share: Double) throws {
        let backend = try Vulkan.backend { $0.shares = ProductShares(share) }
        let scalar = try Vulkan.scalar()
        for one in Vulkan.cases("linear") { #expect(try SelfTest.compare(one, backend, with: scalar).wrong == 0, "\(one.name)") }
    }

    /// Every kind of product is measured on both sides, and divided in its own proportion; the others as all are.
    @Test func eachKindOfProductHasItsOwnShare() throws {
        let backend = try Vulkan.backend()
        let scalar = try Vulkan.scalar()
        let cases = Vulkan.cases("linear")
        let shares = try backend.measureProducts { () throws(SoradError) in
            for one in cases { #expect(try SelfTest.compare(one, backend, with: scalar).wrong == 0, "\(one.name), measured") }
        }
        #expect(shares.count > 5 && shares.values.allSatisfy { (0..<1).contains($0) }, "\(shares)")
        // lavapipe is no card: the CPU would have nearly all of the rows.
        #expect(shares.values.contains { $0 > 0.1 }, "\(shares)")
        backend.shares = ProductShares(0.3, own: shares)
        for one in cases { #expect(try SelfTest.compare(one, backend, with: scalar).wrong == 0, "\(one.name)") }
        let layer = LinearWeights(outputs: 32, inputs: 24, precision: .float(Parameter([Float](repeating: 0, count: 32 * 24))))
        let kind = ProductKind(outputs: 32, inputs: 24, isInt8: false)
        #expect(ProductShares(0.3).rowsOnCPU(100, layer) == 70..<100)
        #expect(ProductShares(0.3, own: [kind: 0.75]).rowsOnCPU(100, layer) == 25..<100)
        let other = ProductKind(outputs: 32, inputs: 24, isInt8: true)
        #expect(ProductShares(0.3, own: [other: 0.75]).rowsOnCPU(100, layer) == 70..<100)
    }

    @Test func compiledPipelinesAreKeptAndADamagedFileIsNoHarm() throws {
        let folder = "/tmp/sorad-vulkan-tests-\(processIdentifier())"
        unsafe _ = mkdir(folder, 0o700)
        defer {
            for name in (try? fileNames(in: folder)) ?? [] { removeFile(folder + "/" + name) }
            unsafe _ = rmdir(folder)
        }
        for attempt in 0..<3 {
            do {
                let backend = try Vulkan.backend { $0.cacheFolder = folder }
                #expect(SelfTest.singleOperations(backend).wrong == 0, "attempt \(attempt)")
            }
            let names = try fileNames(in: folder)
            #expect(names.count == 1)
            let path = folder + "/" + names[0]
            let size = try FileDescriptor(openingForReading: path).regularFileSize()
            #expect(size > 32)
            if attempt == 1 {
                let file = try FileDescriptor(opening: path, flags: O_WRONLY)
                try file.write([1, 2, 3, 4], at: size - 4)
            }
        }
    }

    @Test func aDeviceThatIsNotThereIsNamed() {
        var options = VulkanOptions()
        options.device = 99
        #expect(throws: SoradError.self) { try VulkanBackend(options) }
        #expect((try? VulkanBackend(VulkanOptions())).map { !$0.description.contains("llvmpipe") } ?? true)
    }
}
