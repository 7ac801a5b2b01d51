// Makes the tokenizer from a model file's metadata.
import SoradAPI
import SoradModelFile
import SoradSystem
import SoradTokenizer

/// Turns prompts into token ids for one model.
struct PromptTokenizer {
    private let tokenizer: UnigramTokenizer
    /// Tokens at most, the end mark included.
    private let textLength: Int
    /// The words that the model's captions had; nil where the file does not say.
    private let captionWords: CaptionWords?

    static let captionWordsKey = "sorad.words"

    /// - Throws: `.badInput` naming the file and what is wrong with its tokenizer.
    init(_ data: Metadata, textLength: Int) throws(SoradError) {
        let kind = try data.string("tokenizer.ggml.model")
        guard kind == "t5" else {
            throw SoradError(.badInput, "\(data.path) has a tokenizer of the kind \"\(kind)\", and only t5 is known")
        }
        guard case .int32s(let types)? = data["tokenizer.ggml.token_type"] else {
            throw SoradError(.badInput, "\(data.path): tokenizer.ggml.token_type is missing or not an array of 32-bit integers")
        }
        let key = "tokenizer.ggml.padding_token_id"
        let padding: Int32? = data.contains(key) ? Int32(try data.integer(key)) : nil
        let (pieces, scores) = (try data.strings("tokenizer.ggml.tokens"), try data.floats("tokenizer.ggml.scores"))
        let charsmap = try data.bytes("tokenizer.ggml.precompiled_charsmap")
        let (prefix, fold, escape) = (
            try data.bool("tokenizer.ggml.add_space_prefix"), try data.bool("tokenizer.ggml.remove_extra_whitespaces"),
            try data.bool("tokenizer.ggml.escape_whitespaces")
        )
        let (unknown, end) = (try data.integer("tokenizer.ggml.unknown_token_id"), try data.integer("tokenizer.ggml.eos_token_id"))
        do throws(TokenizerError) {
            let model = try SentencePieceModel(
                pieces: pieces, scores: scores, types: types, precompiledCharsmap: charsmap, addDummyPrefix: prefix,
                removeExtraWhitespaces: fold, escapeWhitespaces: escape, unknownID: Int32(unknown), eosID: Int32(end), padID: padding)
            tokenizer = try UnigramTokenizer(model)
        } catch {
            throw SoradError(.badInput, "\(data.path) has no usable tokenizer: \(error.message)")
        }
        captionWords = data.contains(Self.captionWordsKey) ? CaptionWords(try data.strings(Self.captionWordsKey)) : nil
        self.textLength = textLength
    }

    /// How the model reads `prompt`: what of it `encode` cuts off, and which words mean nothing to it.
    /// - Throws: as `encode`.
    func reading(of prompt: String) throws(SoradError) -> PromptReading {
        do throws(TokenizerError) {
            let text = PromptText.whitespaceCleaned(prompt)
            let tokens = try tokenizer.tokens(in: Array(text.utf8))
            return PromptReading(
                tokens: tokens.count + 1, textLength: textLength,
                unknownWords: tokenizer.unknownWords(in: text, tokens: tokens, known: captionWords, limit: PromptReading.unknownWordsLimit))
        } catch {
            throw SoradError(.badInput, error.message, param: "prompt")
        }
    }

    /// Token ids of `prompt` with the end mark: [L], 1 ≤ L ≤ text length. What does not fit is cut off at the end.
    /// - Throws: `.badInput` for a prompt that is far too long.
    func encode(_ prompt: String) throws(SoradError) -> [Int32] {
        do throws(TokenizerError) {
            return try tokenizer.encode(PromptText.whitespaceCleaned(prompt), maxTokens: textLength)
        } catch {
            throw SoradError(.badInput, error.message, param: "prompt")
        }
    }
}
