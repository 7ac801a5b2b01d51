// Parts of a checkpoint from files of their own, in other names and number types, give the model of the diffusers folder. The same with files
// that diffusers' and other libraries write: quantization/reference/check_spellings.py.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

/// A safetensors file of tensors of any type.
struct TypedTensors {
    private var members = JSONObject()
    private var data: [UInt8] = []
    var properties = JSONObject()

    mutating func add(_ name: String, _ type: String, _ shape: [Int], _ bytes: [UInt8]) {
        let end = data.count + bytes.count
        members[name] = [
            "dtype": .string(type), "shape": .array(shape.map { .integer($0) }), "data_offsets": [.integer(data.count), .integer(end)],
        ]
        data += bytes
    }

    mutating func add(_ name: String, _ shape: [Int], _ values: [Float]) {
        add(name, "F32", shape, values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } })
    }

    /// The same under other names.
    func renamed(_ rename: (String) -> String) -> TypedTensors {
        var copy = self
        copy.members = JSONObject()
        for member in members.members { copy.members[rename(member.key)] = member.value }
        return copy
    }

    mutating func add(_ name: String, text: String) { add(name, "U8", [text.utf8.count], Array(text.utf8)) }

    func write(_ name: String, in folder: TemporaryFolder) throws -> String {
        var header = members
        if !properties.members.isEmpty { header["__metadata__"] = .object(properties) }
        let text = Array(JSONValue.object(header).text().utf8)
        return try folder.write(name, (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + data)
    }
}

@Suite struct SpellingTests {
    static let checkpoint = ConverterTests.fixtures + "/tiny-outliers"

    static func options() -> ConversionOptions {
        var options = ConversionOptions()
        options.created = 1_700_000_000
        return options
    }

    /// All of a model file but what says where it comes from: the sources' names and hashes, the zeros that are left of the space that was
    /// set aside for them, and the checksum.
    static func content(_ path: String) throws -> [String: [UInt8]] {
        let origins = ["sorad.source.sha256", "sorad.reserved", "sorad.integrity.sha256"]
        let file = try ModelFile(opening: path)
        var content: [String: [UInt8]] = [:]
        for tensor in file.tensors { content[tensor.name] = tensor.bytes.array }
        for (key, value) in file.metadata.entries where !origins.contains(key) {
            content[key] = Array("\(value)".utf8)
        }
        return content
    }

    static func converted(_ files: [String], _ folder: TemporaryFolder, checkpoint: String = checkpoint) throws -> [String: [UInt8]] {
        let path = folder.path + "/m.gguf"
        _ = try Converter.convert(checkpoint, files: files, to: path, options: options())
        return try content(path)
    }

    /// The transformer with its linear layers in another form: `change` adds what replaces one.
    private static func stored(
        _ folder: TemporaryFolder, _ change: (inout TypedTensors, _ layer: String, _ shape: [Int], _ values: [Float]) -> Void
    ) throws -> TypedTensors {
        let source = try CheckpointParts(diffusersFolder: checkpoint).transformer.weights
        var file = TypedTensors()
        for name in source.names.sorted() {
            let tensor = try #require(source[name])
            let values = try tensor.floats()
            if name.hasPrefix("blocks."), name.hasSuffix(".weight"), tensor.shape.count == 2 {
                change(&file, String(name.dropLast(".weight".count)), tensor.shape, values)
            } else {
                file.add(name, tensor.shape, values)
            }
        }
        return file
    }

    /// Nearest E4M3 code of a magnitude up to 448, by search.
    private static func e4m3(_ value: Float) -> UInt8 {
        let nearest = (0..<127).min { abs(Float8.e4m3[$0] - value.magnitude) < abs(Float8.e4m3[$1] - value.magnitude) } ?? 0
        return UInt8(nearest) | (value < 0 ? 0x80 : 0)
    }

    enum Scales: String, CaseIterable {
        case older = "scale_weight"
        case newer = "weight_scale"
        case rows, described, properties
    }

    @Test(arguments: Scales.allCases) func fp8WithEverySpellingOfItsScales(_ scales: Scales) throws {
        let folder = try TemporaryFolder()
        var plain = TypedTensors()
        var layers = JSONObject()
        var file = try Self.stored(folder) { file, layer, shape, values in
            let (n, k) = (shape[0], shape[1])
            let count = scales == .rows ? n : 1
            let factors = (0..<count).map { row in
                (count == 1 ? values[...] : values[row * k..<(row + 1) * k]).reduce(0) { max($0, $1.magnitude) } / 448
            }
            let codes = values.indices.map { Self.e4m3(values[$0] / factors[count == 1 ? 0 : $0 / k]) }
            file.add("\(layer).weight", "F8_E4M3", shape, codes)
            plain.add("\(layer).weight", shape, codes.indices.map { Float8.e4m3[Int(codes[$0])] * factors[count == 1 ? 0 : $0 / k] })
            switch scales {
            case .older:
                file.add("\(layer).scale_weight", [], factors)
                file.add("\(layer).scale_input", [1], [1])
            case .rows: file.add("\(layer).weight_scale", [n, 1], factors)
            default: file.add("\(layer).weight_scale", [1], factors)
            }
            if scales == .described { file.add("\(layer).comfy_quant", text: #"{"format": "float8_e4m3fn"}"#) }
            layers[layer] = ["format": "float8_e4m3fn"]
        }
        if scales == .older { file.add("scaled_fp8", "F8_E4M3", [0], []) }
        if scales == .properties {
            file.properties["_quantization_metadata"] = .string(JSONValue.object(["layers": .object(layers)]).text())
        }
        let source = try CheckpointParts(diffusersFolder: Self.checkpoint).transformer.weights
        for name in source.names.sorted()
        where !(name.hasPrefix("blocks.") && name.hasSuffix(".weight") && source.shape(of: name)?.count == 2) {
            plain.add(name, try #require(source.shape(of: name)), try #require(source[name]).floats())
        }
        let expected = try Self.converted([try plain.write("plain", in: folder)], folder)
        #expect(try Self.converted([try file.write("scaled", in: folder)], folder) == expected)
    }

    /// What this converter itself made int8, rotated or not, is taken back as it was.
    @Test func int8RowsAreTakenAsTheyAre() throws {
        let folder = try TemporaryFolder()
        let expected = try Self.converted([], folder)
        let model = try ModelFile(opening: folder.path + "/m.gguf")
        var rotated = 0
        var int8 = 0
        let file = try Self.stored(folder) { file, layer, shape, values in
            guard let tensor = try? model.tensor("dit.\(layer).weight"), tensor.type == .i8,
                let scales = try? model.tensor("dit.\(layer).weight_scale")
            else { return file.add("\(layer).weight", shape, values) }
            let codes = tensor.bytes.array
            let (n, k) = (shape[0], shape[1])
            file.add(
                "\(layer).weight", "I8", shape,
                (0..<n * k).map { i in
                    let (row, column) = (i / k, i % k)
                    return codes[((row / 16 * (k / 4) + column / 4) * 16 + row % 16) * 4 + column % 4]
                })
            file.add("\(layer).weight_scale", "F32", [n, 1], scales.bytes.array)
            int8 += 1
            guard case .uint32(let group)? = model.metadata["rotation.dit.\(layer)"] else { return }
            rotated += 1
            file.add("\(layer).comfy_quant", text: #"{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": \#(group)}"#)
        }
        #expect(rotated >= 2 && int8 > rotated, "\(rotated) of \(int8) layers are rotated")
        let path = try file.write("int8", in: folder)
        let report = try Converter.convert(Self.checkpoint, files: [path], to: folder.path + "/again.gguf", options: Self.options())
        #expect(report.rows.count { $0.decision.hasPrefix("int8 as stored") } == int8)
        let found = try Self.content(folder.path + "/again.gguf")
        for (name, content) in expected { #expect(found[name] == content, "\(name)") }
        #expect(found.count == expected.count)
    }

    @Test func wrongScalesAreNamed() throws {
        let folder = try TemporaryFolder()
        func error(_ change: (inout TypedTensors, String, [Int]) -> Void) throws -> SoradError? {
            let file = try Self.stored(folder) { file, layer, shape, values in
                if layer == "blocks.0.attn1.to_q" { change(&file, layer, shape) } else { file.add("\(layer).weight", shape, values) }
            }
            let path = try file.write("wrong", in: folder)
            return failure { _ = try Self.converted([path], folder) }
        }
        let codes = { (shape: [Int]) in [UInt8](repeating: 0x38, count: shape[0] * shape[1]) }
        for (sentence, change) in [
            (
                "has scales of shape [3]",
                {
                    $0.add("\($1).weight", "F8_E4M3", $2, codes($2)); $0.add("\($1).weight_scale", [3], [1, 1, 1])
                }
            ),
            (
                "has two scales",
                {
                    $0.add("\($1).weight", "F8_E4M3", $2, codes($2))
                    $0.add("\($1).weight_scale", [], [1])
                    $0.add("\($1).scale_weight", [], [1])
                }
            ),
            ("is I8 and has no scale", { $0.add("\($1).weight", "I8", $2, codes($2)) }),
            (
                "has no scale that is known",
                {
                    $0.add("\($1).weight", "F8_E4M3", $2, codes($2)); $0.add("scaled_fp8", "F8_E4M3", [0], [])
                }
            ),
            (
                "of the format nvfp4",
                {
                    $0.add("\($1).weight", "U8", [$2[0], $2[1] / 2], Array(codes($2).prefix($2[0] * $2[1] / 2)))
                    $0.add("\($1).comfy_quant", text: #"{"format": "nvfp4"}"#)
                }
            ),
            (
                "cannot be rotated in groups of 48",
                {
                    $0.add("\($1).weight", "I8", $2, codes($2))
                    $0.add("\($1).weight_scale", [$2[0]], [Float](repeating: 1, count: $2[0]))
                    $0.add("\($1).comfy_quant", text: #"{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 48}"#)
                }
            ),
            (
                "is F32 and has a scale",
                {
                    $0.add("\($1).weight", $2, [Float](repeating: 1, count: $2[0] * $2[1])); $0.add("\($1).weight_scale", [], [1])
                }
            ),
        ] as [(String, (inout TypedTensors, String, [Int]) -> Void)] {
            let found = try #require(try error(change))
            #expect(found.kind == .badInput && found.message.contains(sentence), "\(found.message)")
        }
        // A plain cast has no scale anywhere.
        #expect(try error { $0.add("\($1).weight", "F8_E4M3", $2, codes($2)) } == nil)
    }

    @Test func oneFileMayHoldEverything() throws {
        let folder = try TemporaryFolder()
        let expected = try Self.converted([], folder)
        let parts = try CheckpointParts(diffusersFolder: Self.checkpoint)
        var file = TypedTensors()
        for (prefix, source) in [
            ("model.diffusion_model.", parts.transformer.weights), ("text_encoders.umt5xxl.transformer.", parts.textEncoder.weights),
            ("vae.", parts.autoencoder.weights),
        ] {
            for name in source.names.sorted() {
                let tensor = try #require(source[name])
                file.add(prefix + name, tensor.shape, try tensor.floats())
            }
        }
        let tokenizer = try read(Self.checkpoint + "/tokenizer/spiece.model")
        file.add("text_encoders.umt5xxl.spiece_model", "U8", [tokenizer.count], tokenizer)
        let path = try file.write("all.safetensors", in: folder)
        // The folder's own weights and tokenizer need not be there.
        let bare = try folder.copy(Self.checkpoint, as: "tiny-outliers")
        for name in [
            "transformer/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors",
            "tokenizer/spiece.model",
        ] { removeFile("\(bare)/\(name)") }
        #expect(try Self.converted([path], folder, checkpoint: bare) == expected)
        let twice = failure { _ = try Self.converted([path, path], folder) }
        #expect(twice?.message.contains("another transformer") == true)
    }

    @Test func filesOfOtherThingsAreCalledByName() throws {
        let folder = try TemporaryFolder()
        for (names, sentence) in [
            (["transformer.blocks.0.attn1.to_q.lora_A.weight"], "seems to be a LoRA"),
            (["visual.transformer.resblocks.0.attn.in_proj_weight"], "seems to be a CLIP image encoder"),
            (["some.thing"], "no transformer, text encoder or autoencoder that is known"),
        ] {
            var file = TypedTensors()
            for name in names { file.add(name, [2], [0, 0]) }
            let path = try file.write("x.safetensors", in: folder)
            let error = try #require(failure { _ = try Self.converted([path], folder) })
            #expect(error.kind == .badInput && error.message.contains(sentence), "\(error.message)")
        }
        // A transformer with tensors that no text-to-video model has.
        for (name, kind) in [
            ("vace_blocks.0.before_proj.weight", "a VACE model"), ("control_adapter.conv.weight", "a Fun Control model"),
            ("audio_proj.bias", "a speech-to-video model"), ("condition_embedder.delta_embedder.linear_1.weight", "an AnyFlow model"),
        ] {
            var file = try Self.stored(folder) { file, layer, shape, values in file.add("\(layer).weight", shape, values) }
            file.add(name, [2], [0, 0])
            let path = try file.write("x.safetensors", in: folder)
            let error = try #require(failure { _ = try Self.converted([path], folder) })
            #expect(error.message.contains(name) && error.hint?.contains(kind) == true, "\(error.message) \(error.hint ?? "")")
        }
        let pickle = try folder.write("old.pth", [0x80, 2, 0x8A, 10, 0x6C])
        #expect(failure { _ = try Self.converted([pickle], folder) }?.message.contains("bare pickle") == true)
    }

    /// Wan's own names of the 2.2 autoencoder, whose blocks lie within levels.
    @Test func theNamesOfTheSecondAutoencoder() throws {
        let folder = try TemporaryFolder()
        var pairs = [
            ("conv1.weight", "quant_conv.weight"), ("conv2.bias", "post_quant_conv.bias"),
            ("encoder.conv1.weight", "encoder.conv_in.weight"),
            ("decoder.head.0.gamma", "decoder.norm_out.gamma"), ("decoder.head.2.bias", "decoder.conv_out.bias"),
            ("decoder.middle.0.residual.0.gamma", "decoder.mid_block.resnets.0.norm1.gamma"),
            ("encoder.middle.1.to_qkv.weight", "encoder.mid_block.attentions.0.to_qkv.weight"),
            ("decoder.middle.2.residual.6.bias", "decoder.mid_block.resnets.1.conv2.bias"),
            ("encoder.downsamples.1.downsamples.2.time_conv.weight", "encoder.down_blocks.1.downsampler.time_conv.weight"),
            ("encoder.downsamples.0.downsamples.2.resample.1.bias", "encoder.down_blocks.0.downsampler.resample.1.bias"),
            ("decoder.upsamples.0.upsamples.3.time_conv.bias", "decoder.up_blocks.0.upsampler.time_conv.bias"),
            ("decoder.upsamples.2.upsamples.3.resample.1.weight", "decoder.up_blocks.2.upsampler.resample.1.weight"),
        ]
        for (level, block) in [(0, 0), (0, 2), (1, 1), (3, 2)] {
            for (theirs, ours) in [
                ("residual.0.gamma", "norm1.gamma"), ("residual.2.weight", "conv1.weight"), ("residual.3.gamma", "norm2.gamma"),
                ("residual.6.weight", "conv2.weight"), ("shortcut.weight", "conv_shortcut.weight"),
            ] {
                pairs.append(
                    ("decoder.upsamples.\(level).upsamples.\(block).\(theirs)", "decoder.up_blocks.\(level).resnets.\(block).\(ours)"))
                guard block < 2 else { continue }
                pairs.append(
                    ("encoder.downsamples.\(level).downsamples.\(block).\(theirs)", "encoder.down_blocks.\(level).resnets.\(block).\(ours)")
                )
            }
        }
        var file = TypedTensors()
        for (theirs, _) in pairs { file.add(theirs, [1], [1]) }
        let source = try CheckpointFile(try file.write("vae.safetensors", in: folder)).source
        let renamed = try NameTable.renamed(source, by: [.wan22Autoencoder, .wanAutoencoder])
        #expect(renamed.names.sorted() == pairs.map(\.1).sorted())
    }
}
