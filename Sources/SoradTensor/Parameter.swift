// Owns how constant numbers are held: mapped from a model file and used where they lie, or in memory.

public import SoradSystem

/// Constant elements of one type, in the layout that the operation reading them expects.
public struct Parameter: @unchecked Sendable {
    public let elementType: ElementType
    public let count: Int
    private enum Source {
        case mapped(MappedRange)
        /// From a byte of the buffer on.
        case buffer(TensorBuffer, offset: Int)
    }
    private let source: Source

    /// Bytes of a mapped file; there must be a whole number of elements, aligned to their size.
    public init(_ range: MappedRange, _ elementType: ElementType) {
        let size = elementType.byteSize
        precondition(range.count % size == 0 && range.offset % size == 0, "bytes \(range.offset)+\(range.count) as \(elementType)")
        self.init(elementType, range.count / size, .mapped(range))
    }

    public init(_ values: [Float]) { unsafe self.init(copying: values, .f32) }
    public init(_ values: [Int32]) { unsafe self.init(copying: values, .i32) }
    public init(_ values: [Int8]) { unsafe self.init(copying: values, .i8) }
    /// Int8, four in a word, the first in its low byte.
    public init(int8 words: [UInt32]) {
        let buffer = HostBuffer(byteCount: words.count * 4)
        unsafe words.withUnsafeBytes { buffer.upload(unsafe $0.bytes, at: 0) }
        self.init(.i8, words.count * 4, .buffer(buffer, offset: 0))
    }
    public init(_ values: [Float16]) { unsafe self.init(copying: values, .f16) }

    /// Elements in a backend's memory; for backends.
    public init(_ elementType: ElementType, count: Int, in buffer: TensorBuffer, at offset: Int) {
        precondition(
            offset >= 0 && count >= 0 && count * elementType.byteSize <= buffer.byteCount - offset, "\(count) elements at byte \(offset)")
        self.init(elementType, count, .buffer(buffer, offset: offset))
    }

    @unsafe private init<Element: BitwiseCopyable>(copying values: [Element], _ elementType: ElementType) {
        precondition(MemoryLayout<Element>.size == elementType.byteSize)
        let buffer = HostBuffer(byteCount: values.count * elementType.byteSize)
        unsafe values.withUnsafeBytes { buffer.upload(unsafe $0.bytes, at: 0) }
        self.init(elementType, values.count, .buffer(buffer, offset: 0))
    }

    /// The buffer that the elements lie in and their first byte; nil for those of a mapped file.
    public var place: (buffer: TensorBuffer, offset: Int)? {
        if case .buffer(let buffer, let offset) = source { (buffer, offset) } else { nil }
    }

    /// Part `index` of `parts` equal ones, of the same memory.
    public func part(_ index: Int, of parts: Int) -> Parameter {
        precondition(count % parts == 0 && (0..<parts).contains(index), "part \(index) of \(parts) of \(count) elements")
        let bytes = count / parts * elementType.byteSize
        let part: Source =
            switch source {
            case .mapped(let range): .mapped(MappedRange(file: range.file, offset: range.offset + index * bytes, count: bytes))
            case .buffer(let buffer, let offset): .buffer(buffer, offset: offset + index * bytes)
            }
        return Parameter(elementType, count / parts, part)
    }

    private init(_ elementType: ElementType, _ count: Int, _ source: Source) {
        self.elementType = elementType
        self.count = count
        self.source = source
    }

    /// Shows the bytes; those in a backend's memory settle first.
    public func withBytes<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
        switch source {
        case .mapped(let range): try range.withBytes(body)
        case .buffer(let buffer, let offset):
            try ByteBuffer(buffer: buffer, offset: offset, count: count * elementType.byteSize).withBytes(body)
        }
    }

    /// Lets go of the pages of a mapped file: they were copied elsewhere. Reading brings them back.
    public func giveBackPages() {
        if case .mapped(let range) = source { range.giveBack() }
    }

    /// The elements of a float parameter; small tables only.
    public var floats: [Float] {
        precondition(elementType == .f32, "\(elementType) read as floats")
        return withBytes { bytes in
            (0..<count).map { unsafe bytes.unsafeLoad(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }

    /// Where the elements lie, settled; valid while the parameter lives. For backends that compute on the host.
    @_spi(HostMemory) @unsafe public func pointer<Element>(_ type: Element.Type) -> UnsafePointer<Element> {
        precondition(MemoryLayout<Element>.size == elementType.byteSize, "\(elementType) read as \(type)")
        let address: UnsafeRawPointer
        switch source {
        case .mapped(let range): unsafe address = range.address
        case .buffer(let buffer, let offset):
            unsafe address = UnsafeRawPointer(buffer.address(offset, count: count * elementType.byteSize))
        }
        return unsafe address.assumingMemoryBound(to: type)
    }
}
