// Owns how constant numbers are held: mapped from a model file and used where they lie, or in memory.

public import SoradSystem

/// Constant elements of one type, in the layout that the operation reading them expects.
public struct Parameter: @unchecked Sendable {
    public let elementType: ElementType
    public let count: Int
    private enum Source {
        case mapped(MappedRange)
        /// From a byte of the block on.
        case memory(Storage, offset: Int)
    }
    private let source: Source

    /// Bytes of a mapped file; there must be a whole number of elements, aligned to their size.
    public init(_ range: MappedRange, _ elementType: ElementType) {
        let size = elementType.byteSize
        precondition(range.count % size == 0 && range.offset % size == 0, "bytes \(range.offset)+\(range.count) as \(elementType)")
        self.elementType = elementType
        count = range.count / size
        source = .mapped(range)
    }

    public init(_ values: [Float]) { unsafe self.init(copying: values, .f32) }
    public init(_ values: [Int32]) { unsafe self.init(copying: values, .i32) }
    public init(_ values: [Int8]) { unsafe self.init(copying: values, .i8) }

    @unsafe private init<Element: BitwiseCopyable>(copying values: [Element], _ elementType: ElementType) {
        precondition(MemoryLayout<Element>.size == elementType.byteSize)
        let storage = Storage(byteCount: values.count * elementType.byteSize)
        unsafe values.withUnsafeBytes { bytes in
            unsafe storage.address(0, count: bytes.count).copyMemory(
                from: bytes.baseAddress ?? UnsafeRawPointer(storage.address(0, count: 0)), byteCount: bytes.count)
        }
        self.elementType = elementType
        count = values.count
        source = .memory(storage, offset: 0)
    }

    /// Part `index` of `parts` equal ones, of the same memory.
    public func part(_ index: Int, of parts: Int) -> Parameter {
        precondition(count % parts == 0 && (0..<parts).contains(index), "part \(index) of \(parts) of \(count) elements")
        let bytes = count / parts * elementType.byteSize
        let part: Source =
            switch source {
            case .mapped(let range): .mapped(MappedRange(file: range.file, offset: range.offset + index * bytes, count: bytes))
            case .memory(let storage, let offset): .memory(storage, offset: offset + index * bytes)
            }
        return Parameter(elementType, count / parts, part)
    }

    private init(_ elementType: ElementType, _ count: Int, _ source: Source) {
        self.elementType = elementType
        self.count = count
        self.source = source
    }

    /// A float parameter as a tensor of its own; small tables only.
    public func tensor(_ shape: Shape) -> Tensor {
        precondition(elementType == .f32 && shape.count == count, "\(count) elements of \(elementType) as \(shape)")
        let tensor = Tensor(shape)
        unsafe tensor.pointer().update(from: pointer(Float.self), count: count)
        return tensor
    }

    /// Where the elements lie; valid while the parameter lives. For backends.
    @unsafe package func pointer<Element>(_ type: Element.Type) -> UnsafePointer<Element> {
        precondition(MemoryLayout<Element>.size == elementType.byteSize, "\(elementType) read as \(type)")
        let address: UnsafeRawPointer
        switch source {
        case .mapped(let range): unsafe address = range.address
        case .memory(let storage, let offset):
            unsafe address = UnsafeRawPointer(storage.address(offset, count: count * elementType.byteSize))
        }
        return unsafe address.assumingMemoryBound(to: type)
    }
}
