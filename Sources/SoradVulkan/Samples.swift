// Owns the samples: some operations of every step are computed again on the CPU, by which a device that lies is found while it does.
//
// An epoch lasts from one `finish` to the next: a denoise step, a decoded group of frames. In each, the first operation of every kind is
// compared, and one more at random.
import SoradCPU
import SoradSystem
@_spi(HostMemory) import SoradTensor

struct SampleSchedule {
    private var seen: [VulkanOperation: Int] = [:]
    /// Operations of each kind in the epoch before.
    private var expected: [VulkanOperation: Int] = [:]
    private var chosen: [VulkanOperation: Int] = [:]
    private var random = SystemRandomNumberGenerator()

    /// Counts an operation; whether it is to be compared.
    mutating func isDue(_ operation: VulkanOperation) -> Bool {
        let index = seen[operation, default: 0]
        seen[operation] = index + 1
        return index == 0 || index == chosen[operation]
    }

    mutating func beginEpoch() {
        if !seen.isEmpty { expected = seen }
        seen = [:]
        chosen = expected.mapValues { Int.random(in: 0..<$0, using: &random) }
    }

    /// A few of `count` rows.
    mutating func rows(_ count: Int, atMost most: Int = 16) -> Range<Int> {
        let first = count > most ? Int.random(in: 0...count - most, using: &random) : 0
        return first..<min(count, first + most)
    }
}

/// What the CPU made of an operation, and where the device's result is.
struct Sample {
    let expected: Tensor
    let made: Tensor
}

/// All of `out` as a sample.
func sample(of out: Tensor, _ onCPU: (_ expected: Tensor) -> Void) -> Sample {
    let expected = Tensor(out.shape)
    onCPU(expected)
    return Sample(expected: expected, made: out)
}

extension VulkanBackend {
    /// Runs an operation on the device and, if it is due, compares a part of the result.
    /// - Parameters:
    ///   - out: what it writes.
    ///   - isCounted: false when it was decided before whether this one is compared.
    ///   - sample: computes a part on the CPU, before the device overwrites what it reads; nil when it cannot.
    func perform(
        _ operation: VulkanOperation, into out: Tensor, isCounted: Bool = true, _ onDevice: () -> Void, sample: () -> Sample?
    ) {
        guard device.fault == nil else { return }
        let expected = options.takesSamples && (!isCounted || sampler.isDue(operation)) ? forSample(sample) : nil
        onDevice()
        if options.faults.lyingOperation == operation, out.count > 0 {
            corrupt(out)
        }
        guard let expected, device.fault == nil else { return }
        device.counters.samples += 1
        let made = forSample { expected.made.clone() }
        guard device.fault == nil, !isSame(made, expected.expected) else { return }
        device.fail("\(operation.rawValue) gives other bits than the CPU")
    }

    /// Runs `body`, which fetches what a sample needs: rows at random, so that the same commands do not come again.
    func forSample<Result>(_ body: () -> Result) -> Result {
        device.commands.keeps = false
        defer { device.commands.keeps = true }
        return body()
    }

    /// Makes words of a result wrong, one in each of its rows, so that a sample of any row sees it.
    private func corrupt(_ out: Tensor) {
        guard let block = (out.buffer as? VulkanBuffer)?.block else { return }
        let width = out.shape.rank > 1 ? out.shape.last : out.count
        for row in 0..<min(out.count / width, 4096) { device.corrupt(block, at: out.offset + row * width * 4) }
    }

    /// Equal to the last bit; NaNs of any kind are equal.
    private func isSame(_ a: Tensor, _ b: Tensor) -> Bool {
        a.withElements { a in
            b.withElements { b in a.indices.allSatisfy { a[$0].bitPattern == b[$0].bitPattern || a[$0].isNaN && b[$0].isNaN } }
        }
    }

    // MARK: The CPU's copies

    func onHost(_ tensor: Tensor) -> Tensor { tensor.clone() }
    func onHost(_ tensor: Tensor?) -> Tensor? { tensor.map { $0.clone() } }
    func onHost(_ modulation: RowModulation?, _ rows: Range<Int>) -> RowModulation? {
        modulation.map { RowModulation($0.table.clone(), $0.index, $0.groups.within(rows)) }
    }

    /// A parameter as it was before it was copied to the device, or a copy of it.
    func onHost(_ parameter: Parameter) -> Parameter {
        guard let place = parameter.place, let own = place.buffer as? VulkanBuffer else { return parameter }
        if let original = own.originals[place.offset], original.count == parameter.count { return original }
        let buffer = HostBuffer(byteCount: parameter.count * parameter.elementType.byteSize)
        parameter.withBytes { buffer.upload($0, at: 0) }
        return Parameter(parameter.elementType, count: parameter.count, in: buffer, at: 0)
    }

    func onHost(_ parameter: Parameter?) -> Parameter? { parameter.map { onHost($0) } }
    func onHost(_ weights: LinearWeights) -> LinearWeights { weights.map { onHost($0) } }
    func onHost(_ weights: ConvolutionWeights) -> ConvolutionWeights { weights.map { onHost($0) } }

    func onHost(_ image: VulkanImage) -> any QuantizedImage {
        let copy = cpu.make { $0.image(image.shape) }
        image.bytes.withBytes { copy.bytes.buffer.upload($0, at: copy.bytes.offset) }
        return copy
    }

    /// The CPU's activation matrix of some rows.
    func matrix(_ rows: Tensor) -> any ActivationMatrix {
        let matrix = cpu.make { $0.activations(capacity: max(rows.shape[0], 1), width: rows.shape[1]) }
        matrix.overwrite(rows: rows.shape[0]).copy(from: rows)
        return matrix
    }

    // MARK: Own forms

    func own(_ input: any ActivationMatrix) -> VulkanActivationMatrix { ownForm(input) }
    func own(_ packed: any PackedKeysValues) -> VulkanKeysValues { ownForm(packed) }
    func own(_ image: any QuantizedImage) -> VulkanImage { ownForm(image) }
}
