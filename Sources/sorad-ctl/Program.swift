// The command for people. It links no engine code: it asks the daemon.
import Glibc
import SoradSystem

@main
struct Program {
    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        runProgram("sorad-ctl") { () throws(SoradError) in
            do throws(SoradError) { try commandTable.main(words, environment: ChildProcess.currentEnvironment()) } catch {
                guard words.prefix(while: { $0 != "--" }).contains("--json") else { throw error }
                printError(error.json.text() + "\n")
                exit(error.exitCode)
            }
        }
    }
}
