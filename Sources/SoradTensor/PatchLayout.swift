// Owns the way between latents [C, T, h, w] and tokens: each token is a small box of latent values, in the orders that Wan's
// patch_embedding (channel first) and proj_out (channel last) have.

/// Tokens of one clip along time, height and width; token (t·height + y)·width + x.
public struct TokenGrid: Equatable, Sendable {
    public let frames, height, width: Int
    public var count: Int { frames * height * width }

    public init(frames: Int, height: Int, width: Int) {
        self.frames = frames
        self.height = height
        self.width = width
    }
}

/// Where latent value (channel, frame, y, x) lies in rows of tokens.
public struct PatchLayout: Sendable {
    public let channels: Int
    public let patch: (frames: Int, height: Int, width: Int)
    public let grid: TokenGrid

    public init(channels: Int, patch: (frames: Int, height: Int, width: Int), grid: TokenGrid) {
        self.channels = channels
        self.patch = patch
        self.grid = grid
    }

    /// Latent values of one channel in one token.
    public var volume: Int { patch.frames * patch.height * patch.width }

    /// [C, T, h, w]
    public var latent: Shape { Shape(channels, grid.frames * patch.frames, grid.height * patch.height, grid.width * patch.width) }

    /// [tokens, C·pt·ph·pw]
    public var rows: Shape { Shape(grid.count, channels * volume) }

    /// Calls `body` for every latent value in order: its token, its channel, and its place within the token's box.
    @inlinable
    public func forEach(_ body: (_ inLatent: Int, _ token: Int, _ channel: Int, _ within: Int) -> Void) {
        var index = 0
        for channel in 0..<channels {
            for frame in 0..<grid.frames {
                for part in 0..<patch.frames {
                    for row in 0..<grid.height {
                        for y in 0..<patch.height {
                            let token = (frame * grid.height + row) * grid.width
                            let within = (part * patch.height + y) * patch.width
                            for column in 0..<grid.width {
                                for x in 0..<patch.width {
                                    body(index, token + column, channel, within + x)
                                    index += 1
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
