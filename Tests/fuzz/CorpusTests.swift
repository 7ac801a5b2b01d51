// The kept inputs of every fuzz target, each checked once: what the fuzzer has found stays mended.
import Testing

extension FuzzTarget: CustomTestStringConvertible {
    var testDescription: String { name }
}

@Suite struct CorpusTests {
    @Test(arguments: FuzzTarget.all) func everyKeptInputHolds(_ target: FuzzTarget) throws {
        let inputs = try DamagedInputs.kept(target)
        #expect(inputs.count >= 20, "the corpus of \(target.name) is there")
        for (name, bytes) in inputs {
            let complaint = target.check(bytes)
            #expect(complaint == nil, "\(target.name)/\(name)")
        }
    }

    @Test(arguments: FuzzTarget.all) func everyKeptInputHoldsWhenItIsDamaged(_ target: FuzzTarget) throws {
        try DamagedInputs.each(of: target) { name, bytes in
            let complaint = target.check(bytes)
            #expect(complaint == nil, "\(target.name)/\(name)")
        }
    }

    @Test func piecesAreTheWholeInput() {
        for count in [0, 1, 2, 17, 999] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            #expect(pieces(of: bytes).flatMap { Array($0) } == bytes)
        }
    }

    @Test func theSecondReadingOfJSONKnowsTheGrammar() {
        for text in ["{}", " [1, -0.5e+3, \"\\u00ff\\n\", true, null, {\"a\": []}] ", "0", "\"\""] {
            #expect(JSONGrammar.accepts(Array(text.utf8)), "\(text)")
        }
        for text in ["", "{", "[1,]", "01", "1.", "\"\\x\"", "\"\n\"", "{a:1}", "{\"a\"}", "[] []", "nul", "+1", "\u{FEFF}1"] {
            #expect(!JSONGrammar.accepts(Array(text.utf8)), "\(text)")
        }
    }
}
