// Which sizes of clips a model makes: one rule and one wording for the daemon that plans a clip, the worker that is handed the plan, and the
// model that computes it.

/// The sizes of one model.
public struct ClipSizes: Sendable {
    /// The model's name, for refusals.
    public let model: String
    /// An example, pixels.
    public let native: (width: Int, height: Int)
    /// Width and height are multiples of this, pixels.
    public let sizeMultiple: Int
    public let maxWidth, maxHeight: Int
    /// The number of frames is 1 plus a multiple of this.
    public let frameMultiple: Int
    public let maxNumFrames: Int
    /// Of all frames that are denoised together.
    public let maxPixels: Int
    /// How many they are at most: a longer clip is made in windows. nil where every clip is made at once.
    public let windowFrames: Int?
    /// The only sizes; none for any within the limits.
    public let declared: [PictureSize]

    public init(
        model: String, native: (width: Int, height: Int), sizeMultiple: Int, maxWidth: Int, maxHeight: Int, frameMultiple: Int,
        maxNumFrames: Int, maxPixels: Int, windowFrames: Int? = nil, declared: [PictureSize] = []
    ) {
        self.model = model
        self.native = native
        self.sizeMultiple = sizeMultiple
        self.maxWidth = maxWidth
        self.maxHeight = maxHeight
        self.frameMultiple = frameMultiple
        self.maxNumFrames = maxNumFrames
        self.maxPixels = maxPixels
        self.windowFrames = windowFrames
        self.declared = declared
    }

    /// The size that is made instead of one that cannot be: of all that are declared, or else of those on the grid that are no larger than
    /// the native area, the one of the nearest shape, and of these the largest.
    public func nearest(width: Int, height: Int) -> (width: Int, height: Int) {
        let isPossible =
            declared.isEmpty
            ? [(width, maxWidth), (height, maxHeight)].allSatisfy { value, most in
                value >= sizeMultiple && value <= most && value % sizeMultiple == 0
            } : declared.contains(PictureSize(width: width, height: height))
        if isPossible { return (width, height) }
        var best = native
        var least = Double.infinity
        func consider(_ candidate: Int, _ other: Int) {
            // How far apart the shapes are: 1 is the same.
            let (one, two) = (Double(candidate) * Double(height), Double(other) * Double(width))
            let distance = max(one, two) / min(one, two)
            let isLarger = candidate * other > best.width * best.height
            if distance < least || distance == least && isLarger { (best, least) = ((candidate, other), distance) }
        }
        for size in declared { consider(size.width, size.height) }
        guard declared.isEmpty else { return best }
        for candidate in stride(from: sizeMultiple, through: maxWidth, by: sizeMultiple) {
            for other in stride(from: sizeMultiple, through: maxHeight, by: sizeMultiple)
            where candidate * other <= native.width * native.height {
                consider(candidate, other)
            }
        }
        return best
    }

    /// The most frames of that size; at least one group is tried even where it is too large, and then refused.
    public func mostFrames(width: Int, height: Int) -> Int {
        1 + (max(1, framesAtMost(width: width, height: height)) - 1) / frameMultiple * frameMultiple
    }

    /// In windows the whole length where one window fits; 0 where a single frame is too large.
    private func framesAtMost(width: Int, height: Int) -> Int {
        let together = maxPixels / (width * height)
        if let windowFrames, together >= windowFrames { return maxNumFrames }
        return min(maxNumFrames, together)
    }

    /// - Parameter fps: for the refusal, which also gives the length in seconds.
    /// - Throws: `.badInput` with the nearest sizes that can be made; `param` is "size" or "num_frames".
    public func check(width: Int, height: Int, numFrames: Int, fps: Int) throws(SoradError) {
        guard declared.isEmpty || declared.contains(PictureSize(width: width, height: height)) else {
            throw SoradError(
                .badInput,
                "the model \(model) cannot make \(width)x\(height): its sizes are \(declared.map(\.text).joined(separator: ", "))",
                param: "size")
        }
        let isAllowed = [(width, maxWidth), (height, maxHeight)].allSatisfy { value, most in
            value >= sizeMultiple && value <= most && value % sizeMultiple == 0
        }
        guard isAllowed else {
            throw SoradError(
                .badInput,
                "the model \(model) cannot make \(width)x\(height): width and height must be multiples of \(sizeMultiple), "
                    + "from \(sizeMultiple)x\(sizeMultiple) to \(maxWidth)x\(maxHeight), e.g. \(native.width)x\(native.height)",
                param: "size")
        }
        guard numFrames >= 1, (numFrames - 1) % frameMultiple == 0 else {
            throw SoradError(
                .badInput, "the model \(model) cannot make \(numFrames) frames: num_frames must be 1 plus a multiple of \(frameMultiple)",
                param: "num_frames")
        }
        let most = framesAtMost(width: width, height: height)
        guard most >= 1 else {
            throw SoradError(
                .badInput, "the model \(model) cannot make \(width)x\(height): a single frame is too large", param: "size")
        }
        guard numFrames <= most else {
            let largest = 1 + (most - 1) / frameMultiple * frameMultiple
            throw SoradError(
                .badInput,
                "the model \(model) cannot make \(numFrames) frames of \(width)x\(height): at that size at most \(largest) frames, "
                    + "which are \(decimalText(Double(largest) / Double(max(1, fps)))) seconds at \(fps) frames per second",
                param: "num_frames")
        }
    }
}

/// At most three decimals, no trailing zeros: "2", "1.063".
public func decimalText(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    var text = "\(thousandths / 1000)"
    if thousandths % 1000 != 0 {
        var decimals = String(1000 + thousandths % 1000).dropFirst()
        while decimals.last == "0" { decimals.removeLast() }
        text += "." + decimals
    }
    return text
}

/// Width and height in pixels.
public struct PictureSize: Sendable, Equatable {
    public var width: Int
    public var height: Int

    public init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }

    /// Of "WIDTHxHEIGHT", two plain numbers of 1 to 5 digits above 0.
    public init?(_ text: String) {
        let parts = text.split(separator: "x", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part -> Int? in
            let isPlain = (1...5).contains(part.utf8.count) && part.utf8.allSatisfy { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
            return isPlain ? Int(part) : nil
        }
        guard parts.count == 2, numbers.count == 2, numbers[0] > 0, numbers[1] > 0 else { return nil }
        self.init(width: numbers[0], height: numbers[1])
    }

    public var text: String { "\(width)x\(height)" }
}
