// The golden files that quantization/reference/make_tokenizer_fixture.py writes; their formats are described there.

import Glibc
import SoradTokenizer
import Testing

enum Fixture: String, CaseIterable, CustomTestStringConvertible {
    case nfkcByteFallback = "nfkc_byte_fallback"
    case nmtNFKC = "nmt_nfkc"
    case customRules = "custom_rules"

    var testDescription: String { rawValue }

    func modelBytes() throws -> [UInt8] {
        try Self.file(rawValue + ".model")
    }

    func tokenizer() throws -> UnigramTokenizer {
        try UnigramTokenizer(SentencePieceModel(spieceModel: modelBytes()))
    }

    /// [texts] FNV-1a of each text's (id, begin, end) triples.
    func hashes() throws -> [UInt32] {
        var reader = FixtureReader(try Self.file(rawValue + ".hashes"))
        let count = reader.readUInt32()
        return (0..<count).map({ _ in reader.readUInt32() })
    }

    /// One text: `bytes`, `repeatCount` times over.
    struct Text {
        let bytes: [UInt8]
        let repeatCount: Int
        var whole: [UInt8] { Array(repeatElement(bytes, count: repeatCount).joined()) }
    }

    static func texts() throws -> [Text] {
        var reader = FixtureReader(try file("texts.bin"))
        let count = reader.readUInt32()
        return (0..<count).map({ _ in
            let repeatCount = reader.readVarint()
            return Text(bytes: reader.readBytes(reader.readVarint()), repeatCount: repeatCount)
        })
    }

    static func file(_ name: String) throws -> [UInt8] {
        let here = String(#filePath)
        let folder = here.prefix(upTo: here.lastIndex(of: "/") ?? here.startIndex)
        let path = folder + "/Fixtures/" + name
        // Glibc rather than Foundation, which this project does not link; the calls take raw pointers.
        guard let stream = unsafe fopen(String(path), "r") else { throw TokenizerError("\(path) cannot be opened") }
        defer { unsafe fclose(stream) }
        var content: [UInt8] = []
        while true {
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                count = unsafe fread(buffer.baseAddress, 1, buffer.count, stream)
            }
            guard !chunk.isEmpty else { return content }
            content += chunk
        }
    }
}

struct FixtureReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func readUInt32() -> UInt32 {
        let value = (0..<4).reduce(UInt32(0), { $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1) })
        position += 4
        return value
    }

    mutating func readVarint() -> Int {
        var value = 0
        var shift = 0
        while true {
            let byte = bytes[position]
            position += 1
            value |= Int(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { return value }
        }
    }

    mutating func readBytes(_ count: Int) -> [UInt8] {
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }
}

func fnv1a(_ tokens: [Token]) -> UInt32 {
    var hash: UInt32 = 0x811C_9DC5
    for token in tokens {
        for value in [UInt32(bitPattern: token.id), UInt32(token.range.lowerBound), UInt32(token.range.upperBound)] {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                hash = (hash ^ (value >> shift & 0xFF)) &* 0x0100_0193
            }
        }
    }
    return hash
}
