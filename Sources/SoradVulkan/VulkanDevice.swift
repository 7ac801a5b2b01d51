// Owns a device's memory: blocks, those that wait to be freed, and the memory through which bytes pass between host and device; and turns
// an operation's bindings into a command.
//
// Invariants: memory that is given back is freed when the commands that may use it have run. After a fault downloads give zeros. What is
// written for the device stays until `beginEpoch`, at a place that depends only on what was written since the one before: so a step's
// uploads are the same commands as those of the step before.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import Glibc
import SoradSystem
import SoradTensor

/// A block of device memory.
@safe final class VulkanBlock: @unchecked Sendable {
    private let device: VulkanDevice
    private let memory: VulkanDevice.Memory

    fileprivate init(_ device: VulkanDevice, _ memory: VulkanDevice.Memory) { (self.device, self.memory) = (device, memory) }

    deinit { device.retire(memory) }

    var byteCount: Int { memory.byteCount }
    /// As commands name it.
    var name: UInt { memory.name }
}

/// Bytes of a block that a shader sees under one binding.
struct VulkanBinding {
    /// Name of the block; nil after an allocation that failed: the device has a fault then.
    let buffer: UInt?
    let offset, count: Int
}

@safe final class VulkanDevice: @unchecked Sendable {
    private static let stagingBytes = 8 << 20

    let connection: VulkanConnection
    let commands: VulkanCommands
    /// From the host, and to it.
    private var up: Staging?
    private var down: Staging?
    private var retired: [Memory] = []

    @safe struct Memory {
        let buffer: VkBuffer
        let memory: VkDeviceMemory
        let byteCount: Int
        /// As commands name it.
        var name: UInt { unsafe UInt(bitPattern: buffer) }
    }

    /// Memory that both sides address.
    @safe private struct Staging {
        let memory: Memory
        let address: UnsafeMutableRawPointer
        var used = 0
    }

    /// - Parameter submissionLimit: multiply-adds after which commands are submitted: short enough for watchdogs, and for a cancel.
    /// - Throws: `.unavailable` when the device lacks something or cannot be opened.
    init(
        _ instance: VulkanInstance, _ device: VkPhysicalDevice, _ info: VulkanDeviceInfo, submissionLimit: Int, faults: VulkanFaults
    ) throws(SoradError) {
        connection = unsafe try VulkanConnection(instance, device, info, submissionLimit: submissionLimit, faults: faults)
        commands = try VulkanCommands(connection)
    }

    deinit {
        connection.rest()
        for memory in [up?.memory, down?.memory].compactMap(\.self) + retired { free(memory) }
    }

    var info: VulkanDeviceInfo { connection.info }
    var functions: sorad_vulkan_device { connection.functions }
    var handle: VkDevice { unsafe connection.handle }
    var fault: SoradError? { connection.fault }
    var counters: VulkanCounters {
        get { connection.counters }
        set { connection.counters = newValue }
    }

    func fail(_ message: String) { connection.fail(message) }

    // MARK: Memory

    /// A block of `byteCount` bytes of any content; nil, and a fault, when there is no memory.
    func allocate(byteCount: Int) -> VulkanBlock? {
        guard fault == nil else { return nil }
        if let memory = allocate(byteCount, isStaging: false) { return VulkanBlock(self, memory) }
        fail("\(Self.rounded(byteCount)) bytes of memory: \(VK_ERROR_OUT_OF_DEVICE_MEMORY.sentence)")
        return nil
    }

    /// The same, but nil and no fault when there is no memory.
    func allocateIfPossible(byteCount: Int) -> VulkanBlock? {
        guard fault == nil, let memory = allocate(byteCount, isStaging: false) else { return nil }
        return VulkanBlock(self, memory)
    }

    private static func rounded(_ byteCount: Int) -> Int { max((byteCount + 255) / 256 * 256, 256) }

    /// - Parameter isStaging: memory that the host addresses.
    private func allocate(_ byteCount: Int, isStaging: Bool) -> Memory? {
        defer { counters.allocations += 1 }
        let size = Self.rounded(byteCount)
        guard counters.allocations != connection.faults.failedAllocation, size <= info.largestAllocation else { return nil }
        var info = unsafe VkBufferCreateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO
        unsafe info.size = VkDeviceSize(size)
        unsafe info.usage =
            VK_BUFFER_USAGE_STORAGE_BUFFER_BIT.rawValue | VK_BUFFER_USAGE_TRANSFER_SRC_BIT.rawValue
            | VK_BUFFER_USAGE_TRANSFER_DST_BIT.rawValue
        var buffer: VkBuffer?
        guard unsafe functions.vkCreateBuffer(handle, &info, nil, &buffer) == VK_SUCCESS else { return nil }
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
        guard result == VK_SUCCESS else {
            unsafe functions.vkDestroyBuffer(handle, buffer, nil)
            if unsafe memory != nil { unsafe functions.vkFreeMemory(handle, memory, nil) }
            return nil
        }
        return unsafe Memory(buffer: buffer!, memory: memory!, byteCount: size)
    }

    /// Memory types to try, best first.
    private func types(isStaging: Bool) -> [UInt32] {
        var types = connection.memoryTypes.memoryTypes
        let flags = unsafe withUnsafeBytes(of: &types) { bytes in
            unsafe bytes.bindMemory(to: VkMemoryType.self).prefix(Int(connection.memoryTypes.memoryTypeCount)).map(\.propertyFlags)
        }
        let host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT.rawValue | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT.rawValue
        let better = isStaging ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT.rawValue : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT.rawValue
        let fit = flags.indices.filter { !isStaging || flags[$0] & host == host }
        return (fit.filter { flags[$0] & better != 0 } + fit.filter { flags[$0] & better == 0 }).map(UInt32.init)
    }

    fileprivate func retire(_ memory: Memory) {
        commands.forget(buffer: memory.name)
        retired.append(memory)
        // While nothing runs nobody reads it.
        if commands.isIdle { freeRetired() }
    }

    private func freeRetired() {
        for memory in retired { free(memory) }
        retired.removeAll()
    }

    private func free(_ memory: Memory) {
        unsafe functions.vkDestroyBuffer(handle, memory.buffer, nil)
        unsafe functions.vkFreeMemory(handle, memory.memory, nil)
    }

    // MARK: Bytes

    /// Fills a block with zeros.
    func clear(_ block: VulkanBlock) {
        commands.add(.fill(VulkanRange(buffer: block.name, offset: 0, count: block.byteCount), with: 0))
    }

    /// Makes word `offset / 4` of a block another one: what a lying device does.
    func corrupt(_ block: VulkanBlock, at offset: Int) {
        commands.add(.fill(VulkanRange(buffer: block.name, offset: offset, count: 4), with: 0x3F80_0001))
    }

    func upload(_ bytes: RawSpan, to block: VulkanBlock, at offset: Int) {
        counters.bytesUploaded += bytes.byteCount
        unsafe bytes.withUnsafeBytes { source in
            for first in stride(from: 0, to: source.count, by: Self.stagingBytes / 4) {
                let part = unsafe UnsafeRawBufferPointer(rebasing: source[first..<min(first + Self.stagingBytes / 4, source.count)])
                guard let range = unsafe write(part) else { return }
                commands.add(.copy(range, to: block.name, at: offset + first))
            }
        }
    }

    /// Numbers that the host writes for a shader: what is another number in every step.
    func numbers(_ values: [Float]) -> VulkanBinding {
        counters.bytesUploaded += values.count * 4
        let range = unsafe values.withUnsafeBytes { unsafe write($0) }
        return VulkanBinding(buffer: range?.buffer, offset: range?.offset ?? 0, count: values.count * 4)
    }

    /// Writes at most a quarter of the staging memory there; waits when all is in use. Nil, and a fault, when there is none.
    private func write(_ bytes: UnsafeRawBufferPointer) -> VulkanRange? {
        if up == nil { up = makeStaging() }
        let count = Self.rounded(bytes.count)
        if let staging = up, staging.used + count > Self.stagingBytes { beginEpoch() }
        guard fault == nil, let staging = up else { return nil }
        unsafe (staging.address + staging.used).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        up!.used += count
        return VulkanRange(buffer: staging.memory.name, offset: staging.used, count: bytes.count)
    }

    private func makeStaging() -> Staging? {
        guard fault == nil else { return nil }
        guard let memory = allocate(Self.stagingBytes, isStaging: true) else {
            fail("\(Self.stagingBytes) bytes of staging memory: \(VK_ERROR_OUT_OF_DEVICE_MEMORY.sentence)")
            return nil
        }
        var address: UnsafeMutableRawPointer?
        let result = unsafe functions.vkMapMemory(handle, memory.memory, 0, VkDeviceSize(memory.byteCount), 0, &address)
        guard connection.succeeded(result, "staging memory"), let address = unsafe address else {
            free(memory)
            return nil
        }
        return unsafe Staging(memory: memory, address: address)
    }

    func download(from block: VulkanBlock, at offset: Int, into bytes: inout MutableRawSpan) {
        let total = bytes.byteCount
        counters.bytesDownloaded += total
        if down == nil { down = makeStaging() }
        unsafe bytes.withUnsafeMutableBytes { target in
            var done = 0
            while done < total, fault == nil, let staging = down {
                let count = min(total - done, Self.stagingBytes)
                // In a command buffer of its own, so that those before and behind it are the same with and without it.
                commands.interrupt()
                commands.add(
                    .copy(VulkanRange(buffer: block.name, offset: offset + done, count: count), to: staging.memory.name, at: 0))
                commands.add(.showHost)
                settle()
                guard fault == nil else { break }
                unsafe (target.baseAddress! + done).copyMemory(from: staging.address, byteCount: count)
                done += count
            }
            if done < total { unsafe memset(target.baseAddress! + done, 0, total - done) }
        }
    }

    // MARK: Commands

    /// Adds one dispatch.
    /// - Parameters:
    ///   - bindings: at most `bindingCount`; nil for one that the shader does not read.
    ///   - parameters: what follows the bindings' first words.
    ///   - work: about as many multiply-adds.
    func dispatch(
        _ pipeline: VkPipeline, _ bindings: [VulkanBinding?], _ parameters: [UInt32], groups: (x: Int, y: Int), work: Int
    ) {
        let most = VulkanConnection.bindingCount
        var words = [UInt32](repeating: 0, count: most) + parameters
        precondition(words.count <= VulkanConnection.parameterWords && bindings.count <= most, "\(words.count) words of parameters")
        guard fault == nil, groups.x > 0, groups.y > 0, let some = bindings.lazy.compactMap(\.self).first else { return }
        var ranges: [VulkanRange] = []
        ranges.reserveCapacity(most)
        for index in 0..<most {
            let binding = (index < bindings.count ? bindings[index] : nil) ?? some
            let start = binding.offset / info.bindingAlignment * info.bindingAlignment
            let count = max((binding.offset + binding.count + 3) / 4 * 4 - start, 4)
            guard let buffer = binding.buffer else { preconditionFailure("a buffer without memory and a device without a fault") }
            guard count <= info.largestBinding else { return fail("a tensor of \(count) bytes, more than a shader can see") }
            words[index] = UInt32((binding.offset - start) / 4)
            ranges.append(VulkanRange(buffer: buffer, offset: start, count: count))
        }
        let name = UInt(bitPattern: pipeline)
        commands.add(
            .dispatch(
                VulkanDispatch(pipeline: name, bindings: ranges, words: words, groupsX: UInt32(groups.x), groupsY: UInt32(groups.y))),
            work: work)
    }

    /// Hands over what is recorded.
    func submit() { commands.submit() }

    /// Submits and waits for everything.
    func settle() {
        commands.settle()
        if fault == nil { freeRetired() }
    }

    /// Waits for everything; nothing that the host has written is read any more.
    func beginEpoch() {
        settle()
        up?.used = 0
    }
}
