// LoRAs merge to the expected weights in every spelling, and what does not fit is refused by name.
import SoradConverter
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct LoraTests {
    private static let tiny = ConverterTests.fixtures + "/tiny"
    private static let rank = 4

    private static func options(_ loras: [(path: String, scale: Float)] = []) -> ConversionOptions {
        var options = SpellingTests.options()
        options.float = true
        options.loras = loras
        return options
    }

    /// The weights of a model, without the record of how it was made.
    private static func weights(_ folder: TemporaryFolder, files: [String] = [], loras: [(path: String, scale: Float)] = []) throws
        -> [String: [UInt8]]
    {
        let path = folder.path + "/m.gguf"
        _ = try Converter.convert(tiny, files: files, to: path, options: options(loras))
        let file = try ModelFile(opening: path)
        return Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.bytes.array) })
    }

    /// A layer with A and B of numbers whose products are exact.
    private struct Layer {
        /// In Wan's names and in diffusers'.
        let original, ours: String
        let outputs, inputs: Int
        let a, b: [Float]

        init(_ original: String, _ ours: String, _ outputs: Int, _ inputs: Int, _ random: inout SplitMix64) {
            (self.original, self.ours, self.outputs, self.inputs) = (original, ours, outputs, inputs)
            a = (0..<rank * inputs).map { _ in Float(random.below(5) - 2) }
            b = (0..<outputs * rank).map { _ in Float(random.below(9) - 4) / 4 }
        }

        /// [outputs × inputs] of B·A.
        var product: [Float] {
            (0..<outputs * inputs).map { i in
                (0..<rank).reduce(0) { $0 + b[i / inputs * rank + $1] * a[$1 * inputs + i % inputs] }
            }
        }
    }

    private static func layers() -> [Layer] {
        var random = SplitMix64(seed: 12)
        return [
            Layer("blocks.0.self_attn.q", "blocks.0.attn1.to_q", 72, 72, &random),
            Layer("blocks.1.cross_attn.o", "blocks.1.attn2.to_out.0", 72, 72, &random),
            Layer("blocks.1.ffn.0", "blocks.1.ffn.net.0.proj", 150, 72, &random),
            Layer("time_projection.1", "condition_embedder.time_proj", 432, 72, &random),
        ]
    }

    /// The fixture's transformer with differences added, as a file.
    private static func changed(_ folder: TemporaryFolder, _ differences: [String: [Float]], times: Int = 1) throws -> String {
        let source = try CheckpointParts(diffusersFolder: tiny).transformer.weights
        var file = TypedTensors()
        for name in source.names.sorted() {
            let tensor = try #require(source[name])
            var values = try tensor.floats()
            for _ in 0..<times { if let difference = differences[name] { for i in values.indices { values[i] += difference[i] } } }
            file.add(name, tensor.shape, values)
        }
        return try file.write("changed.safetensors", in: folder)
    }

    struct Spelling: Sendable, CustomTestStringConvertible {
        let prefix, down, up: String
        var underscores = false
        var diffusers = false
        /// Element type of alpha; nil for none, which counts as the rank.
        var alpha: String?
        var testDescription: String { "\(prefix)LAYER\(down) \(alpha ?? "no alpha")" }
    }

    static let spellings = [
        Spelling(prefix: "diffusion_model.", down: ".lora_down.weight", up: ".lora_up.weight", alpha: "F32"),
        Spelling(prefix: "diffusion_model.", down: ".lora_A.weight", up: ".lora_B.weight", alpha: "BF16"),
        Spelling(prefix: "", down: ".lora_down.weight", up: ".lora_up.weight", alpha: "I64"),
        Spelling(prefix: "lora_unet_", down: ".lora_down.weight", up: ".lora_up.weight", underscores: true, alpha: "F32"),
        Spelling(prefix: "lora_unet__", down: ".lora_down.weight", up: ".lora_up.weight", underscores: true, alpha: "I64"),
        Spelling(prefix: "transformer.", down: ".lora_A.weight", up: ".lora_B.weight", diffusers: true),
        Spelling(prefix: "transformer.", down: ".lora_A.default.weight", up: ".lora_B.default.weight", diffusers: true),
        Spelling(prefix: "base_model.model.", down: ".lora_A.weight", up: ".lora_B.weight", alpha: "F32"),
        Spelling(prefix: "model.diffusion_model.", down: ".lora.down.weight", up: ".lora.up.weight"),
    ]

    @Test(arguments: spellings) func aKnownDifferenceMergesToTheExpectedWeights(_ spelling: Spelling) throws {
        let folder = try TemporaryFolder()
        var file = TypedTensors()
        var differences: [String: [Float]] = [:]
        // alpha / rank is 2 or, without alpha, 1; the strength is 0.5.
        let factor: Float = spelling.alpha == nil ? 0.5 : 1
        for layer in Self.layers() {
            let name = spelling.diffusers ? layer.ours : layer.original
            let full = spelling.prefix + (spelling.underscores ? String(name.map { $0 == "." ? "_" : $0 }) : name)
            file.add(full + spelling.down, [Self.rank, layer.inputs], layer.a)
            file.add(full + spelling.up, [layer.outputs, Self.rank], layer.b)
            switch spelling.alpha {
            case "F32": file.add(full + ".alpha", [], [8])
            case "BF16": file.add(full + ".alpha", "BF16", [1], [0x00, 0x41])
            case "I64": file.add(full + ".alpha", "I64", [], [8, 0, 0, 0, 0, 0, 0, 0])
            default: break
            }
            differences[layer.ours + ".weight"] = layer.product.map { $0 * factor }
        }
        let lora = try file.write("style.safetensors", in: folder)
        let expected = try Self.weights(folder, files: [try Self.changed(folder, differences)])
        let found = try Self.weights(folder, loras: [(lora, 0.5)])
        for (name, bytes) in expected { #expect(found[name] == bytes, "\(name)") }
        #expect(try found != Self.weights(folder))
    }

    @Test func differencesAreAddedAsTheyAre() throws {
        let folder = try TemporaryFolder()
        var random = SplitMix64(seed: 3)
        func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.below(33) - 16) / 8 } }
        var file = TypedTensors()
        var differences: [String: [Float]] = [:]
        for (name, target, shape) in [
            ("diffusion_model.blocks.0.norm3.diff", "blocks.0.norm2.weight", [72]),
            ("diffusion_model.blocks.0.norm3.diff_b", "blocks.0.norm2.bias", [72]),
            ("diffusion_model.blocks.0.self_attn.norm_q.diff", "blocks.0.attn1.norm_q.weight", [72]),
            ("diffusion_model.blocks.1.ffn.2.diff_b", "blocks.1.ffn.net.2.bias", [72]),
            ("diffusion_model.blocks.0.modulation.diff", "blocks.0.scale_shift_table", [1, 6, 72]),
            ("diffusion_model.blocks.1.diff_m", "blocks.1.scale_shift_table", [1, 6, 72]),
            ("diffusion_model.head.modulation.diff", "scale_shift_table", [1, 2, 72]),
            ("diffusion_model.patch_embedding.diff", "patch_embedding.weight", [72, 10, 1, 2, 2]),
        ] {
            let values = numbers(shape.reduce(1, *))
            file.add(name, shape, values)
            differences[target] = values
        }
        let lora = try file.write("diff.safetensors", in: folder)
        let expected = try Self.weights(folder, files: [try Self.changed(folder, differences)])
        #expect(try Self.weights(folder, loras: [(lora, 1)]) == expected)
        let twice = try Self.weights(folder, files: [try Self.changed(folder, differences, times: 2)])
        #expect(try Self.weights(folder, loras: [(lora, 1), (lora, 1)]) == twice && twice != expected)
    }

    @Test func theModelTellsWhatWasMerged() throws {
        let folder = try TemporaryFolder()
        let layer = Self.layers()[0]
        var file = TypedTensors()
        file.add("\(layer.original).lora_down.weight", [Self.rank, 72], layer.a)
        file.add("\(layer.original).lora_up.weight", [72, Self.rank], layer.b)
        // Of an image-to-video LoRA; this transformer has no such layer.
        for half in ["lora_down", "lora_up"] { file.add("blocks.0.cross_attn.k_img.\(half).weight", [1, 1], [1]) }
        let lora = try file.write("style.safetensors", in: folder)
        let report = try Converter.convert(Self.tiny, to: folder.path + "/m.gguf", options: Self.options([(lora, 0.25)]))
        #expect(report.notices.contains { $0.contains("style.safetensors at 0.25 changes 1 tensors") }, "\(report.notices)")
        #expect(report.notices.contains { $0.contains("2 tensors for an image encoder are left out") })
        let data = try ModelFile(opening: folder.path + "/m.gguf").metadata
        #expect(try data.string("sorad.recipe").contains("--lora style.safetensors:0.25"))
        #expect(try data.strings("sorad.source.sha256").contains { $0.hasPrefix("style.safetensors ") })
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let folder = try TemporaryFolder()
        let layer = Self.layers()[0]
        let (down, up) = ("blocks.0.self_attn.q.lora_down.weight", "blocks.0.self_attn.q.lora_up.weight")
        func good(_ file: inout TypedTensors) {
            file.add(down, [Self.rank, 72], layer.a)
            file.add(up, [72, Self.rank], layer.b)
        }
        for (sentence, change) in [
            ("has one half alone", { $0.add(down, [4, 72], layer.a) }),
            // A LoRA of the 14B model on a smaller one.
            (
                "another size",
                {
                    $0.add(down, [1, 5120], [Float](repeating: 0, count: 5120)); $0.add(up, [5120, 1], [Float](repeating: 0, count: 5120))
                }
            ),
            (
                "changes blocks.40.ffn.0, which the transformer does not have",
                {
                    good(&$0); $0.add("blocks.40.ffn.0.lora_down.weight", [1, 1], [1])
                }
            ),
            (
                "of the form dora_scale",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.dora_scale", [72, 1], [Float](repeating: 1, count: 72))
                }
            ),
            ("of the form lokr_w", { $0.add("lora_unet_blocks_0_self_attn_q.lokr_w1", [4, 4], [Float](repeating: 1, count: 16)) }),
            (
                "changes a text encoder",
                {
                    good(&$0); $0.add("lora_te_encoder_block_0.lora_down.weight", [1, 1], [1])
                }
            ),
            (
                "second transformer",
                {
                    good(&$0); $0.add("transformer_2.blocks.0.attn1.to_q.lora_A.weight", [1, 1], [1])
                }
            ),
            (
                "no part of a LoRA",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.something", [1], [1])
                }
            ),
            (
                "has the alpha nan",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.alpha", [], [.nan])
                }
            ),
            (
                "alpha of more than one number",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.alpha", [2], [1, 1])
                }
            ),
            (
                "has a product and a difference",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.diff", [72, 72], [Float](repeating: 0, count: 5184))
                }
            ),
            (
                "in two spellings",
                {
                    good(&$0); $0.add("blocks.0.self_attn.q.lora_A.weight", [4, 72], layer.a)
                }
            ),
            ("changes nothing", { $0.add("blocks.0.cross_attn.v_img.alpha", [], [1]) }),
        ] as [(String, (inout TypedTensors) -> Void)] {
            var file = TypedTensors()
            change(&file)
            let lora = try file.write("wrong.safetensors", in: folder)
            let error = try #require(failure { _ = try Self.weights(folder, loras: [(lora, 1)]) }, "\(sentence)")
            #expect(error.kind == .badInput && error.message.contains(sentence) && error.message.contains(lora), "\(error.message)")
        }
    }
}
