// Owns the angles of the 3-D rotary position embedding (diffusers WanRotaryPosEmbed): the head width is split among time, height and
// width; each part turns with its own coordinate. Made once per clip size.

/// Cosines and sines for every token of a grid of T×H×W tokens, token (t·H + y)·W + x.
public struct RotaryTable {
    public let tokens: Int
    /// [tokens, headWidth / 2] each
    public let cosines, sines: Tensor

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

    /// The same angles in other memory; for backends.
    public init(_ table: RotaryTable, cosines: Tensor, sines: Tensor) {
        tokens = table.tokens
        (frames, height, width, headWidth, theta) = (table.frames, table.height, table.width, table.headWidth, table.theta)
        self.cosines = cosines
        self.sines = sines
    }

    private let frames, height, width, headWidth: Int
    private let theta: Double

    /// Computes the table; once, before use.
    public func fill() {
        let half = headWidth / 2
        let side = headWidth / 6
        let time = half - 2 * side
        let axes: [(size: Int, half: Int, start: Int)] = [(frames, time, 0), (height, side, time), (width, side, time + side)]
        cosines.overwriteElements { cosines in
            sines.overwriteElements { sines in
                for (axis, part) in axes.enumerated() where part.half > 0 {
                    let (cosine, sine) = rotaryAngles(positions: part.size, width: part.half * 2, theta: theta)
                    for token in 0..<tokens {
                        let position = axis == 0 ? token / (height * width) : axis == 1 ? token / width % height : token % width
                        for i in 0..<part.half {
                            cosines[token * half + part.start + i] = cosine[position * part.half + i]
                            sines[token * half + part.start + i] = sine[position * part.half + i]
                        }
                    }
                }
            }
        }
    }
}
