// Owns T5's relative position buckets (transformers UMT5Attention._relative_position_bucket, bidirectional): near distances have a
// bucket each, far ones share logarithmically growing ones, keys behind and ahead have separate halves.
import SoradTensor

package struct RelativePositions {
    package let buckets, maxDistance: Int

    package init(buckets: Int, maxDistance: Int) {
        self.buckets = buckets
        self.maxDistance = maxDistance
    }

    /// The bucket of a key `distance` = key − query tokens away.
    package func bucket(_ distance: Int) -> Int {
        let half = buckets / 2
        let exact = half / 2
        let far = abs(distance)
        let side = distance > 0 ? half : 0
        if far < exact { return side + far }
        // float32 at the places where PyTorch has it: whole results must be hit exactly.
        let ratio =
            Float(naturalLogarithm(Double(Float(far) / Float(exact)))) / Float(naturalLogarithm(Double(maxDistance) / Double(exact)))
        return side + min(exact + Int(ratio * Float(half - exact)), half - 1)
    }

    /// Fills `bias` [heads, length, length] (query, key) from a table [buckets, heads].
    func fill(_ bias: Tensor, from table: [Float]) {
        let heads = bias.shape[0]
        let length = bias.shape[1]
        let row = (1 - length..<length).map { bucket($0) }
        bias.overwriteElements { out in
            for head in 0..<heads {
                for query in 0..<length {
                    for key in 0..<length {
                        out[(head * length + query) * length + key] = table[row[key - query + length - 1] * heads + head]
                    }
                }
            }
        }
    }
}
