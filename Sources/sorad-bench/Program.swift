// sorad-bench: measures parts of the engine on this machine and prints each figure next to what the machine could do.

import Glibc
import SoradCPU
import SoradSystem
import SoradTensor

@main struct Program {
    static let usage = """
        usage: sorad-bench kernels [--json] [--isa NAME] [--threads N] [--filter TEXT]
               sorad-bench layers|forward [--json] [--profile] [--isa NAME] [--threads N] [--model NAME] [--SIZE N]...
               sorad-bench decode-wan|decode-taehv [--json] [--profile] [--isa NAME] [--threads N] [--runs N] [--width N] [--height N]
                           [--frames N] [--base N]
               sorad-bench clip MODEL [--json] [--isa NAME] [--threads N] [--steps N]
               sorad-bench decode MODEL [--json] [--against MODEL] [--clips N] [--profile] [--isa NAME] [--threads N]
               sorad-bench steps MODEL --against MODEL [--json] [--clips N] [--steps N] [--isa NAME] [--threads N]
          kernels          single-threaded kernels against the peak loops of the same instruction set; with --threads the large
                           int8 products in so many, cut as a forward pass cuts them, each right after the loop
          layers           each operation of one transformer block, with made-up weights, against the peak loops
          forward          forward passes of a whole transformer with made-up weights; --profile adds the operations
          decode-wan       a clip decoded by Wan's autoencoder with made-up weights: 256x256, 17 frames, base width 96 unless told
          decode-taehv     the same by TAEHV of its published sizes
          clip             one clip of a model file, prompt to frames, stage by stage; then by a worker process, start to MP4
          decode           the video decoder of a model file alone, on latents that the model makes
          steps            the direction of each denoise step of a model file beside that of another of the same checkpoint
          --against MODEL  the reference, usually the float file of the checkpoint: decode then also tells the distance of the frames
          --json           print one JSON object instead of a table
          --isa NAME       scalar, avx2, avx512vlvnni, avxvnni, avx512vnni, neon-dotprod or neon-i8mm; the best
                           by default
          --filter TEXT    only the rows whose name contains TEXT
          --model NAME     the sizes to begin with: sorad-mini (the default) or wan-1.3b
          --SIZE N         another size: layers, heads, head-width, feed-forward, text-width, channels, text-tokens, and of the
                           latents frames, height, width (even)
        """

    static func main() {
        do throws(SoradError) {
            try run(arguments: Array(CommandLine.arguments.dropFirst()))
        } catch {
            let text = "sorad-bench: \(error)\n"
            _ = try? systemCall("write") { unsafe write(STDERR_FILENO, text, text.utf8.count) }
            exit(error.exitCode)
        }
    }

    static func run(arguments: [String]) throws(SoradError) {
        var rest = arguments[...]
        guard let command = rest.popFirst(), command != "--help", command != "-h" else {
            print(usage)
            return
        }
        if command == "layers" || command == "forward" { return print(try forward(&rest, oneLayer: command == "layers").run()) }
        if command == "decode-wan" { return print(try madeUpDecode(&rest, .wan).run()) }
        if command == "decode-taehv" { return print(try madeUpDecode(&rest, .taehv).run()) }
        if command == "clip" {
            let benchmark = try clip(&rest)
            var report = try benchmark.run()
            report.worker = try benchmark.throughWorker.run()
            return print(benchmark.json ? report.json.text() : report.table)
        }
        if command == "decode" { return print(try decode(&rest).run()) }
        if command == "steps" { return print(try steps(&rest).run()) }
        guard command == "kernels" else {
            throw SoradError(.usage, "There is no benchmark named \"\(command)\".", hint: usage)
        }
        var json = false
        var isa: String?
        var filter: String?
        var threads = 1
        while let option = rest.popFirst() {
            switch option {
            case "--json": json = true
            case "--isa", "--filter", "--threads":
                guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
                if option == "--isa" {
                    isa = value
                } else if option == "--filter" {
                    filter = value
                } else if let number = Int(value), (1...1000).contains(number) {
                    threads = number
                } else {
                    throw SoradError(.usage, "--threads takes a number from 1 to 1000, not \"\(value)\".", hint: usage)
                }
            default: throw SoradError(.usage, "Unknown option \"\(option)\".", hint: usage)
            }
        }
        let set = if let isa { try InstructionSet(atMost: isa) } else { try InstructionSet.fromEnvironment() }
        let report =
            if threads == 1 {
                try KernelBenchmark(isaName: set.description).run(filter: filter)
            } else {
                try ProductBenchmark(set: set, threads: threads).run(filter: filter)
            }
        print(json ? report.json : report.table)
    }

    /// Options of the forward benchmark.
    static func forward(_ rest: inout ArraySlice<String>, oneLayer: Bool) throws(SoradError) -> ForwardBenchmark {
        typealias Sizes = ForwardBenchmark.Configuration
        let sizes: [(name: String, place: WritableKeyPath<Sizes, Int>, limit: Int)] = [
            ("--layers", \.layers, 128), ("--heads", \.heads, 128), ("--head-width", \.headWidth, 256),
            ("--feed-forward", \.feedForward, 32768), ("--text-width", \.textWidth, 8192), ("--channels", \.channels, 256),
            ("--text-tokens", \.textTokens, 1024), ("--frames", \.frames, 128), ("--height", \.height, 256), ("--width", \.width, 256),
        ]
        var benchmark = ForwardBenchmark()
        benchmark.oneLayer = oneLayer
        while let option = rest.popFirst() {
            if option == "--json" || option == "--profile" {
                if option == "--json" { benchmark.json = true } else { benchmark.profile = true }
                continue
            }
            guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
            if option == "--isa" {
                benchmark.isa = value
            } else if option == "--model", let named = Sizes.named.first(where: { $0.name == value }) {
                benchmark.configuration = named.value
            } else if option == "--threads", let number = Int(value), (1...1000).contains(number) {
                benchmark.threads = number
            } else if let size = sizes.first(where: { $0.name == option }), let number = Int(value), (1...size.limit).contains(number) {
                benchmark.configuration[keyPath: size.place] = number
            } else {
                throw SoradError(.usage, "Unknown option or value: \(option) \(value).", hint: usage)
            }
        }
        let c = benchmark.configuration
        guard c.height % 2 == 0, c.width % 2 == 0, c.headWidth % 2 == 0, c.headWidth >= 6 else {
            throw SoradError(.usage, "The latents' height and width and the head width (at least 6) must be even.", hint: usage)
        }
        return benchmark
    }

    /// Options of the benchmarks that decode with made-up weights.
    static func madeUpDecode(_ rest: inout ArraySlice<String>, _ family: MadeUpDecodeBenchmark.Family) throws(SoradError)
        -> MadeUpDecodeBenchmark
    {
        let sizes: [(name: String, place: WritableKeyPath<MadeUpDecodeBenchmark, Int>, limit: Int)] = [
            ("--width", \.width, 2048), ("--height", \.height, 2048), ("--frames", \.frames, 1025), ("--base", \.baseWidth, 128),
            ("--runs", \.runs, 100),
        ]
        var benchmark = MadeUpDecodeBenchmark(family: family)
        while let option = rest.popFirst() {
            if option == "--json" || option == "--profile" {
                if option == "--json" { benchmark.json = true } else { benchmark.profile = true }
                continue
            }
            guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
            if option == "--isa" {
                benchmark.isa = value
            } else if option == "--threads", let number = Int(value), (1...1000).contains(number) {
                benchmark.threads = number
            } else if let size = sizes.first(where: { $0.name == option }), let number = Int(value), (1...size.limit).contains(number) {
                benchmark[keyPath: size.place] = number
            } else {
                throw SoradError(.usage, "Unknown option or value: \(option) \(value).", hint: usage)
            }
        }
        guard benchmark.width % 8 == 0, benchmark.height % 8 == 0, benchmark.frames % 4 == 1 else {
            throw SoradError(.usage, "Width and height must be multiples of 8, and the frames 1 plus a multiple of 4.", hint: usage)
        }
        return benchmark
    }

    /// Options of the clip benchmark.
    static func clip(_ rest: inout ArraySlice<String>) throws(SoradError) -> ClipBenchmark {
        guard let path = rest.popFirst() else { throw SoradError(.usage, "clip needs a model file.", hint: usage) }
        var benchmark = ClipBenchmark(path: path)
        try readOptions(&rest, flags: ["--json"]) { option, value, number in
            switch option {
            case "--json": benchmark.json = true
            case "--isa": benchmark.isa = value
            case "--threads" where number != nil: benchmark.threads = number
            case "--steps" where number != nil: benchmark.steps = number
            default: return false
            }
            return true
        }
        return benchmark
    }

    /// Options of the decode benchmark.
    static func decode(_ rest: inout ArraySlice<String>) throws(SoradError) -> DecodeBenchmark {
        guard let path = rest.popFirst() else { throw SoradError(.usage, "decode needs a model file.", hint: usage) }
        var benchmark = DecodeBenchmark(path: path)
        try readOptions(&rest, flags: ["--json", "--profile"]) { option, value, number in
            switch option {
            case "--json": benchmark.json = true
            case "--profile": benchmark.profile = true
            case "--against": benchmark.against = value
            case "--isa": benchmark.isa = value
            case "--threads" where number != nil: benchmark.threads = number
            case "--clips" where number != nil: benchmark.clips = number ?? 1
            default: return false
            }
            return true
        }
        return benchmark
    }

    /// Options of the steps benchmark.
    static func steps(_ rest: inout ArraySlice<String>) throws(SoradError) -> StepsBenchmark {
        guard let path = rest.popFirst(), rest.popFirst() == "--against", let against = rest.popFirst() else {
            throw SoradError(.usage, "steps needs a model file and --against with another.", hint: usage)
        }
        var benchmark = StepsBenchmark(path: path, against: against)
        try readOptions(&rest, flags: ["--json"]) { option, value, number in
            switch option {
            case "--json": benchmark.json = true
            case "--isa": benchmark.isa = value
            case "--threads" where number != nil: benchmark.threads = number
            case "--clips" where number != nil: benchmark.clips = number ?? 1
            case "--steps" where number != nil: benchmark.steps = number
            default: return false
            }
            return true
        }
        return benchmark
    }

    /// Reads all options: `flags` stand alone, every other one has a value.
    /// - Parameter take: gets option, value and the value as a number from 1 to 1000, if it is one; false where it makes no sense.
    private static func readOptions(
        _ rest: inout ArraySlice<String>, flags: [String], take: (_ option: String, _ value: String, _ number: Int?) -> Bool
    ) throws(SoradError) {
        while let option = rest.popFirst() {
            if flags.contains(option) {
                _ = take(option, "", nil)
                continue
            }
            guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
            guard take(option, value, Int(value).flatMap { (1...1000).contains($0) ? $0 : nil }) else {
                throw SoradError(.usage, "Unknown option or value: \(option) \(value).", hint: usage)
            }
        }
    }
}
