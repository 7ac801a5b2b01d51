// Runs shaders/single_operations.comp: the operations on which all others stand, for the choice of a tier, the self-test and tests.
import SoradTensor

enum SingleOperations {
    /// In the shader's order.
    enum Kind: Int, CaseIterable { case sum, difference, product, fused, quotient, root, conversion, dot }

    /// - Returns: for each kind, its results for (a, b, c).
    static func run(_ device: VulkanDevice, _ pipelines: VulkanPipelines, _ a: [Float], _ b: [Float], _ c: [Float]) -> [[Float]] {
        let count = a.count
        let buffer = VulkanBuffer(device, byteCount: (3 + Kind.allCases.count) * count * 4, isCleared: true)
        let tensors = [a, b, c].enumerated().map { index, values in
            let tensor = Tensor(Shape(count), buffer: buffer, offset: index * count * 4)
            tensor.set(values)
            return tensor
        }
        let out = Tensor(Shape(Kind.allCases.count, count), buffer: buffer, offset: 3 * count * 4)
        if let block = buffer.block, let pipeline = unsafe pipelines.pipeline(.singleOperations) {
            let bindings = (tensors + [out]).map { VulkanBinding(buffer: block.name, offset: $0.offset, count: $0.count * 4) }
            unsafe device.dispatch(
                pipeline, bindings, [UInt32(count)], groups: VulkanBackend.groups(count, of: 64), work: count * 100)
        }
        let results = out.elements
        return Kind.allCases.indices.map { Array(results[$0 * count..<($0 + 1) * count]) }
    }
}
