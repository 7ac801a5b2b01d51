// Owns the debug dump: with SORAD_DUMP=folder, named intermediate tensors are written there as NumPy files, to be compared with the
// reference implementation. Without it, a call costs one comparison.
import Glibc
internal import SoradSystem

public enum TensorDump {
    private static let folder: String? = unsafe getenv("SORAD_DUMP").map { unsafe String(cString: $0) }

    /// Writes `folder/name.npy` (float32), replacing an earlier one.
    public static func write(_ name: @autoclosure () -> String, _ tensor: @autoclosure () -> Tensor) {
        guard let folder else { return }
        let path = "\(folder)/\(name()).npy"
        let tensor = tensor()
        do {
            let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
            try file.write(
                header(tensor.shape)
                    + tensor.elements.flatMap { value in
                        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
                    })
        } catch {
            fatalError("SORAD_DUMP: cannot write \(path): \(error)")
        }
    }

    /// The header of NumPy's format 1.0, padded to 64 bytes.
    static func header(_ shape: Shape) -> [UInt8] {
        let sizes = (0..<shape.rank).map { "\(shape[$0])," }.joined()
        var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
        while (10 + text.utf8.count + 1) % 64 != 0 { text += " " }
        text += "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.utf8.count & 255), UInt8(text.utf8.count >> 8)] + Array(text.utf8)
    }
}
