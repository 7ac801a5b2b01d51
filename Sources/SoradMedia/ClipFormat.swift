// Owns the shape of a clip's frames, checked once, so that everything after it may multiply freely.
public import SoradSystem

/// Raw frames on their way into files: `numFrames` × `height` × `width` × RGB, one byte each, row by row from the top left.
public struct ClipFormat: Sendable, Equatable {
    /// Pixels, even: H.264 with 4:2:0 chroma has no odd sizes.
    public let width: Int
    public let height: Int
    public let numFrames: Int
    /// Frames per second of playback.
    public let fps: Int

    /// - Throws: `.badInput` when a value is out of range: sizes 2...4096 and even, 1...10,000 frames, 1...240 per second.
    public init(width: Int, height: Int, numFrames: Int, fps: Int) throws(SoradError) {
        for (name, value) in [("width", width), ("height", height)] {
            guard (2...4096).contains(value), value % 2 == 0 else {
                throw SoradError(.badInput, "a clip's \(name) must be an even number of pixels from 2 to 4096, not \(value)", param: name)
            }
        }
        guard (1...10_000).contains(numFrames) else {
            throw SoradError(.badInput, "a clip has 1 to 10000 frames, not \(numFrames)", param: "num_frames")
        }
        guard (1...240).contains(fps) else {
            throw SoradError(.badInput, "a clip plays at 1 to 240 frames a second, not \(fps)", param: "fps")
        }
        self.width = width
        self.height = height
        self.numFrames = numFrames
        self.fps = fps
    }

    /// Bytes of one frame.
    public var frameBytes: Int { width * height * 3 }

    /// The frame that stands for the clip: its middle one, since a first frame may still be empty.
    var thumbnailFrame: Int { numFrames / 2 }

    /// The contact sheet: every `stride`-th frame in a grid of `columns` × `rows` tiles, at most 16 of them.
    var sheet: (stride: Int, columns: Int, rows: Int) {
        let stride = (numFrames + 15) / 16
        let tiles = (numFrames + stride - 1) / stride
        let columns = (1...4).first { $0 * $0 >= tiles }!
        return (stride, columns, (tiles + columns - 1) / columns)
    }

    /// Pixels along the longer side of one tile; never enlarged.
    static let tileSide = 256
}
