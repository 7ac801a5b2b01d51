// The options of a conversion.
public import SoradTensor

/// Options of one conversion, as `sorad-quantize` takes them.
public struct ConversionOptions: Sendable {
    /// Keep everything float: the reference of a checkpoint.
    public var float = false
    /// Make the convolutions of the video decoder int8, but for its first and its last (and Wan's attention).
    public var int8Decoder = false
    /// Decodes on trial, to make them int8 where the frames show that it is good enough, for checkpoints of others; nil for no trial.
    public var decoderTrial: BackendFactory?
    /// Make the text encoder int8 with int8 activations, as the transformer, instead of 10 bits with float activations: smaller and faster, for
    /// encoders that were trained for it.
    public var int8TextEncoder = false
    /// 16-bit attention probabilities (high and low byte) instead of 8-bit ones.
    public var attentionProbs16 = false
    /// Patterns of tensor names (`*` stands for anything, `?` for one character) that stay float.
    public var keepFloat: [String] = []
    /// LoRAs to merge into the transformer: their files, each with what its change is multiplied by.
    public var loras: [(path: String, scale: Float)] = []
    /// A folder with networks that run behind the decoder: `upscaler`, `interpolator`.
    public var enhancers: String?
    /// The model's public name, if not the one in the checkpoint.
    public var name: String?
    /// Unix time in seconds; without it, the newest modification time among the source files.
    public var created: Int?
    /// A safetensors file of captured layer inputs: for a layer `X`, a tensor `X` of shape [tokens, K].
    public var calibration: String?
    /// Largest relative L2 error of a layer's output that int8 may have.
    public var errorLimit = 0.015
    /// The same of a convolution of Wan's decoder. One scale for a whole frame stands at 1.3 to 1.9 % where channels differ in size as trained
    /// ones do, and none of them costs the frames more than another.
    public var causalErrorLimit = 0.02
    /// Largest relative L2 error that 10 bits may cause: of a layer's output, and of its inputs' columns of weights.
    public var int10ErrorLimit = 0.0025
    /// Above this a rotation is tried, though int8 would be good enough without: errors of all layers add up.
    public var rotationThreshold = 0.012

    /// Keep what is done in `OUTPUT.partial` when the conversion is interrupted, and continue from there.
    public var isResumable = false

    /// Runs the finished file's text encoder and the checkpoint's, to compare their outputs; nil for no comparison. It changes no byte of the
    /// file.
    public var checkBackend: BackendFactory?

    public init() {}

    /// The options that shape the numbers, for the file's own record.
    var description: String {
        var parts: [String] = []
        if float { parts.append("--float") }
        if int8Decoder { parts.append("--int8-decoder") }
        if int8TextEncoder { parts.append("--int8-text-encoder") }
        if attentionProbs16 { parts.append("--attention-probs-16") }
        for pattern in keepFloat { parts.append("--keep-float \(pattern)") }
        for lora in loras { parts.append("--lora \(CheckpointParts.lastComponent(of: lora.path)):\(lora.scale)") }
        if calibration != nil { parts.append("--calibration") }
        if enhancers != nil { parts.append("--enhancers") }
        return parts.joined(separator: " ")
    }

    package func keepsFloat(_ name: String) -> Bool {
        float || keepFloat.contains { matches(Array(name.utf8)[...], Array($0.utf8)[...]) }
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any run of characters and `?` for one.
private func matches(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    var (name, pattern) = (name, pattern)
    // Where to continue when a guess about the last star fails: one character later.
    var retry: (name: ArraySlice<UInt8>, pattern: ArraySlice<UInt8>)?
    while let next = name.first {
        if let wanted = pattern.first, wanted == UInt8(ascii: "*") {
            pattern = pattern.dropFirst()
            retry = (name, pattern)
        } else if let wanted = pattern.first, wanted == next || wanted == UInt8(ascii: "?") {
            name = name.dropFirst()
            pattern = pattern.dropFirst()
        } else if let guess = retry {
            name = guess.name.dropFirst()
            pattern = guess.pattern
            retry = (name, pattern)
        } else {
            return false
        }
    }
    return pattern.allSatisfy { $0 == UInt8(ascii: "*") }
}
