// From what a client asked for to a request in which every value is set. Pure; every refusal names the field and what is allowed.
public import SoradAPI
public import SoradSystem

/// What a client sent, each value on its own already of the right type; nil where it sent none.
public struct ClipParameters: Sendable, Equatable {
    public static let promptLimit = 4_000
    public static let dimensionRange = 1...16_384
    public static let frameRange = 1...100_000
    public static let fpsRange = 1...60
    public static let secondsRange = 0.05...3_600.0

    public var prompt = ""
    public var negativePrompt: String?
    /// "WIDTHxHEIGHT"
    public var size: String?
    public var width: Int?
    public var height: Int?
    public var seconds: Double?
    /// Wins over `seconds`.
    public var numFrames: Int?
    public var fps: Int?
    public var seed: UInt64?
    public var numInferenceSteps: Int?
    public var guidanceScale: Double?
    public var flowShift: Double?
    /// How much of a given picture or clip is made over.
    public var strength: Double?

    public init() {}

    /// The effective request for `model`, and the length of the clip as text. `randomSeed` is used when none was asked for.
    public func effective(for model: ModelInfo, randomSeed: UInt64) throws(SoradError) -> (request: GenerationRequest, seconds: String) {
        try check(prompt, "prompt")
        let isBlank = prompt.unicodeScalars.allSatisfy { $0.properties.isWhitespace || $0.properties.generalCategory == .control }
        if isBlank { throw refused("prompt", "The prompt is empty; describe the clip in a sentence.") }
        try check(negativePrompt ?? "", "negative_prompt")
        let (width, height) = try effectiveSize(model)
        let fps = fps ?? model.fps
        let frames = try effectiveFrames(model, fps: fps, width: width, height: height)
        let request = GenerationRequest(
            model: model.id, prompt: prompt, negativePrompt: negativePrompt ?? "", width: width, height: height, numFrames: frames,
            fps: fps, seed: seed ?? randomSeed, numInferenceSteps: numInferenceSteps ?? model.defaultNumInferenceSteps,
            guidanceScale: guidanceScale ?? model.defaultGuidanceScale, flowShift: flowShift ?? model.defaultFlowShift)
        let asked = numFrames == nil ? seconds : nil
        return (request, decimalText(asked ?? Double(frames) / Double(fps)))
    }

    private func check(_ text: String, _ field: String) throws(SoradError) {
        // Bytes first: counting characters of a huge text is work.
        let isLong = text.utf8.count > 8 * ClipParameters.promptLimit || text.count > ClipParameters.promptLimit
        if isLong { throw refused(field, "The \(field) is too long; at most \(ClipParameters.promptLimit) characters are allowed.") }
    }

    private func effectiveSize(_ model: ModelInfo) throws(SoradError) -> (Int, Int) {
        var width = width
        var height = height
        if let size {
            let parts = size.split(separator: "x", omittingEmptySubsequences: false)
            let numbers = parts.compactMap { part in part.utf8.count <= 5 && part.utf8.allSatisfy(isDigit) ? Int(part) : nil }
            guard parts.count == 2, numbers.count == 2 else {
                throw refused("size", "The size \"\(size.prefix(32))\" is not WIDTHxHEIGHT in pixels, e.g. \(model.nativeSize).")
            }
            if width ?? numbers[0] != numbers[0] || height ?? numbers[1] != numbers[1] {
                throw refused("size", "The size \(size) contradicts width and height; send one of them.")
            }
            (width, height) = (numbers[0], numbers[1])
        }
        let result = (width ?? model.defaultWidth, height ?? model.defaultHeight)
        let isAllowed = [(result.0, model.maxWidth), (result.1, model.maxHeight)].allSatisfy { value, most in
            value >= model.sizeMultiple && value <= most && value % model.sizeMultiple == 0
        }
        guard isAllowed else {
            let field = size != nil ? "size" : self.width != nil ? "width" : "height"
            throw refused(
                field,
                "The model \(model.id) cannot make \(result.0)x\(result.1): width and height must be multiples of \(model.sizeMultiple), "
                    + "from \(model.sizeMultiple)x\(model.sizeMultiple) to \(model.maxWidth)x\(model.maxHeight), e.g. \(model.nativeSize).")
        }
        return result
    }

    private func effectiveFrames(_ model: ModelInfo, fps: Int, width: Int, height: Int) throws(SoradError) -> Int {
        // The subtraction forgives the last bit of, say, 1.1 × 10.
        let wanted = numFrames ?? seconds.map { Int(($0 * Double(fps) - 1e-6).rounded(.up)) } ?? model.defaultNumFrames
        let groups = (max(wanted, 1) - 1 + model.frameMultiple - 1) / model.frameMultiple
        let frames = 1 + groups * model.frameMultiple
        let most = min(model.maxNumFrames, model.maxPixels / (width * height))
        guard frames <= most else {
            let largest = most < 1 ? 0 : 1 + (most - 1) / model.frameMultiple * model.frameMultiple
            let field = numFrames != nil ? "num_frames" : seconds != nil ? "seconds" : "size"
            guard largest > 0 else {
                throw refused("size", "The model \(model.id) cannot make \(width)x\(height): a single frame is too large.")
            }
            throw refused(
                field,
                "The model \(model.id) cannot make \(frames) frames of \(width)x\(height): at that size at most \(largest) frames, "
                    + "which are \(decimalText(Double(largest) / Double(fps))) seconds at \(fps) frames per second.")
        }
        return frames
    }

    func refused(_ field: String, _ message: String) -> SoradError { SoradError(.badInput, message, param: field) }
}

extension ModelInfo {
    var nativeSize: String { "\(defaultWidth)x\(defaultHeight)" }
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

/// At most three decimals, no trailing zeros: "2", "1.063".
func decimalText(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    var text = "\(thousandths / 1000)"
    if thousandths % 1000 != 0 {
        var decimals = String(1000 + thousandths % 1000).dropFirst()
        while decimals.last == "0" { decimals.removeLast() }
        text += "." + decimals
    }
    return text
}
