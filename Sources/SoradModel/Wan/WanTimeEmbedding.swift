// Owns what the transformer learns about the noise level (diffusers WanTimeTextImageEmbedding): a sinusoidal embedding through two small
// networks, computed once per distinct timestep of a step, not per token.
//
// Letters: G distinct timesteps, D model width.
import SoradSystem
import SoradTensor

struct WanTimeEmbedding {
    private let first, second, projection: LinearWeights
    /// [1, 2, D]: shift and scale before the last projection, added to the embedding.
    private let finalTable: Tensor

    init(_ c: WanConfiguration, _ weights: WeightReader) throws(SoradError) {
        let own = weights.at("condition_embedder")
        first = try own.linear("time_embedder.linear_1", outputs: c.width, inputs: c.frequencyWidth)
        second = try own.linear("time_embedder.linear_2", outputs: c.width, inputs: c.width)
        projection = try own.linear("time_proj", outputs: 6 * c.width, inputs: c.width)
        finalTable = try weights.table("scale_shift_table", Shape(1, 2, c.width))
    }

    struct Workspace {
        let sinusoids, intermediate, activated: any ActivationMatrix
        /// [G, D]
        let embedding: Tensor
        /// [G, 6·D]
        let projected: Tensor
        /// [G, 2, D]
        let final: Tensor

        init(_ c: WanConfiguration, timesteps: Int, in arena: Arena) {
            sinusoids = arena.activations(capacity: timesteps, width: c.frequencyWidth)
            intermediate = arena.activations(capacity: timesteps, width: c.width)
            activated = arena.activations(capacity: timesteps, width: c.width)
            embedding = arena.tensor(Shape(timesteps, c.width))
            projected = arena.tensor(Shape(timesteps, 6 * c.width))
            final = arena.tensor(Shape(timesteps, 2, c.width))
        }
    }

    /// Fills `projected` and `final` of the workspace for its G timesteps.
    func compute(_ timesteps: [Float], _ w: Workspace, _ backend: any ComputeBackend) {
        let count = timesteps.count
        let width = w.embedding.shape[1]
        precondition(count == w.embedding.shape[0], "\(count) timesteps for \(w.embedding.shape)")
        w.sinusoids.overwrite(rows: count).fillTimestepEmbedding(timesteps)
        backend.linear(w.sinusoids, first, activation: .silu, into: w.intermediate.overwrite(rows: count))
        backend.linear(w.intermediate, second, into: w.embedding)
        backend.silu(w.embedding, into: w.activated.overwrite(rows: count))
        backend.linear(w.activated, projection, into: w.projected)
        for group in 0..<count {
            let embedding = w.embedding.rows(group..<group + 1)
            let both = w.final.item(group)
            for half in 0..<2 {
                backend.add(finalTable.reshaped(Shape(2, width)).rows(half..<half + 1), embedding, into: both.rows(half..<half + 1))
            }
        }
    }
}
