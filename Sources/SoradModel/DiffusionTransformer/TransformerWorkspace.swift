// Owns the memory of the transformer's forward pass, sized for one clip before the first step; no step allocates more.
//
// Letters: R rows (tokens of all sequences), D model width, G distinct timesteps.
import SoradTensor

package struct TransformerWorkspace {
    let grid: TokenGrid
    let sequences: Int
    let rotary: RotaryTable
    /// 1 / sqrt(head width)
    let attentionScale: Float
    /// Rows that go through the feed-forward together: whole tiles of the kernels, and parts of about one size.
    let feedForwardRows: Int
    /// [R, D]
    let hidden: Tensor
    /// [R, D]: keys, values and queries, one after the other: they need not be in the cache at once.
    let projected: Tensor
    /// [R, D], and of the feed-forward [feedForwardRows, F]
    let input, middle: LinearInput
    /// One per sequence.
    let packed: [PackedKeysValues]
    /// Rows [tokens, patch] as they come in; [R, patch] as they go out.
    let patches: LinearInput
    let velocities: Tensor
    let time: TimeEmbedding.Workspace
    /// [G, 6, D]: a block's shift, scale, gate, twice.
    let modulation: Tensor

    var tokens: Int { grid.count }

    private static let mostFeedForwardRows = 512

    package static func make(_ c: TransformerConfiguration, grid: TokenGrid, sequences: Int, timesteps: Int) -> TransformerWorkspace {
        let workspace = Arena.make { TransformerWorkspace(c, grid: grid, sequences: sequences, timesteps: timesteps, in: $0) }
        workspace.rotary.fill()
        return workspace
    }

    static func byteCount(_ c: TransformerConfiguration, grid: TokenGrid, sequences: Int, timesteps: Int) -> Int {
        Arena.measure { TransformerWorkspace(c, grid: grid, sequences: sequences, timesteps: timesteps, in: $0) }
    }

    private init(_ c: TransformerConfiguration, grid: TokenGrid, sequences: Int, timesteps: Int, in arena: Arena) {
        let rows = grid.count * sequences
        let matrix = Shape(rows, c.width)
        self.grid = grid
        self.sequences = sequences
        rotary = RotaryTable(frames: grid.frames, height: grid.height, width: grid.width, headWidth: c.headWidth, in: arena)
        attentionScale = 1 / Float(c.headWidth).squareRoot()
        let parts = (rows + Self.mostFeedForwardRows - 1) / Self.mostFeedForwardRows
        feedForwardRows = min(rows, ((rows + parts - 1) / parts + 11) / 12 * 12)
        (hidden, projected) = (arena.tensor(matrix), arena.tensor(matrix))
        input = LinearInput(capacity: rows, width: c.width, in: arena)
        middle = LinearInput(capacity: feedForwardRows, width: c.feedForward, in: arena)
        packed = (0..<sequences).map { _ in
            PackedKeysValues(capacity: grid.count, heads: c.heads, headWidth: c.headWidth, precision: c.attentionPrecision, in: arena)
        }
        patches = LinearInput(capacity: grid.count, width: c.inChannels * c.patchVolume, in: arena)
        velocities = arena.tensor(Shape(rows, c.outChannels * c.patchVolume))
        time = TimeEmbedding.Workspace(c, timesteps: timesteps, in: arena)
        modulation = arena.tensor(Shape(timesteps, 6, c.width))
    }
}
