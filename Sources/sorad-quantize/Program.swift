// sorad-quantize: a checkpoint folder to a model file, and a look into one. Tables go to stdout, errors to stderr.
import SoradConverter
import SoradModelFile
import SoradSystem

@main struct Program {
    static func main() {
        MappedFile.explainLostPages()
        Interruption.watch()
        runProgram("sorad-quantize") { () throws(SoradError) in
            var words = Array(CommandLine.arguments.dropFirst())
            // With --inspect, --json stands alone.
            if words.contains("--inspect") { words = words.map { $0 == "--json" ? "--json=-" : $0 } }
            try QuantizeSettings.command(run).main(words)
        }
    }

    @Sendable private static func run(_ task: QuantizeTask) throws(SoradError) {
        switch task {
        case .convert(let checkpoint, let tokenizer, let recipe, let output, let options, let reportPath):
            var isHeadWritten = false
            var shown = ConversionProgress()
            let report = try Converter.convert(
                checkpoint[0], files: Array(checkpoint.dropFirst()), tokenizer: tokenizer, recipe: recipe, to: output, options: options,
                progress: { row in
                    shown.clear()
                    if !isHeadWritten { say(ConversionReport.head) }
                    isHeadWritten = true
                    say(ConversionReport.line(row))
                }, done: { shown.show($0) }, notice: { say("notice: \($0)") })
            if let reportPath { try write(report.json.text(pretty: true) + "\n", to: reportPath) }
            say(report.summary)
        case .inspect(let path, let json):
            let inspection = Inspection(file: try ModelFile(opening: path, verify: false))
            printOut(json ? inspection.json.text(pretty: true) + "\n" : inspection.table)
        case .verify(let path):
            let file = try ModelFile(opening: path)
            try file.checkNumbers()
            printOut("\(path): \(file.tensors.count) tensors, \(file.file.size) bytes, sha256 \(file.sha256): whole\n")
        }
    }

    /// A line that is seen at once, in a pipe too.
    private static func say(_ line: String) { printOut(line + "\n") }

    private static func write(_ text: String, to path: String) throws(SoradError) {
        var file = try AtomicFile(path)
        try file.write(Array(text.utf8))
        try file.commit()
    }
}
