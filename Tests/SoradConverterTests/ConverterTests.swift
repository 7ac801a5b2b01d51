// A checkpoint becomes a model file: names, layouts, decisions, and a sentence for every folder that cannot be one. The checkpoint is the
// committed fixture `tiny`; Tests/Fixtures/models/recipe.json says how it was made.
import FoundationEssentials
import Glibc
import SoradCPU
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct ConverterTests {
    static let fixtures =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/") + "/Fixtures/models"

    private static func options(float: Bool = false) -> ConversionOptions {
        var options = ConversionOptions()
        options.created = 1_700_000_000
        options.float = float
        return options
    }

    /// Undoes the float block layout: [N/16][K][16] to [N × K].
    private static func unpacked(_ tensor: TensorView, outputs: Int) -> [Float] {
        let k = tensor.dims[1]
        let values = floats(tensor)
        return (0..<(outputs * k)).map { values[($0 / k / 16 * k + $0 % k) * 16 + $0 / k % 16] }
    }

    private static func floats(_ tensor: TensorView) -> [Float] {
        let bytes = tensor.bytes.array
        return stride(from: 0, to: bytes.count, by: 4).map { i in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << UInt32(8 * $1) })
        }
    }

    /// Until it is whole, the file has no name: whatever ends the converter, Ctrl-C or a power cut, nothing of it is left.
    @Test func nothingHasANameUntilItIsWhole() throws {
        let folder = try TemporaryFolder()
        var seen: [[String]] = []
        var shares: [Double] = []
        _ = try Converter.convert(
            Self.fixtures + "/tiny", to: folder.path + "/m.gguf", options: Self.options(),
            done: { share in
                seen.append((try? fileNames(in: folder.path)) ?? ["?"])
                shares.append(share)
            })
        #expect(seen.count > 50 && seen.allSatisfy(\.isEmpty))
        #expect(shares.last == 1 && zip(shares, shares.dropFirst()).allSatisfy { $0 < $1 }, "progress grows to the whole")
        #expect(try fileNames(in: folder.path) == ["m.gguf"])
    }

    /// An interrupted conversion continues behind the last tensor that is whole, and its file has the same bytes.
    @Test func aConversionContinues() throws {
        let folder = try TemporaryFolder()
        var options = Self.options()
        let plain = try Converter.convert(Self.fixtures + "/tiny", to: folder.path + "/plain.gguf", options: options)
        options.isResumable = true
        let path = folder.path + "/m.gguf"
        let (partial, log) = (path + ".partial", path + ".partial.log")
        var half: (data: [UInt8], log: [UInt8]) = ([], [])
        let report = try Converter.convert(
            Self.fixtures + "/tiny", to: path, options: options,
            done: { share in
                if share < 0.5 { half = ((try? read(partial)) ?? [], (try? read(log)) ?? []) }
            })
        #expect(report.sha256 == plain.sha256 && !fileExists(partial) && !fileExists(log))
        let done = half.log.count { $0 == UInt8(ascii: "\n") } - 1
        #expect(done > 10 && !half.data.isEmpty)
        for damage in ["none", "data", "log", "identity"] {
            var (data, lines) = half
            if damage == "data" { data[data.count / 2] ^= 1 }
            if damage == "log" { lines.removeLast(lines.count / 3) }
            _ = try folder.write("n.gguf.partial", data)
            _ = try folder.write("n.gguf.partial.log", lines)
            options.attentionProbs16 = damage == "identity"
            var begun = 0
            let again = try Converter.convert(
                Self.fixtures + "/tiny", to: folder.path + "/n.gguf", options: options,
                progress: { _ in
                    let lines = (try? read(folder.path + "/n.gguf.partial.log")) ?? []
                    if lines.isEmpty || damage == "identity" { return }
                    begun += 1
                })
            #expect(again.rows.map(\.name) == report.rows.map(\.name) && begun > 0 || damage == "identity")
            #expect((again.sha256 == plain.sha256) == (damage != "identity"), "\(damage)")
            #expect(try ModelFile(opening: folder.path + "/n.gguf").sha256 == again.sha256)
            for (a, b) in zip(again.rows, report.rows) {
                #expect(a.decision == b.decision && a.weightError == b.weightError && a.attempts.map(\.error) == b.attempts.map(\.error))
            }
        }
    }

    /// The decoder of somebody else's checkpoint is int8 where its frames show that it is good enough; the report says what was found.
    @Test func theDecoderIsTried() throws {
        let folder = try TemporaryFolder()
        let source = try folder.copy(Self.fixtures + "/tiny", as: "other")
        var options = Self.options()
        options.decoderTrial = .cpu(threads: 2)
        var notices: [String] = []
        let own = try Converter.convert(source, to: folder.path + "/own.gguf", options: options, notice: { notices.append($0) })
        #expect(own.decoder == nil && !notices.contains { $0.contains("decoder") })
        removeFile(source + "/sorad.json")
        let report = try Converter.convert(source, to: folder.path + "/m.gguf", options: options, notice: { notices.append($0) })
        let decoder = try #require(report.decoder)
        #expect(decoder.decibels > 30 && decoder.decibels < 99, "\(decoder)")
        #expect(decoder.isInt8 == (decoder.decibels >= 38))
        #expect(report.rows.contains { $0.name.hasPrefix("vae.decoder.") && $0.type == .i8 } == decoder.isInt8)
        #expect(notices.contains { $0.contains("dB from float's") } && report.json["decoder"]?["int8"]?.bool == decoder.isInt8)
        options.int8Decoder = true
        #expect(try Converter.convert(source, to: folder.path + "/asked.gguf", options: options).decoder == nil)
    }

    @Test func aFullDiskIsToldBeforeTheWork() throws {
        let space = OutputSpace(of: "/models/m.gguf", free: 3_000_000)
        try space.check(3_000_000, "")
        let error = #expect(throws: SoradError.self) { try space.check(3_000_001, "at least ") }
        #expect(error?.kind == .storageFull && error?.message == "/models/m.gguf takes at least 3 MB, and 3 MB are free in /models/")
    }

    @Test func floatModelsHoldTheCheckpointsNumbers() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        let source = Self.fixtures + "/tiny"
        let report = try Converter.convert(source, to: path, options: Self.options(float: true))
        let file = try ModelFile(opening: path)
        #expect(report.sha256 == file.sha256 && file.tensors.allSatisfy { $0.type == .f32 })
        let transformer = try SafetensorsFolder(opening: source + "/transformer")
        let text = try SafetensorsFolder(opening: source + "/text_encoder")
        let autoencoder = try SafetensorsFolder(opening: source + "/vae")
        for (name, origin) in [
            ("dit.blocks.1.ffn.net.0.proj.weight", transformer["blocks.1.ffn.net.0.proj.weight"]),
            ("dit.patch_embedding.weight", transformer["patch_embedding.weight"]),
            ("te.block.1.attn.o.weight", text["encoder.block.1.layer.0.SelfAttention.o.weight"]),
            ("te.block.0.ffn.wi_1.weight", text["encoder.block.0.layer.1.DenseReluDense.wi_1.weight"]),
        ] {
            let origin = try #require(origin)
            #expect(try Self.unpacked(file.tensor(name), outputs: origin.shape[0]) == origin.floats(), "\(name)")
        }
        for (name, origin) in [
            ("dit.blocks.0.scale_shift_table", transformer["blocks.0.scale_shift_table"]),
            ("dit.proj_out.bias", transformer["proj_out.bias"]),
            ("te.token_embedding.weight", text["shared.weight"]), ("te.final_norm.weight", text["encoder.final_layer_norm.weight"]),
            ("te.block.1.attn.relative_bias", text["encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"]),
        ] {
            let origin = try #require(origin)
            let tensor = try file.tensor(name)
            #expect(try tensor.dims == origin.shape.reversed() && Self.floats(tensor) == origin.floats(), "\(name)")
        }
        let kernel = try #require(autoencoder["decoder.3.conv.0.weight"])
        let values = try kernel.floats()
        let s = kernel.shape
        let packed = try Self.unpacked(file.tensor("vae.decoder.3.conv.0.weight"), outputs: s[0])
        for n in 0..<s[0] {
            for c in 0..<s[1] { for p in 0..<9 { #expect(packed[(n * 9 + p) * s[1] + c] == values[(n * s[1] + c) * 9 + p]) } }
        }
    }

    /// The inner convolutions of the decoder become int8 when that is asked for; their ends, the encoder and all else do not change.
    @Test func theDecodersInnerConvolutionsBecomeInt8() throws {
        let folder = try TemporaryFolder()
        var options = Self.options()
        _ = try Converter.convert(Self.fixtures + "/tiny", to: folder.path + "/plain.gguf", options: options)
        options.int8Decoder = true
        options.keepFloat = ["vae.decoder.4.*"]
        let report = try Converter.convert(Self.fixtures + "/tiny", to: folder.path + "/int8.gguf", options: options)
        let (plain, file) = try (ModelFile(opening: folder.path + "/plain.gguf"), ModelFile(opening: folder.path + "/int8.gguf"))
        let rows = report.rows.filter { $0.name.hasPrefix("vae.") && $0.type == .i8 }
        #expect(rows.count >= 20, "\(rows.count) convolutions are int8")
        #expect(rows.allSatisfy { $0.name.hasPrefix("vae.decoder.") && $0.attempts.last!.error <= 0.015 })
        #expect(rows.allSatisfy { !$0.name.hasPrefix("vae.decoder.1.") && !$0.name.hasPrefix("vae.decoder.22.") })
        #expect(try file.tensor("vae.decoder.4.conv.0.weight").type == .f32)
        for tensor in plain.tensors where !rows.contains(where: { $0.name == tensor.name }) {
            #expect(try file.tensor(tensor.name).bytes.array == tensor.bytes.array, "\(tensor.name)")
        }
        let origin = try #require(try SafetensorsFolder(opening: Self.fixtures + "/tiny/vae")["decoder.3.conv.0.weight"])
        let s = origin.shape
        let channels = (s[1] + 3) / 4 * 4
        let quantized = try file.tensor("vae.decoder.3.conv.0.weight", .i8, dims: [4, 16, 9 * channels / 4, (s[0] + 15) / 16]).bytes.array
        let scales = try Self.floats(file.tensor("vae.decoder.3.conv.0.weight_scale"))
        let values = try origin.floats()
        for n in 0..<s[0] {
            for p in 0..<9 {
                for c in 0..<channels {
                    let k = p * channels + c
                    let code = Int8(bitPattern: quantized[(((n / 16) * 9 * channels + k / 4 * 4) * 16) + n % 16 * 4 + k % 4])
                    let value = c < s[1] ? values[(n * s[1] + c) * 9 + p] : 0
                    #expect(abs(Float(code) * scales[n] - value) <= scales[n] * 0.51 || abs(code) == 127)
                }
            }
        }
    }

    @Test func int8ModelsStayWithinTheLimit() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        var seen = 0
        var options = Self.options()
        options.int8TextEncoder = true
        let report = try Converter.convert(Self.fixtures + "/tiny", to: path, options: options) { _ in seen += 1 }
        let file = try ModelFile(opening: path)
        #expect(seen == report.rows.count)
        let int8 = report.rows.filter { $0.type == .i8 }
        #expect(int8.count == report.rows.count { !$0.attempts.isEmpty } && int8.count == 34)
        for row in int8 {
            #expect(try #require(row.attempts.last).error <= 0.015)
            let scales = Self.floats(try file.tensor(row.name + "_scale"))
            let sums = try file.tensor(row.name + "_sum")
            let values = try file.tensor(row.name).bytes.array.map { Int8(bitPattern: $0) }
            let (n, k) = (row.shape[0], row.shape[1])
            let groups = (k + 3) / 4
            #expect(scales.count == n && sums.type == .i32 && sums.dims == [n] && values.allSatisfy { $0 >= -127 })
            let origin = try #require(try Self.origin(row.name)).floats()
            let restored = (0..<(n * k)).map { i -> Float in
                let (row, column) = (i / k, i % k)
                return Float(values[((row / 16 * groups + column / 4) * 16 + row % 16) * 4 + column % 4]) * scales[row]
            }
            let error = relativeError(restored, origin)
            #expect(error < 0.01 && abs(error - (row.weightError ?? 0)) < 1e-5, "\(row.name): \(error)")
        }
    }

    /// The text encoder's layers have 10 bits in blocks unless int8 is asked for; what the file holds is what the report says.
    @Test func textEncodersHaveTenBits() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        let report = try Converter.convert(Self.fixtures + "/tiny", to: path, options: Self.options())
        let file = try ModelFile(opening: path)
        let rows = report.rows.filter { $0.bits == 10 }
        #expect(rows.count == 14 && rows.allSatisfy { $0.name.hasPrefix("te.block.") && $0.type == .i8 && $0.rotation == nil })
        #expect(report.rows.count { $0.bits == 8 } == 20)
        for row in rows {
            let (n, k) = (row.shape[0], row.shape[1])
            let high = try file.tensor(row.name).bytes.array.map { Int8(bitPattern: $0) }
            let (low, scale) = (try file.tensor(row.name + "_low"), try file.tensor(row.name + "_scale"))
            let (words, blocks) = ((k + 15) / 16, (k + 31) / 32)
            #expect(low.type == .i32 && scale.type == .f16 && low.dims == [16, words, (n + 15) / 16])
            #expect(scale.dims == [16, blocks, (n + 15) / 16])
            let (bits, halves) = (low.bytes.array, scale.bytes.array)
            let restored = (0..<n * k).map { i -> Float in
                let (row, column) = (i / k, i % k)
                let at = (row / 16 * blocks + column / 32) * 16 + row % 16
                let half = Float16(bitPattern: UInt16(halves[2 * at]) | UInt16(halves[2 * at + 1]) << 8)
                let word = (row / 16 * words + column / 16) * 16 + row % 16
                let two = Int(bits[4 * word + column % 16 / 4] >> UInt8(column % 4 * 2) & 3)
                let byte = high[((row / 16 * ((k + 3) / 4) + column / 4) * 16 + row % 16) * 4 + column % 4]
                return Float(4 * Int(byte) + two) * Float(half)
            }
            let error = relativeError(restored, try #require(try Self.origin(row.name)).floats())
            #expect(error < 0.0015 && abs(error - (row.weightError ?? 0)) < 1e-5, "\(row.name): \(error)")
            #expect(try #require(row.attempts.last).error < 0.002)
        }
        #expect(report.summary.contains("20 of 34 layers are int8") && report.summary.contains("14 have 10 bits"))
    }

    private static func origin(_ name: String) throws -> SafetensorsTensor? {
        if name.hasPrefix("dit.") { return try SafetensorsFolder(opening: fixtures + "/tiny/transformer")[String(name.dropFirst(4))] }
        let parts = name.split(separator: ".")
        let inner = parts[3] == "attn" ? "0.SelfAttention" : "1.DenseReluDense"
        return try SafetensorsFolder(opening: fixtures + "/tiny/text_encoder")[
            "encoder.block.\(parts[2]).layer.\(inner).\(parts[4]).weight"]
    }

    @Test func theMetadataSayWhatTheModelIs() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        var options = Self.options()
        options.keepFloat = ["dit.blocks.0.*"]
        options.name = "another-name"
        _ = try Converter.convert(Self.fixtures + "/tiny", to: path, options: options)
        let file = try ModelFile(opening: path)
        let m = file.metadata
        #expect(try m.string("sorad.model.id") == "another-name" && m.string("general.license") == "Apache-2.0")
        #expect(
            try m.integer("sorad.created") == 1_700_000_000 && m.string("sorad.recipe") == "sorad-quantize 4 --keep-float dit.blocks.0.*")
        #expect(
            try m.integer("sorad.native.width") == 128 && m.integer("sorad.native.height") == 64 && m.integer("sorad.text_length") == 32)
        #expect(try m.bool("dit.expand_timesteps") && m.float("sorad.default.flow_shift") == 3 && m.float("scheduler.shift") == 3)
        #expect(try m.integers("dit.patch_size") == [1, 2, 2] && m.integer("te.vocab_size") == 323)
        #expect(try m.bools("vae.encoder_time_downscale") == [true, true, false] && m.floats("vae.latents_std").count == 10)
        #expect(try m.strings("tokenizer.ggml.tokens").count == m.floats("tokenizer.ggml.scores").count)
        let sources = try m.strings("sorad.source.sha256")
        let own = SHA256.hexadecimal(SHA256.hash(try read(Self.fixtures + "/tiny/sorad.json")))
        #expect(sources.count == 10 && sources.contains("sorad.json " + own))
        #expect(try file.tensor("dit.blocks.0.attn1.to_q.weight").type == .f32 && file.tensor("dit.blocks.1.attn1.to_q.weight").type == .i8)
    }

    @Test func sameFolderSameBytes() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.fixtures + "/tiny-outliers", as: "elsewhere")
        _ = try Converter.convert(Self.fixtures + "/tiny-outliers", to: folder.path + "/a.gguf", options: Self.options())
        _ = try Converter.convert(copy, to: folder.path + "/b.gguf", options: Self.options())
        #expect(try read(folder.path + "/a.gguf") == read(folder.path + "/b.gguf"))
    }

    /// The fixture's planted outliers stand in its modulation tables, so they are met without captured inputs too.
    @Test func layersThatLoseTooMuchAreRotatedOrStayFloat() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        let report = try Converter.convert(Self.fixtures + "/tiny-outliers", to: path, options: Self.options())
        let file = try ModelFile(opening: path)
        let troubled = report.rows.filter { ($0.attempts.first?.error ?? 0) > 0.015 }
        #expect(troubled.contains { $0.name == "dit.blocks.0.attn1.to_q.weight" })
        for row in troubled {
            #expect(row.attempts.map(\.rotation) == [nil, 64])
            let rotation = file.metadata["rotation." + row.name.dropLast(".weight".count)]
            let error = try #require(row.attempts.last).error
            #expect(error <= 0.015 ? row.type == .i8 && rotation == .uint32(64) : row.type == .f32 && rotation == nil, "\(row)")
            #expect(error < 0.6 * row.attempts[0].error, "rotation did not help \(row.name)")
        }
        #expect(
            file.metadata.entries.count { $0.key.hasPrefix("rotation.") } == report.rows.count { $0.type == .i8 && $0.attempts.count > 1 })
    }

    @Test func capturedInputsDecide() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        var random = SplitMix64(seed: 10)
        var writer = SafetensorsWriter()
        var inputs = random.normals(40 * 72)
        for token in 0..<40 { inputs[token * 72 + 3] *= 2000 }
        writer.add("dit.blocks.1.attn2.to_k", shape: [40, 72], inputs)
        try writer.write(to: folder.path + "/inputs.safetensors")
        var options = Self.options()
        options.calibration = folder.path + "/inputs.safetensors"
        let rows = try Converter.convert(Self.fixtures + "/tiny", to: path, options: options).rows
        let row = try #require(rows.first { $0.name == "dit.blocks.1.attn2.to_k.weight" })
        #expect(row.captured && rows.count { $0.captured } == 1)
        // The long channel carries nearly all of the output, and is rounded well: the layer is int8 although the others drown.
        #expect(try #require(row.attempts.first).error < 0.015 && row.type == .i8)

        var wrong = SafetensorsWriter()
        wrong.add("dit.blocks.1.attn2.to_k", shape: [40, 71], random.normals(40 * 71))
        try wrong.write(to: folder.path + "/inputs.safetensors")
        #expect(
            failure { _ = try Converter.convert(Self.fixtures + "/tiny", to: path, options: options) }?.message.contains("not [tokens, 72]")
                == true)
    }

    @Test func theReportIsJSON() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.gguf"
        let report = try Converter.convert(Self.fixtures + "/tiny", to: path, options: Self.options())
        let json = try JSONValue(parsing: Array(report.json.text().utf8), name: "report")
        #expect(json["schema"]?.string == "sorad.conversion/1" && json["sha256"]?.string == report.sha256)
        #expect(json["tensors"]?.array?.count == report.rows.count)
        #expect(ConversionReport.line(report.rows[0]).hasPrefix("dit.patch_embedding.weight"))
        #expect(report.summary.contains("20 of 34 layers are int8"))
        #expect(json["tensors"]?.array?.count { $0["bits"]?.integer == 10 } == 14)
    }

    // MARK: folders that cannot be converted

    /// Replaces `old` in one file of a copy of the fixture and says how the conversion fails.
    private static func failureAfter(replacing old: String, with new: String, in name: String) throws -> SoradError? {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(fixtures + "/tiny", as: "tiny")
        let text = String(decoding: try read("\(copy)/\(name)"), as: UTF8.self)
        let range = try #require(text.firstRange(of: old), "\(name) has no \(old)")
        _ = try folder.write("tiny/\(name)", text.replacingCharacters(range, with: new))
        let error = failure { _ = try Converter.convert(copy, to: folder.path + "/m.gguf", options: options()) }
        #expect(TemporaryFolder.entries(folder.path) == ["tiny"], "something was written")
        return error
    }

    @Test(arguments: [
        ("transformer/config.json", "\"ffn_dim\": 150", "\"ffn_dim\": 152", "shape [150, 72], and its config.json asks for [152, 72]"),
        ("transformer/config.json", "\"num_layers\": 2", "\"num_layers\": 3", "lacks the tensor blocks.2.scale_shift_table"),
        ("transformer/config.json", "\"num_layers\": 2", "\"num_layers\": 1", "tensors that nothing is known about: blocks.1."),
        ("transformer/config.json", "\"num_layers\": 2", "\"num_layers\": -2", "num_layers is -2, outside 1…256"),
        ("transformer/config.json", "\"num_layers\": 2", "\"num_layers\": 2.5", "num_layers is not a whole number"),
        ("transformer/config.json", "\"num_layers\": 2", "\"layers\": 2", "num_layers is missing"),
        ("transformer/config.json", "WanTransformer3DModel", "FluxTransformer2DModel", "only \"WanTransformer3DModel\""),
        ("transformer/config.json", "\"image_dim\": null", "\"image_dim\": 1280", "image_dim is 1280, added_kv_proj_dim 0"),
        ("transformer/config.json", "\"text_dim\": 44", "\"text_dim\": 45", "gives 44 numbers a token, and the transformer takes 45"),
        ("transformer/config.json", "{", "", "not valid JSON"),
        ("text_encoder/config.json", "gated-gelu", "relu", "only \"gated-gelu\""),
        ("text_encoder/config.json", "\"vocab_size\": 323", "\"vocab_size\": 322", "knows only 322"),
        ("vae/config.json", "AutoencoderTAEHV", "AutoencoderKL", "only \"AutoencoderTAEHV\" or \"AutoencoderKLWan\""),
        ("vae/config.json", "\"front\"", "\"both\"", "only \"front\" or \"back\""),
        ("vae/config.json", "\"latent_channels\": 10", "\"latent_channels\": 11", "latents_mean has 10 entries, and 11 belong there"),
        ("scheduler/scheduler_config.json", "FlowMatchEulerDiscreteScheduler", "DDIMScheduler", "\"DDIMScheduler\""),
        ("sorad.json", "\"tiny\"", "\"../tiny\"", "cannot be a model's name"),
        ("sorad.json", "\"width\": 128", "\"width\": 0", "width is 0, outside 16…4096"),
    ]) func foldersThatContradictThemselves(name: String, old: String, new: String, sentence: String) throws {
        let error = try #require(try Self.failureAfter(replacing: old, with: new, in: name))
        #expect(error.kind == .badInput && error.message.contains(sentence), "\(error.message)")
    }

    @Test(arguments: [
        "model_index.json", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "tokenizer/spiece.model",
        "vae/config.json",
    ])
    func foldersThatLackAFile(name: String) throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.fixtures + "/tiny", as: "tiny")
        unsafe _ = unlink("\(copy)/\(name)")
        let error = try #require(failure { _ = try Converter.convert(copy, to: folder.path + "/m.gguf", options: Self.options()) })
        #expect(error.kind == .notFound && error.message.contains(copy), "\(error.message)")
    }

    /// The maps between two sizes go into the file as they stand, with the sampler that the card names.
    @Test func aCascadeIsTaken() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.fixtures + "/tiny", as: "tiny")
        let maps = try folder.copy(Self.fixtures + "/cascade", as: "tiny/cascade")
        let card = String(decoding: try read("\(copy)/sorad.json"), as: UTF8.self)
        _ = try folder.write("tiny/sorad.json", Array(card.replacing("{", with: "{\"sampler\": \"renoise\",", maxReplacements: 1).utf8))
        unsafe _ = unlink("\(maps)/reference.safetensors")
        let path = folder.path + "/m.gguf"
        _ = try Converter.convert(copy, to: path, options: Self.options())
        let file = try ModelFile(opening: path)
        #expect(try file.metadata.float("cascade.refine_from") == 0.75 && file.metadata.float("cascade.base_flow_shift") == 2)
        #expect(try file.metadata.integer("cascade.least_side") == 32 && file.metadata.string("scheduler.type") == "renoise")
        #expect(try file.metadata.strings("sorad.source.sha256").count { $0.hasPrefix("cascade/") } == 2)
        let source = try SafetensorsFile(opening: "\(maps)/diffusion_pytorch_model.safetensors")
        // [N, C, 3, 3] becomes [N, (ky, kx, C)].
        let (values, made) = (try #require(source["up.weight"]).floats(), Self.unpacked(try file.tensor("cascade.up.weight"), outputs: 40))
        #expect(made.indices.allSatisfy { made[$0] == values[$0 / 90 * 90 + $0 % 10 * 9 + $0 % 90 / 10] })
        #expect(try Self.floats(file.tensor("cascade.down.bias")) == #require(source["down.bias"]).floats())
        for (name, old, new, sentence) in [
            ("cascade/config.json", "LatentCascade", "Cascade", "only \"LatentCascade\""),
            ("cascade/config.json", "\"latent_channels\": 10", "\"latent_channels\": 12", "the autoencoder 10"),
            ("cascade/config.json", "0.75", "1.5", "refine_from is 1.5"), ("cascade/config.json", "32", "0", "least_side is 0"),
            ("sorad.json", "renoise", "ddim", "only \"euler\" or \"renoise\""),
        ] {
            let before = try read("\(copy)/\(name)")
            _ = try folder.write("tiny/\(name)", Array(String(decoding: before, as: UTF8.self).replacing(old, with: new).utf8))
            let error = try #require(failure { _ = try Converter.convert(copy, to: folder.path + "/n.gguf", options: Self.options()) })
            #expect(error.kind == .badInput && error.message.contains(sentence), "\(error.message)")
            _ = try folder.write("tiny/\(name)", before)
        }
        unsafe _ = unlink("\(maps)/diffusion_pytorch_model.safetensors")
        let error = try #require(failure { _ = try Converter.convert(copy, to: folder.path + "/n.gguf", options: Self.options()) })
        #expect(error.kind == .notFound && error.message.contains(maps), "\(error.message)")
    }

    /// The words of the captions go into the file as they stand; a list that is none is refused.
    @Test func theCaptionsWordsAreTaken() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.fixtures + "/tiny", as: "tiny")
        let file = folder.path + "/m.gguf"
        _ = try Converter.convert(copy, to: file, options: Self.options())
        #expect(try ModelFile(opening: file).metadata["sorad.words"] == nil)
        _ = try folder.write("tiny/tokenizer/words.txt", Array("a\nball\n球\n".utf8))
        _ = try Converter.convert(copy, to: file, options: Self.options())
        #expect(try ModelFile(opening: file).metadata.strings("sorad.words") == ["a", "ball", "球"])
        for wrong in ["\n", String(repeating: "a", count: 65)] {
            _ = try folder.write("tiny/tokenizer/words.txt", Array(wrong.utf8))
            let error = try #require(failure { _ = try Converter.convert(copy, to: file, options: Self.options()) })
            #expect(error.kind == .badInput && error.message.contains("is no list of words"), "\(error.message)")
        }
    }

    /// NaN; the largest float; a number whose square is infinite; one that is only far too large.
    @Test(
        arguments: [
            ([0, 0, 0xC0, 0x7F], "holds nan"), ([0xFF, 0xFF, 0x7F, 0x7F], "holds 3.4028235e+38, and no weight is beyond 1e+12"),
            ([0, 0, 0, 0xE0], "no weight is beyond"), ([0, 0, 0, 0x5A], "no weight is beyond"),
        ] as [([UInt8], String)])
    func numbersThatCanBeNoWeightsAreNamed(number: [UInt8], words: String) throws {
        for name in ["blocks.0.attn1.to_v.weight", "patch_embedding.weight", "blocks.0.norm2.weight"] {
            let folder = try TemporaryFolder()
            let copy = try folder.copy(Self.fixtures + "/tiny", as: "tiny")
            let part = "tiny/transformer/diffusion_pytorch_model.safetensors"
            let tensor = try #require(try SafetensorsFile(opening: "\(folder.path)/\(part)")[name])
            var bytes = try read("\(folder.path)/\(part)")
            bytes.replaceSubrange((tensor.bytes.offset + 40)..<(tensor.bytes.offset + 44), with: number)
            _ = try folder.write(part, bytes)
            let error = try #require(failure { _ = try Converter.convert(copy, to: folder.path + "/m.gguf", options: Self.options()) })
            #expect(error.kind == .badInput && error.message.contains("\(name) holds") && error.message.contains(words), "\(error.message)")
        }
    }

    @Test func aDamagedTokenizerIsNamed() throws {
        let folder = try TemporaryFolder()
        let copy = try folder.copy(Self.fixtures + "/tiny", as: "tiny")
        let path = try folder.write("tiny/tokenizer/spiece.model", Array(try read("\(copy)/tokenizer/spiece.model").prefix(1000)))
        let error = try #require(failure { _ = try Converter.convert(copy, to: folder.path + "/m.gguf", options: Self.options()) })
        #expect(error.kind == .badInput && error.message.contains(path), "\(error.message)")
    }
}

extension String {
    /// Where `text` first stands.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        let wanted = Array(text.utf8)
        for start in utf8.indices where utf8[start...].starts(with: wanted) { return start..<utf8.index(start, offsetBy: wanted.count) }
        return nil
    }

    fileprivate func replacingCharacters(_ range: Range<Index>, with text: String) -> String {
        self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
