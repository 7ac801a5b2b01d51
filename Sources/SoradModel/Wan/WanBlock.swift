// Owns the weights of one transformer block and its forward pass (diffusers WanTransformerBlock): modulated self-attention with rotary
// positions, cross-attention to the prompt, modulated feed-forward.
//
// Letters: R rows (tokens of all sequences), D model width, G distinct timesteps.
import SoradSystem
package import SoradTensor

package struct WanBlock {
    /// Projections and norms of one attention.
    package struct Attention {
        package let query, key, value, output: LinearWeights
        let queryNorm, keyNorm: Parameter

        /// A file made as the float reference stays float all through.
        var isInt8: Bool {
            [query, key, value].allSatisfy { if case .int8 = $0.precision { true } else { false } }
        }

        init(_ weights: WeightReader, width: Int) throws(SoradError) {
            query = try weights.linear("to_q", outputs: width, inputs: width)
            key = try weights.linear("to_k", outputs: width, inputs: width)
            value = try weights.linear("to_v", outputs: width, inputs: width)
            output = try weights.linear("to_out.0", outputs: width, inputs: width)
            queryNorm = try weights.vector("norm_q.weight", width)
            keyNorm = try weights.vector("norm_k.weight", width)
        }
    }

    package let selfAttention, crossAttention: Attention
    /// Absent when the model has no norm before its cross-attention.
    let crossNorm: (weight: Parameter, bias: Parameter)?
    /// Keys and values of the embeddings of given pictures.
    let image: (key: LinearWeights, value: LinearWeights, keyNorm: Parameter)?
    package let up, down: LinearWeights
    /// [1, 6, D]: shift, scale, gate of the self-attention, then of the feed-forward; added to the timestep's.
    let scaleShiftTable: Tensor

    init(_ c: WanConfiguration, _ weights: WeightReader) throws(SoradError) {
        selfAttention = try Attention(weights.at("attn1"), width: c.width)
        crossAttention = try Attention(weights.at("attn2"), width: c.width)
        crossNorm = c.crossAttentionNorm ? (try weights.vector("norm2.weight", c.width), try weights.vector("norm2.bias", c.width)) : nil
        let cross = weights.at("attn2")
        image =
            c.imageWidth > 0
            ? (
                try cross.linear("add_k_proj", outputs: c.width, inputs: c.width),
                try cross.linear("add_v_proj", outputs: c.width, inputs: c.width), try cross.vector("norm_added_k.weight", c.width)
            ) : nil
        up = try weights.linear("ffn.net.0.proj", outputs: c.feedForward, inputs: c.width)
        down = try weights.linear("ffn.net.2", outputs: c.width, inputs: c.feedForward, asymmetricInput: true)
        scaleShiftTable = try weights.table("scale_shift_table", Shape(1, 6, c.width))
    }
}

extension WanBlock {
    /// hidden += gate · attention(modulated norm(hidden)) for `sequences` sequences of equal length lying one behind the other.
    func attendToSelf(
        _ backend: any ComputeBackend, _ c: WanConfiguration, _ w: WanWorkspace, sequences: Int, _ groups: ModulationGroups
    ) {
        let rows = w.tokens * sequences
        let all = 0..<rows
        let hidden = w.hidden.rows(all)
        let projected = w.projected.rows(all)
        let packed = Array(w.packed.prefix(sequences))
        backend.layerNorm(
            hidden, epsilon: c.epsilon, weight: nil, bias: nil, scale: RowModulation(w.modulation, 1, groups),
            shift: RowModulation(w.modulation, 0, groups), into: w.input)
        backend.linear(w.input, selfAttention.key, into: projected)
        backend.normAndRotate(projected, epsilon: c.epsilon, weight: selfAttention.keyNorm, heads: c.heads, by: w.rotary)
        backend.pack(keys: projected, into: packed)
        backend.linear(w.input, selfAttention.value, into: projected)
        backend.pack(values: projected, into: packed)
        backend.linear(w.input, selfAttention.query, into: projected)
        backend.normAndRotate(projected, epsilon: c.epsilon, weight: selfAttention.queryNorm, heads: c.heads, by: w.rotary)
        let attended = w.input.overwrite(rows: rows)
        backend.attend(
            queries: projected, to: packed, scale: w.attentionScale, keyBiases: packed.map { _ in nil }, into: attended)
        backend.linear(
            w.input, selfAttention.output, activation: .none, gate: RowModulation(w.modulation, 2, groups), residual: hidden, into: hidden)
    }

    /// hidden += o(attention(norm(hidden)) to each sequence's prompt + attention to the pictures that all of them share).
    func attendToPrompts(
        _ backend: any ComputeBackend, _ c: WanConfiguration, _ w: WanWorkspace, _ prompts: [WanPrompt], _ picture: WanPicture?,
        layer: Int
    ) {
        let rows = w.tokens * prompts.count
        let hidden = w.hidden.rows(0..<rows)
        let query = w.projected.rows(0..<rows)
        if let crossNorm {
            backend.layerNorm(
                hidden, epsilon: c.epsilon, weight: crossNorm.weight, bias: crossNorm.bias, scale: nil, shift: nil, into: w.input)
        } else {
            backend.copy(hidden, into: w.input.overwrite(rows: rows))
        }
        backend.linear(w.input, crossAttention.query, into: query)
        backend.rmsNorm(query, epsilon: c.epsilon, weight: crossAttention.queryNorm, into: query)
        let attended = w.input.overwrite(rows: rows)
        backend.attend(
            queries: query, to: prompts.map { $0.layers[layer] }, scale: w.attentionScale, keyBiases: prompts.map(\.keyBias), into: attended
        )
        if let picture, let seen = w.seen?.rows(0..<rows) {
            backend.attend(queries: query, to: picture.layers[layer], scale: w.attentionScale, keyBias: nil, bias: nil, into: seen)
            backend.add(attended, seen, into: attended)
        }
        backend.linear(w.input, crossAttention.output, activation: .none, gate: nil, residual: hidden, into: hidden)
    }

    /// hidden += gate · feedForward(modulated norm(hidden)), some rows at a time: the wide intermediate then stays in a cache.
    func feedForward(
        _ backend: any ComputeBackend, _ c: WanConfiguration, _ w: WanWorkspace, rows: Int, _ groups: ModulationGroups
    ) {
        var first = 0
        while first < rows {
            let part = first..<min(first + w.feedForwardRows, rows)
            let hidden = w.hidden.rows(part)
            let own = groups.within(part)
            backend.layerNorm(
                hidden, epsilon: c.epsilon, weight: nil, bias: nil, scale: RowModulation(w.modulation, 4, own),
                shift: RowModulation(w.modulation, 3, own), into: w.input)
            backend.linear(w.input, up, activation: .geluTanh, into: w.intermediate.overwrite(rows: part.count))
            backend.linear(
                w.intermediate, down, activation: .none, gate: RowModulation(w.modulation, 5, own), residual: hidden, into: hidden)
            first = part.upperBound
        }
    }
}
