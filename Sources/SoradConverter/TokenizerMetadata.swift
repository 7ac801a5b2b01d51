// The tokenizer of a checkpoint as metadata of the model file: from `spiece.model`, a tensor with the same bytes, or the keys of a GGUF file.
import SoradModelFile
import SoradSystem
import SoradTokenizer

/// Where a tokenizer comes from.
enum TokenizerSource {
    /// A SentencePiece model; errors call it `place`.
    case sentencePiece(MappedRange, place: String)
    /// The keys of llama.cpp, which the model file has too.
    case keys(Metadata)

    init(file: MappedFile) { self = .sentencePiece(file.bytes, place: file.path) }

    var place: String {
        switch self {
        case .sentencePiece(_, let place): place
        case .keys(let metadata): metadata.path
        }
    }
}

enum TokenizerMetadata {
    /// Most rows of an embedding table without a piece: tables are filled up to a round number.
    private static let mostSpareRows = 4096

    /// Most words of a list, and bytes of one word.
    private static let mostWords = (count: 65_536, bytes: 64)

    /// The words that the model's captions had, of a file with one a line.
    static func captionWords(_ path: String) throws(SoradError) -> [(key: String, value: MetadataValue)] {
        let words = String(decoding: try MappedFile(path).bytes.array, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
        guard (1...mostWords.count).contains(words.count), words.allSatisfy({ $0.utf8.count <= mostWords.bytes }) else {
            throw SoradError(
                .badInput,
                "\(path) is no list of words: it must have 1 to \(mostWords.count), one a line, each of at most \(mostWords.bytes) bytes")
        }
        return [("sorad.words", .strings(words))]
    }

    /// - Parameter vocabulary: rows of the embedding table; every piece needs one.
    static func read(_ source: TokenizerSource, vocabulary: Int) throws(SoradError) -> [(key: String, value: MetadataValue)] {
        let model: SentencePieceModel
        do throws(TokenizerError) {
            switch source {
            case .sentencePiece(let range, _):
                guard range.count <= SentencePieceModel.Limit.fileBytes else {
                    throw TokenizerError("it has \(range.count) bytes, and at most \(SentencePieceModel.Limit.fileBytes) are read")
                }
                model = try SentencePieceModel(spieceModel: range.array)
            case .keys(let metadata): model = try Self.model(metadata)
            }
        } catch {
            throw SoradError(.badInput, "\(source.place) is not a usable tokenizer: \(error.message)")
        }
        guard model.pieces.count <= vocabulary else {
            throw SoradError(.badInput, "\(source.place) has \(model.pieces.count) pieces, and the text encoder knows only \(vocabulary)")
        }
        guard vocabulary - model.pieces.count <= mostSpareRows else {
            throw SoradError(
                .badInput,
                "\(source.place) has \(model.pieces.count) pieces, and the text encoder \(vocabulary): it belongs to another model")
        }
        var entries: [(key: String, value: MetadataValue)] = [
            ("tokenizer.ggml.model", .string("t5")),
            ("tokenizer.ggml.tokens", .strings(model.pieces)),
            ("tokenizer.ggml.scores", .float32s(model.scores)),
            ("tokenizer.ggml.token_type", .int32s(model.types.map(\.rawValue))),
            ("tokenizer.ggml.precompiled_charsmap", .uint8s(model.precompiledCharsmap)),
            ("tokenizer.ggml.add_space_prefix", .bool(model.addDummyPrefix)),
            ("tokenizer.ggml.remove_extra_whitespaces", .bool(model.removeExtraWhitespaces)),
            ("tokenizer.ggml.escape_whitespaces", .bool(model.escapeWhitespaces)),
            ("tokenizer.ggml.eos_token_id", .uint32(UInt32(model.eosID))),
            ("tokenizer.ggml.unknown_token_id", .uint32(UInt32(model.unknownID))),
        ]
        if let padding = model.padID { entries.append(("tokenizer.ggml.padding_token_id", .uint32(UInt32(padding)))) }
        return entries
    }

    /// A tokenizer out of the keys that llama.cpp writes.
    private static func model(_ metadata: Metadata) throws(TokenizerError) -> SentencePieceModel {
        do {
            guard try metadata.string("tokenizer.ggml.model") == "t5" else { throw TokenizerError("tokenizer.ggml.model is not \"t5\"") }
            var pieces = try metadata.strings("tokenizer.ggml.tokens")
            var scores = try metadata.floats("tokenizer.ggml.scores")
            var types = try metadata.integers("tokenizer.ggml.token_type").map { Int32($0) }
            // llama.cpp fills the vocabulary up to the rows of the embedding table.
            while let last = pieces.last, last.hasPrefix("[PAD"), last.hasSuffix("]"),
                types.last == SentencePieceModel.PieceType.unused.rawValue,
                pieces.count == scores.count, pieces.count == types.count
            {
                pieces.removeLast()
                scores.removeLast()
                types.removeLast()
            }
            func flag(_ key: String) throws -> Bool { try metadata.contains(key) ? metadata.bool(key) : true }
            let padding = "tokenizer.ggml.padding_token_id"
            let charsmap = "tokenizer.ggml.precompiled_charsmap"
            guard metadata.contains(charsmap) else { throw TokenizerError("tokenizer.ggml.precompiled_charsmap is missing") }
            return try SentencePieceModel(
                pieces: pieces, scores: scores, types: types, precompiledCharsmap: try metadata.bytes(charsmap),
                addDummyPrefix: try flag("tokenizer.ggml.add_space_prefix"),
                removeExtraWhitespaces: try flag("tokenizer.ggml.remove_extra_whitespaces"),
                escapeWhitespaces: try flag("tokenizer.ggml.escape_whitespaces"),
                unknownID: Int32(try metadata.integer("tokenizer.ggml.unknown_token_id")),
                eosID: Int32(try metadata.integer("tokenizer.ggml.eos_token_id")),
                padID: metadata.contains(padding) ? Int32(try metadata.integer(padding)) : nil)
        } catch let error as TokenizerError {
            throw error
        } catch let error as SoradError {
            throw TokenizerError(error.message)
        } catch {
            preconditionFailure("\(error)")
        }
    }
}
