// The element types that tensors have in memory and in model files. One definition for the whole project.

/// How one element of a tensor is stored, little endian.
public enum ElementType: String, Sendable, CaseIterable {
    case f32, f16, bf16, i8, i32

    /// Bytes of one element.
    public var byteSize: Int {
        switch self {
        case .f32, .i32: 4
        case .f16, .bf16: 2
        case .i8: 1
        }
    }
}
