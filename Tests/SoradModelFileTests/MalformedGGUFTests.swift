// Files that are not what they claim. Every one of them must be refused with a sentence that names the file; none may end the process.
import Glibc
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

struct MalformedFile: Sendable, CustomTestStringConvertible {
    let what: String
    /// Part of the sentence that is expected.
    let sentence: String
    let bytes: [UInt8]
    var testDescription: String { what }

    init(_ what: String, _ sentence: String, _ file: RawGGUF) { (self.what, self.sentence, bytes) = (what, sentence, file.bytes) }

    /// A file with one tensor info, and 64 bytes of data behind it.
    private static func tensor(
        _ what: String, _ sentence: String, _ dims: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, name: String = "t"
    ) -> MalformedFile {
        var file = RawGGUF.front(tensors: 1)
        file.tensor(name, dims, type: type, offset: offset)
        file.pad()
        file.bytes += [UInt8](repeating: 0, count: 64)
        return MalformedFile(what, sentence, file)
    }

    /// A file with one more metadata entry, whose value `write` gives.
    private static func entry(_ what: String, _ sentence: String, _ write: (inout RawGGUF) -> Void) -> MalformedFile {
        MalformedFile(what, sentence, RawGGUF.front(tensors: 0, extra: 1, write))
    }

    private static func raw(_ what: String, _ sentence: String, _ write: (inout RawGGUF) -> Void) -> MalformedFile {
        var file = RawGGUF()
        write(&file)
        return MalformedFile(what, sentence, file)
    }

    private static func pair(_ what: String, _ sentence: String, _ second: String, offset: UInt64) -> MalformedFile {
        var file = RawGGUF.front(tensors: 2)
        file.tensor("a", [16], offset: 0)
        file.tensor(second, [16], offset: offset)
        file.pad()
        file.bytes += [UInt8](repeating: 0, count: 128)
        return MalformedFile(what, sentence, file)
    }

    static let all: [MalformedFile] = heads + foreign + entries + tensors

    private static let heads: [MalformedFile] = [
        raw("one byte", "does not begin with") { $0.bytes = [0x47] },
        raw("other magic", "does not begin with") { $0.bytes = [UInt8](1...100) },
        raw("the format before GGUF", "GGML format of old llama.cpp") { $0.bytes = Array("GGML".utf8) + [UInt8](repeating: 0, count: 100) },
        raw("magic alone", "ends inside the header") { $0.bytes = Array("GGUF".utf8) },
        raw("version 2", "GGUF version 2") { $0.head(version: 2, tensors: 0, keys: 0) },
        raw("big endian", "most significant byte first") {
            $0.bytes = Array("GGUF".utf8) + [0, 0, 0, 3] + [UInt8](repeating: 0, count: 16)
        },
        raw("absurd tensor count", "claims 18446744073709551615 tensors") { $0.head(tensors: .max, keys: 0) },
        raw("too many tensors for its size", "claims 60000 tensors") { $0.head(tensors: 60000, keys: 0) },
        raw("absurd key count", "metadata keys") { $0.head(tensors: 0, keys: 1 << 63) },
        raw("too many keys for its size", "claims 4000 metadata keys") { $0.head(tensors: 0, keys: 4000) },
        raw("no keys", "has no metadata key general.architecture") { $0.head(tensors: 0, keys: 0) },
        raw("another architecture", "\"llama\"") {
            $0.head(tensors: 0, keys: 1); $0.string("general.architecture", "llama")
        },
        raw("another format version", "sorad format version 2") {
            $0.head(tensors: 0, keys: 2); $0.string("general.architecture", "sorad-wan"); $0.number("sorad.format_version", 2)
        },
        raw("alignment of 32", "aligns its tensors to 32") {
            $0.head(tensors: 0, keys: 2); $0.string("general.architecture", "sorad-wan"); $0.number("sorad.format_version", 1)
        },
        raw("no checksum", "checksum") {
            $0.head(tensors: 0, keys: 3); $0.string("general.architecture", "sorad-wan"); $0.number("sorad.format_version", 1)
            $0.number("general.alignment", 64)
        },
        raw("checksum of the wrong length", "checksum") {
            $0.head(tensors: 0, keys: 4); $0.string("general.architecture", "sorad-wan"); $0.number("sorad.format_version", 1)
            $0.number("general.alignment", 64); $0.string("sorad.integrity.sha256", "00")
        },
        raw("checksum that is a number", "checksum") {
            $0.head(tensors: 0, keys: 4); $0.string("general.architecture", "sorad-wan"); $0.number("sorad.format_version", 1)
            $0.number("general.alignment", 64); $0.number("sorad.integrity.sha256", 0)
        },
        MalformedFile("alignment 0", "general.alignment", RawGGUF.front(tensors: 0, alignment: 0)),
        MalformedFile("alignment 48", "general.alignment", RawGGUF.front(tensors: 0, alignment: 48)),
        MalformedFile("alignment 2^31", "general.alignment", RawGGUF.front(tensors: 0, alignment: 1 << 31)),
    ]

    private static func text(_ what: String, _ sentence: String, _ text: String) -> MalformedFile {
        raw(what, sentence) { $0.bytes = Array(text.utf8) }
    }

    /// Files of others, called what they are.
    private static let foreign: [MalformedFile] = [
        // As llama.cpp writes them: types and arrays that model files do not have, in any version, the architecture behind other keys.
        raw("a language model", "of the architecture \"qwen3\", not one of sorad's") {
            $0.head(tensors: 1, keys: 3); $0.text("general.tags"); $0.u32(9); $0.u32(8); $0.u64(1); $0.text("chat"); $0.text("x");
            $0.u32(12); $0.u64(0)
            $0.string("general.architecture", "qwen3"); $0.tensor("output.weight", [256], type: 12)
        },
        raw("a diffusion model of another program", "of the architecture \"wan\", not one of sorad's") {
            $0.head(version: 2, tensors: 1, keys: 1); $0.string("general.architecture", "wan"); $0.tensor("x", [256], type: 39)
        },
        raw("an architecture that steers terminals", "\"?[31mred\"") {
            $0.head(tensors: 0, keys: 1); $0.string("general.architecture", "\u{1B}[31mred")
        },
        text("a pointer of Git LFS", "pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
        text("a web page", "web page", "\u{FEFF}\n<!DOCTYPE html><html><head><title>Sign in</title>"),
        text("an XML page", "web page", "<?xml version=\"1.0\"?><Error>"),
        text("an answer in JSON", "JSON text", "{\"error\":\"Access to model is restricted\"}"),
        text("a text", "is a text", "Invalid username or password.\n"),
        raw("a pickle", "pickle of Python") { $0.bytes = [0x80, 0x02, 0x7D, 0x71, 0x00] },
        raw("a checkpoint of PyTorch", "checkpoint of PyTorch") {
            $0.bytes = Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 26) + Array("archive/data.pkl".utf8)
        },
        raw("an archive", "ZIP archive") {
            $0.bytes = Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 26) + Array("model.gguf".utf8)
        },
        raw("safetensors", "safetensors file") {
            $0.u64(64); $0.bytes += Array("{\"a\":{\"dtype\":\"F32\"}}".utf8)
        },
        raw("a compressed file", "is compressed") { $0.bytes = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0] },
        raw("zeros", "begins with zeros") { $0.bytes = [UInt8](repeating: 0, count: 600) },
        raw("tar", "tar archive") {
            $0.bytes = [UInt8](repeating: 0x61, count: 257) + Array("ustar".utf8) + [UInt8](repeating: 0, count: 250)
        },
        raw("7z", "is compressed") { $0.bytes = [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C, 0, 4] },
        raw("PNG", "is a picture") { $0.bytes = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0] },
        raw("HDF5", "HDF5") { $0.bytes = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A] },
    ]

    private static let entries: [MalformedFile] = [
        entry("key twice", "sorad.format_version twice") { $0.number("sorad.format_version", 1) },
        entry("empty key", "empty name") { $0.number("", 1) },
        entry("key with a control character", "printable") { $0.number("a\nb", 1) },
        entry("key that is not ASCII", "printable") { $0.number("é", 1) },
        entry("key of 256 bytes", "claims 256 bytes of a name") { $0.number(String(repeating: "k", count: 256), 1) },
        entry("key as long as 2^64 - 1", "bytes of a name") { $0.u64(.max) },
        entry("unknown value type", "unknown value type 13") {
            $0.text("k"); $0.u32(13); $0.u64(0)
        },
        entry("boolean of 2", "boolean of 2") {
            $0.text("k"); $0.u32(7); $0.bytes.append(2)
        },
        entry("text longer than the file", "bytes of text") {
            $0.text("k"); $0.u32(8); $0.u64(1 << 20)
        },
        entry("text of 2^64 - 1 bytes", "bytes of text") {
            $0.text("k"); $0.u32(8); $0.u64(.max)
        },
        entry("text that is not UTF-8", "not UTF-8") {
            $0.text("k"); $0.u32(8); $0.text([0xc3, 0x28])
        },
        entry("text with half a surrogate pair", "not UTF-8") {
            $0.text("k"); $0.u32(8); $0.text([0xed, 0xa0, 0x80])
        },
        entry("array longer than the file", "array elements") {
            $0.text("k"); $0.u32(9); $0.u32(4); $0.u64(1 << 30)
        },
        entry("array of 2^64 - 1", "array elements") {
            $0.text("k"); $0.u32(9); $0.u32(0); $0.u64(.max)
        },
        entry("array of 2^62 strings", "array elements") {
            $0.text("k"); $0.u32(9); $0.u32(8); $0.u64(1 << 62)
        },
        entry("array of arrays", "array of array") {
            $0.text("k"); $0.u32(9); $0.u32(9); $0.u64(1); $0.u32(0); $0.u64(0)
        },
        entry("array of f64", "array of float64") {
            $0.text("k"); $0.u32(9); $0.u32(12); $0.u64(0)
        },
        entry("array of unknown type", "unknown value type 99") {
            $0.text("k"); $0.u32(9); $0.u32(99); $0.u64(0)
        },
    ]

    private static let tensors: [MalformedFile] = [
        tensor("no dimensions", "0 dimensions", []),
        tensor("five dimensions", "5 dimensions", [1, 1, 1, 1, 1]),
        tensor("a dimension of 0", "dimension of 0", [4, 0]),
        tensor("a dimension of 2^64 - 1", "dimension of 18446744073709551615", [.max]),
        tensor("a product that overflows", "before the tensor t does", [1 << 32, 1 << 32]),
        tensor("a size that overflows", "before the tensor t does", [1 << 62]),
        tensor("a product that wraps to something small", "before the tensor t does", [1 << 33, 1 << 31, 1]),
        tensor("data beyond the end", "before the tensor t does", [17]),
        tensor("offset beyond the end", "before the tensor t does", [1], offset: 128),
        tensor("offset of 2^64 - 64", "before the tensor t does", [16], offset: 0 &- 64),
        tensor("offset of 2^63 - 64", "before the tensor t does", [16], offset: 1 << 63 - 64),
        tensor("offset off the alignment", "alignment", [1], offset: 4),
        tensor("element type Q4_0", "element type Q4_0 (2)", [32], type: 2),
        tensor("element type MXFP4", "element type MXFP4 (39)", [32], type: 39),
        tensor("element type of the future", "element type 97, which is newer than this program", [32], type: 97),
        tensor("element type 2^32 - 1", "element type 4294967295", [1], type: .max),
        tensor("name of 64 bytes", "64 bytes of a name", [1], name: String(repeating: "n", count: 64)),
        tensor("name with a space", "printable", [1], name: "a b"),
        tensor("bytes behind the last tensor", "bytes after its last tensor", [1], offset: 0).with {
            $0 += [UInt8](repeating: 1, count: 64)
        },
        pair("tensor twice", "the tensor a twice", "a", offset: 64),
        pair("tensors that overlap", "a and b overlap", "b", offset: 0),
    ]

    private func with(_ change: (inout [UInt8]) -> Void) -> MalformedFile {
        var file = RawGGUF()
        file.bytes = bytes
        change(&file.bytes)
        return MalformedFile(what, sentence, file)
    }
}

@Suite struct MalformedGGUFTests {
    @Test(arguments: MalformedFile.all) func isRefusedWithItsReason(file: MalformedFile) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("bad.gguf", file.bytes)
        for verify in [true, false] {
            let error = try #require(failure { _ = try ModelFile(opening: path, verify: verify) })
            #expect(error.kind == .badInput && error.message.contains(path) && error.message.contains(file.sentence), "\(error.message)")
            #expect(!error.message.contains("\n"))
        }
    }

    /// The table above means nothing if a good file of the same making were refused too.
    @Test func theSameMakingGivesAGoodFile() throws {
        var file = RawGGUF.front(tensors: 2, extra: 1) { $0.number("k", 1) }
        file.tensor("a", [16], offset: 0)
        file.tensor("b", [4, 4], type: 26, offset: 64)
        file.pad()
        file.bytes += [UInt8](repeating: 7, count: 128)
        let folder = try TemporaryFolder()
        let path = try folder.write("good.gguf", file.bytes)
        let model = try ModelFile(opening: path, verify: false)
        #expect(model.tensors.map(\.dims) == [[16], [4, 4]] && model.tensors.map(\.type) == [.f32, .i32])
        let error = try #require(failure { _ = try ModelFile(opening: path) })
        #expect(error.message.contains("checksum does not match"))
    }

    @Test(
        arguments: [
            ("f32", 0, [0, 0, 0xC0, 0x7F]), ("f32", 0, [0, 0, 0x80, 0xFF]), ("f16", 1, [0, 0x7C]), ("f16", 1, [1, 0xFE]),
            ("bf16", 30, [0x80, 0x7F]),
            ("bf16", 30, [0xC1, 0xFF]),
        ] as [(String, UInt32, [UInt8])])
    func numbersThatAreNoneAreFound(name: String, type: UInt32, number: [UInt8]) throws {
        let folder = try TemporaryFolder()
        for isBad in [false, true] {
            var file = RawGGUF.front(tensors: 2)
            file.tensor("good", [16], type: 24, offset: 0)
            file.tensor("weights", [16], type: type, offset: 64)
            file.pad()
            file.bytes += [UInt8](repeating: 0xFF, count: 16) + [UInt8](repeating: 0, count: 48)
            let start = file.bytes.count
            file.bytes += [UInt8](repeating: 0x3B, count: 16 * number.count)
            if isBad { file.bytes.replaceSubrange(start + 5 * number.count..<start + 6 * number.count, with: number) }
            let model = try ModelFile(opening: try folder.write("\(isBad).gguf", file.bytes), verify: false)
            let error = failure { try model.checkNumbers() }
            #expect(isBad ? error?.message.contains("the tensor weights holds a number that is not finite, at 5") == true : error == nil)
        }
    }

    @Test func aLinkThatLeadsNowhereIsCalledThat() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/link.gguf"
        for (target, words) in [("../blobs/gone", "is a link to ../blobs/gone, which does not exist"), ("link.gguf", "leads to itself")] {
            _ = unsafe unlink(path)
            #expect(unsafe symlink(target, path) == 0)
            let error = try #require(failure { _ = try ModelFile(opening: path) })
            #expect(error.kind == .notFound && error.message.contains(words), "\(error.message)")
        }
        #expect(failure { _ = try ModelFile(opening: folder.path + "/none.gguf") }?.message.contains("none.gguf does not exist") == true)
    }

    @Test func everyTruncationIsRefused() throws {
        let folder = try TemporaryFolder()
        let bytes = try read(GGUFTests.sample(folder))
        for length in 0..<bytes.count {
            let path = try folder.write("cut.gguf", Array(bytes[..<length]))
            let error = try #require(failure { _ = try ModelFile(opening: path) }, "\(length) of \(bytes.count) bytes")
            #expect(error.kind == .badInput && error.message.contains(path), "\(length): \(error.message)")
        }
    }

    @Test func everyFlippedBitIsNoticed() throws {
        let folder = try TemporaryFolder()
        let bytes = try read(GGUFTests.sample(folder))
        var random = SplitMix64(seed: 2)
        for _ in 0..<3000 {
            var damaged = bytes
            damaged[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
            let path = try folder.write("flipped.gguf", damaged)
            #expect(failure { _ = try ModelFile(opening: path) }?.kind == .badInput)
        }
    }

    /// Without the checksum nothing may happen but a refusal or an opened file whose tensors can be read.
    @Test func noDamagedFrontIsDangerous() throws {
        let folder = try TemporaryFolder()
        let bytes = try read(GGUFTests.sample(folder))
        let interesting: [UInt8] = [0, 1, 2, 0x7f, 0x80, 0xff]
        var random = SplitMix64(seed: 3)
        var opened = 0
        for _ in 0..<6000 {
            var damaged = bytes
            for _ in 0...random.below(4) {
                let place = random.below(min(bytes.count, 1400))
                switch random.below(4) {
                case 0: damaged[place] ^= 1 << UInt8(random.below(8))
                case 1: damaged[place] = interesting[random.below(interesting.count)]
                case 2: for i in place..<min(place + 8, damaged.count) { damaged[i] = 0xff }
                default:
                    damaged.replaceSubrange(
                        place..<min(place + 8, damaged.count), with: bytes[random.below(1000)...].prefix(random.below(12)))
                }
            }
            let path = try folder.write("mutant.gguf", damaged)
            do {
                let file = try ModelFile(opening: path, verify: false)
                opened += 1
                #expect(file.tensors.reduce(0) { $0 + $1.bytes.array.count } <= damaged.count)
            } catch {
                #expect(error.kind == .badInput && "\(error)".contains(path), "\(error)")
            }
        }
        #expect(opened > 100, "only \(opened) mutants got past the parser, so nothing behind it was tried")
    }
}
