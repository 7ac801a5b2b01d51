// What the tokenizer promises beyond equality: control pieces, limits, places.

import SoradTokenizer
import Testing

@Suite struct UnigramTokenizerTests {
    @Test(arguments: Fixture.allCases)
    func controlPiecesNeverComeFromText(_ fixture: Fixture) throws {
        let model = try SentencePieceModel(spieceModel: fixture.modelBytes())
        let tokenizer = try UnigramTokenizer(model)
        let forbidden = model.types.indices.filter({ model.types[$0] == .control || model.types[$0] == .unused })
        #expect(forbidden.count >= 2)
        for id in forbidden {
            let piece = model.pieces[id]
            for text in [piece, " \(piece) ", "a\(piece)b", piece + piece] {
                #expect(try !tokenizer.encode(text).contains(Int32(id)), "\(text)")
            }
        }
    }

    @Test func endOfSequenceClosesWhatFits() throws {
        let tokenizer = try Fixture.nfkcByteFallback.tokenizer()
        let text = "a red ball rolls left on the grass"
        let ids = try tokenizer.encode(text)
        try #require(ids.count > 4)
        #expect(try tokenizer.encode(text, maxTokens: 512) == ids + [tokenizer.eosID])
        #expect(try tokenizer.encode(text, maxTokens: ids.count + 1) == ids + [tokenizer.eosID])
        #expect(try tokenizer.encode(text, maxTokens: ids.count) == ids.dropLast() + [tokenizer.eosID])
        #expect(try tokenizer.encode(text, maxTokens: 1) == [tokenizer.eosID])
        #expect(try tokenizer.encode(text, maxTokens: 3, appendEOS: false) == Array(ids.prefix(3)))
        #expect(try tokenizer.encode("", maxTokens: 8) == [tokenizer.eosID])
    }

    @Test func tokensCoverTheText() throws {
        let tokenizer = try Fixture.nmtNFKC.tokenizer()
        let text = "  A red   ball — 日本語 ﷺ!  "
        let tokens = try tokenizer.tokens(in: Array(text.utf8))
        #expect(tokens.first?.range.lowerBound == 2)
        #expect(tokens.last?.range.upperBound == text.utf8.count - 2)
        for (token, next) in zip(tokens, tokens.dropFirst()) {
            #expect(token.range.upperBound == next.range.lowerBound)
        }
    }

    @Test func longTextsAreSplitAndTooLongOnesRefused() throws {
        let tokenizer = try Fixture.nfkcByteFallback.tokenizer()
        let limit = UnigramTokenizer.maximumTextBytes
        let whole = [UInt8](repeating: UInt8(ascii: "a"), count: limit)
        let tokens = try tokenizer.tokens(in: whole)
        #expect(tokens.last?.range.upperBound == limit)
        let error = #expect(throws: TokenizerError.self) { try tokenizer.tokens(in: whole + [0x61]) }
        #expect(error?.message == "the text is \(limit + 1) bytes long; at most \(limit) can be tokenized")
    }

    @Test func theLongestGrowthOfNFKCStaysWithinTheLimit() throws {
        let tokenizer = try Fixture.nmtNFKC.tokenizer()
        let sign = Array("\u{FDFA}".utf8)
        let text = Array(repeatElement(sign, count: UnigramTokenizer.maximumTextBytes / sign.count).joined())
        #expect(try tokenizer.tokens(in: text).last?.range.upperBound == text.count)
    }
}

@Suite struct PromptTextTests {
    @Test(arguments: [
        ("", ""), ("   ", ""), ("a", "a"), (" a  b\t\nc ", "a b c"), ("a\u{A0}\u{3000}b\u{2028}", "a b"), ("\u{1C}a\u{1F}b", "a b"),
        // A zero-width space is no white space; a combining mark after a space stays where it is; entities stay text.
        ("a\u{200B}b", "a\u{200B}b"), ("a \u{301}b", "a \u{301}b"), ("&amp; &lt;", "&amp; &lt;"), ("a\r\nb", "a b"),
    ])
    func whiteSpaceIsFolded(text: String, expected: String) {
        #expect(Array(PromptText.whitespaceCleaned(text).utf8) == Array(expected.utf8))
    }

    @Test func exactlyPythonsWhiteSpaceIsFolded() {
        // What `re.match(r"\s", chr(c))` accepts in Python 3; make_tokenizer_fixture.py asserts the same list.
        var expected = Set<UInt32>(9...13)
        expected.formUnion(0x1C...0x20)
        expected.formUnion(0x2000...0x200A)
        expected.formUnion([0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])
        let found = (0...0x10FFFF as ClosedRange<UInt32>).filter({ code in
            Unicode.Scalar(code).map({ PromptText.whitespaceCleaned(String($0)).isEmpty }) ?? false
        })
        #expect(Set(found) == expected)
    }
}
