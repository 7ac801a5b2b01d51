// Owns one logical device: its queue, its memory, the commands that are being recorded and those that run, and the first thing that went
// wrong.
//
// Invariants: commands run in the order in which they were recorded, each after all before it. Memory that is given back is freed when the commands that may use it have run. After a fault nothing is recorded any more,
// and downloads give zeros: `fault` is what whoever waits throws.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import Glibc
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

/// A block of device memory.
@safe final class VulkanBlock: @unchecked Sendable {
    let byteCount: Int
    let buffer: VkBuffer
    let memory: VkDeviceMemory
    private let device: VulkanDevice

    init(_ device: VulkanDevice, byteCount: Int, buffer: VkBuffer, memory: VkDeviceMemory) {
        self.device = device
        self.byteCount = byteCount
        unsafe (self.buffer, self.memory) = (buffer, memory)
    }

    deinit { unsafe device.retire(buffer, memory) }
}

/// Bytes of a block that a shader sees under one binding.
struct VulkanBinding {
    /// Nil after an allocation that failed: the device has a fault then.
    let block: VulkanBlock?
    let offset, count: Int
}

@safe final class VulkanDevice: @unchecked Sendable {
    /// Buffers that a shader can have, and words of its parameters: the bindings' first words, then its own.
    static let bindingCount = 10
    static let parameterWords = 32
    /// Submissions that may be under way.
    private static let batchCount = 3
    private static let stagingBytes = 8 << 20
    /// Nanoseconds after which a device that does not answer counts as lost. A processor that plays a device may be slow.
    private static let answerLimit: UInt64 = 120_000_000_000

    let info: VulkanDeviceInfo
    let functions: sorad_vulkan_device
    let handle: VkDevice
    private let instance: VulkanInstance
    private let queue: VkQueue
    private let commandPool: VkCommandPool
    private let queries: VkQueryPool
    private let memoryTypes: VkPhysicalDeviceMemoryProperties
    let setLayout: VkDescriptorSetLayout
    let pipelineLayout: VkPipelineLayout
    private let faults: VulkanFaults
    private(set) var fault: SoradError?
    var counters = VulkanCounters()

    @safe private struct Batch {
        let commands: VkCommandBuffer
        let fence: VkFence
        var isRunning = false
    }
    private var batches: [Batch] = []
    /// The batch that is recorded, or next.
    private var current = 0
    private var isRecording = false
    private var recordedWork = 0
    private var staging: (block: VulkanBlock, address: UnsafeMutableRawPointer)?
    private var stagingUsed = 0
    private var retired: [(buffer: VkBuffer, memory: VkDeviceMemory)] = unsafe []
    private let writes: UnsafeMutablePointer<VkWriteDescriptorSet>
    private let bufferInfos: UnsafeMutablePointer<VkDescriptorBufferInfo>

    /// - Parameter submissionLimit: multiply-adds after which commands are submitted: short enough for watchdogs, and for a cancel.
    /// - Throws: `.unavailable` when the device lacks something or cannot be opened.
    init(
        _ instance: VulkanInstance, _ device: VkPhysicalDevice, _ info: VulkanDeviceInfo, submissionLimit: Int, faults: VulkanFaults
    ) throws(SoradError) {
        guard info.missing.isEmpty else {
            throw SoradError(.unavailable, "\(info.name) cannot be used: it lacks \(info.missing.joined(separator: ", "))")
        }
        func check(_ result: VkResult, _ what: String) throws(SoradError) {
            if result != VK_SUCCESS { throw SoradError(.unavailable, "\(info.name) cannot be used: no \(what) (\(result.sentence))") }
        }
        self.info = info
        self.instance = instance
        self.faults = faults
        counters.submissionLimit = submissionLimit
        var memoryTypes = VkPhysicalDeviceMemoryProperties()
        unsafe instance.functions.vkGetPhysicalDeviceMemoryProperties(device, &memoryTypes)
        self.memoryTypes = memoryTypes
        let (result, made) = unsafe Self.open(instance, device, info)
        try check(result, "device")
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

        var poolInfo = unsafe VkCommandPoolCreateInfo()
        unsafe poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
        unsafe poolInfo.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT.rawValue
        unsafe poolInfo.queueFamilyIndex = info.queueFamily
        var pool: VkCommandPool?
        try check(unsafe functions.vkCreateCommandPool(handle, &poolInfo, nil, &pool), "command pool")
        unsafe commandPool = pool!

        var queryInfo = unsafe VkQueryPoolCreateInfo()
        unsafe queryInfo.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO
        unsafe (queryInfo.queryType, queryInfo.queryCount) = (VK_QUERY_TYPE_TIMESTAMP, UInt32(2 * Self.batchCount))
        var queries: VkQueryPool?
        try check(unsafe functions.vkCreateQueryPool(handle, &queryInfo, nil, &queries), "clock")
        unsafe self.queries = queries!

        let (layoutResult, set, pipeline) = unsafe Self.layouts(functions, handle)
        try check(layoutResult, "layout")
        unsafe (setLayout, pipelineLayout) = (set!, pipeline!)

        unsafe writes = .allocate(capacity: Self.bindingCount)
        unsafe bufferInfos = .allocate(capacity: Self.bindingCount)
        unsafe bufferInfos.initialize(repeating: VkDescriptorBufferInfo(), count: Self.bindingCount)
        for index in 0..<Self.bindingCount {
            var write = unsafe VkWriteDescriptorSet()
            unsafe write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET
            unsafe (write.dstBinding, write.descriptorCount) = (UInt32(index), 1)
            unsafe write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
            unsafe write.pBufferInfo = UnsafePointer(bufferInfos + index)
            unsafe (writes + index).initialize(to: write)
        }
        for _ in 0..<Self.batchCount { batches.append(try makeBatch(check)) }
    }

    deinit {
        rest()
        unsafe staging = nil
        freeRetired()
        for batch in batches { unsafe functions.vkDestroyFence(handle, batch.fence, nil) }
        unsafe functions.vkDestroyQueryPool(handle, queries, nil)
        unsafe functions.vkDestroyCommandPool(handle, commandPool, nil)
        unsafe functions.vkDestroyPipelineLayout(handle, pipelineLayout, nil)
        unsafe functions.vkDestroyDescriptorSetLayout(handle, setLayout, nil)
        unsafe functions.vkDestroyDevice(handle, nil)
        unsafe writes.deallocate()
        unsafe bufferInfos.deallocate()
    }

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

    private func makeBatch(_ check: (VkResult, String) throws(SoradError) -> Void) throws(SoradError) -> Batch {
        var info = unsafe VkCommandBufferAllocateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
        unsafe (info.commandPool, info.commandBufferCount) = (commandPool, 1)
        var commands: VkCommandBuffer?
        try check(unsafe functions.vkAllocateCommandBuffers(handle, &info, &commands), "command buffer")
        var fenceInfo = unsafe VkFenceCreateInfo()
        unsafe fenceInfo.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO
        var fence: VkFence?
        try check(unsafe functions.vkCreateFence(handle, &fenceInfo, nil, &fence), "fence")
        return unsafe Batch(commands: commands!, fence: fence!)
    }

    // MARK: Faults

    /// Remembers the first thing that went wrong; nothing is recorded afterwards.
    func fail(_ message: String) {
        guard fault == nil else { return }
        fault = SoradError(.unavailable, "\(info.name): \(message)", hint: "the CPU makes the same frames", code: SoradError.deviceFailed)
        isRecording = false
    }

    private func succeeded(_ result: VkResult, _ what: String) -> Bool {
        if result != VK_SUCCESS { fail("\(what) failed: \(result.sentence)") }
        return result == VK_SUCCESS
    }

    // MARK: Memory

    /// A block of `byteCount` bytes of any content; nil, and a fault, when there is no memory.
    /// - Parameter isStaging: memory that the host addresses.
    func allocate(byteCount: Int, isStaging: Bool = false) -> VulkanBlock? {
        guard fault == nil else { return nil }
        defer { counters.allocations += 1 }
        let size = max((byteCount + 255) / 256 * 256, 256)
        guard counters.allocations != faults.failedAllocation, size <= info.largestAllocation else {
            fail("\(size) bytes of memory: \(VK_ERROR_OUT_OF_DEVICE_MEMORY.sentence)")
            return nil
        }
        var info = unsafe VkBufferCreateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO
        unsafe info.size = VkDeviceSize(size)
        unsafe info.usage =
            VK_BUFFER_USAGE_STORAGE_BUFFER_BIT.rawValue | VK_BUFFER_USAGE_TRANSFER_SRC_BIT.rawValue
            | VK_BUFFER_USAGE_TRANSFER_DST_BIT.rawValue
        var buffer: VkBuffer?
        guard succeeded(unsafe functions.vkCreateBuffer(handle, &info, nil, &buffer), "a buffer") else { return nil }
        var needed = VkMemoryRequirements()
        unsafe functions.vkGetBufferMemoryRequirements(handle, buffer, &needed)
        var memory: VkDeviceMemory?
        var result = VK_ERROR_OUT_OF_DEVICE_MEMORY
        for type in types(isStaging: isStaging) where needed.memoryTypeBits & 1 << type != 0 {
            var request = unsafe VkMemoryAllocateInfo()
            unsafe request.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO
            unsafe (request.allocationSize, request.memoryTypeIndex) = (needed.size, type)
            result = unsafe functions.vkAllocateMemory(handle, &request, nil, &memory)
            if result == VK_SUCCESS { break }
        }
        if result == VK_SUCCESS { result = unsafe functions.vkBindBufferMemory(handle, buffer, memory, 0) }
        guard succeeded(result, "\(size) bytes of memory") else {
            unsafe functions.vkDestroyBuffer(handle, buffer, nil)
            if unsafe memory != nil { unsafe functions.vkFreeMemory(handle, memory, nil) }
            return nil
        }
        return unsafe VulkanBlock(self, byteCount: size, buffer: buffer!, memory: memory!)
    }

    /// Memory types to try, best first.
    private func types(isStaging: Bool) -> [UInt32] {
        var types = memoryTypes.memoryTypes
        let flags = unsafe withUnsafeBytes(of: &types) { bytes in
            unsafe bytes.bindMemory(to: VkMemoryType.self).prefix(Int(memoryTypes.memoryTypeCount)).map(\.propertyFlags)
        }
        let host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT.rawValue | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT.rawValue
        let better = isStaging ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT.rawValue : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT.rawValue
        let fit = flags.indices.filter { !isStaging || flags[$0] & host == host }
        return (fit.filter { flags[$0] & better != 0 } + fit.filter { flags[$0] & better == 0 }).map(UInt32.init)
    }

    fileprivate func retire(_ buffer: VkBuffer, _ memory: VkDeviceMemory) {
        unsafe retired.append((buffer, memory))
        // While nothing runs nobody reads it.
        if !isRecording && batches.allSatisfy({ !$0.isRunning }) { freeRetired() }
    }

    private func freeRetired() {
        for unsafe(buffer, memory) in unsafe retired {
            unsafe functions.vkDestroyBuffer(handle, buffer, nil)
            unsafe functions.vkFreeMemory(handle, memory, nil)
        }
        unsafe retired.removeAll()
    }

    /// Fills a block with zeros.
    func clear(_ block: VulkanBlock) {
        unsafe record { commands in
            unsafe barrier(commands)
            unsafe functions.vkCmdFillBuffer(commands, block.buffer, 0, VkDeviceSize(block.byteCount), 0)
        }
    }

    /// Makes word `offset / 4` of a block another one: what a lying device does.
    func corrupt(_ block: VulkanBlock, at offset: Int) {
        unsafe record { commands in
            unsafe barrier(commands)
            unsafe functions.vkCmdFillBuffer(commands, block.buffer, VkDeviceSize(offset), 4, 0x3F80_0001)
        }
    }

    func upload(_ bytes: RawSpan, to block: VulkanBlock, at offset: Int) {
        counters.bytesUploaded += bytes.byteCount
        var done = 0
        while done < bytes.byteCount {
            guard let (from, place, count) = unsafe room(for: bytes.byteCount - done) else { return }
            unsafe bytes.withUnsafeBytes { source in
                unsafe (from + place).copyMemory(from: source.baseAddress! + done, byteCount: count)
            }
            unsafe copy(staging!.block, place, to: block, offset + done, count)
            done += count
        }
    }

    func download(from block: VulkanBlock, at offset: Int, into bytes: inout MutableRawSpan) {
        let total = bytes.byteCount
        counters.bytesDownloaded += total
        unsafe bytes.withUnsafeMutableBytes { target in
            var done = 0
            while done < total {
                guard let (from, place, count) = unsafe room(for: total - done) else { break }
                unsafe copy(block, offset + done, to: staging!.block, place, count)
                unsafe record { commands in unsafe hostBarrier(commands) }
                settle()
                guard fault == nil else { break }
                unsafe (target.baseAddress! + done).copyMemory(from: from + place, byteCount: count)
                done += count
            }
            if done < total { unsafe memset(target.baseAddress! + done, 0, total - done) }
        }
    }

    /// Up to `count` bytes of staging memory, whole words; waits when all is in use.
    private func room(for count: Int) -> (address: UnsafeMutableRawPointer, place: Int, count: Int)? {
        if unsafe staging == nil {
            guard let block = allocate(byteCount: Self.stagingBytes, isStaging: true) else { return nil }
            var address: UnsafeMutableRawPointer?
            guard
                succeeded(
                    unsafe functions.vkMapMemory(handle, block.memory, 0, VkDeviceSize(block.byteCount), 0, &address), "staging memory")
            else { return nil }
            unsafe staging = (block, address!)
        }
        if stagingUsed + min(count, Self.stagingBytes / 4) > Self.stagingBytes { settle() }
        guard fault == nil, let staging = unsafe staging else { return nil }
        let part = min(count, Self.stagingBytes - stagingUsed)
        defer { stagingUsed += (part + 255) / 256 * 256 }
        return unsafe (staging.address, stagingUsed, part)
    }

    private func copy(_ source: VulkanBlock, _ from: Int, to target: VulkanBlock, _ place: Int, _ count: Int) {
        unsafe record { commands in
            unsafe barrier(commands)
            var region = VkBufferCopy(srcOffset: VkDeviceSize(from), dstOffset: VkDeviceSize(place), size: VkDeviceSize(count))
            unsafe functions.vkCmdCopyBuffer(commands, source.buffer, target.buffer, 1, &region)
        }
    }

    // MARK: Commands

    /// Adds commands to those that are recorded.
    private func record(_ body: (VkCommandBuffer) -> Void) {
        guard fault == nil, begin() else { return }
        unsafe body(batches[current].commands)
    }

    private func begin() -> Bool {
        if isRecording { return true }
        if batches[current].isRunning { waitFor(current) }
        guard fault == nil else { return false }
        var info = unsafe VkCommandBufferBeginInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
        unsafe info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT.rawValue
        let commands = unsafe batches[current].commands
        guard succeeded(unsafe functions.vkBeginCommandBuffer(commands, &info), "recording") else { return false }
        isRecording = true
        recordedWork = 0
        if hasClock {
            unsafe functions.vkCmdResetQueryPool(commands, queries, UInt32(2 * current), 2)
            unsafe functions.vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, queries, UInt32(2 * current))
        }
        return true
    }

    private var hasClock: Bool { info.timestampBits > 0 }

    /// Everything before is done and visible to everything after.
    private func barrier(_ commands: VkCommandBuffer) {
        let stages = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_TRANSFER_BIT
        let written = VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT
        unsafe barrier(
            commands, from: stages, written, to: stages,
            written | VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_TRANSFER_READ_BIT)
    }

    private func hostBarrier(_ commands: VkCommandBuffer) {
        unsafe barrier(
            commands, from: VK_PIPELINE_STAGE_2_TRANSFER_BIT, VK_ACCESS_2_TRANSFER_WRITE_BIT, to: VK_PIPELINE_STAGE_2_HOST_BIT,
            VK_ACCESS_2_HOST_READ_BIT)
    }

    private func barrier(
        _ commands: VkCommandBuffer, from: VkPipelineStageFlags2, _ before: VkAccessFlags2, to: VkPipelineStageFlags2,
        _ after: VkAccessFlags2
    ) {
        var memory = unsafe VkMemoryBarrier2()
        unsafe memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2
        unsafe (memory.srcStageMask, memory.srcAccessMask, memory.dstStageMask, memory.dstAccessMask) = (from, before, to, after)
        unsafe withUnsafePointer(to: &memory) { memory in
            var dependency = unsafe VkDependencyInfo()
            unsafe dependency.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO
            unsafe (dependency.memoryBarrierCount, dependency.pMemoryBarriers) = (1, memory)
            unsafe functions.vkCmdPipelineBarrier2(commands, &dependency)
        }
    }

    /// Adds one dispatch.
    /// - Parameters:
    ///   - bindings: at most `bindingCount`; nil for one that the shader does not read.
    ///   - parameters: what follows the bindings' first words.
    ///   - work: about as many multiply-adds.
    func dispatch(
        _ pipeline: VkPipeline, _ bindings: [VulkanBinding?], _ parameters: [UInt32], groups: (x: Int, y: Int), work: Int
    ) {
        var words = [UInt32](repeating: 0, count: Self.bindingCount) + parameters
        precondition(words.count <= Self.parameterWords && bindings.count <= Self.bindingCount, "\(words.count) words of parameters")
        guard fault == nil, groups.x > 0, groups.y > 0, let some = bindings.lazy.compactMap(\.self).first else { return }
        for index in 0..<Self.bindingCount {
            let binding = (index < bindings.count ? bindings[index] : nil) ?? some
            let start = binding.offset / info.bindingAlignment * info.bindingAlignment
            let range = (binding.offset + binding.count + 3) / 4 * 4 - start
            guard let block = binding.block else { preconditionFailure("a buffer without memory and a device without a fault") }
            guard range <= info.largestBinding else { return fail("a tensor of \(range) bytes, more than a shader can see") }
            words[index] = UInt32((binding.offset - start) / 4)
            unsafe bufferInfos[index] = VkDescriptorBufferInfo(
                buffer: block.buffer, offset: VkDeviceSize(start), range: VkDeviceSize(max(range, 4)))
        }
        if isRecording && recordedWork + work > counters.submissionLimit { submit() }
        unsafe record { commands in
            unsafe barrier(commands)
            unsafe functions.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline)
            unsafe functions.vkCmdPushDescriptorSetKHR(
                commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipelineLayout, 0, UInt32(Self.bindingCount), writes)
            unsafe functions.vkCmdPushConstants(
                commands, pipelineLayout, VK_SHADER_STAGE_COMPUTE_BIT.rawValue, 0, UInt32(words.count * 4), &words)
            unsafe functions.vkCmdDispatch(commands, UInt32(groups.x), UInt32(groups.y), 1)
            counters.dispatches += 1
            recordedWork += work
        }
    }

    /// Hands over what is recorded.
    func submit() {
        guard isRecording, fault == nil else { return }
        isRecording = false
        let batch = batches[current]
        if hasClock {
            unsafe functions.vkCmdWriteTimestamp2(batch.commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, queries, UInt32(2 * current + 1))
        }
        guard succeeded(unsafe functions.vkEndCommandBuffer(batch.commands), "recording") else { return }
        if counters.submissions == faults.lostAtSubmission { return fail("a submission failed: \(VK_ERROR_DEVICE_LOST.sentence)") }
        var commands = unsafe VkCommandBufferSubmitInfo()
        unsafe commands.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO
        unsafe commands.commandBuffer = batch.commands
        let result = unsafe withUnsafePointer(to: &commands) { commands in
            var info = unsafe VkSubmitInfo2()
            unsafe info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2
            unsafe (info.commandBufferInfoCount, info.pCommandBufferInfos) = (1, commands)
            return unsafe functions.vkQueueSubmit2(queue, 1, &info, batch.fence)
        }
        guard succeeded(result, "a submission") else { return }
        batches[current].isRunning = true
        counters.submissions += 1
        counters.longestSubmission = max(counters.longestSubmission, recordedWork)
        recordedWork = 0
        current = (current + 1) % Self.batchCount
    }

    private func waitFor(_ index: Int) {
        var fence: VkFence? = unsafe batches[index].fence
        let result = unsafe functions.vkWaitForFences(handle, 1, &fence, 1, Self.answerLimit)
        guard succeeded(result, "a submission"), unsafe succeeded(functions.vkResetFences(handle, 1, &fence), "a submission") else {
            return
        }
        batches[index].isRunning = false
        guard hasClock else { return }
        var ticks: [UInt64] = [0, 0]
        let read = unsafe functions.vkGetQueryPoolResults(
            handle, queries, UInt32(2 * index), 2, 16, &ticks, 8, VK_QUERY_RESULT_64_BIT.rawValue)
        if read == VK_SUCCESS { counters.secondsOnDevice += Double(ticks[1] &- ticks[0]) * info.nanosecondsPerTick * 1e-9 }
    }

    /// Waits until nothing runs, also after a fault, when what was submitted before it may still run.
    func rest() { unsafe _ = functions.vkDeviceWaitIdle(handle) }

    /// Submits and waits for everything.
    func settle() {
        submit()
        for step in 0..<Self.batchCount {
            let index = (current + step) % Self.batchCount
            if fault == nil, batches[index].isRunning { waitFor(index) }
        }
        guard fault == nil else { return }
        stagingUsed = 0
        freeRetired()
    }
}
