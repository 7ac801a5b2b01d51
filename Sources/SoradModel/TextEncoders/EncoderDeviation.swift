// How far an encoder's output is from that of the same encoder in float: what the errors of all its layers come to.

/// Distance of embeddings [tokens, width] from the float ones.
package struct EncoderDeviation: Sendable {
    /// Relative L2 distance over all tokens, and of the token that is furthest away.
    package let relative, worstToken: Double
    package let cosine: Double

    package init(_ found: [Float], from exact: [Float], width: Int) {
        precondition(
            found.count == exact.count && found.count % width == 0,
            "\(found.count) and \(exact.count) numbers in rows of \(width)")
        var (lost, total, product, size, worst) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for start in stride(from: 0, to: exact.count, by: width) {
            var (lostHere, totalHere) = (0.0, 0.0)
            for i in start..<start + width {
                let (a, b) = (Double(found[i]), Double(exact[i]))
                lostHere += (a - b) * (a - b)
                totalHere += b * b
                product += a * b
                size += a * a
            }
            lost += lostHere
            total += totalHere
            if totalHere > 0 { worst = max(worst, (lostHere / totalHere).squareRoot()) }
        }
        relative = total > 0 ? (lost / total).squareRoot() : 0
        cosine = total > 0 && size > 0 ? product / (total * size).squareRoot() : 1
        worstToken = worst
    }
}

/// What a file's form of an encoder costs, next to what bfloat16 costs.
package struct EncoderDeviations: Sendable {
    package let layers, tokens: Int
    /// Of the model file's encoder.
    package let stored: EncoderDeviation
    /// Of exact weights with the result of every operation rounded to bfloat16, as PyTorch computes after `.to(torch.bfloat16)`.
    package let bfloat16: EncoderDeviation
}
