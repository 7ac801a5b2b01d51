// sorad-bench: measures parts of the engine on this machine and prints each figure next to what the machine could do.

import Glibc
import SoradSystem

@main struct Program {
    static let usage = """
        usage: sorad-bench kernels [--json] [--isa NAME] [--filter TEXT]
               sorad-bench clip MODEL [--isa NAME] [--threads N] [--steps N]
          kernels          single-threaded kernels against the peak loops of the same instruction set
          clip             one clip of a model file, prompt to frames, stage by stage
          --json           print one JSON object instead of a table
          --isa NAME       scalar, avx2, avx512vlvnni, avxvnni or avx512vnni; the best by default
          --filter TEXT    only the rows whose name contains TEXT
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
        if command == "clip" { return print(ClipBenchmark.table(try clip(&rest).run())) }
        guard command == "kernels" else {
            throw SoradError(.usage, "There is no benchmark named \"\(command)\".", hint: usage)
        }
        var json = false
        var isa: String?
        var filter: String?
        while let option = rest.popFirst() {
            switch option {
            case "--json": json = true
            case "--isa", "--filter":
                guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
                if option == "--isa" { isa = value } else { filter = value }
            default: throw SoradError(.usage, "Unknown option \"\(option)\".", hint: usage)
            }
        }
        let report = try KernelBenchmark(isaName: isa).run(filter: filter)
        print(json ? report.json : report.table)
    }

    /// Options of the clip benchmark.
    static func clip(_ rest: inout ArraySlice<String>) throws(SoradError) -> ClipBenchmark {
        guard let path = rest.popFirst() else { throw SoradError(.usage, "clip needs a model file.", hint: usage) }
        var benchmark = ClipBenchmark(path: path)
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw SoradError(.usage, "\(option) needs a value.", hint: usage) }
            let number = Int(value).flatMap { (1...1000).contains($0) ? $0 : nil }
            switch option {
            case "--isa": benchmark.isa = value
            case "--threads" where number != nil: benchmark.threads = number
            case "--steps" where number != nil: benchmark.steps = number
            default: throw SoradError(.usage, "Unknown option or value: \(option) \(value).", hint: usage)
            }
        }
        return benchmark
    }
}
