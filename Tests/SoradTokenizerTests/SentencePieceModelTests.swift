// Model files and plain values: what is read, what is refused, and that no damage crashes.

import SoradSystem
import SoradTokenizer
import Testing

@Suite struct SentencePieceModelTests {
    @Test func theFileIsReadAsItIs() throws {
        let model = try SentencePieceModel(spieceModel: Fixture.nfkcByteFallback.modelBytes())
        #expect(model.pieces.prefix(4) == ["<pad>", "</s>", "<unk>", "<0x00>"])
        #expect(model.types.prefix(4) == [.control, .control, .unknown, .byte])
        #expect((model.padID, model.eosID, model.unknownID) == (0, 1, 2))
        #expect(model.byteFallback && model.addDummyPrefix && model.removeExtraWhitespaces && model.escapeWhitespaces)
        #expect(model.precompiledCharsmap.count > 200_000)
        #expect(model.scores[259...].allSatisfy({ $0 < 0 && $0.isFinite }))
        let custom = try SentencePieceModel(spieceModel: Fixture.customRules.modelBytes())
        #expect(!custom.byteFallback && !custom.addDummyPrefix && !custom.removeExtraWhitespaces)
        #expect(custom.types.contains(.userDefined) && custom.types.contains(.unused))
    }

    @Test(arguments: Fixture.allCases)
    func plainValuesMakeTheSameModel(_ fixture: Fixture) throws {
        let model = try SentencePieceModel(spieceModel: fixture.modelBytes())
        let copy = try SentencePieceModel(
            pieces: model.pieces, scores: model.scores, types: model.types.map(\.rawValue), precompiledCharsmap: model.precompiledCharsmap,
            addDummyPrefix: model.addDummyPrefix, removeExtraWhitespaces: model.removeExtraWhitespaces,
            escapeWhitespaces: model.escapeWhitespaces, unknownID: model.unknownID, eosID: model.eosID, padID: model.padID)
        #expect(copy == model)
    }

    /// A later occurrence of a message is merged into the first, so a setting can be changed by appending it.
    @Test(
        arguments: [
            ([0x12, 2, 0x18, 2], "the SentencePiece model is of type BPE; only UNIGRAM is supported"),
            ([0x12, 2, 0x18, 9], "the SentencePiece model is of type 9; only UNIGRAM is supported"),
            ([0x12, 3, 0xC0, 1, 1], "the SentencePiece model was trained with treat_whitespace_as_suffix, which is not supported"),
            ([0x12, 3, 0x98, 2, 0], "the SentencePiece model has byte pieces although its byte_fallback is off"),
            ([0x12, 5, 0xFA, 2, 2, 0x3C, 0x3E], "the SentencePiece model has no piece `<>` of type control, which a T5 tokenizer needs"),
            ([0x0A, 0], "piece 3500 of the vocabulary is empty"),
            ([0x0A, 3, 0x0A, 1, 0], "piece 3500 of the vocabulary contains a null character"),
            ([0x0A, 3, 0x0A, 1, 0xFF], "the SentencePiece model is damaged: piece 3500 is not valid UTF-8"),
            ([0x0A, 5, 0x0A, 1, 0x21, 0x18, 7], "piece 3500 of the vocabulary has the unknown type 7"),
            ([0x0A, 5, 0x0A, 1, 0x21, 0x18, 2], "the vocabulary has 2 unknown pieces; it must have exactly one"),
            ([0x0A, 7, 0x0A, 5, 0x3C, 0x70, 0x61, 0x64, 0x3E, 0x0A], nil),
            ([0x0A, 0x7F], nil),
            ([0x0B], nil),
            ([0x00], nil),
            ([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], nil),
            (
                [0x1A, 5, 0x12, 3, 1, 2, 3],
                "the tokenizer's normalization rules (precompiled_charsmap) are damaged: it is only 3 bytes long"
            ),
        ] as [([UInt8], String?)])
    func unsupportedAndDamagedFilesAreRefused(appended: [UInt8], message: String?) throws {
        let bytes = try Fixture.nfkcByteFallback.modelBytes() + appended
        let error = #expect(throws: TokenizerError.self) { try SentencePieceModel(spieceModel: bytes) }
        if let message { #expect(error?.message == message) }
    }

    @Test func filesThatAreNoModelAreRefused() {
        for bytes in [[], [0x12, 0], Array("GGUF".utf8), Array("{\"a\": 1}".utf8), [UInt8](repeating: 0xFF, count: 100)] as [[UInt8]] {
            #expect(throws: TokenizerError.self) { try SentencePieceModel(spieceModel: bytes) }
        }
    }
}

@Suite struct PlainValueTests {
    struct Values {
        var pieces = ["<pad>", "</s>", "<unk>", "a", "b", "ab"]
        var scores: [Float] = [0, 0, 0, -1, -2, -2.5]
        var types: [Int32] = [3, 3, 2, 1, 1, 1]
        var charsmap: [UInt8] = []
        var unknownID: Int32 = 2
        var eosID: Int32 = 1
        var padID: Int32? = 0

        func tokenizer() throws -> UnigramTokenizer {
            try UnigramTokenizer(
                SentencePieceModel(
                    pieces: pieces, scores: scores, types: types, precompiledCharsmap: charsmap, addDummyPrefix: false,
                    removeExtraWhitespaces: false, escapeWhitespaces: true, unknownID: unknownID, eosID: eosID, padID: padID))
        }
    }

    @Test func aTinyVocabularySplitsAsItsScoresSay() throws {
        var values = Values()
        #expect(try values.tokenizer().encode("abab") == [5, 5])
        values.scores[5] = -3.5
        #expect(try values.tokenizer().encode("abab") == [3, 4, 3, 4])
        values.types[3] = 5
        #expect(try values.tokenizer().encode("aab") == [2, 5])
        #expect(try values.tokenizer().encode("xyab") == [2, 5])
        values.padID = nil
        #expect(try values.tokenizer().padID == nil)
    }

    typealias Change = @Sendable (inout Values) -> Void

    static let impossible: [(change: Change, message: String)] = [
        ({ _ = $0.scores.removeLast() }, "the vocabulary has 6 pieces, 5 scores and 6 types; the three must agree"),
        ({ $0.scores[3] = .nan }, "piece 3 of the vocabulary has the score nan, which is not a log probability"),
        ({ $0.scores[4] = -.infinity }, "piece 4 of the vocabulary has the score -inf, which is not a log probability"),
        ({ $0.scores[4] = 3e38 }, "piece 4 of the vocabulary has the score 3e+38, which is not a log probability"),
        ({ $0.types[3] = 0 }, "piece 3 of the vocabulary has the unknown type 0"),
        ({ $0.types[2] = 1 }, "the vocabulary has 0 unknown pieces; it must have exactly one"),
        ({ $0.types = [3, 3, 2, 4, 4, 4] }, "the vocabulary has no piece of type normal, so it cannot represent any text"),
        ({ $0.types[3] = 6 }, "piece 3 of the vocabulary has type byte but is called `a` instead of `<0x00>` to `<0xFF>`"),
        (
            {
                $0.pieces[3] = "<0x00>"; $0.types[3] = 6
            }, "the vocabulary has byte pieces but none for byte 1; it needs all 256"
        ),
        ({ $0.pieces[4] = "a" }, "the vocabulary has the piece `a` twice"),
        ({ $0.pieces[0] = "</s>" }, "piece 1 of the vocabulary, `</s>`, is there twice"),
        ({ $0.pieces[3] = "" }, "piece 3 of the vocabulary is empty"),
        ({ $0.pieces[3] = "a\0" }, "piece 3 of the vocabulary contains a null character"),
        ({ $0.pieces[3] = String(repeating: "a", count: 513) }, "piece 3 of the vocabulary is 513 bytes long; at most 512 are supported"),
        ({ $0.eosID = 3 }, "the end-of-sequence id 3 is not a piece of type control in this vocabulary of 6 pieces"),
        ({ $0.eosID = -1 }, "the end-of-sequence id -1 is not a piece of type control in this vocabulary of 6 pieces"),
        ({ $0.padID = 6 }, "the padding id 6 is not a piece of type control in this vocabulary of 6 pieces"),
        ({ $0.unknownID = 1 }, "the unknown id 1 is not a piece of type unknown in this vocabulary of 6 pieces"),
        (
            {
                $0.pieces = []; $0.scores = []; $0.types = []
            }, "the vocabulary has no piece of type normal, so it cannot represent any text"
        ),
    ]

    @Test(arguments: impossible.indices)
    func impossibleValuesAreRefused(index: Int) {
        let (change, message) = Self.impossible[index]
        var values = Values()
        change(&values)
        let error = #expect(throws: TokenizerError.self) { try values.tokenizer() }
        #expect(error?.message == message)
    }
}

@Suite struct DamagedModelTests {
    /// Texts that go through every branch of normalization and search.
    private static let probes: [[UInt8]] = [
        Array("  A red ball</s> — 日本語 ﷺ ﬁ①ÄÖ abc... 😀😀 e\u{301}\t\n\u{200B}".utf8), [0xFF, 0xE2, 0x96, 0x20, 0xF0, 0x9F],
        [UInt8](repeating: 0x61, count: 3000), Array(0...255), [],
    ]

    /// Either an error or a tokenizer that works: its tokens are in the vocabulary and in the text.
    private static func tryOut(_ bytes: [UInt8]) -> Bool {
        guard let model = try? SentencePieceModel(spieceModel: bytes), let tokenizer = try? UnigramTokenizer(model) else { return false }
        for probe in probes {
            guard let tokens = try? tokenizer.tokens(in: probe) else { continue }
            for token in tokens {
                #expect(token.id >= 0 && Int(token.id) < model.pieces.count)
                #expect(token.range.lowerBound >= 0 && token.range.upperBound <= probe.count)
                #expect(model.types[Int(token.id)] != .control)
            }
        }
        return true
    }

    @Test(arguments: Fixture.allCases)
    func truncatedFilesDoNotCrash(_ fixture: Fixture) throws {
        let bytes = try fixture.modelBytes()
        for count in Array(0..<200) + Array(stride(from: 200, to: bytes.count, by: bytes.count / 150))
            + Array((bytes.count - 50)..<bytes.count)
        {
            _ = Self.tryOut(Array(bytes.prefix(count)))
        }
        #expect(Self.tryOut(bytes))
    }

    @Test(arguments: Fixture.allCases)
    func mutatedFilesDoNotCrash(_ fixture: Fixture) throws {
        let bytes = try fixture.modelBytes()
        var random = SplitMix64(seed: 7)
        var usable = 0
        let rounds = bytes.count < 100_000 ? 1500 : 150
        for _ in 0..<rounds {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                mutated[Int.random(in: 0..<mutated.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Self.tryOut(mutated) { usable += 1 }
        }
        // Both outcomes must have been seen, or the mutations test nothing.
        #expect(usable > 0 && usable < rounds)
    }

    /// The rules' trie alone, with its links rewritten: either refused or every walk stays inside.
    @Test func mutatedRulesDoNotCrash() throws {
        let model = try SentencePieceModel(spieceModel: Fixture.customRules.modelBytes())
        var random = SplitMix64(seed: 8)
        var usable = 0
        for _ in 0..<3000 {
            var charsmap = model.precompiledCharsmap
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Mostly small changes of a link, which are the ones that pass the checks.
                let index = Int.random(in: 4..<charsmap.count, using: &random)
                charsmap[index] =
                    Bool.random(using: &random)
                    ? charsmap[index] ^ (1 << UInt8.random(in: 0...7, using: &random)) : UInt8.random(in: 0...255, using: &random)
            }
            guard let map = try? CharacterMap(charsmap) else { continue }
            usable += 1
            for probe in Self.probes {
                for start in probe.indices.prefix(300) {
                    guard let match = map.longestMatch(in: probe, at: start) else { continue }
                    #expect(match.keyBytes >= 1 && start + match.keyBytes <= probe.count)
                    #expect(map.replacement(match.replacement).count <= 128)
                }
            }
        }
        #expect(usable > 100)
    }
}
