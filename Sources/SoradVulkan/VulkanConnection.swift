// Owns one opened device: its functions, its queue, the layout that all pipelines share, what it did, and the first thing that went wrong.
//
// Invariant: after a fault nothing is recorded or submitted any more, and `fault` is what whoever waits throws.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import SoradSystem
import SoradTensor

/// What a test can make go wrong.
public struct VulkanFaults: Sendable {
    /// The allocation of this number fails, counted from 0.
    public var failedAllocation: Int?
    /// The device is lost with the submission of this number.
    public var lostAtSubmission: Int?
    /// Every result of one operation has a wrong bit.
    public var lyingOperation: VulkanOperation?

    public init() {}
}

/// What a device did, for tests and reports.
public struct VulkanCounters: Sendable {
    public internal(set) var dispatches = 0
    public internal(set) var submissions = 0
    /// Command buffers that were recorded, and those that were submitted again as they were.
    public internal(set) var recordings = 0
    public internal(set) var replays = 0
    public internal(set) var bytesUploaded = 0
    public internal(set) var bytesDownloaded = 0
    public internal(set) var allocations = 0
    /// Multiply-adds of the longest submission, and the limit that submissions have.
    public internal(set) var longestSubmission = 0
    public internal(set) var submissionLimit = 0
    /// Time that the device computed, by its own clock.
    public internal(set) var secondsOnDevice = 0.0
    /// Operations whose results were compared with the CPU's.
    public internal(set) var samples = 0
}

@safe final class VulkanConnection: @unchecked Sendable {
    /// Buffers that a shader can have, and words of its parameters: the bindings' first words, then its own.
    static let bindingCount = 10
    static let parameterWords = 32

    let info: VulkanDeviceInfo
    let functions: sorad_vulkan_device
    let handle: VkDevice
    let queue: VkQueue
    let memoryTypes: VkPhysicalDeviceMemoryProperties
    let setLayout: VkDescriptorSetLayout
    let pipelineLayout: VkPipelineLayout
    let faults: VulkanFaults
    private let instance: VulkanInstance
    private(set) var fault: SoradError?
    var counters = VulkanCounters()

    /// - Throws: `.unavailable` when the device lacks something or cannot be opened.
    init(
        _ instance: VulkanInstance, _ device: VkPhysicalDevice, _ info: VulkanDeviceInfo, submissionLimit: Int, faults: VulkanFaults
    ) throws(SoradError) {
        guard info.missing.isEmpty else {
            throw SoradError(.unavailable, "\(info.name) cannot be used: it lacks \(info.missing.joined(separator: ", "))")
        }
        self.info = info
        self.instance = instance
        self.faults = faults
        counters.submissionLimit = submissionLimit
        var memoryTypes = VkPhysicalDeviceMemoryProperties()
        unsafe instance.functions.vkGetPhysicalDeviceMemoryProperties(device, &memoryTypes)
        self.memoryTypes = memoryTypes
        let (result, made) = unsafe Self.open(instance, device, info)
        try Self.check(result, "device", info)
        guard let handle = unsafe made else { throw SoradError(.unavailable, "\(info.name) cannot be used: no device") }
        var functions = sorad_vulkan_device()
        if let name = unsafe sorad_vulkan_device_functions(instance.handle, handle, &functions) {
            throw SoradError(.unavailable, "\(info.name) cannot be used: its driver lacks \(unsafe String(cString: name))")
        }
        unsafe self.handle = handle
        self.functions = functions
        var queue: VkQueue?
        unsafe functions.vkGetDeviceQueue(handle, info.queueFamily, 0, &queue)
        unsafe self.queue = queue!
        let (layoutResult, set, pipeline) = unsafe Self.layouts(functions, handle)
        try Self.check(layoutResult, "layout", info)
        unsafe (setLayout, pipelineLayout) = (set!, pipeline!)
    }

    deinit {
        unsafe functions.vkDestroyPipelineLayout(handle, pipelineLayout, nil)
        unsafe functions.vkDestroyDescriptorSetLayout(handle, setLayout, nil)
        unsafe functions.vkDestroyDevice(handle, nil)
    }

    // MARK: Faults

    /// - Throws: `.unavailable` when a call that makes something did not succeed.
    static func check(_ result: VkResult, _ what: String, _ info: VulkanDeviceInfo) throws(SoradError) {
        if result != VK_SUCCESS { throw SoradError(.unavailable, "\(info.name) cannot be used: no \(what) (\(result.sentence))") }
    }

    /// Remembers the first thing that went wrong.
    func fail(_ message: String) {
        guard fault == nil else { return }
        fault = SoradError(.unavailable, "\(info.name): \(message)", hint: "the CPU makes the same frames", code: SoradError.deviceFailed)
    }

    /// Whether a call succeeded; a fault when not.
    func succeeded(_ result: VkResult, _ what: String) -> Bool {
        if result != VK_SUCCESS { fail("\(what) failed: \(result.sentence)") }
        return result == VK_SUCCESS
    }

    /// Waits until nothing runs, also after a fault, when what was submitted before it may still run.
    func rest() { unsafe _ = functions.vkDeviceWaitIdle(handle) }

    // MARK: Opening

    private static func open(_ instance: VulkanInstance, _ device: VkPhysicalDevice, _ info: VulkanDeviceInfo) -> (VkResult, VkDevice?) {
        var priority: Float = 0.5
        var queueInfo = unsafe VkDeviceQueueCreateInfo()
        unsafe queueInfo.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
        unsafe (queueInfo.queueFamilyIndex, queueInfo.queueCount) = (info.queueFamily, 1)
        var fma = unsafe sorad_vulkan_shader_fma_features()
        unsafe fma.sType = VkStructureType(UInt32(SORAD_VULKAN_SHADER_FMA_FEATURES))
        unsafe fma.float32 = 1
        var newer = unsafe VkPhysicalDeviceVulkan13Features()
        unsafe newer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES
        unsafe (newer.shaderIntegerDotProduct, newer.synchronization2, newer.maintenance4) = (1, 1, 1)
        var features = unsafe VkPhysicalDeviceFeatures2()
        unsafe features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2
        unsafe features.features.shaderFloat64 = info.float64 ? 1 : 0
        var create = unsafe VkDeviceCreateInfo()
        unsafe create.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
        unsafe create.queueCreateInfoCount = 1
        var made: VkDevice?
        let result = unsafe "VK_KHR_push_descriptor".withCString { push in
            unsafe "VK_KHR_shader_fma".withCString { fused in
                var names: [UnsafePointer<CChar>?] = unsafe info.shaderFMA ? [push, fused] : [push]
                return unsafe names.withUnsafeMutableBufferPointer { names in
                    unsafe withUnsafePointer(to: &priority) { priority in
                        unsafe queueInfo.pQueuePriorities = unsafe priority
                        return unsafe withUnsafePointer(to: &queueInfo) { queueInfo in
                            unsafe withUnsafeMutablePointer(to: &fma) { fma in
                                if info.shaderFMA { unsafe newer.pNext = UnsafeMutableRawPointer(fma) }
                                return unsafe withUnsafeMutablePointer(to: &newer) { newer in
                                    unsafe features.pNext = UnsafeMutableRawPointer(newer)
                                    return unsafe withUnsafeMutablePointer(to: &features) { features in
                                        unsafe create.pNext = UnsafeRawPointer(features)
                                        unsafe create.pQueueCreateInfos = unsafe queueInfo
                                        unsafe create.enabledExtensionCount = UInt32(names.count)
                                        unsafe create.ppEnabledExtensionNames = unsafe UnsafePointer(names.baseAddress)
                                        return unsafe instance.functions.vkCreateDevice(device, &create, nil, &made)
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        return unsafe (result, made)
    }

    /// The one layout of all pipelines: ten buffers, pushed with each dispatch, and 128 bytes of parameters.
    private static func layouts(_ functions: sorad_vulkan_device, _ handle: VkDevice) -> (
        VkResult, VkDescriptorSetLayout?, VkPipelineLayout?
    ) {
        var bindings = unsafe (0..<bindingCount).map { index in
            var binding = unsafe VkDescriptorSetLayoutBinding()
            unsafe (binding.binding, binding.descriptorCount) = (UInt32(index), 1)
            unsafe binding.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
            unsafe binding.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
            return unsafe binding
        }
        var set: VkDescriptorSetLayout?
        var result = unsafe bindings.withUnsafeMutableBufferPointer { bindings in
            var info = unsafe VkDescriptorSetLayoutCreateInfo()
            unsafe info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO
            unsafe info.flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR.rawValue
            unsafe (info.bindingCount, info.pBindings) = (UInt32(bindingCount), UnsafePointer(bindings.baseAddress))
            return unsafe functions.vkCreateDescriptorSetLayout(handle, &info, nil, &set)
        }
        guard result == VK_SUCCESS else { return (result, nil, nil) }
        var range = VkPushConstantRange(
            stageFlags: VK_SHADER_STAGE_COMPUTE_BIT.rawValue, offset: 0, size: UInt32(parameterWords * 4))
        var pipeline: VkPipelineLayout?
        result = unsafe withUnsafePointer(to: &set) { set in
            unsafe withUnsafePointer(to: &range) { range in
                var info = unsafe VkPipelineLayoutCreateInfo()
                unsafe info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO
                unsafe (info.setLayoutCount, info.pSetLayouts) = (1, set)
                unsafe (info.pushConstantRangeCount, info.pPushConstantRanges) = (1, range)
                return unsafe functions.vkCreatePipelineLayout(handle, &info, nil, &pipeline)
            }
        }
        return unsafe (result, set, pipeline)
    }
}
