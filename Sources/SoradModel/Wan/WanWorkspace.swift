// Owns the memory of the transformer's forward pass, sized for one clip before the first step; no step allocates more.
//
// Letters: R rows (tokens of all sequences), D model width, G distinct timesteps.
package import SoradTensor

package struct WanWorkspace {
    /// Of what comes in and of the velocities.
    let layout, outLayout: PatchLayout
    let sequences: Int
    let rotary: RotaryTable
    /// 1 / sqrt(head width)
    let attentionScale: Float
    /// Rows that go through the feed-forward together: as many as the backend asks for, and parts of about one size.
    let feedForwardRows: Int
    /// [R, D]
    private(set) var hidden: Tensor
    /// [R, D]: the state of the control branch; nil without one.
    let control: Tensor?
    /// [R, D]: keys, values and queries, one after the other: they need not be in the cache at once.
    let projected: Tensor
    /// [R, D]: what the tokens attend to in given pictures; nil without an image encoder.
    let seen: Tensor?
    /// [R, D], and of the feed-forward [feedForwardRows, F]
    let input, intermediate: any ActivationMatrix
    /// One per sequence.
    let packed: [any PackedKeysValues]
    /// Rows [tokens, patch] as they come in; [R, patch] as they go out.
    let patches: any ActivationMatrix
    let velocities: Tensor
    let time: WanTimeEmbedding.Workspace
    /// [G, 6, D]: a block's shift, scale, gate, twice.
    let modulation: Tensor

    var tokens: Int { layout.grid.count }

    /// The same with the control branch's state in the place of the transformer's: its blocks are of the same kind.
    func of(branch: Tensor) -> WanWorkspace {
        var own = self
        own.hidden = branch
        return own
    }

    fileprivate init(_ c: WanConfiguration, grid: TokenGrid, sequences: Int, timesteps: Int, in arena: Arena) {
        let rows = grid.count * sequences
        let matrix = Shape(rows, c.width)
        layout = PatchLayout(channels: c.inChannels, patch: c.patch, grid: grid)
        outLayout = PatchLayout(channels: c.outChannels, patch: c.patch, grid: grid)
        self.sequences = sequences
        rotary = RotaryTable(frames: grid.frames, height: grid.height, width: grid.width, headWidth: c.headWidth, in: arena)
        attentionScale = 1 / Float(c.headWidth).squareRoot()
        feedForwardRows = Self.feedForwardRows(rows, arena.backend)
        (hidden, projected) = (arena.tensor(matrix), arena.tensor(matrix))
        control = c.controlLayers.isEmpty ? nil : arena.tensor(matrix)
        seen = c.imageWidth > 0 ? arena.tensor(matrix) : nil
        input = arena.activations(capacity: rows, width: c.width)
        intermediate = arena.activations(capacity: feedForwardRows, width: c.feedForward)
        packed = (0..<sequences).map { _ in
            arena.keysValues(capacity: grid.count, heads: c.heads, headWidth: c.headWidth, precision: c.attentionPrecision)
        }
        patches = arena.activations(capacity: grid.count, width: c.inChannels * c.patchVolume)
        velocities = arena.tensor(Shape(rows, c.outChannels * c.patchVolume))
        time = WanTimeEmbedding.Workspace(c, timesteps: timesteps, in: arena)
        modulation = arena.tensor(Shape(timesteps, 6, c.width))
    }

    private static func feedForwardRows(_ rows: Int, _ backend: any ComputeBackend) -> Int {
        let (most, granularity) = (backend.intermediateRows, backend.rowGranularity)
        guard rows > most else { return rows }
        let parts = (rows + most - 1) / most
        let part = (rows + parts - 1) / parts
        return min(rows, (part + granularity - 1) / granularity * granularity)
    }
}

extension WanTransformer {
    package func workspace(_ grid: TokenGrid, sequences: Int, timesteps: Int) -> WanWorkspace {
        let workspace = backend.make {
            WanWorkspace(configuration, grid: grid, sequences: sequences, timesteps: timesteps, in: $0)
        }
        workspace.rotary.fill()
        return workspace
    }

    func workspaceBytes(_ grid: TokenGrid, sequences: Int, timesteps: Int) -> Int {
        backend.measure { WanWorkspace(configuration, grid: grid, sequences: sequences, timesteps: timesteps, in: $0) }
    }
}
