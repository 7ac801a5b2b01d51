// The sizes of the text encoder, read from a model file and checked once.
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// The mT5-style encoder (transformers UMT5EncoderModel).
package struct UMT5Configuration: TextEncoderConfiguration {
    package let width: Int
    let headWidth, heads, feedForward, layers, vocabulary: Int
    let buckets, maxDistance: Int
    let epsilon: Float

    init(_ data: Metadata) throws(SoradError) {
        width = try data.integer("te.d_model", in: 1...65536)
        headWidth = try data.integer("te.d_kv", in: 2...256)
        heads = try data.integer("te.num_heads", in: 1...256)
        feedForward = try data.integer("te.d_ff", in: 1...65536)
        layers = try data.integer("te.num_layers", in: 1...256)
        vocabulary = try data.integer("te.vocab_size", in: 1...10_000_000)
        buckets = try data.integer("te.relative_attention_num_buckets", in: 4...4096)
        maxDistance = try data.integer("te.relative_attention_max_distance", in: 2...1_000_000)
        epsilon = try data.float("te.layer_norm_epsilon")
        let projection = try data.string("te.feed_forward_proj")
        guard projection == "gated-gelu" else {
            throw SoradError(.badInput, "\(data.path): the text encoder's feed-forward is \"\(projection)\", and only gated-gelu is known")
        }
        guard headWidth % 2 == 0, maxDistance > buckets / 4 else {
            throw SoradError(
                .badInput,
                "\(data.path): te.d_kv is \(headWidth) and te.relative_attention_max_distance \(maxDistance), which do not fit together with \(buckets) buckets"
            )
        }
    }

    package func encoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any TextEncoder {
        try UMT5Encoder(self, weights, backend)
    }
}
