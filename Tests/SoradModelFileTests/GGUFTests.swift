// The model file: what was written comes back, and whatever else a file may hold gets one sentence with its name.
import Glibc
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct GGUFTests {
    static let metadata: [(key: String, value: MetadataValue)] = [
        ("general.architecture", .string("sorad-wan")), ("sorad.format_version", .uint32(1)),
        ("a.u8", .uint8(250)), ("a.i8", .int8(-3)), ("a.u16", .uint16(65535)), ("a.i16", .int16(-300)), ("a.u32", .uint32(.max)),
        ("a.i32", .int32(.min)), ("a.u64", .uint64(.max)), ("a.i64", .int64(.min)), ("a.f32", .float32(-0.1)), ("a.f64", .float64(1e300)),
        ("a.bool", .bool(true)), ("a.text", .string("grün 雪 🎈")), ("a.empty", .string("")),
        ("b.u8", .uint8s([0, 255])), ("b.i32", .int32s([-1, 7])), ("b.u32", .uint32s([1, 2, 3])), ("b.f32", .float32s([1.5, -2])),
        ("b.bool", .bools([true, false, true])), ("b.text", .strings(["▁a", "", "<0x0A>"])), ("b.none", .strings([])),
    ]
    static let tensors = [
        TensorDescription(name: "x.weight", type: .i8, dims: [4, 16, 3, 1]),
        TensorDescription(name: "x.weight_scale", type: .f32, dims: [5]),
        TensorDescription(name: "x.weight_sum", type: .i32, dims: [5]),
        TensorDescription(name: "table", type: .f16, dims: [3, 7]),
        TensorDescription(name: "half", type: .bf16, dims: [1]),
    ]

    /// A small file of every type, made by the writer.
    static func sample(_ folder: TemporaryFolder, _ name: String = "model.gguf") throws -> String {
        let path = folder.path + "/" + name
        var writer = try GGUFWriter(path, metadata: metadata, tensors: tensors)
        try writer.append((0..<100).map { Int8($0) - 50 }, to: "x.weight")
        try writer.append((100..<192).map { Int8(truncatingIfNeeded: $0) }, to: "x.weight")
        try writer.append([1, 2, 3, 4, 0.5] as [Float], to: "x.weight_scale")
        try writer.append([-1, 2, -3, 4, 1 << 30] as [Int32], to: "x.weight_sum")
        try writer.append([UInt8](repeating: 9, count: 42), to: "table")
        try writer.append([1, 2] as [UInt8], to: "half")
        _ = try writer.finish()
        return path
    }

    @Test func everythingComesBack() throws {
        let folder = try TemporaryFolder()
        let path = try Self.sample(folder)
        let file = try ModelFile(opening: path)
        for (key, value) in Self.metadata { #expect(file.metadata[key] == value, "\(key)") }
        #expect(file.metadata.entries.map(\.key) == Self.metadata.map(\.key) + ["general.alignment", "sorad.integrity.sha256"])
        #expect(file.tensors.map(\.name) == Self.tensors.map(\.name))
        for (view, tensor) in zip(file.tensors, Self.tensors) {
            #expect(
                view.type == tensor.type && view.dims == tensor.dims && view.bytes.offset % 64 == 0 && view.bytes.count == tensor.byteCount)
        }
        #expect(try file.tensor("x.weight").bytes.array == (0..<192).map { UInt8(truncatingIfNeeded: $0 < 100 ? $0 - 50 : $0) })
        #expect(try file.tensor("half", .bf16, dims: [1]).bytes.array == [1, 2])
        #expect(try file.tensor("table").bytes.array == [UInt8](repeating: 9, count: 42))
        #expect(file.sha256.count == 64)
    }

    /// A writer of the sample's tensors and a large one, whose front is known at the end.
    private static func lateWriter(_ path: String, isResumable: Bool = false) throws -> GGUFWriter {
        let last = TensorDescription(name: "large", type: .f32, dims: [1, 1, 1, 1])
        return try GGUFWriter(
            path, longest: metadata + [("b.rotation", .uint32(0))], tensors + [last], isResumable: isResumable)
    }

    private static let large = TensorDescription(name: "large", type: .i8, dims: [(3 << 20) + 77])

    /// Writes tensors in groups of one; gives the hash of each.
    private static func write(_ tensors: ArraySlice<TensorDescription>, to writer: inout GGUFWriter) throws -> [String] {
        try tensors.map { tensor in
            writer.add([tensor])
            let count = try #require(tensor.byteCount)
            try writer.append((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }, to: tensor.name)
            return try writer.endGroup()
        }
    }

    /// A front that is filled in at the end leaves a whole file, whatever the names that were reserved became.
    @Test func aFrontThatIsKnownLateMakesAWholeFile() throws {
        let folder = try TemporaryFolder()
        for tensors in [Self.tensors, Self.tensors + [Self.large]] {
            let path = folder.path + "/late.gguf"
            var writer = try Self.lateWriter(path)
            _ = try Self.write(tensors[...], to: &writer)
            let sum = try writer.finish(metadata: Self.metadata)
            let file = try ModelFile(opening: path)
            #expect(file.sha256 == sum && file.tensors.map(\.name) == tensors.map(\.name))
            for (key, value) in Self.metadata { #expect(file.metadata[key] == value, "\(key)") }
            for view in file.tensors {
                let count = view.bytes.count
                #expect(view.bytes.array == (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }, "\(view.name)")
            }
        }
    }

    /// More tensors and longer metadata than were expected cost a copy of the data, and nothing else: the file is that of a writer that knew
    /// them all.
    @Test(arguments: [false, true]) func aFrontLongerThanExpectedLosesNothing(isResumable: Bool) throws {
        let folder = try TemporaryFolder()
        let all = Self.tensors + [Self.large]
        let path = folder.path + "/m.gguf"
        var writer = try GGUFWriter(path, longest: [("a", .bool(true))], [Self.tensors[1]], isResumable: isResumable)
        _ = try Self.write(all[...], to: &writer)
        let sum = try writer.finish(metadata: Self.metadata)
        var known = try GGUFWriter(folder.path + "/known.gguf", metadata: Self.metadata, tensors: all)
        for tensor in all {
            let count = try #require(tensor.byteCount)
            try known.append((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }, to: tensor.name)
        }
        #expect(try known.finish() == sum)
        #expect(try ModelFile(opening: path).sha256 == sum)
        #expect(try MappedFile(path).bytes.array == MappedFile(folder.path + "/known.gguf").bytes.array)
        #expect(try fileNames(in: folder.path).sorted() == ["known.gguf", "m.gguf"])
    }

    /// A writer takes over what another left, up to the first damage, and ends with the same file.
    @Test func aFileIsContinued() throws {
        let folder = try TemporaryFolder()
        let all = Self.tensors + [Self.large]
        let (path, partial) = (folder.path + "/m.gguf", folder.path + "/m.gguf.partial")
        var whole = try Self.lateWriter(folder.path + "/whole.gguf", isResumable: true)
        let hashes = try Self.write(all[...], to: &whole)
        let sum = try whole.finish(metadata: Self.metadata)
        for damage in [nil, 0, 2, 5] as [Int?] {
            do {
                var writer = try Self.lateWriter(path, isResumable: true)
                #expect(writer.partialPath == partial)
                _ = try Self.write(all[...], to: &writer)
                // Another one waits until this one is gone.
                #expect(throws: SoradError.self) { _ = try Self.lateWriter(path, isResumable: true) }
                #expect(writer.partialPath == partial)
            }
            #expect(!fileExists(path) && fileExists(partial))
            if let damage {
                let bytes = all[damage...].reduce(0) { $0 + ($1.byteCount! + 63) / 64 * 64 }
                let file = try FileDescriptor(opening: partial, flags: O_RDWR)
                try file.write([1, 2, 3], at: try file.regularFileSize() - bytes)
            }
            var writer = try Self.lateWriter(path, isResumable: true)
            var taken = 0
            while taken < all.count, try writer.takeOver([all[taken]], sha256: hashes[taken]) { taken += 1 }
            #expect(taken == damage ?? all.count)
            try writer.begin()
            _ = try Self.write(all[taken...], to: &writer)
            #expect(try writer.finish(metadata: Self.metadata) == sum)
            #expect(!fileExists(partial))
            #expect(try ModelFile(opening: path).sha256 == sum)
            removeFile(path)
        }
    }

    /// A file of many pieces is read by several threads, and by none when it is known to be sound.
    @Test func aLargeFileIsCheckedByAllCPUsAndOnce() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/large.gguf"
        let count = (40 << 20) + 4_321
        var writer = try GGUFWriter(path, metadata: Self.metadata, tensors: [TensorDescription(name: "x", type: .i8, dims: [count])])
        try writer.append([Int8](repeating: 3, count: count), to: "x")
        let sum = try writer.finish()
        var beats = 0
        let whole = try ModelFile(opening: path, meanwhile: { beats += 1 })
        #expect(whole.sha256 == sum && beats > 0)
        #expect(whole.byteCount(below: "x") == count && whole.byteCount(below: "y") == 0)
        // Pages that were given back come again.
        whole.giveBack(below: "x")
        #expect(whole.tensors[0].bytes.array[count - 1] == 3)
        let file = try FileDescriptor(opening: path, flags: O_RDWR)
        for position in [count / 2, count, 1 << 20] {
            try file.write([9], at: position)
            #expect(throws: SoradError.self) { try ModelFile(opening: path) }
            let state = try FileIdentity(path).text
            #expect(throws: Never.self) { try ModelFile(opening: path, verified: state) }
            #expect(throws: SoradError.self) { try ModelFile(opening: path, verified: state + "0") }
            try file.write([3], at: position)
        }
        #expect(try ModelFile(opening: path).sha256 == sum)
    }

    @Test func sameInputSameBytes() throws {
        let folder = try TemporaryFolder()
        #expect(try read(Self.sample(folder, "a")) == read(Self.sample(folder, "b")))
        #expect(TemporaryFolder.entries(folder.path) == ["a", "b"], "a temporary file was left behind")
    }

    @Test func theChecksumIsAsDocumented() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/large.gguf"
        // Two and a half pieces of 1 MiB.
        var writer = try GGUFWriter(
            path, metadata: Array(Self.metadata.prefix(2)), tensors: [TensorDescription(name: "t", type: .i8, dims: [2_621_440])])
        var random = SplitMix64(seed: 1)
        for _ in 0..<2560 { try writer.append((0..<1024).map { _ in UInt8(truncatingIfNeeded: random.next()) }, to: "t") }
        let checksum = try writer.finish()
        var bytes = try read(path)
        let digits = Array(checksum.utf8)
        let place = try #require((0..<1024).first { Array(bytes[$0..<($0 + 64)]) == digits })
        bytes.replaceSubrange(place..<(place + 64), with: [UInt8](repeating: 0x30, count: 64))
        let digests = stride(from: 0, to: bytes.count, by: 1 << 20).flatMap {
            SHA256.hash(Array(bytes[$0..<min($0 + 1 << 20, bytes.count)]))
        }
        #expect(SHA256.hexadecimal(SHA256.hash(digests)) == checksum)
        #expect(try ModelFile(opening: path).sha256 == checksum)
    }

    @Test func lookupsNameWhatIsWrong() throws {
        let folder = try TemporaryFolder()
        let path = try Self.sample(folder)
        let file = try ModelFile(opening: path)
        let cases: [(String, () throws -> Void)] = [
            ("has no tensor y", { _ = try file.tensor("y") }),
            ("is i8, not f32", { _ = try file.tensor("x.weight", .f32, dims: [4, 16, 3, 1]) }),
            ("[4, 16, 3, 1]", { _ = try file.tensor("x.weight", .f32, .i8, dims: [4, 16, 2, 1]) }),
            ("has no metadata key z", { _ = try file.metadata.string("z") }),
            ("a.text is string, not an integer", { _ = try file.metadata.integer("a.text") }),
            ("a.u8 is 250, outside 0…9", { _ = try file.metadata.integer("a.u8", in: 0...9) }),
            ("a.u64 is u64, not an integer", { _ = try file.metadata.integer("a.u64") }),
            ("a.i8 is -3, outside", { _ = try file.metadata.integer("a.i8") }),
            ("b.i32 is -1, outside", { _ = try file.metadata.integers("b.i32") }),
            ("a.f64 is f64, not a 32-bit float", { _ = try file.metadata.float("a.f64") }),
            ("b.u8 is [u8] × 2, not an array of strings", { _ = try file.metadata.strings("b.u8") }),
            ("a.u8 is u8, not a boolean", { _ = try file.metadata.bool("a.u8") }),
        ]
        for (sentence, lookup) in cases {
            let error = try #require(failure(lookup), "\(sentence)")
            #expect(error.kind == .badInput && error.message.contains(path) && error.message.contains(sentence), "\(error.message)")
        }
    }

    @Test func numbersThatAreNotFiniteAreRefused() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/nan.gguf"
        let writer = try GGUFWriter(
            path, metadata: Self.metadata.prefix(2) + [("x", .float32(.nan)), ("y", .float32s([1, .infinity]))], tensors: [])
        _ = try writer.finish()
        let metadata = try ModelFile(opening: path).metadata
        #expect(throws: SoradError.self) { try metadata.float("x") }
        #expect(throws: SoradError.self) { try metadata.floats("y") }
    }

    @Test func theWriterRefusesWhatTheReaderWould() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/bad.gguf"
        let front = Array(Self.metadata.prefix(2))
        let tensors: [[TensorDescription]] = [
            [TensorDescription(name: "", type: .f32, dims: [1])],
            [TensorDescription(name: String(repeating: "n", count: 64), type: .f32, dims: [1])],
            [TensorDescription(name: "a b", type: .f32, dims: [1])],
            [TensorDescription(name: "é", type: .f32, dims: [1])],
            [TensorDescription(name: "t", type: .f32, dims: [])],
            [TensorDescription(name: "t", type: .f32, dims: [1, 1, 1, 1, 1])],
            [TensorDescription(name: "t", type: .f32, dims: [0])],
            [TensorDescription(name: "t", type: .f32, dims: [-1])],
            [TensorDescription(name: "t", type: .f32, dims: [1 << 40, 1 << 40])],
            [TensorDescription(name: "t", type: .f32, dims: [1]), TensorDescription(name: "t", type: .f32, dims: [1])],
        ]
        for tensors in tensors {
            #expect(failure { _ = try GGUFWriter(path, metadata: front, tensors: tensors) }?.kind == .badInput, "\(tensors)")
        }
        #expect(failure { _ = try GGUFWriter(path, metadata: front + [front[0]], tensors: []) }?.kind == .badInput)
        #expect(failure { _ = try GGUFWriter("/nowhere/at/all.gguf", metadata: front, tensors: []) }?.kind == .cannotCreate)
        #expect(TemporaryFolder.entries(folder.path).isEmpty)
    }

    @Test func anUnfinishedFileLeavesNothing() throws {
        let folder = try TemporaryFolder()
        let path = try Self.sample(folder)
        let before = try read(path)
        do {
            var writer = try GGUFWriter(
                path, metadata: Array(Self.metadata.prefix(2)), tensors: [TensorDescription(name: "t", type: .i8, dims: [9])])
            try writer.append([1, 2, 3] as [Int8], to: "t")
        }
        #expect(try read(path) == before)
        #expect(TemporaryFolder.entries(folder.path) == ["model.gguf"])
    }
}
