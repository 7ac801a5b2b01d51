// Owns the way between latents [C, T, h, w] and tokens: each token is a small box of latent values, in the orders that Wan's
// patch_embedding (channel first) and proj_out (channel last) have.
import SoradTensor

/// Tokens of one clip along time, height and width; token (t·height + y)·width + x.
package struct TokenGrid: Equatable {
    package let frames, height, width: Int
    var count: Int { frames * height * width }
}

/// Where latent value (channel, frame, y, x) lies in rows of tokens.
struct PatchLayout {
    let channels: Int
    let patch: (frames: Int, height: Int, width: Int)
    let grid: TokenGrid

    private var volume: Int { patch.frames * patch.height * patch.width }

    /// Latents [C, T, h, w] to rows [tokens, C·pt·ph·pw], channel slowest.
    func patchify(_ latent: Tensor, into rows: Tensor) {
        check(latent, rows)
        latent.withElements { from in
            rows.withMutableElements { to in
                forEach { source, token, channel, within in
                    to[token * channels * volume + channel * volume + within] = from[source]
                }
            }
        }
    }

    /// Rows [tokens, pt·ph·pw·C], channel fastest, to latents [C, T, h, w].
    func unpatchify(_ rows: Tensor, into latent: Tensor) {
        check(latent, rows)
        rows.withElements { from in
            latent.withMutableElements { to in
                forEach { target, token, channel, within in
                    to[target] = from[token * channels * volume + within * channels + channel]
                }
            }
        }
    }

    private func check(_ latent: Tensor, _ rows: Tensor) {
        let expected = Shape(channels, grid.frames * patch.frames, grid.height * patch.height, grid.width * patch.width)
        precondition(
            latent.shape == expected && rows.shape == Shape(grid.count, channels * volume),
            "latents \(latent.shape), rows \(rows.shape), expected \(expected)")
    }

    @inline(__always)
    private func forEach(_ body: (_ inLatent: Int, _ token: Int, _ channel: Int, _ within: Int) -> Void) {
        let height = grid.height * patch.height
        let width = grid.width * patch.width
        var index = 0
        for channel in 0..<channels {
            for frame in 0..<grid.frames * patch.frames {
                for y in 0..<height {
                    for x in 0..<width {
                        let token = (frame / patch.frames * grid.height + y / patch.height) * grid.width + x / patch.width
                        let within = (frame % patch.frames * patch.height + y % patch.height) * patch.width + x % patch.width
                        body(index, token, channel, within)
                        index += 1
                    }
                }
            }
        }
    }
}
