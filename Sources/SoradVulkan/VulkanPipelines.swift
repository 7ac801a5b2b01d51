// Owns the shaders: committed modules, what is changed in them for a device, compiled pipelines, and the file in which a driver keeps
// these between two starts.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import Glibc
import SoradSystem

/// How a product and a sum are rounded once.
public enum FMATier: String, Sendable, CaseIterable {
    /// OpFmaKHR: guaranteed by VK_KHR_shader_fma.
    case guaranteed
    /// fma() of a device on which it was found to be fused, in these very shaders.
    case native
    /// In double precision, rounded to odd.
    case float64
    /// With 32-bit integers.
    case integer
}

/// The shaders; file names without their ending.
package enum Shader: String, CaseIterable {
    case linearInt8 = "linear_int8"
    case linearFloat = "linear_float"
    case convolveInt8 = "convolve_int8"
    case convolveFloat = "convolve_float"
    case quantizeRows = "quantize_rows"
    case norm, rope, elementwise, copy, latents
    case imageRange = "image_range"
    case imageParameters = "image_parameters"
    case quantizeImage = "quantize_image"
    case packInt8 = "pack_int8"
    case attendInt8 = "attend_int8"
    case attendFloat = "attend_float"
    case singleOperations = "single_operations"

    /// Its words in the build for a tier.
    package func words(_ tier: FMATier) -> [UInt32] {
        let name = rawValue + (tier == .float64 && self != .copy ? "-float64" : "")
        for index in 0..<sorad_vulkan_module_count() {
            let module = unsafe sorad_vulkan_module_at(index).pointee
            if unsafe String(cString: module.name) == name {
                return unsafe [UInt32](UnsafeBufferPointer(start: module.words, count: module.word_count))
            }
        }
        preconditionFailure("no module \(name)")
    }

    /// SHA-256 of all modules.
    static let digest: String = {
        var hash = SHA256()
        for index in 0..<sorad_vulkan_module_count() {
            let module = unsafe sorad_vulkan_module_at(index).pointee
            unsafe hash.update(UnsafeRawBufferPointer(start: module.words, count: module.word_count * 4).bytes)
        }
        return SHA256.hexadecimal(hash.finalize())
    }()
}

@safe final class VulkanPipelines {
    let tier: FMATier
    private let device: VulkanDevice
    private let packedDot: Bool
    private let guessError: Int32
    private let cachePath: String?
    private var cache: VkPipelineCache?
    private var made: [Shader: VkPipeline] = unsafe [:]
    private var storedBytes = 0

    /// - Parameters:
    ///   - packedDot: whether int8 products go through the packed dot product.
    ///   - guessError: units added to the device's guesses, for tests.
    ///   - cacheFolder: where compiled pipelines are kept; nil means nowhere.
    init(_ device: VulkanDevice, tier: FMATier, packedDot: Bool, guessError: Int, cacheFolder: String?) {
        self.device = device
        self.tier = tier
        self.packedDot = packedDot
        self.guessError = Int32(guessError)
        cachePath = cacheFolder.map { $0 + "/pipelines-" + Self.key(device.info) }
        let stored = cachePath.flatMap(Self.read)
        storedBytes = stored?.count ?? 0
        var info = unsafe VkPipelineCacheCreateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO
        let start = stored ?? []
        unsafe start.withUnsafeBytes { bytes in
            unsafe (info.initialDataSize, info.pInitialData) = (bytes.count, bytes.baseAddress)
            // Without a cache everything is as before, only slower.
            unsafe _ = device.functions.vkCreatePipelineCache(device.handle, &info, nil, &cache)
        }
    }

    deinit {
        // Nothing that is recorded or runs may name a pipeline that is gone.
        device.settle()
        device.commands.forgetAll()
        device.connection.rest()
        save()
        for unsafe(_, pipeline) in unsafe made { unsafe device.functions.vkDestroyPipeline(device.handle, pipeline, nil) }
        if unsafe cache != nil { unsafe device.functions.vkDestroyPipelineCache(device.handle, cache, nil) }
    }

    /// Names what compiled pipelines and trust depend on: the device, its driver and the modules.
    static func key(_ info: VulkanDeviceInfo) -> String {
        String(SHA256.hexadecimal(SHA256.hash(Array("\(info.identity)\n\(Shader.digest)\n".utf8))).prefix(32))
    }

    /// The pipeline of a shader, compiled on first use; nil, and a fault of the device, when it cannot be.
    func pipeline(_ shader: Shader) -> VkPipeline? {
        if let pipeline = unsafe made[shader] { return unsafe pipeline }
        guard device.fault == nil else { return nil }
        var patch = SPIRVPatch()
        if shader != .copy {
            patch.usesFMAExtension = tier == .guaranteed
            patch.denormPreserve32 = device.info.denormPreserve32
            patch.roundToNearest64 = device.info.roundToNearest64 && tier == .float64
        }
        let words = patch.applied(to: shader.words(tier))
        let (result, pipeline) = unsafe compile(words)
        guard result == VK_SUCCESS, let pipeline = unsafe pipeline else {
            device.fail("the shader \(shader.rawValue) cannot be compiled: \(result.sentence)")
            return nil
        }
        unsafe made[shader] = unsafe pipeline
        return unsafe pipeline
    }

    private func compile(_ words: [UInt32]) -> (VkResult, VkPipeline?) {
        var module: VkShaderModule?
        var result = unsafe words.withUnsafeBufferPointer { words in
            var info = unsafe VkShaderModuleCreateInfo()
            unsafe info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO
            unsafe (info.codeSize, info.pCode) = (words.count * 4, words.baseAddress)
            return unsafe device.functions.vkCreateShaderModule(device.handle, &info, nil, &module)
        }
        guard result == VK_SUCCESS else { return (result, nil) }
        defer { unsafe device.functions.vkDestroyShaderModule(device.handle, module, nil) }
        // As in exact.glsl: tier, packed dot, error of guesses.
        let constants: [UInt32] = [tier == .integer ? 1 : 0, packedDot ? 1 : 0, UInt32(bitPattern: guessError)]
        let entries = (0..<3).map { VkSpecializationMapEntry(constantID: UInt32($0), offset: UInt32($0 * 4), size: 4) }
        var pipeline: VkPipeline?
        result = unsafe constants.withUnsafeBytes { constants in
            unsafe entries.withUnsafeBufferPointer { entries in
                var special = unsafe VkSpecializationInfo()
                unsafe (special.mapEntryCount, special.pMapEntries) = (3, entries.baseAddress)
                unsafe (special.dataSize, special.pData) = (constants.count, constants.baseAddress)
                return unsafe withUnsafePointer(to: &special) { special in
                    unsafe "main".withCString { main in
                        var info = unsafe VkComputePipelineCreateInfo()
                        unsafe info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO
                        unsafe info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO
                        unsafe info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT
                        unsafe (info.stage.module, info.stage.pName, info.stage.pSpecializationInfo) = (module, main, special)
                        unsafe info.layout = device.connection.pipelineLayout
                        return unsafe device.functions.vkCreateComputePipelines(device.handle, cache, 1, &info, nil, &pipeline)
                    }
                }
            }
        }
        return unsafe (result, pipeline)
    }

    // MARK: The file: SHA-256 of the data, then the data

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = try? FileDescriptor(openingForReading: path), let size = try? file.regularFileSize(),
            (33...64 << 20).contains(size),
            let bytes = try? file.read(at: 0, count: size), bytes.count == size
        else { return nil }
        let data = Array(bytes[32...])
        return SHA256.hash(data) == Array(bytes[..<32]) ? data : nil
    }

    /// Writes what was compiled, if anything was; a folder that cannot be written is none of a clip's business.
    private func save() {
        guard let cachePath, unsafe cache != nil, device.fault == nil else { return }
        var count = 0
        guard unsafe device.functions.vkGetPipelineCacheData(device.handle, cache, &count, nil) == VK_SUCCESS, count != storedBytes else {
            return
        }
        var data = [UInt8](repeating: 0, count: count)
        guard unsafe device.functions.vkGetPipelineCacheData(device.handle, cache, &count, &data) == VK_SUCCESS else { return }
        do throws(SoradError) {
            var file = try AtomicFile(cachePath)
            try file.write(SHA256.hash(data) + data)
            try file.commit()
        } catch {}
    }
}
