// Which words a vocabulary lacks, and how the recipe's tokenizer folds what people type.
import SoradTokenizer
import Testing

@Suite struct UnknownWordsTests {
    /// A vocabulary of whole words, a phrase, an ideograph, letters and bytes.
    private static func tokenizer(parts: [String] = [], more: Int = 0) throws -> UnigramTokenizer {
        let special = ["<pad>", "</s>", "<unk>"]
        let bytes = (0..<256).map { value in
            let digits = String(value, radix: 16, uppercase: true)
            return "<0x" + (digits.count == 1 ? "0" : "") + digits + ">"
        }
        let words =
            [
                "\u{2581}a", "\u{2581}red", "\u{2581}ball", "\u{2581}red\u{2581}ball", "\u{2581}roll", "\u{2581}don't", "\u{2581}", "球",
                "'",
            ] + parts
        let letters = "abcdefghijklmnopqrstuvwxyz.,-".map { String($0) }
        let rest = (0..<more).map { "\u{2581}filler\($0)" }
        let pieces = special + bytes + words + letters + rest
        let types = [3, 3, 2] + Array(repeating: 6, count: 256) + Array(repeating: 1, count: words.count + letters.count + more)
        let scores =
            Array(repeating: Float(0), count: 259) + Array(repeating: -2, count: words.count)
            + Array(repeating: -8, count: letters.count + more)
        return try UnigramTokenizer(
            SentencePieceModel(
                pieces: pieces, scores: scores, types: types.map { Int32($0) }, precompiledCharsmap: [], addDummyPrefix: true,
                removeExtraWhitespaces: true, escapeWhitespaces: true, unknownID: 2, eosID: 1, padID: 0))
    }

    private func unknown(_ text: String, _ tokenizer: UnigramTokenizer, limit: Int = 32) throws -> [String] {
        tokenizer.unknownWords(in: text, tokens: try tokenizer.tokens(in: Array(text.utf8)), limit: limit)
    }

    @Test(
        arguments: [
            ("a red ball", []), ("red ball, a ball.", []), ("don't roll a ball", []), ("red' ball's", []), ("", []), (". , -", []),
            ("a piano", ["piano"]), ("piano ball piano", ["piano"]), ("rolled", []), ("rolling", ["rolling"]), ("a roll rolls", []),
            ("a red-ball", ["ball"]),
            ("ballerina red", ["ballerina"]),
            ("球", []), ("球棒", ["棒"]), ("мяч red", ["мяч"]), ("red é", ["é"]), ("red 🎈 ball", ["🎈"]), ("1970s", ["1970s"]),
            ("the cat's piano", ["the", "cat", "piano"]),
        ] as [(String, [String])])
    func wordsThatFallApart(text: String, expected: [String]) throws {
        #expect(try unknown(text, Self.tokenizer()) == expected)
    }

    /// In a large vocabulary most words are several pieces: only bytes and the unknown piece tell.
    @Test func aLargeVocabularyKnowsWordsByTheirParts() throws {
        let large = try Self.tokenizer(more: 20_000)
        #expect(try unknown("a piano rolled", large) == [])
        #expect(try unknown("a piano é 棒 мяч", large) == ["é", "棒", "мяч"])
    }

    /// Words of the captions that the vocabulary keeps in parts, as sorad-mini's does with colors.
    @Test(
        arguments: [
            ("a blue ball", []), ("blue", []), ("purple black", []), ("a blul ball", ["blul"]), ("piano", ["piano"]),
            ("a kitten", ["kitten"]), ("kitten", ["kitten"]),
        ] as [(String, [String])])
    func partsThatCaptionsShareAreKnown(text: String, expected: [String]) throws {
        let parts = ["\u{2581}bl", "ue", "ack", "\u{2581}pu", "rpl", "\u{2581}p", "an", "ance", "it", "te"]
        #expect(try unknown(text, Self.tokenizer(parts: parts)) == expected)
    }

    /// A list of the captions' words decides, whatever pieces the vocabulary has.
    @Test(
        arguments: [
            ("a red ball", ["red"]), ("balls Bounced", []), ("bounce, bouncing; bounces", []), ("a cat rolls", ["cat", "rolls"]),
            ("spinning", []), ("Ｂａｌｌ", []), ("球 棒", ["棒"]), ("piano ball's", ["piano"]), ("it’s", []), ("grass", []), ("gras", ["gras"]),
            ("as is", ["as"]),
        ] as [(String, [String])])
    func aListOfWordsDecides(text: String, expected: [String]) throws {
        let tokenizer = try Self.tokenizer()
        let known = CaptionWords(["a", "ball", "bounces", "spins", "球", "it", "grass", "is"])
        #expect(
            tokenizer.unknownWords(in: text, tokens: try tokenizer.tokens(in: Array(text.utf8)), known: known, limit: 32) == expected)
    }

    @Test func theListIsBoundedAndWhole() throws {
        let tokenizer = try Self.tokenizer()
        let words = (0..<200).map { "zz" + String(UnicodeScalar(UInt8(97 + $0 % 26))) + String(repeating: "q", count: $0 / 26) }
        #expect(try unknown(words.joined(separator: " "), tokenizer, limit: 5) == Array(words.prefix(5)))
        #expect(try unknown(String(repeating: "z", count: 4000), tokenizer) == [String(repeating: "z", count: 48)])
    }

    /// Case and width make no difference to the model of the recipe.
    @Test func theRecipesTokenizerFoldsCaseAndWidth() throws {
        let tokenizer = try UnigramTokenizer(SentencePieceModel(spieceModel: Fixture.file("fold.model")))
        let plain = try tokenizer.encode("a red ball rolls to the left")
        for text in [
            "A RED BALL ROLLS TO THE LEFT", "A Red Ball Rolls to the Left", "ａ ＲＥＤ ball rolls to the left",
            "  a red\u{3000}ball rolls to the left ",
        ] {
            #expect(try tokenizer.encode(text) == plain, "\(text)")
        }
    }
}
