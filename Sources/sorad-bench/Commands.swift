// The benchmarks and their options: one row each. To add one is to add a row and a type with a `run`.
import SoradCPU
import SoradSystem

let benchmarks = CommandTable(
    "sorad-bench", summary: "measures parts of the engine on this machine, next to the peak of its instruction set",
    [
        Command(
            "sorad-bench kernels", options: KernelOptions.table.options, summary: "the kernels, or large int8 products in several threads"
        ) {
            arguments throws(SoradError) in
            printOut(try KernelOptions.table.values(arguments).run() + "\n")
        },
        forward("layers", oneLayer: true, "each operation of one transformer block with synthetic weights"),
        forward("forward", oneLayer: false, "forward passes of a whole transformer with synthetic weights"),
        syntheticDecode(.wan, "a clip decoded by Wan's autoencoder with synthetic weights"),
        syntheticDecode(.taehv, "a clip decoded by TAEHV with synthetic weights"),
        Command(
            "sorad-bench clip", [model], options: clipTable.options,
            summary: "a clip of a model file: its stages in one process, then a worker from start to MP4"
        ) { arguments throws(SoradError) in
            let benchmark = clipTable.values(arguments, from: ClipBenchmark(path: arguments.words[0]))
            var report = try benchmark.run()
            report.worker = try benchmark.throughWorker.run()
            printOut((benchmark.json ? report.json.text() : report.table) + "\n")
        },
        Command(
            "sorad-bench decode", [model], options: decodeTable.options,
            summary: "the video decoder of a model file alone, on the model's own latents"
        ) { arguments throws(SoradError) in
            printOut(try decodeTable.values(arguments, from: DecodeBenchmark(path: arguments.words[0])).run() + "\n")
        },
        Command(
            "sorad-bench steps", [model], options: stepsTable.options,
            summary: "the direction of each denoise step of a model file, compared with another file's"
        ) { arguments throws(SoradError) in
            guard let against = arguments["against"] else {
                throw SoradError(.usage, "--against MODEL is missing", hint: "see sorad-bench steps --help")
            }
            printOut(try stepsTable.values(arguments, from: StepsBenchmark(path: arguments.words[0], against: against)).run() + "\n")
        },
        Command(
            "sorad-bench passes", [model], options: passesTable.options,
            summary: "clips of a model file with fewer passes through the network, compared with those of all passes"
        ) { arguments throws(SoradError) in
            printOut(try passesTable.values(arguments, from: PassesBenchmark(path: arguments.words[0])).run() + "\n")
        },
    ])

private let model = Argument("MODEL", "a model file")

// MARK: options that several benchmarks have

private let counts = 1...1000
private let setHelp = "one of " + InstructionSet.names.joined(separator: ", ")
private let jsonHelp = "print one JSON object instead of a table"
private let profileHelp = "also print the operations"

private func instructionSet<Values>(_ place: any WritableKeyPath<Values, String?> & Sendable) -> Setting<Values> {
    Setting("isa", place, "NAME", default: "the best", setHelp)
}
private func threads<Values>(_ place: any WritableKeyPath<Values, Int?> & Sendable) -> Setting<Values> {
    Setting("threads", counts, place, default: "one per usable CPU", "compute threads")
}

// MARK: kernels

private struct KernelOptions {
    var json = false
    var isa: String?
    var filter: String?
    var threads = 1

    static let table = SettingsTable(KernelOptions()) {
        Setting("json", \.json, jsonHelp)
        instructionSet(\.isa)
        Setting(
            "threads", counts, \.threads,
            "with more than 1, only the large int8 products, divided as in a forward pass")
        Setting("filter", \.filter, "TEXT", "only the rows whose name contains TEXT")
    }

    func run() throws(SoradError) -> String {
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let report =
            if threads == 1 {
                try KernelBenchmark(isaName: set.description).run(filter: filter)
            } else {
                try ProductBenchmark(set: set, threads: threads).run(filter: filter)
            }
        return json ? report.json : report.table
    }
}

// MARK: forward passes

private let forwardTable = SettingsTable(ForwardBenchmark()) {
    // First: the sizes below change what it sets.
    Setting(
        Option(
            "model", .choice(ForwardBenchmark.Configuration.named.map(\.name)), default: ForwardBenchmark.Configuration.named[0].name,
            "preset of all sizes")
    ) { benchmark, names in
        if let named = ForwardBenchmark.Configuration.named.first(where: { $0.name == names[0] }) {
            benchmark.configuration = named.value
        }
    }
    size("layers", 128, \.configuration.layers)
    size("heads", 128, \.configuration.heads)
    size("head-width", 256, \.configuration.headWidth, "even, at least 6")
    size("feed-forward", 32768, \.configuration.feedForward)
    size("text-width", 8192, \.configuration.textWidth)
    size("channels", 256, \.configuration.channels)
    size("text-tokens", 1024, \.configuration.textTokens)
    size("frames", 128, \.configuration.frames, "latent frames")
    size("height", 256, \.configuration.height, "latent pixels, even")
    size("width", 256, \.configuration.width, "latent pixels, even")
    Setting("json", \.json, jsonHelp)
    Setting("profile", \.profile, profileHelp)
    instructionSet(\.isa)
    threads(\.threads)
    Setting("backend", \.backend, "BACKEND", "what computes: cpu, vulkan or vulkan:NUMBER")
}

/// A size whose default is the model's.
private func size(
    _ name: String, _ most: Int, _ place: any WritableKeyPath<ForwardBenchmark, Int> & Sendable, _ summary: String = "a size of the model"
) -> Setting<ForwardBenchmark> {
    Setting(Option(name, .integer("N", 1...most), default: "the model's", summary)) {
        $0[keyPath: place] = Int($1[$1.count - 1]) ?? 1
    }
}

private func forward(_ name: String, oneLayer: Bool, _ summary: String) -> Command {
    Command("sorad-bench \(name)", options: forwardTable.options, summary: summary) { arguments throws(SoradError) in
        var benchmark = forwardTable.values(arguments)
        benchmark.oneLayer = oneLayer
        let c = benchmark.configuration
        guard c.height % 2 == 0, c.width % 2 == 0, c.headWidth % 2 == 0, c.headWidth >= 6 else {
            throw SoradError(
                .usage, "the latents' height and width and the head width (at least 6) must be even", hint: "see sorad-bench \(name) --help"
            )
        }
        printOut(try benchmark.run() + "\n")
    }
}

// MARK: decoders

private func syntheticDecode(_ family: SyntheticDecodeBenchmark.Family, _ summary: String) -> Command {
    let table = SettingsTable(SyntheticDecodeBenchmark(family: family)) {
        Setting("width", 1...2048, \.width, "pixels, a multiple of 8")
        Setting("height", 1...2048, \.height, "pixels, a multiple of 8")
        Setting("frames", 1...1025, \.frames, "1 plus a multiple of 4")
        Setting("base", 1...128, \.baseWidth, "channels of the finest level of Wan's")
        Setting("runs", 1...100, \.runs, "number of decodings; the fastest counts")
        Setting("json", \.json, jsonHelp)
        Setting("profile", \.profile, profileHelp)
        instructionSet(\.isa)
        threads(\.threads)
    }
    return Command("sorad-bench decode-\(family)", options: table.options, summary: summary) { arguments throws(SoradError) in
        let benchmark = table.values(arguments)
        guard benchmark.width % 8 == 0, benchmark.height % 8 == 0, benchmark.frames % 4 == 1 else {
            throw SoradError(
                .usage, "width and height must be multiples of 8, and the frames 1 plus a multiple of 4",
                hint: "see sorad-bench decode-\(family) --help")
        }
        printOut(try benchmark.run() + "\n")
    }
}

private let decodeTable = SettingsTable(DecodeBenchmark(path: "")) {
    Setting("against", \.against, "MODEL", "a reference, usually the float file of the checkpoint; also prints the distance of the frames")
    Setting("clips", counts, \.clips, "clips to decode")
    Setting("json", \.json, jsonHelp)
    Setting("profile", \.profile, profileHelp)
    instructionSet(\.isa)
    threads(\.threads)
}

// MARK: clips

private let clipTable = SettingsTable(ClipBenchmark(path: "")) {
    Setting("steps", counts, \.steps, default: "the model's", "denoise steps")
    Setting("json", \.json, jsonHelp)
    instructionSet(\.isa)
    threads(\.threads)
    Setting("backend", \.backend, "BACKEND", "what computes: cpu, vulkan or vulkan:NUMBER")
}

private let passesTable = SettingsTable(PassesBenchmark(path: "")) {
    instructionSet(\.isa)
    threads(\.threads)
    Setting("clips", counts, \.clips, "clips, each with another seed and prompt")
    Setting("steps", counts, \.steps, default: "the model's", "denoise steps")
    Setting("json", \.json, jsonHelp)
}

private let stepsTable = SettingsTable(StepsBenchmark(path: "", against: "")) {
    Setting(Option("against", .text("MODEL"), "the reference, usually the float file of the checkpoint")) { _, _ in }
    Setting("clips", counts, \.clips, "clips to make")
    Setting("steps", counts, \.steps, default: "the model's", "denoise steps")
    Setting("json", \.json, jsonHelp)
    instructionSet(\.isa)
    threads(\.threads)
}
