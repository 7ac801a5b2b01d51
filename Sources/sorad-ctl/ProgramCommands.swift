// The commands about this program itself: version, completion, reference.
import SoradSystem

func showVersion(_ arguments: Arguments) throws(SoradError) {
    let json: JSONObject = ["schema": "sorad.version/1", "version": .string(soradVersion)]
    try Console.print(arguments.has("json") ? JSONValue.object(json).text() : "sorad-ctl \(soradVersion)")
}

func printCompletion(_ arguments: Arguments) throws(SoradError) {
    guard let shell = Shell(rawValue: arguments.words[0]) else {
        throw SoradError(
            .usage, "SHELL must be one of \(Shell.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(arguments.words[0])\"",
            hint: "sorad-ctl help completion")
    }
    try Console.write(Array(commandTable.completions(for: shell).utf8))
}

/// The commands and schemas of docs/CLI.md.
func printReference(_: Arguments) throws(SoradError) {
    let schemas = OutputSchema.all.map { "| `\($0.name)` | \($0.summary) |" }.joined(separator: "\n")
    try Console.write(
        Array((commandTable.markdown + "\n## JSON schemas\n| schema | meaning |\n|---|---|\n" + schemas + "\n").utf8))
}
