// Owns the angles of the 3-D rotary position embedding (diffusers WanRotaryPosEmbed): the head width is split among time, height and
// width; each part turns with its own coordinate. Made once per clip size.

/// Cosines and sines for every token of a grid of T×H×W tokens, token (t·H + y)·W + x.
public struct RotaryTable {
    public let tokens: Int
    /// [tokens, headWidth / 2] each
    package let cosines: Tensor
    package let sines: Tensor

    /// `headWidth` is even. Height and width take 2·(headWidth / 6) each, time the rest.
    public init(frames: Int, height: Int, width: Int, headWidth: Int, theta: Double = 10000, in arena: Arena) {
        tokens = frames * height * width
        cosines = arena.tensor(Shape(tokens, headWidth / 2))
        sines = arena.tensor(Shape(tokens, headWidth / 2))
        self.frames = frames
        self.height = height
        self.width = width
        self.headWidth = headWidth
        self.theta = theta
    }

    private let frames, height, width, headWidth: Int
    private let theta: Double

    /// Computes the table; once, before use.
    public func fill() {
        let side = headWidth / 6
        let time = headWidth / 2 - 2 * side
        let axes: [(size: Int, half: Int, start: Int)] = [(frames, time, 0), (height, side, time), (width, side, time + side)]
        for (axis, part) in axes.enumerated() where part.half > 0 {
            let (cosine, sine) = angles(positions: part.size, width: part.half * 2, theta: theta)
            for token in 0..<tokens {
                let position = axis == 0 ? token / (height * width) : axis == 1 ? token / width % height : token % width
                copy(cosine, position, part.half, to: cosines, token, part.start)
                copy(sine, position, part.half, to: sines, token, part.start)
            }
        }
    }

    private func copy(_ source: Tensor, _ row: Int, _ count: Int, to target: Tensor, _ token: Int, _ start: Int) {
        source.withElements { from in
            target.withMutableElements { to in
                for i in 0..<count { to[token * headWidth / 2 + start + i] = from[row * count + i] }
            }
        }
    }
}
