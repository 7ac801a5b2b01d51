// The formats of checkpoints, each against a file that the library which defines it wrote, and against damaged copies of that file.
// The files and their numbers: quantization/reference/write_formats.py.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct FormatTests {
    static let fixtures = ConverterTests.fixtures + "/formats"

    /// Every tensor of `source` equals that of the expected file, bit for bit; NaN equals NaN.
    private static func expectEqual(_ source: any TensorSource, _ name: String, prefix: String = "") throws {
        let expected = try SafetensorsFile(opening: "\(fixtures)/\(name).expected.safetensors")
        #expect(Set(source.names) == Set(expected.tensors.map { prefix + $0.name }), "\(source.names)")
        for tensor in expected.tensors {
            let found = try #require(source[prefix + tensor.name])
            #expect(found.shape == tensor.shape, "\(tensor.name)")
            let (numbers, wanted) = (try found.floats(), try tensor.floats())
            let same = zip(numbers, wanted).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
            #expect(same && numbers.count == wanted.count, "\(tensor.name): \(numbers.prefix(4)), not \(wanted.prefix(4))")
        }
    }

    @Test func blocksOfGGUFAreDecodedAsTheirLibraryDoes() throws {
        let source = try GGUFSource(file: Self.fixtures + "/blocks.gguf")
        let expected = try SafetensorsFile(opening: Self.fixtures + "/blocks.expected.safetensors")
        for type in GGMLType.allCases {
            let found = try #require(source["t.\(type.name)"])
            let wanted = try #require(expected[type.name])
            #expect(found.shape == wanted.shape && source.elementType(of: "t.\(type.name)") == type.name)
            let (numbers, floats) = (try found.floats(), try wanted.floats())
            #expect(numbers.map(\.bitPattern) == floats.map(\.bitPattern), "\(type.name): \(numbers.prefix(4)), not \(floats.prefix(4))")
            // Any range, also one that begins inside a block.
            for range in [0..<0, 1..<2, 7..<floats.count, floats.count / 2 - 1..<floats.count / 2 + 1] {
                #expect(
                    try source.floats(of: "t.\(type.name)", in: range).map(\.bitPattern) == floats[range].map(\.bitPattern), "\(type.name)")
            }
        }
        // The noted shape of a folded tensor.
        for name in ["kernel", "folded"] {
            #expect(try source[name]?.floats() == expected[name]?.floats() && source[name]?.shape == expected[name]?.shape)
        }
    }

    @Test func torchFilesAreRead() throws {
        let source = try TorchSource(file: Self.fixtures + "/weights.pth")
        try Self.expectEqual(source, "weights")
        #expect(source.elementType(of: "generator.alpha") == "I64" && source.elementType(of: "generator.float8") == "F8_E4M3")
    }

    @Test func float8HasTheValuesOfTorch() throws {
        try Self.expectEqual(try SafetensorsSource(file: Self.fixtures + "/float8.safetensors"), "float8")
    }

    /// A pickle may name any function. This one would run a command in Python.
    @Test func picklesExecuteNothing() throws {
        let folder = try TemporaryFolder()
        for (pickle, sentence) in [
            ("cposix\nsystem\nX\u{4}\0\0\0true\u{85}R.", "names \"posix.system\""),
            ("cbuiltins\neval\n.", "names \"builtins.eval\""), ("ctorch\nload\n.", "names \"torch.load\""),
            ("(i", "opcode 0x69"), ("}.", "holds no dictionary of tensors"), ("", "ends too early"),
        ] {
            let path = try folder.write("x.pth", Self.archive(pickle: [0x80, 2] + Array(pickle.unicodeScalars.map { UInt8($0.value) })))
            let error = try #require(failure { _ = try TorchSource(file: path) })
            #expect(error.kind == .badInput && error.message.contains(sentence) && error.message.contains(path), "\(error.message)")
        }
    }

    /// A zip archive with one entry, "a/data.pkl".
    private static func archive(pickle: [UInt8]) -> [UInt8] {
        func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        let name = Array("a/data.pkl".utf8)
        let sizes = number(pickle.count, 4) + number(pickle.count, 4)
        let entry = [0x50, 0x4B, 3, 4] + number(0, 14) + sizes + number(name.count, 2) + number(0, 2) + name + pickle
        let directory = [0x50, 0x4B, 1, 2] + number(0, 16) + sizes + number(name.count, 2) + number(0, 12) + number(0, 4) + name
        let end = [0x50, 0x4B, 5, 6] + number(0, 4) + number(1, 2) + number(1, 2)
        return entry + directory + end + number(directory.count, 4) + number(entry.count, 4) + number(0, 2)
    }

    /// Damaged copies give an error with the file's name or are read whole; nothing else happens.
    @Test(arguments: ["blocks.gguf", "weights.pth", "float8.safetensors"]) func damagedFilesAreRefusedOrRead(name: String) throws {
        let folder = try TemporaryFolder()
        let whole = try read("\(Self.fixtures)/\(name)")
        var random = SplitMix64(seed: 77)
        var refused = 0
        for round in 0..<4000 {
            var bytes = whole
            switch round % 4 {
            case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes.removeLast(1 + random.below(bytes.count - 1))
            case 2:
                // A number out of range, where counts, sizes and offsets may stand.
                let place = random.below(bytes.count - 8)
                let number = [UInt64.max, 1 << 63, 1 << 62, 1 << 32, 0xFFFF_FFFF, 0][random.below(6)]
                for i in 0..<[4, 8][random.below(2)] { bytes[place + i] = UInt8(truncatingIfNeeded: number >> (8 * i)) }
            default:
                // A piece of the file in another place.
                let (from, to, count) = (random.below(bytes.count), random.below(bytes.count), 1 + random.below(40))
                for i in 0..<min(count, bytes.count - max(from, to)) { bytes[to + i] = whole[from + i] }
            }
            let path = try folder.write("damaged", bytes)
            let error = failure {
                let source = try CheckpointFile(path).source
                for tensor in source.names { _ = try source[tensor]!.floats() }
            }
            guard let error else { continue }
            refused += 1
            #expect(error.kind == .badInput && error.message.contains(path), "\(name), round \(round): \(error.message)")
        }
        #expect(refused > 1500, "\(refused) of 4000 were refused")
    }
}
