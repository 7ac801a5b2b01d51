// Weights with LoRAs merged into them, in float before anything is quantized: W + Σ factor · B·A.

package import SoradSystem

/// A transformer with changes of some of its weights.
package struct LoraSource: TensorSource {
    private let source: any TensorSource
    /// In the order in which the LoRAs were given.
    private var changes: [String: [WeightChange]] = [:]

    package init(_ source: any TensorSource, _ files: [LoraFile]) {
        self.source = source
        for file in files { for (name, change) in file.changes { changes[name, default: []].append(change) } }
    }

    package var path: String { source.path }
    package var names: [String] { source.names }
    package func shape(of name: String) -> [Int]? { source.shape(of: name) }
    package func location(of name: String) -> String { source.location(of: name) }
    package func range(of name: String) -> MappedRange? { source.range(of: name) }

    /// A changed weight is no longer what was stored.
    package func int8Rows(of name: String) throws(SoradError) -> Int8Rows? { changes[name] == nil ? try source.int8Rows(of: name) : nil }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        var values = try source.floats(of: name, in: range)
        guard let changes = changes[name], let shape = shape(of: name), !range.isEmpty else { return values }
        for change in changes {
            switch change.form {
            case .difference(let difference):
                let added = try change.source.floats(of: difference, in: range)
                for i in values.indices { values[i] += change.factor * added[i] }
            case .product(let down, let up, let rank):
                let width = shape.dropFirst().reduce(1, *)
                let rows = range.lowerBound / width..<(range.upperBound - 1) / width + 1
                let a = try change.source.floats(of: down, in: 0..<rank * width)
                let b = try change.source.floats(of: up, in: rows.lowerBound * rank..<rows.upperBound * rank)
                var sums = [Float](repeating: 0, count: width)
                for row in rows {
                    for k in 0..<width { sums[k] = 0 }
                    for j in 0..<rank {
                        let factor = b[(row - rows.lowerBound) * rank + j]
                        for k in 0..<width { sums[k] += factor * a[j * width + k] }
                    }
                    // The part of the row that was asked for.
                    let first = max(range.lowerBound, row * width)
                    for i in first..<min(range.upperBound, (row + 1) * width) {
                        values[i - range.lowerBound] += change.factor * sums[i - row * width]
                    }
                }
            }
        }
        return values
    }
}

extension CheckpointParts {
    /// The checkpoint with LoRAs merged into its transformer. Of two transformers, each gets those that say in their names that they are for high
    /// or low noise, and both get the others.
    /// - Parameter loras: paths, each with what its change is multiplied by.
    /// - Throws: `.badInput` when one does not fit the transformer.
    func merging(_ loras: [(path: String, scale: Float)]) throws(SoradError) -> CheckpointParts {
        guard !loras.isEmpty else { return self }
        var merged = self
        var files: (high: [LoraFile], low: [LoraFile]) = ([], [])
        for (path, scale) in loras {
            let name = Self.lastComponent(of: path)
            let isHigh = name.lowercased().contains("high")
            let isLow = name.lowercased().contains("low")
            merged.files.append((name, path))
            if isHigh || !isLow || lowNoise == nil {
                let file = try LoraFile(path, scale: scale, for: transformer.weights)
                merged.notices += file.notices
                files.high.append(file)
            }
            guard let lowNoise else { continue }
            if isLow || !isHigh { files.low.append(try LoraFile(path, scale: scale, for: lowNoise.weights)) }
            let target = isHigh == isLow ? "both transformers" : isHigh ? "the transformer for high noise" : "the transformer for low noise"
            merged.notices.append("\(name) is merged into \(target)")
        }
        merged.transformer.weights = LoraSource(transformer.weights, files.high)
        if let low = lowNoise { merged.lowNoise?.weights = LoraSource(low.weights, files.low) }
        return merged
    }
}
