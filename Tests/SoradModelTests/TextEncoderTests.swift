import SoradModel
// The text encoder against transformers, whose tokens were encoded inside a padded batch with its attention mask.
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct TextEncoderTests {
    @Test(arguments: Fixture.names, [1, 7, 61]) func encodingEqualsTransformers(name: String, length: Int) throws {
        let fixture = try Fixture(name)
        let model = try fixture.model()
        let ids = try fixture.tensor("text.\(length).ids").elements.map { Int32($0) }
        let error = relativeError(try model.textEncoder.encode(ids).elements, try fixture.tensor("text.\(length).output").elements)
        #expect(error < 1e-5, "\(error)")
    }

    @Test func int8EncodingIsClose() throws {
        let fixture = try Fixture("tiny-outliers")
        let ids = try fixture.tensor("text.61.ids").elements.map { Int32($0) }
        let similarity = cosine(try fixture.model(.int8).textEncoder.encode(ids).elements, try fixture.tensor("text.61.output").elements)
        #expect(similarity > 0.999, "\(similarity)")
    }

    /// 10 bits and float activations are much closer than int8.
    @Test func tenBitsAreCloser() throws {
        let fixture = try Fixture("tiny-outliers")
        let ids = try fixture.tensor("text.61.ids").elements.map { Int32($0) }
        let expected = try fixture.tensor("text.61.output").elements
        let usual = relativeError(try fixture.model(.usual).textEncoder.encode(ids).elements, expected)
        let int8 = relativeError(try fixture.model(.int8).textEncoder.encode(ids).elements, expected)
        #expect(usual < 0.005 && usual < int8 / 3, "\(usual), int8 \(int8)")
    }

    /// Texts that go through the layers together have the bits that each has alone, the longer first or last.
    @Test(arguments: Precision.allCases) func textsTogetherAreAsTextsAlone(precision: Precision) throws {
        let fixture = try Fixture("tiny")
        let model = try fixture.model(precision)
        let texts = try [7, 61, 1, 7].map { length in try fixture.tensor("text.\(length).ids").elements.map { Int32($0) } }
        let together = try model.textEncoder.encode(texts, stop: {})
        #expect(together.count == 4)
        for (text, found) in zip(texts, together) {
            #expect(try model.textEncoder.encode(text).elements.map(\.bitPattern) == found.elements.map(\.bitPattern))
        }
        let cost = model.textEncoder.measuredCost()
        #expect(cost.fixed >= 0 && cost.perToken >= 0 && cost.fixed + cost.perToken > 0)
    }

    /// More prompts than go through the layers together come in their order, each with the bits that it has alone.
    @Test func manyPromptsAreAsPromptsAlone() throws {
        let model = try Fixture("tiny").model(.usual)
        let limit = model.configuration.textLength
        let lengths: [Int] = [9, limit, limit + 5, 1, limit - 1, 3, 2, limit]
        let texts = lengths.map { (length: Int) -> [Int32] in
            let ids: [Int] = (0..<length).map { 10 + ($0 * 7 + length) % 90 }
            return ids.map { Int32($0) } + [1]
        }
        var found: [(index: Int, bits: [UInt32])] = []
        try model.encodeTexts(texts) { found.append(($0, $1.elements.map(\.bitPattern))) }
        #expect(found.map(\.index) == Array(texts.indices))
        for (index, bits) in found { #expect(try model.encodeText(texts[index]).elements.map(\.bitPattern) == bits, "prompt \(index)") }
    }

    /// What is set aside for two prompts of the full length is enough for any that go through the layers together.
    @Test func twoLongPromptsTakeTheMostMemory() throws {
        let encoder = try #require(try Fixture("tiny").model(.usual).textEncoder as? UMT5Encoder)
        for length in [1, 5, 32, 61] {
            let most = encoder.workspaceBytes(length: length)
            let some: [[Int]] = [[length], [length, length], Array(repeating: 1, count: 2 * length)]
            for lengths in some + (length > 1 ? [[length, length - 1, 1]] : []) {
                #expect(encoder.workspaceBytes(lengths: lengths) <= most, "\(lengths)")
            }
        }
    }

    /// What parts of a model take is measured for an estimate: positive, and more for more tokens.
    @Test func aPassIsMeasured() throws {
        let cost = try #require(try Fixture("tiny").model(.int8).passCost())
        #expect(cost.perToken > 0 && cost.perPair >= 0 && cost.fixed >= 0 && cost.perToken < 1)
    }

    @Test func longPromptsKeepTheirEnd() throws {
        let model = try Fixture("tiny").model()
        let long: [Int32] = (0..<50).map { 10 + $0 } + [1]
        let cut = Array(long.prefix(31)) + [1]
        #expect(try model.encodeText(long).elements == model.encodeText(cut).elements)
    }

    @Test func impossibleTokensAreRefused() throws {
        let model = try Fixture("tiny").model()
        #expect(throws: SoradError.self) { try model.encodeText([]) }
        #expect(throws: SoradError.self) { try model.encodeText([5, -1, 1]) }
        #expect(throws: SoradError.self) { try model.encodeText([5, 1_000_000, 1]) }
    }

    @Test func bucketsEqualTransformers() throws {
        let cases = try #require(try JSONValue(file: Fixture.folder + "/relative_buckets.json").array)
        for row in cases {
            let buckets = try #require(row["buckets"]?.integer)
            let furthest = try #require(row["max_distance"]?.integer)
            let first = try #require(row["first"]?.integer)
            let positions = RelativePositions(buckets: buckets, maxDistance: furthest)
            let expected = try #require(row["bucket"]?.array).map { $0.integer ?? -1 }
            #expect(expected.indices.map { positions.bucket(first + $0) } == expected, "\(buckets) buckets up to \(furthest)")
        }
        #expect(cases.count == 3)
    }
}
