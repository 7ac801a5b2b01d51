// The same checkpoint through other sources: numbers in memory, a zip as torch writes it, other names. Each gives the model file of the
// diffusers folder byte for byte.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

/// Numbers in memory, under names of the test's choice.
private struct MemorySource: TensorSource {
    let path: String
    private let tensors: [String: (shape: [Int], values: [Float])]

    init(_ source: any TensorSource, rename: (String) -> String = { $0 }) throws(SoradError) {
        path = source.path
        var tensors: [String: (shape: [Int], values: [Float])] = [:]
        for name in source.names {
            guard let tensor = source[name] else { preconditionFailure("\(name) is listed and not there") }
            tensors[rename(name)] = (tensor.shape, try tensor.floats())
        }
        self.tensors = tensors
    }

    var names: [String] { Array(tensors.keys) }
    func shape(of name: String) -> [Int]? { tensors[name]?.shape }
    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] { Array(tensors[name]!.values[range]) }
}

/// A zip of stored entries as `torch.save` lays it out, one storage for a tensor: "archive/data/INDEX" with the bytes of its floats. The
/// directory at the end is what is read: the entries' own heads have no sizes.
private struct StoredZipSource: TensorSource {
    let path: String
    let names: [String]
    private let shapes: [String: [Int]]
    private let file: MappedFile
    private let offsets: [String: Int]

    init(_ source: any TensorSource, in folder: TemporaryFolder) throws {
        names = source.names.sorted()
        shapes = Dictionary(uniqueKeysWithValues: names.map { ($0, source.shape(of: $0)!) })
        var zip: [UInt8] = []
        var directory: [UInt8] = []
        func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        for (index, name) in names.enumerated() {
            let data = try source[name]!.floats().flatMap { number(Int($0.bitPattern), 4) }
            let entry = Array("archive/data/\(index)".utf8)
            let start = zip.count
            // Data begin at a multiple of 64; the extra field fills the gap.
            let extra = 4 + (64 - (start + 30 + entry.count + 4) % 64) % 64
            zip += [0x50, 0x4B, 3, 4] + number(0, 2) + number(0x808, 2) + number(0, 18) + number(entry.count, 2) + number(extra, 2) + entry
            zip += [0x46, 0x42] + number(extra - 4, 2) + [UInt8](repeating: 0x5A, count: extra - 4) + data
            directory += [0x50, 0x4B, 1, 2] + number(0, 16) + number(data.count, 4) + number(data.count, 4) + number(entry.count, 2)
            directory += number(0, 12) + number(start, 4) + entry
        }
        let end = [0x50, 0x4B, 5, 6] + number(0, 4) + number(names.count, 2) + number(names.count, 2)
        let tail = number(directory.count, 4) + number(zip.count, 4) + number(0, 2)
        path = try folder.write("part.pth", zip + directory + end + tail)
        file = try MappedFile(path)
        let bytes = file.bytes.array
        func read(_ offset: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
        var offsets: [String: Int] = [:]
        var entry = read(bytes.count - 6, 4)
        for name in names {
            let start = read(entry + 42, 4)
            offsets[name] = start + 30 + read(start + 26, 2) + read(start + 28, 2)
            entry += 46 + read(entry + 28, 2)
        }
        self.offsets = offsets
    }

    func shape(of name: String) -> [Int]? { shapes[name] }

    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        let bytes = MappedRange(file: file, offset: offsets[name]! + 4 * range.lowerBound, count: 4 * range.count).array
        return range.map { element in
            let start = (element - range.lowerBound) * 4
            return Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
        }
    }
}

/// Wan's own spelling of diffusers' names, written down apart from the converter's table.
private func originalName(_ name: String) -> String {
    var result = name
    for (ours, theirs) in [
        ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
        ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
        ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
        ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
        ("condition_embedder.time_proj", "time_projection.1"), ("proj_out", "head.head"), (".attn1.", ".self_attn."),
        (".attn2.", ".cross_attn."), (".to_q.", ".q."), (".to_k.", ".k."), (".to_v.", ".v."), (".to_out.0.", ".o."),
        (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."), (".norm2.", ".norm3."),
    ] {
        guard let range = result.firstRange(of: ours) else { continue }
        result.replaceSubrange(range, with: theirs)
    }
    if result == "scale_shift_table" { return "head.modulation" }
    if result.hasSuffix(".scale_shift_table") { return result.dropLast("scale_shift_table".count) + "modulation" }
    return result
}

private func originalTextName(_ name: String) -> String {
    if name == "shared.weight" { return "token_embedding.weight" }
    if name == "encoder.final_layer_norm.weight" { return "norm.weight" }
    var result = name
    for (ours, theirs) in [
        ("encoder.block.", "blocks."), (".layer.0.layer_norm.", ".norm1."), (".layer.1.layer_norm.", ".norm2."),
        (".layer.0.SelfAttention.relative_attention_bias.", ".pos_embedding.embedding."), (".layer.0.SelfAttention.", ".attn."),
        (".layer.1.DenseReluDense.wi_0.", ".ffn.gate.0."), (".layer.1.DenseReluDense.wi_1.", ".ffn.fc1."),
        (".layer.1.DenseReluDense.wo.", ".ffn.fc2."),
    ] {
        guard let range = result.firstRange(of: ours) else { continue }
        result.replaceSubrange(range, with: theirs)
    }
    return result
}

@Suite struct SourceTests {
    private static func options(int8Decoder: Bool = false) -> ConversionOptions {
        var options = ConversionOptions()
        options.created = 1_700_000_000
        options.int8Decoder = int8Decoder
        return options
    }

    private static func tiny() throws -> CheckpointParts { try CheckpointParts(diffusersFolder: ConverterTests.fixtures + "/tiny") }

    private static func converted(_ parts: CheckpointParts, _ folder: TemporaryFolder, _ options: ConversionOptions) throws -> [UInt8] {
        let path = folder.path + "/converted.gguf"
        _ = try Converter.convert(parts, to: path, options: options)
        return try read(path)
    }

    @Test(arguments: [false, true]) func numbersInMemoryGiveTheSameFile(int8Decoder: Bool) throws {
        let folder = try TemporaryFolder()
        let options = Self.options(int8Decoder: int8Decoder)
        var parts = try Self.tiny()
        let expected = try Self.converted(parts, folder, options)
        parts.transformer.weights = try MemorySource(parts.transformer.weights)
        parts.textEncoder.weights = try MemorySource(parts.textEncoder.weights)
        parts.autoencoder.weights = try MemorySource(parts.autoencoder.weights)
        #expect(try Self.converted(parts, folder, options) == expected)
    }

    @Test func aStoredZipGivesTheSameFile() throws {
        let folder = try TemporaryFolder()
        var parts = try Self.tiny()
        let expected = try Self.converted(parts, folder, Self.options())
        parts.transformer.weights = try StoredZipSource(parts.transformer.weights, in: folder)
        #expect(parts.transformer.weights.path.hasSuffix("part.pth"))
        #expect(try Self.converted(parts, folder, Self.options()) == expected)
    }

    @Test(arguments: ["", "model.diffusion_model.", "net."]) func otherNamesGiveTheSameFile(prefix: String) throws {
        let folder = try TemporaryFolder()
        var parts = try Self.tiny()
        let expected = try Self.converted(parts, folder, Self.options())
        let transformer = try MemorySource(parts.transformer.weights) { prefix + originalName($0) }
        let text = try MemorySource(parts.textEncoder.weights, rename: originalTextName)
        #expect(
            transformer.shape(of: prefix + "blocks.1.self_attn.norm_q.weight") != nil && text.shape(of: "blocks.1.ffn.fc2.weight") != nil)
        parts.transformer.weights = try NameTable.renamed(transformer, by: [.wanTransformer])
        parts.textEncoder.weights = try NameTable.renamed(text, by: [.wanTextEncoder])
        #expect(try Self.converted(parts, folder, Self.options()) == expected)
    }

    /// Checkpoints without `shared.weight` have the table under the name that transformers ties to it.
    @Test func theTableOfTokensHasTwoNames() throws {
        let folder = try TemporaryFolder()
        var parts = try Self.tiny()
        let expected = try Self.converted(parts, folder, Self.options())
        parts.textEncoder.weights = try MemorySource(parts.textEncoder.weights) {
            $0 == "shared.weight" ? "encoder.embed_tokens.weight" : $0
        }
        #expect(try Self.converted(parts, folder, Self.options()) == expected)
    }

    /// Files on the disk under other names: everything but the record of the source files is the same.
    @Test func aFolderMayHoldFilesOfOtherNames() throws {
        let folder = try TemporaryFolder()
        let plain = try folder.copy(ConverterTests.fixtures + "/tiny", as: "tiny")
        let options = Self.options()
        _ = try Converter.convert(plain, to: folder.path + "/expected.gguf", options: options)
        let weights = try CheckpointParts(diffusersFolder: plain).transformer.weights
        var writer = SafetensorsWriter()
        for name in weights.names.sorted() {
            let tensor = try #require(weights[name])
            writer.add("model.diffusion_model." + originalName(name), shape: tensor.shape, try tensor.floats())
        }
        try writer.write(to: plain + "/transformer/diffusion_pytorch_model.safetensors")
        _ = try Converter.convert(plain, to: folder.path + "/other.gguf", options: options)
        let (expected, other) = try (ModelFile(opening: folder.path + "/expected.gguf"), ModelFile(opening: folder.path + "/other.gguf"))
        for tensor in expected.tensors { #expect(try other.tensor(tensor.name).bytes.array == tensor.bytes.array, "\(tensor.name)") }
        let records: Set<String> = ["sorad.source.sha256", "sorad.integrity.sha256"]
        #expect(
            expected.metadata.entries.filter { !records.contains($0.key) }.map { "\($0)" }
                == other.metadata.entries.filter { !records.contains($0.key) }.map { "\($0)" })
    }

    @Test func aNameThatNoTableKnowsIsRefused() throws {
        let folder = try TemporaryFolder()
        var parts = try Self.tiny()
        let strange = try MemorySource(parts.transformer.weights) {
            $0 == "proj_out.bias" ? "audio_proj.bias" : originalName($0)
        }
        parts.transformer.weights = try NameTable.renamed(strange, by: [.wanTransformer])
        let error = try #require(failure { _ = try Self.converted(parts, folder, Self.options()) })
        #expect(error.kind == .badInput && error.message.contains("lacks the tensor proj_out.bias"))
        let double = try MemorySource(parts.textEncoder.weights) { $0 == "shared.weight" ? "token_embedding.weight" : $0 }
        var names = double.names
        names.append("shared.weight")
        let twice = try #require(failure { _ = try NameTable.renamed(Doubled(source: double, names: names), by: [.always]) })
        #expect(twice.message.contains("are both shared.weight"), "\(twice.message)")
    }
}

/// A source that has one tensor under two names.
private struct Doubled: TensorSource {
    let source: MemorySource
    let names: [String]
    var path: String { source.path }
    func shape(of name: String) -> [Int]? { source.shape(of: name) ?? source.shape(of: "token_embedding.weight") }
    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] { try source.floats(of: name, in: range) }
}

extension NameTable {
    fileprivate static let always = NameTable(mark: "token_embedding.weight", rules: [("token_embedding", "shared")])
}

/// What is not converted as it is, is refused or named.
@Suite struct HonestyTests {
    private static func convert(_ change: (TemporaryFolder, String) throws -> Void) throws -> (
        report: ConversionReport?, error: SoradError?
    ) {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(ConverterTests.fixtures + "/tiny", as: "tiny")
        try change(folder, copy)
        var report: ConversionReport?
        var told: [String] = []
        let error = failure { report = try Converter.convert(copy, to: folder.path + "/m.gguf", notice: { told.append($0) }) }
        #expect(report == nil || report?.notices == told)
        return (report, error)
    }

    private static func write(_ folder: TemporaryFolder, _ name: String, _ change: (inout JSONObject) -> Void) throws {
        var object = try #require(try JSONValue(parsing: read("\(folder.path)/tiny/\(name)")).object)
        change(&object)
        _ = try folder.write("tiny/\(name)", JSONValue.object(object).text())
    }

    @Test func aModelOfTwoExpertsIsRefused() throws {
        for change in [
            { $0["transformer_2"] = ["diffusers", "WanTransformer3DModel"] }, { $0["boundary_ratio"] = 0.875 },
        ] as [(inout JSONObject) -> Void] {
            let error = try #require(try Self.convert { folder, _ in try Self.write(folder, "model_index.json", change) }.error)
            #expect(error.kind == .badInput && error.message.contains("second transformer"), "\(error.message)")
        }
        let error = try #require(try Self.convert { folder, _ in _ = folder.makeFolder("tiny/transformer_2") }.error)
        #expect(error.message.contains("tiny/transformer_2"), "\(error.message)")
        // As TI2V says that it has none.
        let none = try Self.convert { folder, _ in
            try Self.write(folder, "model_index.json") { index in
                index["transformer_2"] = [.null, .null]
                index["boundary_ratio"] = .null
            }
        }
        #expect(none.error == nil && none.report?.sha256.count == 64)
    }

    @Test func anotherPipelineIsRefused() throws {
        let error = try #require(
            try Self.convert { folder, _ in
                try Self.write(folder, "model_index.json") { $0["_class_name"] = "WanAnimatePipeline" }
            }.error)
        #expect(error.kind == .badInput && error.message.contains("WanAnimatePipeline"), "\(error.message)")
    }

    @Test func unknownSchedulesAreRefused() throws {
        func scheduler(_ change: @escaping (inout JSONObject) -> Void) throws -> (report: ConversionReport?, error: SoradError?) {
            try Self.convert { folder, _ in try Self.write(folder, "scheduler/scheduler_config.json", change) }
        }
        for key in ["use_dynamic_shifting", "use_karras_sigmas", "invert_sigmas", "stochastic_sampling", "use_beta_sigmas"] {
            #expect(try scheduler { $0[key] = true }.error?.message.contains("\(key) is set") == true)
        }
        #expect(try scheduler { $0["shift_terminal"] = 0.1 }.error?.message.contains("shift_terminal is set") == true)
        let unipc = ["_class_name": "UniPCMultistepScheduler", "flow_shift": 3.0] as JSONObject
        for (key, value) in [("solver_order", 3), ("solver_type", "bh1"), ("lower_order_final", false), ("disable_corrector", [0])]
            as [(String, JSONValue)]
        {
            let error = try scheduler { scheduler in
                for member in unipc.members { scheduler[member.key] = member.value }
                scheduler[key] = value
            }.error
            #expect(error?.message.contains(key) == true, "\(key): \(error?.message ?? "accepted")")
        }
        let noise = try scheduler { scheduler in
            scheduler["_class_name"] = "UniPCMultistepScheduler"
            scheduler["prediction_type"] = "epsilon"
        }
        #expect(noise.error?.message.contains("\"epsilon\"") == true)
    }

    /// The fixture holds two files of reference tensors for the tests.
    @Test func weightsThatAreNotReadAreNamed() throws {
        let result = try Self.convert { folder, _ in _ = try folder.write("tiny/transformer/style_lora.safetensors", [1]) }
        #expect(
            result.report?.notices.map { $0.prefix { $0 != " " } }
                == ["given.safetensors", "reference.safetensors", "transformer/style_lora.safetensors"])
        #expect(result.report?.json["notices"]?.array?.count == 3)
    }
}
