// Measures one block of the transformer on a few tokens. All blocks are alike, and what a pass takes besides them is little.
import SoradSystem
import SoradTensor

extension WanTransformer {
    /// Sides of the frames of tokens that are measured. Attention grows with the square of the tokens, all else with their number, so two
    /// sizes tell both.
    private static let sides = (few: 12, many: 24)

    package func measuredCost() -> PassCost? {
        let few = blockSeconds(Self.sides.few)
        let many = blockSeconds(Self.sides.many)
        // linear = a·t, self = b·t + c·t²
        let perToken = many.linear / many.tokens
        let (slope, next) = (few.attention / few.tokens, many.attention / many.tokens)
        let perPair = max(0, (next - slope) / (many.tokens - few.tokens))
        let perSelfToken = max(0, next - perPair * many.tokens)
        let layers = Double(configuration.layers + configuration.controlLayers.count)
        // The attention to the prompt has two of the four products of that within the clip.
        return PassCost(fixed: 0, perToken: layers * (perToken + 1.5 * perSelfToken), perPair: layers * perPair)
    }

    /// Seconds of the first block on a frame of that side: its feed-forward, and its attention within the clip; the quicker of two runs.
    private func blockSeconds(_ side: Int) -> (tokens: Double, linear: Double, attention: Double) {
        let grid = TokenGrid(frames: 1, height: side, width: side)
        let w = workspace(grid, sequences: 1, timesteps: 1)
        var groups = ModulationGroups()
        groups.append(grid.count, group: 0)
        backend.fill(w.hidden, with: 0.5)
        backend.fill(w.modulation, with: 0.1)
        func seconds(_ body: () -> Void) -> Double {
            (0..<3).map { _ in
                let began = MonotonicTime.now()
                body()
                _ = w.hidden.onHost
                return (MonotonicTime.now() - began).inSeconds
            }.min() ?? 0
        }
        let block = blocks[0]
        let attention = seconds { block.attendToSelf(backend, configuration, w, sequences: 1, groups) }
        let linear = seconds { block.feedForward(backend, configuration, w, rows: grid.count, groups) }
        return (Double(grid.count), linear, attention)
    }
}
