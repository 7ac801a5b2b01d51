// The check of a model file's numbers: a checksum proves that the bytes are those that were written, not that they are weights.
public import SoradSystem
import SoradTensor

extension ModelFile {
    /// Reads every number of the floating tensors.
    /// - Throws: `.badInput` naming the first tensor that holds a number that is not finite.
    public func checkNumbers() throws(SoradError) {
        for tensor in tensors {
            let bytes = tensor.bytes
            let bad: Int? =
                switch tensor.type {
                case .f32: firstIndex(bytes, UInt32.self, exponent: 0x7F80_0000)
                case .f16: firstIndex(bytes, UInt16.self, exponent: 0x7C00)
                case .bf16: firstIndex(bytes, UInt16.self, exponent: 0x7F80)
                case .i8, .i32: nil
                }
            guard let bad else { continue }
            throw SoradError(
                .badInput, "\(path): the tensor \(tensor.name) holds a number that is not finite, at \(bad)",
                hint: "the checkpoint that it was made from is damaged or its training diverged; convert another")
        }
    }

    /// The first number whose exponent bits are all 1: infinity or NaN.
    private func firstIndex<Bits: FixedWidthInteger & BitwiseCopyable>(_ range: MappedRange, _: Bits.Type, exponent: Bits) -> Int? {
        range.withBytes { bytes in
            let size = MemoryLayout<Bits>.size
            for index in 0..<bytes.byteCount / size
            where unsafe bytes.unsafeLoad(fromByteOffset: index * size, as: Bits.self) & exponent == exponent { return index }
            return nil
        }
    }
}
