// Checkpoints: the numbers come back in all three float types, and a header that lies is refused.
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct SafetensorsTests {
    /// Bytes of a file with this header and this many bytes of data.
    private static func file(_ header: String, data: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: header.utf8.count >> shift)) }
        return bytes + Array(header.utf8) + [UInt8](repeating: 0, count: data)
    }

    @Test func writtenTensorsComeBack() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/a.safetensors"
        var writer = SafetensorsWriter()
        writer.add("one \"quoted\"", shape: [2, 3], [1, -2, 3.5, 0, .greatestFiniteMagnitude, 0x1p-149])
        writer.add("空", shape: [], [7])
        writer.add("none", shape: [0, 4], [])
        try writer.write(to: path)
        let file = try SafetensorsFile(opening: path)
        #expect(try file["one \"quoted\""]?.floats() == [1, -2, 3.5, 0, .greatestFiniteMagnitude, 0x1p-149])
        #expect(file["one \"quoted\""]?.shape == [2, 3])
        #expect(try file["空"]?.floats() == [7])
        #expect(try file["none"]?.floats() == [])
        #expect(try file["one \"quoted\""]?.floats(1..<3) == [-2, 3.5])
    }

    @Test func halvesAreConverted() throws {
        let header =
            #"{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},"i":{"dtype":"I64","shape":[1],"data_offsets":[12,20]},"__metadata__":{"format":"pt"}}"#
        var bytes = Self.file(header, data: 20)
        let data = bytes.count - 20
        // 1, -2, 65504, the smallest subnormal 2^-24; then 1 and -3.140625
        bytes.replaceSubrange(data..<(data + 12), with: [0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x80, 0x3f, 0x49, 0xc0])
        let folder = try TemporaryFolder()
        let file = try SafetensorsFile(opening: try folder.write("a", bytes))
        #expect(try file["h"]?.floats() == [1, -2, 65504, 0x1p-24])
        #expect(try file["b"]?.floats() == [1, -3.140625])
        #expect(throws: SoradError.self) { try file["i"]?.floats() }
    }

    /// Newer files hold scales in types of their own next to weights that can be read.
    @Test func anUnknownTypeIsRefusedWhenItIsRead() throws {
        let header = #"{"t":{"dtype":"F4_NEW","shape":[9],"data_offsets":[0,5]},"f":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}"#
        let folder = try TemporaryFolder()
        let file = try SafetensorsFile(opening: try folder.write("a", Self.file(header, data: 9)))
        #expect(try file["f"]?.floats() == [0] && file["t"]?.dtype == "F4_NEW" && file.properties.isEmpty)
        #expect(throws: SoradError.self) { try file["t"]?.floats() }
    }

    static let malformed: [(String, [UInt8])] = [
        ("has only 3 bytes", [1, 2, 3]),
        ("claims a header of 18446744073709551615 bytes", [UInt8](repeating: 0xff, count: 8)),
        ("claims a header of 100000001 bytes", [0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0]),
        ("cut short", [9, 0, 0, 0, 0, 0, 0, 0, 0x7b]),
        ("not valid JSON", file("{", data: 0)),
        ("is no object", file("[]", data: 0)),
        ("bytes after its last tensor", file("{}", data: 4)),
        ("no usable dtype", file(#"{"t":{"dtype":33,"shape":[1],"data_offsets":[0,4]}}"#, data: 4)),
        ("no usable dtype", file(#"{"t":[]}"#, data: 4)),
        ("no usable shape", file(#"{"t":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, data: 4)),
        ("no usable shape", file(#"{"t":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, data: 4)),
        ("no usable shape", file(#"{"t":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#, data: 4)),
        ("no usable shape", file(#"{"t":{"dtype":"F32","data_offsets":[0,4]}}"#, data: 4)),
        ("of shape [2]", file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4)),
        (
            "of shape [4611686018427387904, 4]",
            file(#"{"t":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, data: 4)
        ),
        ("no usable data_offsets", file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, data: 4)),
        ("no usable data_offsets", file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, data: 4)),
        ("no usable data_offsets", file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, data: 4)),
        ("cut short or damaged", file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, data: 4)),
        ("cut short or damaged", file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}"#, data: 4)),
        ("begin at byte 4 instead of 0", file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, data: 8)),
        (
            "begin at byte 0 instead of 4",
            file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"u":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4)
        ),
        (
            "twice",
            file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, data: 4)
        ),
    ]

    @Test(arguments: malformed) func malformedFilesAreRefused(sentence: String, bytes: [UInt8]) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("bad.safetensors", bytes)
        let error = try #require(failure { _ = try SafetensorsFile(opening: path) })
        #expect(error.kind == .badInput && error.message.contains(path) && error.message.contains(sentence), "\(error.message)")
    }

    @Test func damageIsNeverDangerous() throws {
        let folder = try TemporaryFolder()
        let source = folder.path + "/a.safetensors"
        var writer = SafetensorsWriter()
        for i in 0..<5 { writer.add("tensor.\(i)", shape: [i + 1, 2], (0..<(2 * i + 2)).map { Float($0) }) }
        try writer.write(to: source)
        let bytes = try read(source)
        var random = SplitMix64(seed: 4)
        for _ in 0..<4000 {
            var damaged = Array(bytes[..<(random.below(3) == 0 ? random.below(bytes.count) : bytes.count)])
            for _ in 0...random.below(3) where !damaged.isEmpty {
                damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            let path = try folder.write("b.safetensors", damaged)
            do {
                for tensor in try SafetensorsFile(opening: path).tensors { _ = try tensor.floats() }
            } catch {
                #expect(error.kind == .badInput && "\(error)".contains(path), "\(error)")
            }
        }
    }

    @Test func anIndexedFolderIsReadWhole() throws {
        let folder = try TemporaryFolder()
        for name in ["a", "b"] {
            var writer = SafetensorsWriter()
            writer.add(name, shape: [1], [1])
            try writer.write(to: folder.path + "/\(name).safetensors")
        }
        func index(_ map: String) throws -> SafetensorsFolder {
            _ = try folder.write("model.safetensors.index.json", #"{"metadata":{},"weight_map":\#(map)}"#)
            return try SafetensorsFolder(opening: folder.path)
        }
        #expect(try index(#"{"a":"a.safetensors","b":"b.safetensors"}"#).names == ["a", "b"])
        for (sentence, map) in [
            ("lists the tensor c", #"{"a":"a.safetensors","c":"b.safetensors"}"#),
            ("no safetensors file of its folder", #"{"a":"../a.safetensors"}"#),
            ("no safetensors file of its folder", #"{"a":"/etc/passwd"}"#), ("no safetensors file of its folder", #"{"a":3}"#),
            ("no weight_map", "{}"),
            ("no weight_map", "[]"),
        ] {
            let error = try #require(failure { _ = try index(map) }, "\(map)")
            #expect(error.kind == .badInput && error.message.contains(sentence), "\(error.message)")
        }
        #expect(failure { _ = try index(#"{"a":"gone.safetensors"}"#) }?.kind == .notFound)
        #expect(failure { _ = try SafetensorsFolder(opening: folder.path + "/empty") }?.kind == .notFound)
    }
}
