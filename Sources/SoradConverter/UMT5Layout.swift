// The text encoder of a checkpoint: transformers' `UMT5EncoderModel` (or plain T5/mT5, whose first block's relative bias serves all).
import SoradModelFile
import SoradSystem

struct UMT5Layout: TextEncoderLayout {
    package let width, vocabulary: Int
    let headSize, heads, feedForward, layers, buckets, maxDistance: Int
    let epsilon: Float
    /// Whether every block has its own relative bias (umT5).
    let biasInEveryBlock: Bool
    /// The embedding's name; some checkpoints hold it twice, under both.
    let embedding: String

    static let embeddings = ["shared.weight", "encoder.embed_tokens.weight"]

    /// - Parameter weights: tells which of the permitted spellings this checkpoint uses.
    init(_ config: ConfigFile, _ weights: any TensorSource) throws(SoradError) {
        try config.require("feed_forward_proj", oneOf: ["gated-gelu"])
        width = try config.integer("d_model", in: 1...65536)
        headSize = try config.integer("d_kv", in: 1...256)
        heads = try config.integer("num_heads", in: 1...256)
        feedForward = try config.integer("d_ff", in: 1...65536)
        layers = try config.integer("num_layers", in: 1...256)
        vocabulary = try config.integer("vocab_size", in: 1...(1 << 20))
        buckets = try config.integer("relative_attention_num_buckets", in: 4...1024, default: 32)
        maxDistance = try config.integer("relative_attention_max_distance", in: 2...65536, default: 128)
        guard buckets % 2 == 0, maxDistance > buckets / 4 else {
            throw SoradError(.badInput, "\(config.path): \(buckets) relative attention buckets do not fit a distance of \(maxDistance)")
        }
        epsilon = try config.number("layer_norm_epsilon", in: 1e-12...1e-1, default: 1e-6)
        embedding = Self.embeddings.first { weights.shape(of: $0) != nil } ?? Self.embeddings[0]
        biasInEveryBlock = weights.shape(of: "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight") != nil
    }

    package var metadata: [(key: String, value: MetadataValue)] {
        [
            ("te.d_model", .uint32(UInt32(width))),
            ("te.d_kv", .uint32(UInt32(headSize))),
            ("te.num_heads", .uint32(UInt32(heads))),
            ("te.d_ff", .uint32(UInt32(feedForward))),
            ("te.num_layers", .uint32(UInt32(layers))),
            ("te.vocab_size", .uint32(UInt32(vocabulary))),
            ("te.relative_attention_num_buckets", .uint32(UInt32(buckets))),
            ("te.relative_attention_max_distance", .uint32(UInt32(maxDistance))),
            ("te.layer_norm_epsilon", .float32(epsilon)),
            ("te.feed_forward_proj", .string("gated-gelu")),
        ]
    }

    package var tensors: [TensorRule] {
        let inner = heads * headSize
        var list = [TensorRule(embedding, as: "te.token_embedding.weight", [vocabulary, width], .table)]
        for block in 0..<layers {
            let (from, to) = ("encoder.block.\(block).layer.", "te.block.\(block).")
            func add(_ source: String, _ name: String, _ shape: [Int], _ form: TensorRule.Form) {
                list.append(TensorRule(from + source, as: to + name, shape, form))
            }
            add("0.layer_norm.weight", "attn_norm.weight", [width], .plain)
            for projection in ["q", "k", "v"] {
                add(
                    "0.SelfAttention.\(projection).weight", "attn.\(projection).weight", [inner, width],
                    .linear(input: .normal, gain: .norm(to + "attn_norm.weight"), isDeep: true))
            }
            add("0.SelfAttention.o.weight", "attn.o.weight", [width, inner], .linear(input: .normal, isDeep: true))
            if block == 0 || biasInEveryBlock {
                add("0.SelfAttention.relative_attention_bias.weight", "attn.relative_bias", [buckets, heads], .plain)
            }
            add("1.layer_norm.weight", "ffn_norm.weight", [width], .plain)
            add(
                "1.DenseReluDense.wi_0.weight", "ffn.wi_0.weight", [feedForward, width],
                .linear(input: .normal, gain: .norm(to + "ffn_norm.weight"), isDeep: true))
            add(
                "1.DenseReluDense.wi_1.weight", "ffn.wi_1.weight", [feedForward, width],
                .linear(input: .normal, gain: .norm(to + "ffn_norm.weight"), isDeep: true))
            add("1.DenseReluDense.wo.weight", "ffn.wo.weight", [width, feedForward], .linear(input: .gatedGELU, isDeep: true))
        }
        list.append(TensorRule("encoder.final_layer_norm.weight", as: "te.final_norm.weight", [width], .plain))
        return list
    }

    /// Names that may be present besides `tensors` without being used: the embedding's second name.
    package var duplicates: Set<String> { Set(Self.embeddings).subtracting([embedding]) }
}
