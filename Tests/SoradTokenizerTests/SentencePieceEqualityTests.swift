// The tokenizer against the sentencepiece package: 10,000 texts in a dozen scripts, three models.

import SoradTokenizer
import Testing

@Suite struct SentencePieceEqualityTests {
    @Test(arguments: Fixture.allCases)
    func idsAndOffsetsEqualThePackage(_ fixture: Fixture) throws {
        let tokenizer = try fixture.tokenizer()
        let texts = try Fixture.texts()
        let expected = try fixture.hashes()
        try #require(texts.count == 10_000 && expected.count == texts.count)
        var wrong: [Int] = []
        for (index, text) in texts.enumerated() where fnv1a(try tokenizer.tokens(in: text.whole)) != expected[index] {
            wrong.append(index)
        }
        #expect(wrong.isEmpty, "\(wrong.count) texts differ; see make_tokenizer_fixture.py --show INDEX: \(wrong.prefix(20))")
    }

    @Test func idsEqualThePackageOneByOne() throws {
        let tokenizer = try Fixture.nfkcByteFallback.tokenizer()
        var reader = FixtureReader(try Fixture.file("nfkc_byte_fallback.ids"))
        let texts = try Fixture.texts()
        try #require(Int(reader.readUInt32()) == texts.count)
        for text in texts where text.repeatCount == 1 {
            let count = reader.readVarint()
            let expected = (0..<count).map({ _ in Int32(reader.readVarint()) })
            #expect(try tokenizer.tokens(in: text.bytes).map(\.id) == expected)
        }
    }

    @Test func stringsAndBytesGiveTheSameIDs() throws {
        let tokenizer = try Fixture.nmtNFKC.tokenizer()
        for text in try Fixture.texts().prefix(2000) {
            guard let string = String(validating: text.bytes, as: UTF8.self) else { continue }
            #expect(try tokenizer.encode(string) == tokenizer.tokens(in: text.bytes).map(\.id))
        }
    }
}
