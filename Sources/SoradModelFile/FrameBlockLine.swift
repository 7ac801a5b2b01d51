// The lines by which a model file describes the two halves of a frame-block autoencoder, and the networks behind it, parsed and checked once; docs/MODEL_FILE.md has
// the grammar. The converter asks a checkpoint for the tensors that they imply, and the engine builds its network from them.
public import SoradSystem

/// One block: what becomes of an image [h, w, C] and, for those that join or split frames, of how many.
public enum FrameBlockLine: Sendable, Equatable {
    /// "conv A B [relu]": a 3×3 convolution.
    case convolution(inputs: Int, outputs: Int, relu: Bool)
    /// "down A B": a 3×3 convolution of stride 2.
    case down(inputs: Int, outputs: Int)
    /// "mem A": relu(x + convolutions of x joined with the frame before).
    case memory(Int)
    /// "time_pool A B": two frames, joined along the channels, become one by a 1×1 convolution.
    case timePool(inputs: Int, outputs: Int)
    /// "time_grow A B": a 1×1 convolution to 2·B channels, which are two frames.
    case timeGrow(inputs: Int, outputs: Int)
    /// "space_grow A B": a 3×3 convolution to 4·B channels, which are the 2×2 pixels of an image of twice the sides.
    case spaceGrow(inputs: Int, outputs: Int)

    /// - Parameter text: one line of the grammar; widths from 1 to 4096.
    /// - Returns: nil for anything else.
    public init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard let kind = words.first else { return nil }
        let relu = kind == "conv" && words.last == "relu"
        let widths = words.dropFirst().dropLast(relu ? 1 : 0).compactMap { word in Int(word).flatMap { (1...4096).contains($0) ? $0 : nil }
        }
        guard widths.count == words.count - 1 - (relu ? 1 : 0) else { return nil }
        switch (kind, widths.count) {
        case ("conv", 2): self = .convolution(inputs: widths[0], outputs: widths[1], relu: relu)
        case ("down", 2): self = .down(inputs: widths[0], outputs: widths[1])
        case ("mem", 1): self = .memory(widths[0])
        case ("time_pool", 2): self = .timePool(inputs: widths[0], outputs: widths[1])
        case ("time_grow", 2): self = .timeGrow(inputs: widths[0], outputs: widths[1])
        case ("space_grow", 2): self = .spaceGrow(inputs: widths[0], outputs: widths[1])
        default: return nil
        }
    }

    /// Channels that enter and leave.
    public var inputs: Int {
        switch self {
        case .convolution(let inputs, _, _), .down(let inputs, _), .memory(let inputs), .timePool(let inputs, _),
            .timeGrow(let inputs, _), .spaceGrow(let inputs, _):
            inputs
        }
    }
    public var outputs: Int {
        switch self {
        case .convolution(_, let outputs, _), .down(_, let outputs), .memory(let outputs), .timePool(_, let outputs),
            .timeGrow(_, let outputs), .spaceGrow(_, let outputs):
            outputs
        }
    }

    /// The convolutions of the block: name behind the block's own, outputs, inputs, side of the kernel.
    public var convolutions: [(name: String, outputs: Int, inputs: Int, kernel: Int)] {
        switch self {
        case .convolution(let inputs, let outputs, _), .down(let inputs, let outputs): [("conv", outputs, inputs, 3)]
        case .memory(let n): [("conv.0", n, 2 * n, 3), ("conv.2", n, n, 3), ("conv.4", n, n, 3)]
        case .timePool(let inputs, let outputs): [("conv", outputs, 2 * inputs, 1)]
        case .timeGrow(let inputs, let outputs): [("conv", 2 * outputs, inputs, 1)]
        case .spaceGrow(let inputs, let outputs): [("conv", 4 * outputs, inputs, 3)]
        }
    }
}

/// Both halves of an autoencoder and what follows from them.
public struct FrameBlocks: Sendable {
    public let encoder, decoder: [FrameBlockLine]
    /// Pixels along a side that enter the encoder as channels, and leave the decoder so.
    public let patchSize: Int
    public let latentChannels: Int
    /// Pixels along a side of one latent pixel, and frames of one latent frame.
    public let spatialScale, timeScale: Int

    /// - Parameter place: the file, for the sentence.
    /// - Throws: `.badInput` for a line that is none, widths that do not follow from each other, or halves of different scales.
    public init(encoder: [String], decoder: [String], patchSize: Int, latentChannels: Int, place: String) throws(SoradError) {
        let pixels = 3 * patchSize * patchSize
        self.encoder = try Self.parsed(encoder, from: pixels, to: latentChannels, "the autoencoder's encoder", place) { line in
            switch line {
            case .spaceGrow, .timeGrow: false
            case .convolution, .down, .memory, .timePool: true
            }
        }
        self.decoder = try Self.parsed(decoder, from: latentChannels, to: pixels, "the autoencoder's decoder", place) { line in
            switch line {
            case .down, .timePool: false
            case .convolution, .memory, .timeGrow, .spaceGrow: true
            }
        }
        self.patchSize = patchSize
        self.latentChannels = latentChannels
        let doublings = { (lines: [FrameBlockLine], counts: (FrameBlockLine) -> Bool) in lines.filter(counts).count }
        let grows = doublings(self.decoder) { if case .spaceGrow = $0 { true } else { false } }
        let downs = doublings(self.encoder) { if case .down = $0 { true } else { false } }
        let splits = doublings(self.decoder) { if case .timeGrow = $0 { true } else { false } }
        let joins = doublings(self.encoder) { if case .timePool = $0 { true } else { false } }
        guard grows == downs, splits == joins, grows <= 6, splits <= 6 else {
            throw SoradError(.badInput, "\(place): the autoencoder's encoder and decoder change sides or time by different factors")
        }
        spatialScale = patchSize << grows
        timeScale = 1 << splits
    }
}

/// The blocks of a network that runs behind the decoder: they take frames and give frames.
public struct EnhancerBlocks: Sendable {
    public let lines: [FrameBlockLine]
    /// Pixels along a side that enter as channels, and leave so.
    public let patchSize: Int
    /// How often the sides of a frame are doubled.
    public let doublings: Int

    /// - Parameters:
    ///   - name: of the network.
    ///   - place: the file, for the sentence.
    /// - Throws: `.badInput` for a line that is none, that cannot stand there, or widths that do not follow from each other.
    public init(_ lines: [String], patchSize: Int, name: String, place: String) throws(SoradError) {
        let pixels = 3 * patchSize * patchSize
        self.lines = try FrameBlocks.parsed(lines, from: pixels, to: pixels, "the \(name)", place) { line in
            switch line {
            case .convolution, .memory, .spaceGrow: true
            case .down, .timePool, .timeGrow: false
            }
        }
        self.patchSize = patchSize
        doublings = self.lines.filter { if case .spaceGrow = $0 { true } else { false } }.count
    }
}

extension FrameBlocks {
    fileprivate static let mostLines = 64

    /// - Parameters:
    ///   - what: the list belongs to, e.g. "the autoencoder's encoder".
    ///   - allows: whether a block can stand there.
    fileprivate static func parsed(
        _ lines: [String], from first: Int, to last: Int, _ what: String, _ place: String, allows: (FrameBlockLine) -> Bool
    ) throws(SoradError) -> [FrameBlockLine] {
        guard (1...mostLines).contains(lines.count) else {
            throw SoradError(.badInput, "\(place): \(what) has \(lines.count) blocks, not 1 to \(mostLines)")
        }
        var parsed: [FrameBlockLine] = []
        var width = first
        for line in lines {
            guard let block = FrameBlockLine(line) else { throw SoradError(.badInput, "\(place): \"\(line)\" in \(what) is no block") }
            guard allows(block) else { throw SoradError(.badInput, "\(place): \"\(line)\" cannot stand in \(what)") }
            guard block.inputs == width else {
                throw SoradError(.badInput, "\(place): \"\(line)\" in \(what) follows \(width) channels")
            }
            width = block.outputs
            parsed.append(block)
        }
        guard width == last else {
            throw SoradError(.badInput, "\(place): \(what) ends with \(width) channels, and \(last) are needed")
        }
        return parsed
    }
}
