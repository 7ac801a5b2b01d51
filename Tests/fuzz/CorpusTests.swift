// The kept inputs of every fuzz target, each checked once: what the fuzzer has found stays mended.
import Glibc
import SoradSystem
import Testing

extension FuzzTarget: CustomTestStringConvertible {
    var testDescription: String { name }
}

@Suite struct CorpusTests {
    private static let folder = "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/") + "/corpus"

    @Test(arguments: FuzzTarget.all) func everyKeptInputHolds(_ target: FuzzTarget) throws {
        let folder = "\(CorpusTests.folder)/\(target.name)"
        let names = try fileNames(in: folder)
        #expect(names.count >= 20, "the corpus of \(target.name) is there")
        for name in names.sorted() {
            let file = try FileDescriptor(openingForReading: "\(folder)/\(name)")
            let size = try file.regularFileSize()
            let bytes = try file.read(at: 0, count: size)
            #expect(bytes.count == size)
            let complaint = target.check(bytes)
            #expect(complaint == nil, "\(target.name)/\(name)")
        }
    }

    /// Damaged copies of each kept input: 10,000 of the formats that the converter reads.
    private static let rounds = ["media": 400, "checkpoint": 72, "pickle": 72, "mlx": 72, "lora": 72, "folder": 72]

    /// What a fuzzer does first: bits, places and lengths.
    @Test(arguments: FuzzTarget.all) func everyKeptInputHoldsWhenItIsDamaged(_ target: FuzzTarget) throws {
        let folder = "\(CorpusTests.folder)/\(target.name)"
        var random = SplitMix64(seed: 15)
        func below(_ count: Int) -> Int { count > 0 ? Int(random.next() % UInt64(count)) : 0 }
        for name in try fileNames(in: folder).sorted() {
            let file = try FileDescriptor(openingForReading: "\(folder)/\(name)")
            let whole = try file.read(at: 0, count: file.regularFileSize())
            for round in 0..<Self.rounds[target.name, default: 8] where !whole.isEmpty {
                var bytes = whole
                for _ in 0...below(3) where !bytes.isEmpty {
                    let place = below(below(2) == 0 ? min(bytes.count, 400) : bytes.count)
                    switch below(5) {
                    case 0: bytes[place] ^= 1 << UInt8(below(8))
                    case 1: for index in place..<min(place + 1 << below(4), bytes.count) { bytes[index] = [0, 0x7F, 0x80, 0xFF][below(4)] }
                    case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(64)))
                    case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 1 + below(64))], at: place)
                    default: bytes.removeLast(below(bytes.count - place) + 1)
                    }
                }
                let complaint = target.check(bytes)
                #expect(complaint == nil, "\(target.name)/\(name), damage \(round)")
            }
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
