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
                        throw TokenizerError("the vocabulary has the piece `\(pieces[Int(keys.id(second))])` twice")
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

/// Pieces in ascending order of their bytes, laid out in that order, so that building the trie reads memory forwards.
private struct SortedKeys {
    private var bytes: [UInt8] = []
    /// [ids + 1] where each key begins in `bytes`.
    private var starts: [Int32] = [0]
    /// [ids] the piece of each key.
    private var ids: [Int32] = []

    init(pieces: [String], ids: [Int32]) {
        // The first eight bytes as one number decide most comparisons; keys hold no NUL, so padding with zeros keeps the order.
        var entries = ids.map({ (prefix: Self.prefix(pieces[Int($0)]), id: $0) })
        entries.sort(by: { left, right in
            guard left.prefix == right.prefix else { return left.prefix < right.prefix }
            return pieces[Int(left.id)].utf8.dropFirst(8).lexicographicallyPrecedes(pieces[Int(right.id)].utf8.dropFirst(8))
        })
        for entry in entries {
            bytes.append(contentsOf: pieces[Int(entry.id)].utf8)
            starts.append(Int32(bytes.count))
            self.ids.append(entry.id)
        }
    }

    private static func prefix(_ piece: String) -> UInt64 {
        var prefix: UInt64 = 0
        var shift: UInt64 = 64
        for byte in piece.utf8.prefix(8) {
            shift -= 8
            prefix |= UInt64(byte) << shift
        }
        return prefix
    }

    func id(_ rank: Int32) -> Int32 {
        ids[Int(rank)]
    }

    func count(_ rank: Int32) -> Int {
        Int(starts[Int(rank) + 1] - starts[Int(rank)])
    }

    func byte(_ rank: Int32, at depth: Int) -> UInt8 {
        bytes[Int(starts[Int(rank)]) + depth]
    }
}
