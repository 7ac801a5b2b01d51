// The vocabulary and the rules of a SentencePiece unigram tokenizer as plain values.
// Invariant: an instance is valid. Every way to make one goes through the same checks, so that nothing behind it
// (the normalizer, the trie, the search) has to doubt an id, a score or a rule again. One check is left to `UnigramTokenizer`,
// which sorts the pieces anyway: that no two pieces are equal.
// The values are exactly those that a model file stores as metadata, so a tokenizer is the same whether it was read
// from `spiece.model` or from there.

/// A checked SentencePiece unigram model.
public struct SentencePieceModel: Sendable, Equatable {
    /// What a piece is for; the raw values are those of `sentencepiece_model.proto`.
    public enum PieceType: Int32, Sendable {
        case normal = 1
        /// The single piece that stands for whatever the vocabulary lacks.
        case unknown = 2
        /// Never produced from text: `</s>`, `<pad>` and their like.
        case control = 3
        /// Matched literally in the text, before normalization.
        case userDefined = 4
        /// Keeps its id but is never produced.
        case unused = 5
        /// `<0x00>` … `<0xFF>`, one byte of a character that the vocabulary lacks.
        case byte = 6
    }

    /// Bounds on what a file may ask for. The largest published vocabulary of this kind (umT5) has 256,384 pieces.
    public enum Limit {
        public static let fileBytes = 64 << 20
        public static let pieces = 1 << 20
        public static let pieceBytes = 512
        public static let totalPieceBytes = 16 << 20
        public static let charsmapBytes = 16 << 20
        /// Bounds every sum of scores that the search can form.
        public static let absoluteScore: Float = 1e6
    }

    /// [V] the pieces, by id; a space inside a piece is written U+2581.
    public let pieces: [String]
    /// [V] log probabilities.
    public let scores: [Float]
    /// [V]
    public let types: [PieceType]
    /// The compiled normalization rules; empty means that text is taken as it is.
    public let precompiledCharsmap: [UInt8]
    /// Puts one space before the text.
    public let addDummyPrefix: Bool
    /// Drops leading and trailing spaces and folds runs of them.
    public let removeExtraWhitespaces: Bool
    /// Writes spaces as U+2581.
    public let escapeWhitespaces: Bool
    public let unknownID: Int32
    /// End of sequence, which T5 encoders expect after every text.
    public let eosID: Int32
    public let padID: Int32?

    /// Whether characters outside the vocabulary become byte pieces rather than the unknown piece.
    public let byteFallback: Bool

    /// Checks the values and keeps them.
    /// - Parameters:
    ///   - pieces: [V] vocabulary by id. - scores: [V] log probabilities. - types: [V] raw values of `PieceType`.
    ///   - precompiledCharsmap: as in `NormalizerSpec.precompiled_charsmap`; may be empty.
    /// - Throws: `TokenizerError` naming the first value that cannot be used.
    public init(
        pieces: [String], scores: [Float], types: [Int32], precompiledCharsmap: [UInt8],
        addDummyPrefix: Bool, removeExtraWhitespaces: Bool, escapeWhitespaces: Bool,
        unknownID: Int32, eosID: Int32, padID: Int32?
    ) throws(TokenizerError) {
        guard pieces.count == scores.count, pieces.count == types.count else {
            throw TokenizerError(
                "the vocabulary has \(pieces.count) pieces, \(scores.count) scores and \(types.count) types; the three must agree")
        }
        self.types = try Self.checkedTypes(types)
        try Self.check(pieces: pieces, types: self.types)
        try Self.check(scores: scores)
        try Self.check(id: eosID, named: "end-of-sequence", is: .control, in: self.types)
        try Self.check(id: unknownID, named: "unknown", is: .unknown, in: self.types)
        if let padID { try Self.check(id: padID, named: "padding", is: .control, in: self.types) }
        if !precompiledCharsmap.isEmpty { _ = try CharacterMap(precompiledCharsmap) }
        byteFallback = try Self.bytePieceIDs(pieces: pieces, types: self.types) != nil
        self.pieces = pieces
        self.scores = scores
        self.precompiledCharsmap = precompiledCharsmap
        self.addDummyPrefix = addDummyPrefix
        self.removeExtraWhitespaces = removeExtraWhitespaces
        self.escapeWhitespaces = escapeWhitespaces
        self.unknownID = unknownID
        self.eosID = eosID
        self.padID = padID
    }
}

// MARK: - Checks

extension SentencePieceModel {
    private static func checkedTypes(_ types: [Int32]) throws(TokenizerError) -> [PieceType] {
        guard types.count <= Limit.pieces else {
            throw TokenizerError("the vocabulary has \(types.count) pieces; at most \(Limit.pieces) are supported")
        }
        var result: [PieceType] = []
        result.reserveCapacity(types.count)
        for (id, raw) in types.enumerated() {
            guard let type = PieceType(rawValue: raw) else {
                throw TokenizerError("piece \(id) of the vocabulary has the unknown type \(raw)")
            }
            result.append(type)
        }
        guard result.contains(.normal) else {
            throw TokenizerError("the vocabulary has no piece of type normal, so it cannot represent any text")
        }
        let unknownCount = result.count(where: { $0 == .unknown })
        guard unknownCount == 1 else {
            throw TokenizerError("the vocabulary has \(unknownCount) unknown pieces; it must have exactly one")
        }
        return result
    }

    private static func check(pieces: [String], types: [PieceType]) throws(TokenizerError) {
        var total = 0
        var reserved: Set<[UInt8]> = []
        for (id, piece) in pieces.enumerated() {
            let count = piece.utf8.count
            guard count > 0 else { throw TokenizerError("piece \(id) of the vocabulary is empty") }
            guard count <= Limit.pieceBytes else {
                throw TokenizerError("piece \(id) of the vocabulary is \(count) bytes long; at most \(Limit.pieceBytes) are supported")
            }
            guard !piece.utf8.contains(0) else { throw TokenizerError("piece \(id) of the vocabulary contains a null character") }
            total += count
            let type = types[id]
            if type == .control || type == .unknown || type == .byte, !reserved.insert(Array(piece.utf8)).inserted {
                throw TokenizerError("piece \(id) of the vocabulary, `\(piece)`, is there twice")
            }
        }
        guard total <= Limit.totalPieceBytes else {
            throw TokenizerError("the vocabulary holds \(total) bytes of pieces; at most \(Limit.totalPieceBytes) are supported")
        }
    }

    private static func check(scores: [Float]) throws(TokenizerError) {
        for (id, score) in scores.enumerated() where !(score.magnitude <= Limit.absoluteScore) {
            throw TokenizerError("piece \(id) of the vocabulary has the score \(score), which is not a log probability")
        }
    }

    private static func check(id: Int32, named name: String, is type: PieceType, in types: [PieceType]) throws(TokenizerError) {
        guard id >= 0, Int(id) < types.count, types[Int(id)] == type else {
            throw TokenizerError("the \(name) id \(id) is not a piece of type \(type) in this vocabulary of \(types.count) pieces")
        }
    }

    /// [256] the id of each byte's piece, or nil if the vocabulary has no byte pieces.
    static func bytePieceIDs(pieces: [String], types: [PieceType]) throws(TokenizerError) -> [Int32]? {
        guard types.contains(.byte) else { return nil }
        var ids = [Int32](repeating: -1, count: 256)
        for (id, type) in types.enumerated() where type == .byte {
            guard let byte = byteValue(ofPiece: pieces[id]) else {
                throw TokenizerError(
                    "piece \(id) of the vocabulary has type byte but is called `\(pieces[id])` instead of `<0x00>` to `<0xFF>`")
            }
            ids[Int(byte)] = Int32(id)
        }
        guard let missing = ids.firstIndex(of: -1) else { return ids }
        throw TokenizerError("the vocabulary has byte pieces but none for byte \(missing); it needs all 256")
    }

    /// The byte that `<0x41>` names: two hexadecimal digits, letters in upper case.
    private static func byteValue(ofPiece piece: String) -> UInt8? {
        let text = Array(piece.utf8)
        guard text.count == 6, text.starts(with: Array("<0x".utf8)), text[5] == UInt8(ascii: ">") else { return nil }
        let digits = Array("0123456789ABCDEF".utf8)
        guard let high = digits.firstIndex(of: text[3]), let low = digits.firstIndex(of: text[4]) else { return nil }
        return UInt8(high * 16 + low)
    }
}
