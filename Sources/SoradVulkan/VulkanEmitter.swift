// Writes commands into command buffers, each behind a barrier, and reads a device's clock.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan

@safe final class VulkanEmitter {
    private let device: VulkanConnection
    private let writes: UnsafeMutablePointer<VkWriteDescriptorSet>
    private let bufferInfos: UnsafeMutablePointer<VkDescriptorBufferInfo>

    init(_ device: VulkanConnection) {
        self.device = device
        let count = VulkanConnection.bindingCount
        unsafe writes = .allocate(capacity: count)
        unsafe bufferInfos = .allocate(capacity: count)
        unsafe bufferInfos.initialize(repeating: VkDescriptorBufferInfo(), count: count)
        for index in 0..<count {
            var write = unsafe VkWriteDescriptorSet()
            unsafe write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET
            unsafe (write.dstBinding, write.descriptorCount) = (UInt32(index), 1)
            unsafe write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
            unsafe write.pBufferInfo = UnsafePointer(bufferInfos + index)
            unsafe (writes + index).initialize(to: write)
        }
    }

    deinit {
        unsafe writes.deallocate()
        unsafe bufferInfos.deallocate()
    }

    /// - Returns: false, and a fault, when it cannot be recorded.
    func begin(_ buffer: VulkanCommandBuffer, _ pool: VulkanCommandPool) -> Bool {
        var info = unsafe VkCommandBufferBeginInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
        guard device.succeeded(unsafe device.functions.vkBeginCommandBuffer(buffer.handle, &info), "recording") else { return false }
        if let query = buffer.query {
            unsafe device.functions.vkCmdResetQueryPool(buffer.handle, pool.queries, query, 2)
            unsafe device.functions.vkCmdWriteTimestamp2(buffer.handle, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, pool.queries, query)
        }
        return true
    }

    func end(_ buffer: VulkanCommandBuffer, _ pool: VulkanCommandPool) -> Bool {
        if let query = buffer.query {
            unsafe device.functions.vkCmdWriteTimestamp2(buffer.handle, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, pool.queries, query + 1)
        }
        return device.succeeded(unsafe device.functions.vkEndCommandBuffer(buffer.handle), "recording")
    }

    /// Between the two times that a command buffer which has run wrote down.
    func seconds(_ buffer: VulkanCommandBuffer, _ pool: VulkanCommandPool) -> Double {
        guard let query = buffer.query else { return 0 }
        var ticks: [UInt64] = [0, 0]
        let read = unsafe device.functions.vkGetQueryPoolResults(
            device.handle, pool.queries, query, 2, 16, &ticks, 8, VK_QUERY_RESULT_64_BIT.rawValue)
        return read == VK_SUCCESS ? Double(ticks[1] &- ticks[0]) * device.info.nanosecondsPerTick * 1e-9 : 0
    }

    func emit(_ command: VulkanCommand, buffer: VulkanCommandBuffer) {
        let (functions, commands) = unsafe (device.functions, buffer.handle)
        switch command {
        case .dispatch(let dispatch):
            unsafe barrier(commands)
            unsafe emit(dispatch, commands)
        case .copy(let source, let target, let place):
            unsafe barrier(commands)
            var region = VkBufferCopy(
                srcOffset: VkDeviceSize(source.offset), dstOffset: VkDeviceSize(place), size: VkDeviceSize(source.count))
            unsafe functions.vkCmdCopyBuffer(
                commands, VkBuffer(bitPattern: source.buffer), VkBuffer(bitPattern: target), 1, &region)
        case .fill(let range, let word):
            unsafe barrier(commands)
            unsafe functions.vkCmdFillBuffer(
                commands, VkBuffer(bitPattern: range.buffer), VkDeviceSize(range.offset), VkDeviceSize(range.count), word)
        case .showHost:
            unsafe barrier(
                commands, from: VK_PIPELINE_STAGE_2_TRANSFER_BIT, VK_ACCESS_2_TRANSFER_WRITE_BIT, to: VK_PIPELINE_STAGE_2_HOST_BIT,
                VK_ACCESS_2_HOST_READ_BIT)
        }
    }

    private func emit(_ dispatch: VulkanDispatch, _ commands: VkCommandBuffer) {
        for (index, binding) in dispatch.bindings.enumerated() {
            unsafe bufferInfos[index] = VkDescriptorBufferInfo(
                buffer: VkBuffer(bitPattern: binding.buffer), offset: VkDeviceSize(binding.offset), range: VkDeviceSize(binding.count))
        }
        unsafe device.functions.vkCmdBindPipeline(
            commands, VK_PIPELINE_BIND_POINT_COMPUTE, VkPipeline(bitPattern: dispatch.pipeline))
        unsafe device.functions.vkCmdPushDescriptorSetKHR(
            commands, VK_PIPELINE_BIND_POINT_COMPUTE, device.pipelineLayout, 0, UInt32(dispatch.bindings.count), writes)
        unsafe dispatch.words.withUnsafeBytes { words in
            unsafe device.functions.vkCmdPushConstants(
                commands, device.pipelineLayout, VK_SHADER_STAGE_COMPUTE_BIT.rawValue, 0, UInt32(words.count), words.baseAddress)
        }
        unsafe device.functions.vkCmdDispatch(commands, dispatch.groupsX, dispatch.groupsY, 1)
    }

    /// Everything before is done and visible to everything after.
    private func barrier(_ commands: VkCommandBuffer) {
        let stages = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_TRANSFER_BIT
        let written = VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT
        unsafe barrier(
            commands, from: stages, written, to: stages,
            written | VK_ACCESS_2_SHADER_STORAGE_READ_BIT | VK_ACCESS_2_TRANSFER_READ_BIT)
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
            unsafe device.functions.vkCmdPipelineBarrier2(commands, &dependency)
        }
    }
}
