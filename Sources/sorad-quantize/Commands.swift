// The command line of sorad-quantize: its tasks and options, and which options exclude each other.
import SoradCPU
import SoradConverter
import SoradSystem

/// A task of the program.
enum QuantizeTask {
    case convert(checkpoint: [String], tokenizer: String?, recipe: String?, output: String, options: ConversionOptions, report: String?)
    case inspect(path: String, json: Bool)
    case verify(path: String)
}

struct QuantizeSettings: Sendable {
    var folder = ""
    private var output: String?
    private var keepsFloat = false
    private var int8Decoder = false
    private var floatDecoder = false
    private var int8TextEncoder = false
    private var attentionProbs16 = false
    private var floatPatterns: [String] = []
    private var loras: [String] = []
    private var skipsTextEncoderCheck = false
    private var isResumable = false
    private var calibration: String?
    private var enhancers: String?
    private var tokenizer: String?
    private var recipe: String?
    private var name: String?
    private var created: Int?
    private var json: String?
    private var inspect: String?
    private var verify: String?

    private static let table = SettingsTable(QuantizeSettings()) {
        Setting("output", short: "o", \.output, "FILE.gguf", "the model file to write; replaced only when the new one is complete")
        Setting("float", \.keepsFloat, "keep all weights float, as a reference")
        Setting(
            "int8-decoder", \.int8Decoder,
            "quantize the inner convolutions of the video decoder to int8; default for checkpoints of others where a trial finds it good")
        Setting("float-decoder", \.floatDecoder, "keep the video decoder float: three to five times slower, exact")
        Setting(
            "int8-text-encoder", \.int8TextEncoder,
            "quantize the text encoder and its activations to int8 instead of 10 bits and float: smaller and faster, but less exact than bfloat16"
        )
        Setting("attention-probs-16", \.attentionProbs16, "16-bit attention probabilities instead of 8-bit: slower, for sharp attention")
        Setting("keep-float", \.floatPatterns, "PATTERN", "keep the tensors of these names float (* and ? as in file names)")
        Setting("lora", \.loras, "FILE[:SCALE]", "merge a LoRA into the transformer, at this strength (default 1)")
        Setting("calibration", \.calibration, "FILE", "safetensors with captured layer inputs [tokens, K], to measure the errors on")
        Setting(
            "enhancers", \.enhancers, "FOLDER", "put the upscaler and the interpolator of a folder into the model file (docs/MODEL_FILE.md)"
        )
        Setting(
            "skip-text-encoder-check", \.skipsTextEncoderCheck,
            "do not compare the output of the finished text encoder with the checkpoint's (the report's text_encoder)")
        Setting(
            "resume", \.isResumable,
            "keep what is done in FILE.gguf.partial when interrupted, and continue from what is there (same command, same files)")
        Setting("tokenizer", \.tokenizer, "FILE", "a SentencePiece model (spiece.model) to use instead of the checkpoint's")
        Setting("recipe", \.recipe, "NAME", "how clips are sampled: \(Converter.recipes.map(\.name).joined(separator: ", "))")
        Setting("name", \.name, "ID", "public name of the model")
        Setting(
            "created", 0...Int.max, \.created, unit: "UNIX", default: "the newest source file's time",
            "creation time in seconds since 1970")
        Setting("json", \.json, "REPORT", "also write the report as JSON; with --inspect, without REPORT, print JSON")
        Setting("inspect", \.inspect, "FILE.gguf", "print metadata and tensors of a model file")
        Setting("verify", \.verify, "FILE.gguf", "check a model file: its form, its checksum, and that its weights are numbers")
    }

    static func command(_ run: @escaping @Sendable (QuantizeTask) throws(SoradError) -> Void) -> Command {
        Command(
            "sorad-quantize",
            [
                Argument(
                    "CHECKPOINT", isOptional: true, "a folder in the layout of diffusers or of Wan's own release, or a file of weights"),
                Argument(
                    "FILE", isOptional: true, isRepeated: true,
                    "more weights (safetensors, GGUF, .pth); they take the place of parts of a diffusers folder"),
            ], options: table.options,
            summary: "turns a published checkpoint into one int8 model file for sorad",
            details: """
                Weights may have diffusers' names, those of Wan's own release, or ComfyUI's and llama.cpp's; in float, fp8 or int8 with \
                scales, or the block types of GGUF. What a file holds is found by its content. How clips are sampled stands in a diffusers \
                folder; for files alone --recipe says it. Lines that begin with "notice:" name the recipe, and what the model file \
                leaves out or does otherwise than the checkpoint's own pipeline.
                With --inspect or --verify it reads a model file instead.

                """ + SoradError.exitStatusHelp,
            examples: [
                "sorad-quantize FOLDER -o FILE.gguf", "sorad-quantize FOLDER transformer-Q8_0.gguf -o FILE.gguf",
                "sorad-quantize dit.safetensors umt5.gguf vae.pth --recipe fastwan2.1 -o FILE.gguf",
                "sorad-quantize FOLDER --lora style.safetensors:0.8 -o FILE.gguf",
                "sorad-quantize --inspect FILE.gguf",
            ]
        ) { arguments throws(SoradError) in
            try run(try table.values(arguments).task(arguments))
        }
    }

    private func task(_ arguments: Arguments) throws(SoradError) -> QuantizeTask {
        if let inspect {
            try only(["inspect", "json"], arguments)
            return .inspect(path: inspect, json: json != nil)
        }
        if let verify {
            try only(["verify"], arguments)
            return .verify(path: verify)
        }
        guard !arguments.words.isEmpty else { throw usage("no checkpoint is given") }
        guard let output else { throw usage("-o FILE.gguf is missing") }
        return .convert(
            checkpoint: arguments.words, tokenizer: tokenizer, recipe: recipe, output: output, options: try options(), report: json)
    }

    private func options() throws(SoradError) -> ConversionOptions {
        guard !keepsFloat || !int8Decoder else { throw usage("--float and --int8-decoder contradict each other") }
        guard !floatDecoder || !int8Decoder else { throw usage("--float-decoder and --int8-decoder contradict each other") }
        guard !keepsFloat || !int8TextEncoder else { throw usage("--float and --int8-text-encoder contradict each other") }
        guard !keepsFloat || !attentionProbs16 else { throw usage("--float and --attention-probs-16 contradict each other") }
        var options = ConversionOptions()
        options.float = keepsFloat
        options.int8Decoder = int8Decoder
        options.decoderTrial = floatDecoder ? nil : .cpu()
        options.int8TextEncoder = int8TextEncoder
        options.attentionProbs16 = attentionProbs16
        options.keepFloat = floatPatterns
        for lora in loras { options.loras.append(try Self.lora(lora)) }
        options.checkBackend = skipsTextEncoderCheck ? nil : .cpu()
        options.isResumable = isResumable
        options.calibration = calibration
        options.enhancers = enhancers
        options.name = name
        options.created = created
        return options
    }

    /// "FILE" or "FILE:SCALE"; a file whose own name ends so is given with its scale.
    private static func lora(_ text: String) throws(SoradError) -> (path: String, scale: Float) {
        guard let colon = text.lastIndex(of: ":") else { return (text, 1) }
        let number = text[text.index(after: colon)...]
        guard let scale = Float(number) else { return (text, 1) }
        guard scale.isFinite, abs(scale) <= 100, colon > text.startIndex else {
            throw SoradError(.usage, "--lora \(text): the strength must be from -100 to 100", hint: "see sorad-quantize --help")
        }
        return (String(text[..<colon]), scale)
    }

    /// The first of `names` is a command of its own.
    private func only(_ names: [String], _ arguments: Arguments) throws(SoradError) {
        if let word = arguments.words.first { throw usage("--\(names[0]) takes one file, not \"\(word)\" too") }
        if let other = arguments.names.first(where: { !names.contains($0) }) { throw usage("--\(other) does not go with --\(names[0])") }
    }

    private func usage(_ message: String) -> SoradError { SoradError(.usage, message, hint: "see sorad-quantize --help") }
}
