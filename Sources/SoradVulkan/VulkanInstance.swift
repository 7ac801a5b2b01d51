// Owns the way to Vulkan: the loader, opened at run time, one instance, and what its devices are and lack.
// `unsafe` here: Vulkan's structures are chains of pointers, which live as long as the call that reads them.
internal import CSoradVulkan
import Glibc
import SoradSystem

/// One device, and why it may not be used.
public struct VulkanDeviceInfo: Sendable {
    /// As in `backend = vulkan:INDEX`.
    public let index: Int
    public let name: String
    /// Name and version of the driver.
    public let driver: String
    /// A processor that pretends to be a graphics card: never chosen by itself.
    public let isProcessor: Bool
    /// Its memory is the host's.
    public let isIntegrated: Bool
    /// What it lacks, without which no operation could have the right bits or run at all; one phrase each.
    public let missing: [String]
    /// Why it is left alone unless it is asked for by its number; one phrase.
    public let caution: String?
    /// Everything that may change results or compiled pipelines.
    public let identity: String
    let float64, shaderFMA, denormPreserve32, roundToNearest64, packedDotIsFast: Bool
    let largestBinding, bindingAlignment, largestAllocation: Int
    let nanosecondsPerTick: Double
    let queueFamily: UInt32
    let timestampBits: UInt32
    let deviceLocalBytes: UInt64
}

@safe final class VulkanInstance {
    let functions: sorad_vulkan_instance
    let handle: VkInstance
    private let messenger: VkDebugUtilsMessengerEXT?

    /// - Parameter validation: with the Khronos layer and its synchronization checks, for tests.
    /// - Throws: `.unavailable` without a loader, a driver or, if asked for, the layer.
    init(validation: Bool = false) throws(SoradError) {
        var loader = sorad_vulkan_loader()
        if let problem = unsafe sorad_vulkan_open(&loader) {
            throw SoradError(
                .unavailable, "no Vulkan: \(unsafe String(cString: problem))", hint: "install libvulkan1 and a driver for the device")
        }
        var application = unsafe VkApplicationInfo()
        unsafe application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO
        unsafe application.apiVersion = Self.neededVersion
        var info = unsafe VkInstanceCreateInfo()
        unsafe info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
        var instance: VkInstance?
        let create = unsafe loader.vkCreateInstance!
        let result = unsafe "VK_LAYER_KHRONOS_validation".withCString { layer in
            unsafe "VK_EXT_debug_utils".withCString { utilities in
                var layers: [UnsafePointer<CChar>?] = unsafe [layer]
                var extensions: [UnsafePointer<CChar>?] = unsafe [utilities]
                return unsafe layers.withUnsafeMutableBufferPointer { layers in
                    unsafe extensions.withUnsafeMutableBufferPointer { extensions in
                        if validation {
                            unsafe (info.enabledLayerCount, info.ppEnabledLayerNames) = (1, UnsafePointer(layers.baseAddress))
                            unsafe (info.enabledExtensionCount, info.ppEnabledExtensionNames) = (1, UnsafePointer(extensions.baseAddress))
                            unsafe info.pNext = sorad_vulkan_synchronization_checks()
                        }
                        return unsafe withUnsafePointer(to: &application) { application in
                            unsafe info.pApplicationInfo = UnsafePointer(application)
                            return unsafe create(&info, nil, &instance)
                        }
                    }
                }
            }
        }
        guard result == VK_SUCCESS, let instance = unsafe instance else {
            throw SoradError(
                .unavailable, "no Vulkan: an instance cannot be made (\(result.sentence))", hint: "install a driver: mesa-vulkan-drivers")
        }
        var functions = sorad_vulkan_instance()
        if let missing = unsafe sorad_vulkan_instance_functions(instance, &functions) {
            throw SoradError(.unavailable, "no Vulkan: the loader lacks \(unsafe String(cString: missing))")
        }
        unsafe messenger = validation ? sorad_vulkan_watch_validation(instance) : nil
        if unsafe validation && messenger == nil {
            unsafe functions.vkDestroyInstance(instance, nil)
            throw SoradError(.unavailable, "no Vulkan: the validation layers cannot be heard")
        }
        self.functions = functions
        unsafe handle = instance
    }

    deinit {
        if let messenger = unsafe messenger { unsafe sorad_vulkan_leave_validation(handle, messenger) }
        unsafe functions.vkDestroyInstance(handle, nil)
    }

    /// 1.3.0
    private static let neededVersion: UInt32 = 1 << 22 | 3 << 12

    /// All devices in the loader's order.
    func devices() -> [(handle: VkPhysicalDevice, info: VulkanDeviceInfo)] {
        var count: UInt32 = 0
        guard unsafe functions.vkEnumeratePhysicalDevices(handle, &count, nil) == VK_SUCCESS, count > 0 else { return unsafe [] }
        var found = unsafe [VkPhysicalDevice?](repeating: nil, count: Int(min(count, 64)))
        count = unsafe UInt32(found.count)
        guard unsafe functions.vkEnumeratePhysicalDevices(handle, &count, &found).rawValue >= 0 else { return unsafe [] }
        return unsafe found.prefix(Int(count)).enumerated().compactMap { index, device in
            guard let device = unsafe device else { return nil }
            return unsafe (device, describe(device, index: index))
        }
    }

    /// Names of a device's extensions.
    private func extensions(_ device: VkPhysicalDevice) -> Set<String> {
        var count: UInt32 = 0
        guard unsafe functions.vkEnumerateDeviceExtensionProperties(device, nil, &count, nil) == VK_SUCCESS else { return [] }
        var found = [VkExtensionProperties](repeating: VkExtensionProperties(), count: Int(count))
        guard unsafe functions.vkEnumerateDeviceExtensionProperties(device, nil, &count, &found).rawValue >= 0 else { return [] }
        return Set(found.prefix(Int(count)).map { text(of: $0.extensionName) })
    }

    private func describe(_ device: VkPhysicalDevice, index: Int) -> VulkanDeviceInfo {
        let available = unsafe extensions(device)
        let hasFMA = available.contains("VK_KHR_shader_fma")

        var controls = unsafe VkPhysicalDeviceFloatControlsProperties()
        unsafe controls.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES
        var driver = unsafe VkPhysicalDeviceDriverProperties()
        unsafe driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
        var dot = unsafe VkPhysicalDeviceShaderIntegerDotProductProperties()
        unsafe dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES
        var maintenance = unsafe VkPhysicalDeviceMaintenance3Properties()
        unsafe maintenance.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES
        var properties = unsafe VkPhysicalDeviceProperties2()
        unsafe properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2
        unsafe withUnsafeMutablePointer(to: &controls) { controls in
            unsafe withUnsafeMutablePointer(to: &driver) { driver in
                unsafe withUnsafeMutablePointer(to: &dot) { dot in
                    unsafe withUnsafeMutablePointer(to: &maintenance) { maintenance in
                        unsafe properties.pNext = UnsafeMutableRawPointer(controls)
                        unsafe controls.pointee.pNext = UnsafeMutableRawPointer(driver)
                        unsafe driver.pointee.pNext = UnsafeMutableRawPointer(dot)
                        unsafe dot.pointee.pNext = UnsafeMutableRawPointer(maintenance)
                        unsafe functions.vkGetPhysicalDeviceProperties2(device, &properties)
                    }
                }
            }
        }
        var fma = unsafe sorad_vulkan_shader_fma_features()
        unsafe fma.sType = VkStructureType(UInt32(SORAD_VULKAN_SHADER_FMA_FEATURES))
        var newer = unsafe VkPhysicalDeviceVulkan13Features()
        unsafe newer.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES
        var features = unsafe VkPhysicalDeviceFeatures2()
        unsafe features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2
        let version = unsafe properties.properties.apiVersion
        if version >= Self.neededVersion {
            unsafe withUnsafeMutablePointer(to: &newer) { newer in
                unsafe withUnsafeMutablePointer(to: &fma) { fma in
                    if hasFMA { unsafe newer.pointee.pNext = UnsafeMutableRawPointer(fma) }
                    unsafe features.pNext = UnsafeMutableRawPointer(newer)
                    unsafe functions.vkGetPhysicalDeviceFeatures2(device, &features)
                }
            }
        }
        var familyCount: UInt32 = 64
        var families = [VkQueueFamilyProperties](repeating: VkQueueFamilyProperties(), count: 64)
        unsafe functions.vkGetPhysicalDeviceQueueFamilyProperties(device, &familyCount, &families)
        // One for computing alone does not wait for what the desktop draws.
        let compute = families.prefix(Int(familyCount)).indices.filter { families[$0].queueFlags & VK_QUEUE_COMPUTE_BIT.rawValue != 0 }
        let family = compute.first { families[$0].queueFlags & VK_QUEUE_GRAPHICS_BIT.rawValue == 0 } ?? compute.first
        var memory = VkPhysicalDeviceMemoryProperties()
        unsafe functions.vkGetPhysicalDeviceMemoryProperties(device, &memory)

        var missing: [String] = []
        let one = unsafe properties.properties
        if version < Self.neededVersion { missing.append("Vulkan 1.3") }
        if unsafe newer.shaderIntegerDotProduct == 0 || newer.synchronization2 == 0 { missing.append("the features of Vulkan 1.3") }
        if !available.contains("VK_KHR_push_descriptor") { missing.append("VK_KHR_push_descriptor") }
        if unsafe controls.shaderRoundingModeRTEFloat32 == 0 { missing.append("rounding to nearest even") }
        if unsafe controls.shaderSignedZeroInfNanPreserveFloat32 == 0 { missing.append("signed zeros, infinities and NaN") }
        if family == nil { missing.append("a queue for computing") }
        if one.limits.maxComputeWorkGroupInvocations < 256 || one.limits.maxComputeSharedMemorySize < 16384 {
            missing.append("work groups of 256")
        }
        if one.limits.minStorageBufferOffsetAlignment > 256 { missing.append("buffers aligned to 256 bytes") }
        if one.limits.maxPushConstantsSize < UInt32(VulkanConnection.parameterWords * 4) { missing.append("128 bytes of push constants") }
        let driverName = unsafe text(of: driver.driverName)
        let driverText = unsafe "\(driverName) \(text(of: driver.driverInfo))"
        let uuid = SHA256.hexadecimal(bytes(of: one.pipelineCacheUUID))
        return unsafe VulkanDeviceInfo(
            index: index, name: text(of: one.deviceName), driver: driverText,
            isProcessor: one.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU,
            isIntegrated: one.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
            missing: missing, caution: Self.caution(driver.driverID, isProcessor: one.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU),
            identity:
                "\(one.vendorID):\(one.deviceID) \(text(of: one.deviceName)), \(driverText) \(one.driverVersion), \(version), \(uuid)",
            float64: features.features.shaderFloat64 != 0, shaderFMA: hasFMA && fma.float32 != 0,
            denormPreserve32: controls.shaderDenormPreserveFloat32 != 0,
            roundToNearest64: controls.shaderRoundingModeRTEFloat64 != 0,
            packedDotIsFast: dot.integerDotProduct4x8BitPackedSignedAccelerated != 0,
            largestBinding: Int(one.limits.maxStorageBufferRange),
            bindingAlignment: max(Int(one.limits.minStorageBufferOffsetAlignment), 4),
            largestAllocation: Int(clamping: maintenance.maxMemoryAllocationSize),
            nanosecondsPerTick: Double(one.limits.timestampPeriod), queueFamily: UInt32(family ?? 0),
            timestampBits: family.map { families[$0].timestampValidBits } ?? 0,
            deviceLocalBytes: Self.deviceLocalBytes(memory))
    }

    /// Drivers that are known to lose or to have other bits; docs/VULKAN.md has the sources.
    private static func caution(_ driver: VkDriverId, isProcessor: Bool) -> String? {
        switch driver {
        case VK_DRIVER_ID_MESA_V3DV: "V3D has no fused multiply-add and is slower than the processor next to it"
        case VK_DRIVER_ID_MESA_PANVK: "panvk was measured to be slower than the processor next to it"
        case VK_DRIVER_ID_MESA_TURNIP: "turnip flushes denormal numbers"
        default: isProcessor ? "it is the processor itself" : nil
        }
    }

    private static func deviceLocalBytes(_ memory: VkPhysicalDeviceMemoryProperties) -> UInt64 {
        var heaps = memory.memoryHeaps
        return unsafe withUnsafeBytes(of: &heaps) { bytes in
            let heaps = unsafe bytes.bindMemory(to: VkMemoryHeap.self)
            return unsafe heaps.prefix(Int(memory.memoryHeapCount))
                .filter { $0.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT.rawValue != 0 }.map(\.size).max() ?? 0
        }
    }
}

/// Text of a fixed array of C characters.
func text<Characters: BitwiseCopyable>(of characters: Characters) -> String {
    String(decoding: bytes(of: characters).prefix { $0 != 0 }, as: UTF8.self)
}

func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] { unsafe withUnsafeBytes(of: value) { unsafe [UInt8]($0) } }

extension VkResult {
    /// What a failed call says, for error sentences.
    var sentence: String {
        switch self {
        case VK_ERROR_OUT_OF_HOST_MEMORY: "out of host memory"
        case VK_ERROR_OUT_OF_DEVICE_MEMORY: "out of device memory"
        case VK_ERROR_DEVICE_LOST: "the device was lost"
        case VK_ERROR_INCOMPATIBLE_DRIVER: "there is no driver"
        case VK_ERROR_LAYER_NOT_PRESENT: "the validation layer is not installed"
        case VK_TIMEOUT: "the device does not answer"
        default: "error \(rawValue)"
        }
    }
}
