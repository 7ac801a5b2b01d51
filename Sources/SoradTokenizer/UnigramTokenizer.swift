// Text to token ids, as the sentencepiece library makes them for a unigram model (checked against version 0.2.3).
// Invariant: ids come only from pieces of the types normal, user-defined, byte and unknown. A control piece such as `</s>` or
// `<pad>` is never matched in the text: whoever writes "</s>" in a prompt gets the letters' pieces, not the end of the prompt.
//
// Where the tokenizers of `transformers` differ, and why we do not follow them:
// - They cut special tokens (`</s>`, `<pad>`, `<unk>`, `<extra_id_0>`) out of the text first and turn them into their ids. Here
//   text stays text. (`<extra_id_0>` still becomes its id where the vocabulary has it as a user-defined piece, as in sentencepiece.)
// - Since version 5 they normalize per grapheme cluster and re-implement the search in double precision, so rare strings differ
//   from sentencepiece, which the published models were trained with.
// - They pad to a fixed length. The encoder here works on the tokens alone, so padding is left to whoever needs it.

/// One token and where it came from.
public struct Token: Sendable, Equatable {
    public let id: Int32
    /// Byte offsets in the text. Of the bytes that one unknown character falls apart into, the last has the character's
    /// range and the others are empty.
    public let range: Range<Int>
}

/// A SentencePiece unigram tokenizer.
public struct UnigramTokenizer: Sendable {
    /// The longest text that is accepted, in bytes. Splitting needs up to 17 bytes of memory per normalized byte.
    public static let maximumTextBytes = 256 << 10

    public let vocabularySize: Int
    public let unknownID: Int32
    public let eosID: Int32
    public let padID: Int32?

    private let normalizer: TextNormalizer
    private let search: UnigramSearch
    /// [256] nil if the vocabulary has no byte pieces.
    private let byteIDs: [Int32]?
    /// Pieces of one character that is no space, where `unknownWords` asks; and that of a space alone.
    private let letterIDs: Set<Int32>
    private let spaceID: Int32?

    /// - Throws: `TokenizerError` if two pieces of the vocabulary are equal.
    public init(_ model: SentencePieceModel) throws(TokenizerError) {
        vocabularySize = model.pieces.count
        unknownID = model.unknownID
        eosID = model.eosID
        padID = model.padID
        let userDefined = model.types.indices.filter({ model.types[$0] == .userDefined })
        normalizer = try TextNormalizer(
            model, userDefined: userDefined.isEmpty ? nil : PieceTrie(pieces: model.pieces, ids: userDefined.map(Int32.init)))
        search = try UnigramSearch(model)
        byteIDs = try SentencePieceModel.bytePieceIDs(pieces: model.pieces, types: model.types)
        let single = model.pieces.indices.filter { model.types[$0] == .normal && model.pieces[$0].unicodeScalars.count == 1 }
        spaceID = single.first { model.pieces[$0] == "\u{2581}" }.map(Int32.init)
        let isAsked = model.pieces.count < UnigramTokenizer.wholeWordVocabulary
        letterIDs = isAsked ? Set(single.map(Int32.init)).subtracting(spaceID.map { [$0] } ?? []) : []
    }

    /// The ids of `text` without any special token, equal to `SentencePieceProcessor.encode(text)`.
    /// - Throws: `TokenizerError` if the text is longer than `maximumTextBytes`.
    public func encode(_ text: String) throws(TokenizerError) -> [Int32] {
        try tokens(in: Array(text.utf8)).map(\.id)
    }

    /// The ids as a T5 encoder takes them: the text's, cut so that the whole has at most `maxTokens`, then end of sequence.
    /// Cutting at the end is what `T5Tokenizer(truncation=True, max_length=maxTokens)` does.
    /// - Parameter maxTokens: at least 1, the end of sequence included.
    public func encode(_ text: String, maxTokens: Int, appendEOS: Bool = true) throws(TokenizerError) -> [Int32] {
        precondition(maxTokens >= 1, "maxTokens is \(maxTokens)")
        let ids = try encode(text)
        guard appendEOS else { return Array(ids.prefix(maxTokens)) }
        return ids.prefix(maxTokens - 1) + [eosID]
    }

    func isLetter(_ id: Int32) -> Bool { letterIDs.contains(id) }
    func isLoneSpace(_ id: Int32) -> Bool { id == spaceID }

    /// A piece that stands for what the vocabulary lacks: the unknown one, or one of the bytes.
    func isFallback(_ id: Int32) -> Bool { id == unknownID || byteIDs?.contains(id) == true }

    /// The tokens of `text` with their places in it.
    /// - Parameter text: meant to be UTF-8; each byte that is not part of it counts as U+FFFD.
    public func tokens(in text: [UInt8]) throws(TokenizerError) -> [Token] {
        guard text.count <= Self.maximumTextBytes else {
            throw TokenizerError("the text is \(text.count) bytes long; at most \(Self.maximumTextBytes) can be tokenized")
        }
        let normalized = try normalizer.normalize(text)
        var tokens: [Token] = []
        var previousIsUnknown = false
        for (id, range) in search.bestSplit(normalized.bytes) {
            let origin = Int(normalized.origins[range.lowerBound])..<Int(normalized.origins[range.upperBound])
            let isUnknown = id == unknownID
            if isUnknown, let byteIDs {
                let start = origin.lowerBound..<origin.lowerBound
                for byte in normalized.bytes[range].dropLast() { tokens.append(Token(id: byteIDs[Int(byte)], range: start)) }
                tokens.append(Token(id: byteIDs[Int(normalized.bytes[range.upperBound - 1])], range: origin))
            } else if isUnknown, previousIsUnknown, let last = tokens.last {
                // A run of unknown characters is one token.
                tokens[tokens.count - 1] = Token(id: id, range: last.range.lowerBound..<origin.upperBound)
            } else {
                tokens.append(Token(id: id, range: origin))
            }
            previousIsUnknown = isUnknown
        }
        return tokens
    }
}
