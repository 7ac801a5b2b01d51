// Owns a Vulkan device as a compute backend: choice, trust, scratch memory, and the samples by which a lying device is found. Its
// operations are in its extensions; each is one or a few dispatches that are recorded and run later.
//
// Invariant: no operation reads a computed value on the host, except the samples and the share that the CPU computes of a product.
internal import CSoradVulkan
import SoradCPU
public import SoradSystem
public import SoradTensor

/// The operations as samples and the self-test name them.
public enum VulkanOperation: String, Sendable, CaseIterable {
    case copy, fill, linearInt8, linearFloat, convolveFloat, convolveInt8, quantizeImage, convolveImages, layerNorm, rmsNorm,
        normAndRotate, attendInt8, attendFloat, add, silu, geluTanhMultiply, softClamp, affine, guide, eulerStep, patchify, unpatchify,
        denormalize, normalize, shufflePixels, unshufflePixels
}

/// How a Vulkan backend is made.
public struct VulkanOptions: Sendable {
    /// Index of the device; nil means the first that is no processor and has no known weakness.
    public var device: Int?
    /// Nil means the best that a quick test finds right.
    public var tier: FMATier?
    /// Whether int8 products use the packed dot product; nil means where the device is quick at it.
    public var packedDot: Bool?
    /// Folder for compiled pipelines; nil means that none are kept.
    public var cacheFolder: String?
    /// The rows of each product that the CPU computes.
    public var shares = ProductShares()
    /// Whether some results are compared with the CPU's.
    public var takesSamples = true
    /// Bytes of the device's memory that weights may take, the others are streamed; nil means three quarters of it.
    public var weightBudget: Int?
    /// Gets a sentence for the operator when weights are streamed.
    public var report: @Sendable (String) -> Void = { _ in }
    /// Multiply-adds of a submission: some 100 ms of a small GPU.
    public var submissionLimit = 15_000_000_000
    /// Threads for samples and for the CPU's share.
    public var cpuThreads: Int?
    /// For tests: the Khronos validation layer, errors, and units added to guesses of quotients and roots.
    public var validation = false
    public var faults = VulkanFaults()
    public var guessError = 0

    public init() {}
}

public final class VulkanBackend: ComputeBackend {
    let device: VulkanDevice
    let pipelines: VulkanPipelines
    let options: VulkanOptions
    /// Computes samples and the CPU's share of products.
    let cpu: CPUBackend
    var sampler = SampleSchedule()
    var weights = VulkanWeightMemory()
    var streamed = StreamedWeights()
    let weightBudget: Int
    var hasReported = false
    /// The rows of each product that the CPU computes; the same bits whatever they are.
    public var shares: ProductShares
    /// While products are measured.
    var productTimes: ProductTimes?
    private var rooms: [Room: VulkanBuffer] = [:]

    /// Scratch memory of operations.
    enum Room { case ends, inverse, norm, images, layer }

    /// - Throws: `.unavailable` with the reason when there is no such device; `.configuration` for an index that there is not.
    public init(_ options: VulkanOptions = VulkanOptions()) throws(SoradError) {
        let instance = try VulkanInstance(validation: options.validation)
        let devices = unsafe instance.devices()
        let infos = unsafe devices.map(\.info)
        let index = try Self.choose(infos, options.device)
        device = unsafe try VulkanDevice(
            instance, devices[index].handle, infos[index], submissionLimit: options.submissionLimit, faults: options.faults)
        let tier = if let tier = options.tier { tier } else { try Self.tier(device, options) }
        pipelines = Self.pipelines(device, tier, options)
        self.options = options
        shares = options.shares
        // The rest is for activations, which have to be there.
        weightBudget = options.weightBudget ?? Int(clamping: infos[index].deviceLocalBytes / 4 * 3)
        cpu = try CPUBackend(threads: options.cpuThreads)
    }

    private static func pipelines(_ device: VulkanDevice, _ tier: FMATier, _ options: VulkanOptions) -> VulkanPipelines {
        VulkanPipelines(
            device, tier: tier, packedDot: options.packedDot ?? device.info.packedDotIsFast, guessError: options.guessError,
            cacheFolder: options.cacheFolder)
    }

    private static func choose(_ devices: [VulkanDeviceInfo], _ wanted: Int?) throws(SoradError) -> Int {
        if let wanted {
            guard devices.indices.contains(wanted) else {
                throw SoradError(
                    .configuration, "there is no Vulkan device \(wanted)",
                    hint: "sorad-worker --backend-check lists the \(devices.count) there are")
            }
            return wanted
        }
        guard let index = devices.firstIndex(where: { $0.missing.isEmpty && $0.caution == nil }) else {
            let reasons = devices.map {
                "\($0.name): \($0.missing.isEmpty ? $0.caution ?? "" : "lacks " + $0.missing.joined(separator: ", "))"
            }
            throw SoradError(
                .unavailable, devices.isEmpty ? "no Vulkan device" : "no Vulkan device to use (\(reasons.joined(separator: "; ")))",
                hint: "the CPU makes the same frames")
        }
        return index
    }

    /// The devices of this machine in their order.
    /// - Throws: `.unavailable` without a loader or driver.
    public static func devices() throws(SoradError) -> [VulkanDeviceInfo] {
        let instance = try VulkanInstance()
        return unsafe instance.devices().map { unsafe $0.info }
    }

    public var description: String {
        "vulkan:\(device.info.index) \(device.info.name), \(device.info.driver), \(pipelines.tier.rawValue) fma"
    }
    public var tier: FMATier { pipelines.tier }
    /// As in `VulkanOptions.device`.
    public var index: Int { device.info.index }
    public var counters: VulkanCounters { device.counters }
    /// Bytes of weights that are copied to the device for every use.
    public var streamedBytes: Int { streamed.total }

    /// SHA-256 digits of the device, its driver and the modules.
    public var key: String { VulkanPipelines.key(device.info) }

    // MARK: Tiers

    /// The quickest way to fuse that gives the right bits on numbers for which rounding twice does not.
    private static func tier(_ device: VulkanDevice, _ options: VulkanOptions) throws(SoradError) -> FMATier {
        var tiers: [FMATier] = device.info.shaderFMA ? [.guaranteed] : [.native]
        if device.info.float64 { tiers.append(.float64) }
        tiers.append(.integer)
        for tier in tiers where isFused(device, pipelines(device, tier, options)) { return tier }
        if let fault = device.fault { throw fault }
        throw SoradError(.unavailable, "\(device.info.name) cannot be used: its float arithmetic is not exact")
    }

    private static func isFused(_ device: VulkanDevice, _ pipelines: VulkanPipelines) -> Bool {
        var state: UInt32 = 1
        func next() -> Float {
            state = state &* 1_664_525 &+ 1_013_904_223
            return Float(bitPattern: state >> 9 | 0x3F80_0000) * (state & 1 == 0 ? 1 : -1)
        }
        let a = (0..<256).map { _ in next() }
        let b = (0..<256).map { _ in next() }
        // The error of the product, which only a fused sum keeps.
        let c = zip(a, b).map { -($0 * $1) }
        let got = SingleOperations.run(device, pipelines, a, b, c)[SingleOperations.Kind.fused.rawValue]
        return device.fault == nil && (0..<256).allSatisfy { got[$0].bitPattern == c[$0].addingProduct(a[$0], b[$0]).bitPattern }
    }

    // MARK: Dispatches

    func binding(_ tensor: Tensor) -> VulkanBinding { binding(tensor.buffer, tensor.offset, tensor.count * 4) }
    func binding(_ tensor: Tensor?) -> VulkanBinding? { tensor.map { binding($0) } }
    func binding(_ bytes: ByteBuffer) -> VulkanBinding { binding(bytes.buffer, bytes.offset, bytes.count) }
    func binding(_ parameter: Parameter?) -> VulkanBinding? { parameter.map { binding($0) } }

    func binding(_ parameter: Parameter) -> VulkanBinding {
        guard let place = parameter.place else { preconditionFailure("an operation on weights that were not loaded") }
        return binding(place.buffer, place.offset, parameter.count * parameter.elementType.byteSize)
    }

    private func binding(_ buffer: TensorBuffer, _ offset: Int, _ count: Int) -> VulkanBinding {
        guard let own = buffer as? VulkanBuffer, own.device === device else {
            preconditionFailure("an operation on memory that is not this device's")
        }
        return VulkanBinding(buffer: own.block?.name, offset: offset, count: count)
    }

    func run(
        _ shader: Shader, _ bindings: [VulkanBinding?], _ parameters: [UInt32], groups: (x: Int, y: Int), work: Int
    ) {
        guard device.fault == nil, let pipeline = unsafe pipelines.pipeline(shader) else { return }
        unsafe device.dispatch(pipeline, bindings, parameters, groups: groups, work: work)
    }

    /// Work groups for `count` invocations or rows: along one axis a device may allow only 65535.
    static func groups(_ count: Int, of size: Int) -> (x: Int, y: Int) {
        let all = (count + size - 1) / size
        return all <= 65_535 ? (all, 1) : (32_768, (all + 32_767) / 32_768)
    }

    // MARK: Scratch memory

    /// At least `byteCount` bytes of scratch; what was there is lost when it grows.
    func room(_ room: Room, byteCount: Int) -> VulkanBuffer {
        if let old = rooms[room], old.byteCount >= byteCount { return old }
        let new = VulkanBuffer(device, byteCount: byteCount, isCleared: false)
        rooms[room] = new
        return new
    }
}

extension BackendFactory {
    /// Makes Vulkan backends.
    public static func vulkan(_ options: VulkanOptions = VulkanOptions()) -> BackendFactory {
        BackendFactory("vulkan" + (options.device.map { ":\($0)" } ?? "")) { () throws(SoradError) in try VulkanBackend(options) }
    }
}

extension VulkanBackend {
    /// Messages of the validation layers in this process so far, and the first of them; for tests.
    public static var validationReport: (count: Int, first: String) {
        unsafe (Int(sorad_vulkan_validation_messages()), String(cString: sorad_vulkan_first_validation_message()))
    }
}
