// The command line of sorad-quantize: one table of flags, from which the parser and the help are made.
import SoradConverter
import SoradSystem

/// What was asked for.
enum Command {
    case help
    case convert(folder: String, output: String, options: ConversionOptions, report: String?)
    case inspect(path: String, json: Bool)
    case verify(path: String)
}

struct Arguments {
    private struct Flag {
        let name: String
        /// What stands for its value in the help; nil if it takes none.
        let value: String?
        let help: String
    }

    private static let flags = [
        Flag(name: "-o", value: "FILE.gguf", help: "the model file to write; replaced only when the new one is complete"),
        Flag(name: "--float", value: nil, help: "keep everything float: the reference of a checkpoint"),
        Flag(name: "--int8-decoder", value: nil, help: "make the video decoder's inner convolutions int8; without it they stay float"),
        Flag(name: "--fine-attention", value: nil, help: "attention weights of 16 bits instead of 8: slower, for sharp attention"),
        Flag(
            name: "--keep-float", value: "PATTERN",
            help: "keep the tensors of these names float (* and ? as in file names); may be given again"),
        Flag(name: "--calibration", value: "FILE", help: "safetensors with captured inputs [tokens, K] by layer, to measure and tune on"),
        Flag(name: "--name", value: "ID", help: "the model's public name"),
        Flag(name: "--created", value: "UNIX", help: "when the model was made, in seconds; else the newest source file's time"),
        Flag(name: "--json", value: "REPORT", help: "also write the table as JSON; with --inspect, without REPORT, print JSON"),
        Flag(name: "--inspect", value: "FILE.gguf", help: "print metadata and tensors of a model file"),
        Flag(name: "--verify", value: "FILE.gguf", help: "read a model file whole and check it"),
        Flag(name: "--help", value: nil, help: "this text"),
    ]

    static var help: String {
        var text = """
            Turns a checkpoint in diffusers' layout into one int8 model file for sorad.

            usage: sorad-quantize FOLDER -o FILE.gguf [--float] [--int8-decoder] [--fine-attention] [--keep-float PATTERN]
                                  [--calibration FILE] [--name ID] [--created UNIX] [--json REPORT]
                   sorad-quantize --inspect FILE.gguf [--json]
                   sorad-quantize --verify FILE.gguf


            """
        for flag in flags {
            let left = [flag.name, flag.value].compactMap(\.self).joined(separator: " ")
            text += "  " + left + String(repeating: " ", count: max(1, 24 - left.count)) + flag.help + "\n"
        }
        return text + """

            Exit status: 0 done, 64 usage, 65 bad input, 66 no such file, 73 and 74 cannot write, 77 not permitted.

            """
    }

    private var values: [String: [String]] = [:]
    private var words: [String] = []

    /// Sorts the arguments into flags and words.
    init(_ arguments: [String]) throws(SoradError) {
        let inspecting = arguments.contains("--inspect")
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument != "-" else {
                words.append(argument)
                continue
            }
            guard let flag = Self.flags.first(where: { $0.name == argument || ($0.name == "--help" && argument == "-h") }) else {
                throw Self.usage("there is no option \(argument)")
            }
            guard let wanted = flag.value, !(inspecting && flag.name == "--json") else {
                values[flag.name, default: []].append("")
                continue
            }
            guard let value = rest.popFirst() else { throw Self.usage("\(flag.name) needs a value: \(wanted)") }
            guard flag.name == "--keep-float" || values[flag.name] == nil else { throw Self.usage("\(flag.name) is given twice") }
            values[flag.name, default: []].append(value)
        }
    }

    func command() throws(SoradError) -> Command {
        if values["--help"] != nil { return .help }
        if let path = values["--inspect"]?.first {
            try only(["--inspect", "--json"], with: "--inspect")
            return .inspect(path: path, json: values["--json"] != nil)
        }
        if let path = values["--verify"]?.first {
            try only(["--verify"], with: "--verify")
            return .verify(path: path)
        }
        guard words.count == 1 else {
            throw Self.usage(words.isEmpty ? "no folder is given" : "only one folder can be converted at a time")
        }
        guard let output = values["-o"]?.first else { throw Self.usage("-o FILE.gguf is missing") }
        return .convert(folder: words[0], output: output, options: try options(), report: values["--json"]?.first)
    }

    private func options() throws(SoradError) -> ConversionOptions {
        var options = ConversionOptions()
        options.float = values["--float"] != nil
        options.int8Decoder = values["--int8-decoder"] != nil
        options.fineAttention = values["--fine-attention"] != nil
        guard !options.float || !options.int8Decoder else { throw Self.usage("--float and --int8-decoder contradict each other") }
        guard !options.float || !options.fineAttention else { throw Self.usage("--float and --fine-attention contradict each other") }
        options.keepFloat = values["--keep-float"] ?? []
        options.calibration = values["--calibration"]?.first
        options.name = values["--name"]?.first
        if let text = values["--created"]?.first {
            guard let created = Int(text), created >= 0 else { throw Self.usage("--created takes seconds since 1970, not \"\(text)\"") }
            options.created = created
        }
        return options
    }

    private func only(_ flags: Set<String>, with name: String) throws(SoradError) {
        guard words.isEmpty else { throw Self.usage("\(name) takes one file, not \"\(words[0])\" too") }
        if let other = values.keys.sorted().first(where: { !flags.contains($0) }) { throw Self.usage("\(other) does not go with \(name)") }
    }

    private static func usage(_ message: String) -> SoradError { SoradError(.usage, message, hint: "sorad-quantize --help") }
}
