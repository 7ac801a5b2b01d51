// Where weights lie: on the device from the start, or, as far as they do not fit there, in the host's memory. The layers that are left in
// the host's memory are streamed: each is copied to the device for each of its operations, into memory of the largest one.
//
// Invariant: only linear layers and convolutions are streamed. Everything else is small, and is on the device or the device has a fault.
// Commands run one after another, so a layer is copied over the one before it when that one has been used.
public import SoradTensor

extension VulkanBackend {
    public func load(_ parameter: Parameter) -> Parameter {
        if let own = place(parameter) { return own }
        // An error of the device, if there is no memory for it either.
        return store(parameter, in: VulkanBuffer(device, byteCount: Self.aligned(parameter), isCleared: false), at: 0)
    }

    public func load(_ weights: LinearWeights) -> LinearWeights {
        var left = 0
        defer { streamed.note(layer: left) }
        return weights.withoutInt10.map { loadOrLeave($0, &left) }
    }

    public func load(_ weights: ConvolutionWeights) -> ConvolutionWeights {
        var left = 0
        defer { streamed.note(layer: left) }
        return weights.map { loadOrLeave($0, &left) }
    }

    private func loadOrLeave(_ parameter: Parameter, _ left: inout Int) -> Parameter {
        if let own = place(parameter) { return own }
        left += Self.aligned(parameter)
        return parameter
    }

    /// A parameter on the device; nil when weights have taken what they may, or all that there is.
    private func place(_ parameter: Parameter) -> Parameter? {
        let count = Self.aligned(parameter)
        guard device.fault == nil, !weights.isFull, weights.used + count <= weightBudget else { return nil }
        if weights.block == nil || weights.block!.byteCount - weights.usedOfBlock < count {
            // Many parameters in a block: devices allow some thousand of them.
            let size = max(count, min(Self.weightBlock, weightBudget - weights.used))
            guard let block = VulkanBuffer(ifPossible: device, byteCount: size) else {
                weights.isFull = true
                return nil
            }
            (weights.block, weights.usedOfBlock) = (block, 0)
        }
        defer {
            weights.usedOfBlock += count
            weights.used += count
        }
        return store(parameter, in: weights.block!, at: weights.usedOfBlock)
    }

    private func store(_ parameter: Parameter, in buffer: VulkanBuffer, at offset: Int) -> Parameter {
        parameter.withBytes { buffer.upload($0, at: offset) }
        parameter.giveBackPages()
        buffer.originals[offset] = parameter
        return Parameter(parameter.elementType, count: parameter.count, in: buffer, at: offset)
    }

    private static func aligned(_ parameter: Parameter) -> Int {
        (parameter.count * parameter.elementType.byteSize + blockAlignment - 1) / blockAlignment * blockAlignment
    }

    private static let weightBlock = 16 << 20

    // MARK: Streaming

    /// The layer as operations can read it: itself, or a copy that lasts until the next layer is asked for.
    func onDevice(_ weights: LinearWeights) -> LinearWeights {
        var used = 0
        return weights.map { stream($0, &used) }
    }

    func onDevice(_ weights: ConvolutionWeights) -> ConvolutionWeights {
        var used = 0
        return weights.map { stream($0, &used) }
    }

    private func stream(_ parameter: Parameter, _ used: inout Int) -> Parameter {
        if let place = parameter.place, owns(place.buffer) { return parameter }
        let room = room(.layer, byteCount: streamed.largest)
        parameter.withBytes { room.upload($0, at: used) }
        defer { used += Self.aligned(parameter) }
        return Parameter(parameter.elementType, count: parameter.count, in: room, at: used)
    }
}

/// The device's memory for weights: blocks that are filled one after another.
struct VulkanWeightMemory {
    var block: VulkanBuffer?
    var usedOfBlock = 0
    /// Bytes in all blocks.
    var used = 0
    /// An allocation failed: no other is tried.
    var isFull = false
}

/// Layers that are in the host's memory.
struct StreamedWeights {
    private(set) var total = 0
    private(set) var largest = 0

    mutating func note(layer bytes: Int) {
        total += bytes
        largest = max(largest, bytes)
    }
}
