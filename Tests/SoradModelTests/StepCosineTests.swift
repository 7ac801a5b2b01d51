// Int8 against float on random transformers of Wan's architecture: larger than the fixtures, with planted outliers, without captured inputs.
// The float engine is what TransformerTests compares with diffusers.
import Glibc
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import Testing

@Suite struct StepCosineTests {
    /// Sizes of a transformer; the other parts are those of the fixture `tiny`.
    struct Sizes: CustomTestStringConvertible {
        let heads, headWidth, feedForward, layers: Int
        var testDescription: String { "\(layers) layers of \(heads)×\(headWidth), \(feedForward)" }
        var width: Int { heads * headWidth }
    }

    @Test(
        arguments: [
            Sizes(heads: 4, headWidth: 64, feedForward: 1024, layers: 6), Sizes(heads: 3, headWidth: 128, feedForward: 1536, layers: 4),
            Sizes(heads: 5, headWidth: 64, feedForward: 900, layers: 5),
        ], [false, true]) func everyStepKeepsItsDirection(sizes: Sizes, hasOutliers: Bool) throws
    {
        let folder = try temporaryFolder()
        defer {
            for name in ["transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "transformer"] + Self.parts
                + Self.files
            {
                unsafe _ = Glibc.remove(folder + "/" + name)
            }
            unsafe rmdir(folder)
        }
        for part in Self.parts { unsafe symlink(Fixture.folder + "/tiny/" + part, folder + "/" + part) }
        unsafe mkdir(folder + "/transformer", 0o700)
        try Self.writeTransformer(sizes, hasOutliers: hasOutliers, to: folder + "/transformer")
        let models = try [true, false].map { isFloat in
            var options = ConversionOptions()
            options.created = 0
            options.float = isFloat
            let path = folder + (isFloat ? "/float.gguf" : "/int8.gguf")
            let report = try Converter.convert(folder, to: path, options: options)
            if !isFloat {
                let int8 = report.rows.count { $0.type == .i8 && $0.name.hasPrefix("dit.blocks.") }
                #expect(int8 == 10 * sizes.layers, "\(int8) of \(10 * sizes.layers) layers are int8")
            }
            return try VideoModel(file: ModelFile(opening: path), backend: CPUBackend(threads: 2))
        }
        let text = try models[0].encodeText([20, 30, 40, 50, 60, 1])
        let size = try models[0].configuration.latentSize(width: 192, height: 128, numFrames: 9)
        let steps = 6
        let denoisers = try models.map { model in
            try model.denoiser(size, prompt: text, negativePrompt: text, guidanceScale: 1, steps: steps, shift: 3)
        }
        let latent = models[0].initialNoise(seed: 5, size)
        for step in 0..<steps {
            let before = latent.elements
            let other = latent.clone()
            denoisers[0].step(step, latent)
            denoisers[1].step(step, other)
            let similarity = cosine(zip(latent.elements, before).map(-), zip(other.elements, before).map(-))
            #expect(similarity >= 0.999 && similarity < 1, "step \(step): \(similarity)")
        }
    }

    private static let parts = ["model_index.json", "sorad.json", "scheduler", "text_encoder", "tokenizer", "vae"]
    private static let files = ["float.gguf", "int8.gguf"]

    /// Random weights under the names of diffusers' WanTransformer3DModel that keep activations of order one, as in
    /// quantization/reference/write_fixtures.py. Outliers are a few channels of every layer's input, larger than the rest by an order of
    /// magnitude, that the weights which read them take back.
    private static func writeTransformer(_ sizes: Sizes, hasOutliers: Bool, to folder: String) throws {
        let (d, textWidth, channels, frequencies) = (sizes.width, 44, 10, 32)
        var writer = SafetensorsWriter()
        var stream: UInt64 = 0
        func normal(_ count: Int) -> [Float] {
            let values = Tensor(Shape(count))
            values.fillNormal(seed: UInt64(sizes.feedForward), stream: stream)
            stream += 1
            return values.elements
        }
        func add(_ name: String, _ shape: [Int], _ deviation: Float, around middle: Float = 0, change: (inout [Float]) -> Void = { _ in }) {
            var values = normal(shape.reduce(1, *)).map { middle + deviation * $0 }
            change(&values)
            writer.add(name, shape: shape, values)
        }
        func linear(_ name: String, _ outputs: Int, _ inputs: Int, tamed channel: Int? = nil) {
            add(name + ".weight", [outputs, inputs], 0.7 / Float(inputs).squareRoot()) { values in
                guard let channel, hasOutliers else { return }
                for output in 0..<outputs { values[output * inputs + channel] /= 10 }
            }
            add(name + ".bias", [outputs], 0.2)
        }
        writer.add(
            "patch_embedding.weight", shape: [d, channels, 1, 2, 2],
            normal(d * channels * 4).map { 0.7 / Float(4 * channels).squareRoot() * $0 })
        add("patch_embedding.bias", [d], 0.2)
        linear("condition_embedder.time_embedder.linear_1", d, frequencies)
        linear("condition_embedder.time_embedder.linear_2", d, d)
        linear("condition_embedder.time_proj", 6 * d, d)
        linear("condition_embedder.text_embedder.linear_1", d, textWidth)
        linear("condition_embedder.text_embedder.linear_2", d, d)
        for layer in 0..<sizes.layers {
            let name = "blocks.\(layer)"
            let (loudSelf, loudFeed, loudCross) = (5 + layer, 11 + layer, 3 + layer)
            add(name + ".scale_shift_table", [1, 6, d], 0.5) { values in
                guard hasOutliers else { return }
                values[d + loudSelf] += 12
                values[4 * d + loudFeed] -= 12
            }
            for attention in ["attn1", "attn2"] {
                for norm in ["norm_q", "norm_k"] { add("\(name).\(attention).\(norm).weight", [d], 0.2, around: 1) }
                linear("\(name).\(attention).to_q", d, d, tamed: attention == "attn1" ? loudSelf : loudCross)
                for part in ["to_k", "to_v"] { linear("\(name).\(attention).\(part)", d, d, tamed: attention == "attn1" ? loudSelf : nil) }
                linear("\(name).\(attention).to_out.0", d, d)
            }
            add(name + ".norm2.weight", [d], 0.2, around: 1) { values in if hasOutliers { values[loudCross] += 12 } }
            add(name + ".norm2.bias", [d], 0.2)
            linear(name + ".ffn.net.0.proj", sizes.feedForward, d, tamed: loudFeed)
            linear(name + ".ffn.net.2", d, sizes.feedForward)
        }
        add("scale_shift_table", [1, 2, d], 0.5)
        linear("proj_out", 4 * channels, d)
        try writer.write(to: folder + "/diffusion_pytorch_model.safetensors")
        let config = """
            {"_class_name": "WanTransformer3DModel", "attention_head_dim": \(sizes.headWidth), "cross_attn_norm": true, "eps": 1e-06,
             "ffn_dim": \(sizes.feedForward), "freq_dim": \(frequencies), "in_channels": \(channels), "num_attention_heads": \(sizes.heads),
             "num_layers": \(sizes.layers), "out_channels": \(channels), "patch_size": [1, 2, 2],
             "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 64, "text_dim": \(textWidth)}
            """
        try FileDescriptor(opening: folder + "/config.json", flags: O_WRONLY | O_CREAT | O_TRUNC).write(Array(config.utf8))
    }
}
