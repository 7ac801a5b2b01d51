// The command for people. It links no engine code: it asks the daemon.
import Glibc
import SoradSystem

@main
struct Program {
    static func main() {
        do throws(SoradError) {
            let parser = CommandLineParser(commands: commandTable, environment: ChildProcess.currentEnvironment())
            let invocation = try parser.parse(Array(CommandLine.arguments.dropFirst()))
            guard let command = commandTable.first(where: { $0.name == invocation.command }) else {
                preconditionFailure("no command \(invocation.command)")
            }
            try command.run(invocation)
        } catch {
            Console.note("sorad-ctl: \(error.message)\n" + (error.hint.map { "hint: \($0)\n" } ?? ""))
            exit(error.exitCode)
        }
    }
}
