// The tokenizer of a checkpoint, `tokenizer/spiece.model`, as metadata of the model file.
import SoradModelFile
import SoradSystem
import SoradTokenizer

enum TokenizerMetadata {
    /// - Parameter vocabulary: rows of the embedding table; every piece needs one.
    static func read(_ file: MappedFile, vocabulary: Int) throws(SoradError) -> [(key: String, value: MetadataValue)] {
        let model: SentencePieceModel
        do throws(TokenizerError) {
            guard file.size <= SentencePieceModel.Limit.fileBytes else {
                throw TokenizerError("it has \(file.size) bytes, and at most \(SentencePieceModel.Limit.fileBytes) are read")
            }
            model = try SentencePieceModel(spieceModel: file.bytes.array)
        } catch {
            throw SoradError(.badInput, "\(file.path) is not a usable tokenizer: \(error.message)")
        }
        guard model.pieces.count <= vocabulary else {
            throw SoradError(.badInput, "\(file.path) has \(model.pieces.count) pieces, and the text encoder knows only \(vocabulary)")
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
}
