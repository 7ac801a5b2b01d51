// Text to the normalized bytes that the vocabulary is searched with, and the way back from them to the text.
// Invariant: `origins` has one entry more than `bytes`, never decreases, and stays within the text.
// Follows `Normalizer::Normalize` of the sentencepiece library (0.2) byte for byte: rules first, then what to do with spaces.

/// A text after normalization.
struct NormalizedText {
    /// UTF-8 wherever the text and the rules are.
    var bytes: [UInt8] = []
    /// [bytes.count + 1] for each normalized byte, the offset in the text of what it was made from; the last one is where the
    /// text that counts ends.
    var origins: [Int32] = []
}

/// Applies the model's character rules and its treatment of spaces.
struct TextNormalizer: Sendable {
    /// Well above what a text of `UnigramTokenizer.maximumTextBytes` can become under NFKC, which multiplies by 11 at most.
    private static let maximumNormalizedBytes = 4 << 20
    private static let space = UInt8(ascii: " ")
    private static let replacementCharacter: ArraySlice<UInt8> = [0xEF, 0xBF, 0xBD]

    private let characterMap: CharacterMap?
    /// Pieces that are taken from the text as they are, before any rule.
    private let userDefined: PieceTrie?
    private let addDummyPrefix: Bool
    private let removeExtraWhitespaces: Bool
    /// What a space becomes: U+2581 or a space.
    private let spaceSymbol: [UInt8]

    init(_ model: SentencePieceModel, userDefined: PieceTrie?) throws(TokenizerError) {
        characterMap = model.precompiledCharsmap.isEmpty ? nil : try CharacterMap(model.precompiledCharsmap)
        self.userDefined = userDefined
        addDummyPrefix = model.addDummyPrefix
        removeExtraWhitespaces = model.removeExtraWhitespaces
        spaceSymbol = model.escapeWhitespaces ? [0xE2, 0x96, 0x81] : [Self.space]
    }

    /// - Parameter text: any bytes; each one that is not part of valid UTF-8 becomes U+FFFD.
    func normalize(_ text: [UInt8]) throws(TokenizerError) -> NormalizedText {
        var result = NormalizedText()
        var position = removeExtraWhitespaces ? skipLeadingSpaces(in: text) : 0
        guard position < text.count else { return result }
        result.bytes.reserveCapacity(text.count + text.count / 2 + 3)
        result.origins.reserveCapacity(text.count + text.count / 2 + 4)

        if addDummyPrefix { append(spaceSymbol[...], from: position, to: &result) }
        var previousIsSpace = removeExtraWhitespaces
        while position < text.count {
            let (length, characters) = normalizedPrefix(of: text, at: position)
            let kept = previousIsSpace ? characters.drop(while: { $0 == Self.space }) : characters
            for byte in kept {
                if byte == Self.space {
                    append(spaceSymbol[...], from: position, to: &result)
                } else {
                    result.bytes.append(byte)
                    result.origins.append(Int32(position))
                }
            }
            if let last = kept.last { previousIsSpace = removeExtraWhitespaces && last == Self.space }
            position += length
            guard result.bytes.count <= Self.maximumNormalizedBytes else {
                throw TokenizerError("the text is too long: normalized it has more than \(Self.maximumNormalizedBytes) bytes")
            }
        }

        if removeExtraWhitespaces { position = removeTrailingSpaces(from: &result, end: position) }
        result.origins.append(Int32(position))
        return result
    }

    private func append(_ bytes: ArraySlice<UInt8>, from origin: Int, to result: inout NormalizedText) {
        result.bytes.append(contentsOf: bytes)
        for _ in bytes { result.origins.append(Int32(origin)) }
    }

    /// The offset of the first character that is not normalized to a single space.
    private func skipLeadingSpaces(in text: [UInt8]) -> Int {
        var position = 0
        while position < text.count {
            let (length, characters) = normalizedPrefix(of: text, at: position)
            guard characters.count == 1, characters.first == Self.space else { break }
            position += length
        }
        return position
    }

    /// - Returns: the offset in the text where the first removed space came from, or `end` if there was none.
    private func removeTrailingSpaces(from result: inout NormalizedText, end: Int) -> Int {
        var end = end
        while result.bytes.count >= spaceSymbol.count, result.bytes.suffix(spaceSymbol.count).elementsEqual(spaceSymbol) {
            let length = result.bytes.count - spaceSymbol.count
            end = Int(result.origins[length])
            result.bytes.removeLast(spaceSymbol.count)
            result.origins.removeLast(spaceSymbol.count)
        }
        return end
    }

    /// What the text at `start` is normalized to, and how many bytes of the text that consumes (at least 1): a user-defined piece
    /// as it is, else the longest rule, else one character.
    private func normalizedPrefix(of text: [UInt8], at start: Int) -> (length: Int, characters: ArraySlice<UInt8>) {
        if let length = userDefined?.longestMatch(in: text, at: start) {
            return (length, text[start..<(start + length)])
        }
        if let characterMap, let match = characterMap.longestMatch(in: text, at: start) {
            return (match.keyBytes, characterMap.replacement(match.replacement))
        }
        guard let length = Self.validCharacterLength(text, at: start) else { return (1, Self.replacementCharacter) }
        return (length, text[start..<(start + length)])
    }

    /// The length of the well-formed UTF-8 character at `start` (The Unicode Standard, table 3-7), or nil if there is none.
    private static func validCharacterLength(_ text: [UInt8], at start: Int) -> Int? {
        let first = text[start]
        func trails(_ count: Int) -> Bool {
            guard text.count - start > count else { return false }
            return text[(start + 1)...(start + count)].allSatisfy({ $0 & 0xC0 == 0x80 })
        }
        switch first {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: return trails(1) ? 2 : nil
        case 0xE0...0xEF:
            guard trails(2) else { return nil }
            let second = text[start + 1]
            let isOverlong = first == 0xE0 && second < 0xA0
            let isSurrogate = first == 0xED && second > 0x9F
            return isOverlong || isSurrogate ? nil : 3
        case 0xF0...0xF4:
            guard trails(3) else { return nil }
            let second = text[start + 1]
            let isOverlong = first == 0xF0 && second < 0x90
            let isTooLarge = first == 0xF4 && second > 0x8F
            return isOverlong || isTooLarge ? nil : 4
        default: return nil
        }
    }
}
