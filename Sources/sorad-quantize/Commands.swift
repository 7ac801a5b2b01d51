// The command line of sorad-quantize: its tasks and options, and which options exclude each other.
import SoradConverter
import SoradSystem

/// A task of the program.
enum QuantizeTask {
    case convert(folder: String, files: [String], tokenizer: String?, output: String, options: ConversionOptions, report: String?)
    case inspect(path: String, json: Bool)
    case verify(path: String)
}

struct QuantizeSettings: Sendable {
    var folder = ""
    private var output: String?
    private var keepsFloat = false
    private var int8Decoder = false
    private var attentionProbs16 = false
    private var floatPatterns: [String] = []
    private var calibration: String?
    private var tokenizer: String?
    private var name: String?
    private var created: Int?
    private var json: String?
    private var inspect: String?
    private var verify: String?

    private static let table = SettingsTable(QuantizeSettings()) {
        Setting("output", short: "o", \.output, "FILE.gguf", "the model file to write; replaced only when the new one is complete")
        Setting("float", \.keepsFloat, "keep all weights float, as a reference")
        Setting("int8-decoder", \.int8Decoder, "quantize the inner convolutions of the video decoder to int8; default float")
        Setting("fine-attention", \.attentionProbs16, "16-bit attention probabilities instead of 8-bit: slower, for sharp attention")
        Setting("keep-float", \.floatPatterns, "PATTERN", "keep the tensors of these names float (* and ? as in file names)")
        Setting("calibration", \.calibration, "FILE", "safetensors with captured layer inputs [tokens, K], to measure the errors on")
        Setting("tokenizer", \.tokenizer, "FILE", "a SentencePiece model (spiece.model) to use instead of the checkpoint's")
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
                Argument("FOLDER", isOptional: true, "a checkpoint in the layout of diffusers"),
                Argument(
                    "FILE", isOptional: true, isRepeated: true,
                    "weights (safetensors, GGUF or .pth) of a part that takes the place of the folder's"),
            ], options: table.options,
            summary: "turns a checkpoint in the layout of diffusers into one int8 model file for sorad",
            details: """
                Weights may have diffusers' names, those of Wan's own release, or ComfyUI's and llama.cpp's; in float, fp8 or int8 with
                scales, or the block types of GGUF. What a FILE holds is found by its content. Lines that begin with "notice:" name
                what the model file leaves out or does otherwise than the checkpoint's own pipeline.
                With --inspect or --verify it reads a model file instead.
                Exit status: 0 done, 64 usage, 65 bad input, 66 no such file, 73 and 74 cannot write, 77 not permitted.
                """,
            examples: [
                "sorad-quantize FOLDER -o FILE.gguf", "sorad-quantize FOLDER transformer-Q8_0.gguf -o FILE.gguf",
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
        guard let folder = arguments.words.first else { throw usage("no folder is given") }
        let files = Array(arguments.words.dropFirst())
        guard let output else { throw usage("-o FILE.gguf is missing") }
        return .convert(folder: folder, files: files, tokenizer: tokenizer, output: output, options: try options(), report: json)
    }

    private func options() throws(SoradError) -> ConversionOptions {
        guard !keepsFloat || !int8Decoder else { throw usage("--float and --int8-decoder contradict each other") }
        guard !keepsFloat || !attentionProbs16 else { throw usage("--float and --fine-attention contradict each other") }
        var options = ConversionOptions()
        options.float = keepsFloat
        options.int8Decoder = int8Decoder
        options.attentionProbs16 = attentionProbs16
        options.keepFloat = floatPatterns
        options.calibration = calibration
        options.name = name
        options.created = created
        return options
    }

    /// The first of `names` is a command of its own.
    private func only(_ names: [String], _ arguments: Arguments) throws(SoradError) {
        if let word = arguments.words.first { throw usage("--\(names[0]) takes one file, not \"\(word)\" too") }
        if let other = arguments.names.first(where: { !names.contains($0) }) { throw usage("--\(other) does not go with --\(names[0])") }
    }

    private func usage(_ message: String) -> SoradError { SoradError(.usage, message, hint: "see sorad-quantize --help") }
}
