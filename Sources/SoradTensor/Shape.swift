// Owns the sizes of a tensor. Stored inline, so that making a view in the middle of a denoise step allocates nothing;
// inlinable, because backends in other modules read sizes between kernel calls.

/// One to five dimensions, slowest first; the last is contiguous in memory.
public struct Shape: Equatable, Sendable, CustomStringConvertible {
    public let rank: Int
    @usableFromInline let sizes: (Int, Int, Int, Int, Int)

    @inlinable public init(_ a: Int) { self.init(rank: 1, (a, 1, 1, 1, 1)) }
    @inlinable public init(_ a: Int, _ b: Int) { self.init(rank: 2, (a, b, 1, 1, 1)) }
    @inlinable public init(_ a: Int, _ b: Int, _ c: Int) { self.init(rank: 3, (a, b, c, 1, 1)) }
    @inlinable public init(_ a: Int, _ b: Int, _ c: Int, _ d: Int) { self.init(rank: 4, (a, b, c, d, 1)) }
    @inlinable public init(_ a: Int, _ b: Int, _ c: Int, _ d: Int, _ e: Int) { self.init(rank: 5, (a, b, c, d, e)) }

    @usableFromInline init(rank: Int, _ sizes: (Int, Int, Int, Int, Int)) {
        self.rank = rank
        self.sizes = sizes
        var count = 1
        for axis in 0..<rank {
            precondition(self[axis] >= 0, "size \(self[axis]) of axis \(axis)")
            let (product, overflow) = count.multipliedReportingOverflow(by: self[axis])
            precondition(!overflow, "a tensor of \(description) has too many elements")
            count = product
        }
        self.count = count
    }

    /// Number of elements.
    public private(set) var count = 0

    /// Size of one axis, counted from the slowest.
    @inlinable public subscript(axis: Int) -> Int {
        switch axis {
        case 0: sizes.0
        case 1: sizes.1
        case 2: sizes.2
        case 3: sizes.3
        default: sizes.4
        }
    }

    /// Size of the contiguous axis.
    @inlinable public var last: Int { self[rank - 1] }

    @inlinable public static func == (a: Shape, b: Shape) -> Bool { a.rank == b.rank && a.sizes == b.sizes }

    public var description: String { "[" + (0..<rank).map { String(self[$0]) }.joined(separator: ", ") + "]" }
}
