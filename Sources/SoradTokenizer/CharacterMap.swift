// The compiled normalization rules of a SentencePiece model: a double-array trie from character sequences to the
// offsets of their NUL-terminated replacements.
// Invariant: from a reachable unit, any byte leads to a unit inside `units`, and every leaf's value is inside `replacements`:
// checked once here, so that the walk over untrusted rules needs no test of its own.
// Format: darts-clone double array as SentencePiece stores it in `NormalizerSpec.precompiled_charsmap`:
// u32 size of the trie in bytes, the trie's little-endian u32 units, the replacements.

/// Finds the longest rule that applies at a place in the text.
package struct CharacterMap: Sendable {
    /// Rules are keyed by a character sequence of at most this many bytes. Without a bound, a hostile trie with a cycle
    /// would make normalization quadratic.
    private static let maximumKeyBytes = 512
    /// Bounds how much a text can grow. The longest replacement of NFKC is 33 bytes.
    private static let maximumReplacementBytes = 128
    /// SentencePiece looks at no more than this many nested rules.
    private static let maximumMatches = 32

    /// Bits of a unit: label 0–7, has-leaf flag 8, offset shift flag 9, offset 10–31; a leaf has bit 31 set and a value in 0–30.
    private let units: [UInt32]
    /// Each replacement ends with a NUL.
    private let replacements: [UInt8]

    /// - Parameter blob: `precompiled_charsmap`, not empty, untrusted.
    package init(_ blob: [UInt8]) throws(TokenizerError) {
        guard blob.count <= SentencePieceModel.Limit.charsmapBytes else {
            throw Self.invalid("it is \(blob.count) bytes long, more than the supported \(SentencePieceModel.Limit.charsmapBytes)")
        }
        guard blob.count > 4 else { throw Self.invalid("it is only \(blob.count) bytes long") }
        let trieBytes = Int(Self.littleEndian(blob, at: 0))
        // The blocks of a double array have 256 units of 4 bytes.
        guard trieBytes >= 1024, trieBytes % 1024 == 0, trieBytes < blob.count - 4 else {
            throw Self.invalid("its trie claims \(trieBytes) of \(blob.count) bytes")
        }
        var units: [UInt32] = []
        units.reserveCapacity(trieBytes / 4)
        for index in 0..<(trieBytes / 4) {
            units.append(Self.littleEndian(blob, at: 4 + 4 * index))
        }
        self.units = units
        replacements = Array(blob[(4 + trieBytes)...])
        try checkReplacements()
        try checkUnits()
    }

    /// The longest rule whose key begins at `start`.
    /// - Returns: the key's length in bytes (at least 1) and where its replacement lies in `replacements`; nil if no rule applies.
    package func longestMatch(in text: [UInt8], at start: Int) -> (keyBytes: Int, replacement: Range<Int>)? {
        var position = Self.offset(units[0])
        var longest: (keyBytes: Int, value: Int)?
        var matches = 0
        let end = min(text.count, start + Self.maximumKeyBytes)
        var index = start
        while index < end, matches < Self.maximumMatches {
            position ^= Int(text[index])
            let unit = units[position]
            guard Self.label(unit) == UInt32(text[index]) else { break }
            index += 1
            position ^= Self.offset(unit)
            if Self.hasLeaf(unit) {
                longest = (index - start, Self.value(units[position]))
                matches += 1
            }
        }
        guard let longest else { return nil }
        var replacementEnd = longest.value
        while replacements[replacementEnd] != 0 { replacementEnd += 1 }
        return (longest.keyBytes, longest.value..<replacementEnd)
    }

    /// The bytes of a replacement that `longestMatch` found.
    package func replacement(_ range: Range<Int>) -> ArraySlice<UInt8> {
        replacements[range]
    }
}

extension CharacterMap {
    private static func label(_ unit: UInt32) -> UInt32 { unit & 0x8000_00FF }
    private static func hasLeaf(_ unit: UInt32) -> Bool { unit & 0x100 != 0 }
    private static func value(_ unit: UInt32) -> Int { Int(unit & 0x7FFF_FFFF) }
    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }

    private static func littleEndian(_ bytes: [UInt8], at index: Int) -> UInt32 {
        UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
    }

    private static func invalid(_ reason: String) -> TokenizerError {
        TokenizerError("the tokenizer's normalization rules (precompiled_charsmap) are damaged: \(reason)")
    }

    private func checkReplacements() throws(TokenizerError) {
        guard replacements.last == 0 else { throw Self.invalid("the last replacement does not end") }
        var length = 0
        for byte in replacements {
            length = byte == 0 ? 0 : length + 1
            guard length <= Self.maximumReplacementBytes else {
                throw Self.invalid("a replacement is longer than \(Self.maximumReplacementBytes) bytes")
            }
        }
    }

    private func checkUnits() throws(TokenizerError) {
        let root = units[0]
        guard Self.label(root) == 0, !Self.hasLeaf(root), Self.offset(root) != 0, Self.offset(root) | 0xFF < units.count else {
            throw Self.invalid("the trie has no root")
        }
        for (index, unit) in units.enumerated().dropFirst() {
            if Self.label(unit) > 0xFF {
                guard Self.value(unit) < replacements.count else { throw Self.invalid("unit \(index) points behind the replacements") }
                continue
            }
            // All 256 successors lie in one aligned block, so its last unit decides.
            let child = index ^ Self.offset(unit)
            guard child | 0xFF < units.count else { throw Self.invalid("unit \(index) points behind the trie") }
            guard !Self.hasLeaf(unit) || Self.label(units[child]) > 0xFF else { throw Self.invalid("unit \(index) has no value") }
        }
    }
}
