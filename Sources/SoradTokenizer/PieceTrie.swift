// The vocabulary as a trie over bytes, in three flat arrays.
// Invariant: nodes lie in breadth-first order, so a node's children are the nodes `firstChild[node]..<firstChild[node + 1]`,
// and their labels ascend. That needs 9 bytes per node (8 MB for 256,000 pieces), no hashing and no free slots, and the
// labels that a step compares lie side by side.

/// Maps byte strings to piece ids and walks them byte by byte.
struct PieceTrie: Sendable {
    static let root = 0

    /// [nodes + 1]
    private var firstChild: [Int32] = []
    /// [nodes] the byte that leads to each node.
    private var labels: [UInt8] = []
    /// [nodes] the piece that ends at each node, or -1.
    private var pieceIDs: [Int32] = []

    /// - Parameters:
    ///   - pieces: the whole vocabulary, by id; those in `ids` are not empty and hold no NUL. - ids: the pieces to take in.
    /// - Throws: if two of the pieces are equal.
    init(pieces: [String], ids: [Int32]) throws(TokenizerError) {
        let keys = SortedKeys(pieces: pieces, ids: ids)
        var ranges: [Range<Int32>] = [0..<Int32(ids.count)]
        var depth = 0
        labels.append(0)
        // One turn per level: `ranges` are the keys below each node of the level.
        while !ranges.isEmpty {
            var next: [Range<Int32>] = []
            for var range in ranges {
                firstChild.append(Int32(labels.count))
                pieceIDs.append(-1)
                if let first = range.first, keys.count(first) == depth {
                    pieceIDs[pieceIDs.count - 1] = keys.id(first)
                    range = (first + 1)..<range.upperBound
                    if let second = range.first, keys.count(second) == depth {
                        throw TokenizerError("The vocabulary has the piece `\(pieces[Int(keys.id(second))])` twice.")
                    }
                }
                var start = range.lowerBound
                while start < range.upperBound {
                    let label = keys.byte(start, at: depth)
                    var end = start + 1
                    while end < range.upperBound, keys.byte(end, at: depth) == label { end += 1 }
                    labels.append(label)
                    next.append(start..<end)
                    start = end
                }
            }
            ranges = next
            depth += 1
        }
        firstChild.append(Int32(labels.count))
    }

    /// The node that `byte` leads to from `node`, or nil.
    func child(of node: Int, _ byte: UInt8) -> Int? {
        var low = Int(firstChild[node])
        let end = Int(firstChild[node + 1])
        var high = end
        while low < high {
            let middle = (low + high) / 2
            if labels[middle] < byte { low = middle + 1 } else { high = middle }
        }
        return low < end && labels[low] == byte ? low : nil
    }

    /// The piece that ends at `node`, or nil.
    func pieceID(at node: Int) -> Int32? {
        let id = pieceIDs[node]
        return id >= 0 ? id : nil
    }

    /// The length in bytes of the longest piece that begins at `start`, or nil.
    func longestMatch(in text: [UInt8], at start: Int) -> Int? {
        var longest: Int?
        var node = Self.root
        var position = start
        while position < text.count, let next = child(of: node, text[position]) {
            node = next
            position += 1
            if pieceID(at: node) != nil { longest = position - start }
        }
        return longest
    }
}

/// Pieces in ascending order of their bytes, in flat arrays.
private struct SortedKeys {
    private var bytes: [UInt8] = []
    /// [ids + 1] where each key begins in `bytes`.
    private var starts: [Int32] = [0]
    /// The index of each key, in order; `ids` by index.
    private var order: [Int32] = []
    private let ids: [Int32]

    init(pieces: [String], ids: [Int32]) {
        self.ids = ids
        // The first eight bytes as one number decide most comparisons; keys hold no NUL, so padding with zeros keeps the order.
        var prefixes: [UInt64] = []
        for id in ids {
            var prefix: UInt64 = 0
            var shift: UInt64 = 64
            for byte in pieces[Int(id)].utf8 {
                bytes.append(byte)
                guard shift > 0 else { continue }
                shift -= 8
                prefix |= UInt64(byte) << shift
            }
            starts.append(Int32(bytes.count))
            prefixes.append(prefix)
        }
        let (bytes, starts) = (bytes, starts)
        order = ids.indices.map(Int32.init).sorted(by: { left, right in
            let (left, right) = (Int(left), Int(right))
            guard prefixes[left] == prefixes[right] else { return prefixes[left] < prefixes[right] }
            return bytes[Int(starts[left])..<Int(starts[left + 1])].lexicographicallyPrecedes(bytes[Int(starts[right])..<Int(starts[right + 1])])
        })
    }

    func id(_ rank: Int32) -> Int32 {
        ids[Int(order[Int(rank)])]
    }

    func count(_ rank: Int32) -> Int {
        let index = Int(order[Int(rank)])
        return Int(starts[index + 1] - starts[index])
    }

    func byte(_ rank: Int32, at depth: Int) -> UInt8 {
        bytes[Int(starts[Int(order[Int(rank)])]) + depth]
    }
}
