// One layer of the text encoder: its weights.
import SoradSystem
import SoradTensor

struct UMT5Layer {
    let attentionNorm: Parameter, query, key, value, output: LinearWeights
    /// [buckets, heads], on the host: what attention reads is made of it for the length of a prompt.
    let relativeBias: [Float]
    let feedForwardNorm: Parameter, gate, up, down: LinearWeights

    /// - Parameter sharedBias: of the first layer, for those that have none of their own.
    init(_ c: UMT5Configuration, _ block: WeightReader, sharedBias: [Float]?) throws(SoradError) {
        let inner = c.heads * c.headWidth
        let bias = "attn.relative_bias"
        attentionNorm = try block.vector("attn_norm.weight", c.width)
        query = try block.linear("attn.q", outputs: inner, inputs: c.width, bias: false)
        key = try block.linear("attn.k", outputs: inner, inputs: c.width, bias: false)
        value = try block.linear("attn.v", outputs: inner, inputs: c.width, bias: false)
        output = try block.linear("attn.o", outputs: c.width, inputs: inner, bias: false)
        if let sharedBias, !block.has(bias) {
            relativeBias = sharedBias
        } else {
            relativeBias = try block.matrix(bias, rows: c.buckets, width: c.heads)
        }
        feedForwardNorm = try block.vector("ffn_norm.weight", c.width)
        gate = try block.linear("ffn.wi_0", outputs: c.feedForward, inputs: c.width, bias: false)
        up = try block.linear("ffn.wi_1", outputs: c.feedForward, inputs: c.width, bias: false)
        down = try block.linear("ffn.wo", outputs: c.width, inputs: c.feedForward, bias: false)
    }
}
