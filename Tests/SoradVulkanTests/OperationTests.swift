// The Vulkan backend against the scalar kernels, to the last bit, on the first device there is: lavapipe where there is no graphics card.
import SoradCPU
import SoradSystem
import SoradVulkan
import Testing

/// What the tests of this module share.
enum Vulkan {
    /// Nil, and a sentence, where nothing can be tested.
    static let device: VulkanDeviceInfo? = {
        do throws(SoradError) {
            if let device = try VulkanBackend.devices().first(where: { $0.missing.isEmpty }) { return device }
            print("Vulkan: not tested, because there is no device")
        } catch { print("Vulkan: not tested, because there is \(error.message)") }
        return nil
    }()

    static var isHere: Bool { device != nil }

    /// Options for the device, in double precision where it has that: the tier that lavapipe should run.
    static func options(_ tier: FMATier = .float64) -> VulkanOptions {
        var options = VulkanOptions()
        (options.device, options.tier, options.cpuThreads, options.takesSamples) = (device!.index, tier, 1, false)
        return options
    }

    static func backend(_ tier: FMATier = .float64, _ change: (inout VulkanOptions) -> Void = { _ in }) throws -> VulkanBackend {
        var options = options(tier)
        change(&options)
        return try VulkanBackend(options)
    }

    static func scalar() throws -> CPUBackend { try CPUBackend(threads: 1, instructionSet: InstructionSet(atMost: "scalar")) }

    static func cases(_ prefix: String) -> [SelfTestCase] { SelfTest.cases.filter { $0.name.hasPrefix(prefix) } }
}

@Suite(.enabled(if: Vulkan.isHere, "no Vulkan device"), .serialized) struct OperationTests {
    @Test func everyOperationHasTheBitsOfTheDefinition() throws {
        let backend = try Vulkan.backend { $0.validation = true }
        let rows = try SelfTest.run(backend)
        for row in rows { #expect(row.wrong == 0, "\(row.name): \(row.wrong) of \(row.count) values") }
        #expect(rows.count > 50 && rows.allSatisfy { $0.count > 0 })
        // Validation and synchronization layers have nothing to say.
        #expect(VulkanBackend.validationReport.count == 0, "\(VulkanBackend.validationReport.first)")
        print("Vulkan: \(rows.count) cases on \(backend.description)")
    }

    @Test func plainProductsHaveTheSameBits() throws {
        let backend = try Vulkan.backend { $0.packedDot = false }
        let scalar = try Vulkan.scalar()
        for one in Vulkan.cases("linear int8 37") + Vulkan.cases("attention int8Probs16") {
            #expect(try SelfTest.compare(one, backend, with: scalar).wrong == 0, "\(one.name)")
        }
    }

    /// Without double precision and without a fused multiply-add.
    @Test func integersFuseWithTheSameBits() throws {
        let backend = try Vulkan.backend(.integer)
        #expect(SelfTest.singleOperations(backend, count: 1 << 16).wrong == 0)
        let product = Vulkan.cases("linear float 21")[0]
        #expect(try SelfTest.compare(product, backend, with: Vulkan.scalar()).wrong == 0)
    }

    /// Quotients and roots are right though the device's are off.
    @Test(arguments: [-3, -1, 0, 1, 3]) func wrongGuessesAreMadeRight(error: Int) throws {
        let backend = try Vulkan.backend { $0.guessError = error }
        let row = SelfTest.singleOperations(backend, count: 1 << 16)
        #expect(row.wrong == 0 && row.count == 8 << 16)
    }

    /// The negative control: lavapipe's fma() rounds twice, which the comparison must see.
    @Test(.enabled(if: Vulkan.device?.driver.hasPrefix("llvmpipe") == true, "only lavapipe's fma() is known not to be fused"))
    func anFMAThatRoundsTwiceIsFound() throws {
        let rows = try SelfTest.run(Vulkan.backend(.native))
        let wrong = rows.filter { $0.wrong > 0 }
        #expect(wrong.count >= 13, "\(wrong.map(\.name))")
        // Where nothing is fused nothing is wrong.
        #expect(rows.filter { $0.name == "add" || $0.name == "copies of blocks" }.allSatisfy { $0.wrong == 0 })
    }

    @Test func theQuickTestChoosesATierThatIsExact() throws {
        let backend = try Vulkan.backend { $0.tier = nil }
        #expect(SelfTest.singleOperations(backend).wrong == 0)
        print("Vulkan: \(backend.description)")
    }
}

@Suite struct ModuleTests {
    /// A module with OpFmaKHR and further execution modes is the same one otherwise.
    @Test(arguments: Shader.allCases.filter { $0 != .copy && $0 != .imageRange }) func aPatchChangesWhatItShould(_ shader: Shader) throws {
        let words = shader.words(.guaranteed)
        #expect(SPIRVPatch().applied(to: words) == words)
        var patch = SPIRVPatch()
        patch.usesFMAExtension = true
        patch.denormPreserve32 = true
        let patched = patch.applied(to: words)
        let (before, after) = (Self.instructions(words), Self.instructions(patched))
        func count(_ list: [[UInt32]], _ opcode: UInt32, _ operands: [UInt32] = []) -> Int {
            list.count { $0[0] & 0xFFFF == opcode && $0.dropFirst().starts(with: operands) }
        }
        let fused = before.filter { $0[0] & 0xFFFF == 12 && $0[4] == 50 }
        #expect(fused.count >= 1)
        #expect(count(after, 4427) == fused.count && !after.contains { $0[0] & 0xFFFF == 12 && $0[4] == 50 })
        #expect(count(after, 17, [6030]) == 1 && count(after, 17, [4464]) == 1 && count(before, 17, [6030]) == 0)
        #expect(after.contains { $0[0] & 0xFFFF == 16 && Array($0[2...]) == [4459, 32] })
        // Two capabilities, an extension and a mode more, and every fused product two words shorter.
        #expect(after.count == before.count + 4)
        #expect(patched.count == words.count + 2 + 2 + 4 + 4 - 2 * fused.count)
        #expect(Array(patched[..<5]) == Array(words[..<5]))
    }

    private static func instructions(_ words: [UInt32]) -> [[UInt32]] {
        var list: [[UInt32]] = []
        var at = 5
        while at < words.count {
            let count = Int(words[at] >> 16)
            list.append(Array(words[at..<at + count]))
            at += count
        }
        return list
    }
}
