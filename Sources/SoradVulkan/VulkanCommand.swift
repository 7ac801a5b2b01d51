// Commands as values: what is recorded can be compared, so that a command buffer is submitted again where the same commands come again.
//
// Buffers and pipelines are named by the bits of their handles. A handle may come back for something else once its object is destroyed;
// `VulkanCommands.forget` drops what names it before that.
internal import CSoradVulkan
import SoradSystem

/// Bytes of a buffer.
struct VulkanRange: Hashable {
    let buffer: UInt
    let offset, count: Int
}

/// One command; all commands before it are done, and visible to it, when it begins.
enum VulkanCommand: Hashable {
    case dispatch(VulkanDispatch)
    /// As many bytes from one place to another.
    case copy(VulkanRange, to: UInt, at: Int)
    case fill(VulkanRange, with: UInt32)
    /// Makes what was copied visible to the host.
    case showHost

    func names(buffer: UInt) -> Bool {
        switch self {
        case .dispatch(let dispatch): dispatch.bindings.contains { $0.buffer == buffer }
        case .copy(let source, let target, _): source.buffer == buffer || target == buffer
        case .fill(let range, _): range.buffer == buffer
        case .showHost: false
        }
    }
}

struct VulkanDispatch: Hashable {
    let pipeline: UInt
    /// `VulkanConnection.bindingCount` of them.
    let bindings: [VulkanRange]
    /// Push constants.
    let words: [UInt32]
    let groupsX, groupsY: UInt32
}

/// A command buffer with two places of the query pool; it goes back to where it came from when nobody uses it.
@safe final class VulkanCommandBuffer {
    let handle: VkCommandBuffer
    /// The first of the two; nil where there is no clock, or the pool has no more.
    let query: UInt32?
    private let pool: VulkanCommandPool

    init(_ handle: VkCommandBuffer, query: UInt32?, _ pool: VulkanCommandPool) {
        unsafe self.handle = handle
        (self.query, self.pool) = (query, pool)
    }

    deinit { unsafe pool.free.append((handle, query)) }
}

/// Owns command buffers and the clock's queries.
@safe final class VulkanCommandPool {
    private static let queryCount = 4096
    let queries: VkQueryPool
    private let device: VulkanConnection
    private let pool: VkCommandPool
    fileprivate var free: [(handle: VkCommandBuffer, query: UInt32?)] = unsafe []
    private var made = 0

    init(_ device: VulkanConnection) throws(SoradError) {
        self.device = device
        var info = unsafe VkCommandPoolCreateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
        unsafe info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT.rawValue
        unsafe info.queueFamilyIndex = device.info.queueFamily
        var pool: VkCommandPool?
        try VulkanConnection.check(
            unsafe device.functions.vkCreateCommandPool(device.handle, &info, nil, &pool), "command pool", device.info)
        unsafe self.pool = pool!
        var queryInfo = unsafe VkQueryPoolCreateInfo()
        unsafe queryInfo.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO
        unsafe (queryInfo.queryType, queryInfo.queryCount) = (VK_QUERY_TYPE_TIMESTAMP, UInt32(Self.queryCount))
        var queries: VkQueryPool?
        try VulkanConnection.check(
            unsafe device.functions.vkCreateQueryPool(device.handle, &queryInfo, nil, &queries), "clock", device.info)
        unsafe self.queries = queries!
    }

    deinit {
        unsafe device.functions.vkDestroyQueryPool(device.handle, queries, nil)
        unsafe device.functions.vkDestroyCommandPool(device.handle, pool, nil)
    }

    /// A command buffer of any content; nil, and a fault of the device, when there is none.
    func take() -> VulkanCommandBuffer? {
        if let old = unsafe free.popLast() { return unsafe VulkanCommandBuffer(old.handle, query: old.query, self) }
        var info = unsafe VkCommandBufferAllocateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
        unsafe (info.commandPool, info.commandBufferCount) = (pool, 1)
        var handle: VkCommandBuffer?
        guard
            device.succeeded(
                unsafe device.functions.vkAllocateCommandBuffers(device.handle, &info, &handle), "a command buffer")
        else { return nil }
        let query = device.info.timestampBits > 0 && 2 * made + 1 < Self.queryCount ? UInt32(2 * made) : nil
        made += 1
        return unsafe VulkanCommandBuffer(handle!, query: query, self)
    }
}
