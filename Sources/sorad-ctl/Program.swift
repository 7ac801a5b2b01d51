// The command for people. It links no engine code: it asks the daemon.
import SoradSystem

@main
struct Program {
    static func main() {
        runProgram("sorad-ctl") { () throws(SoradError) in
            try commandTable.main(Array(CommandLine.arguments.dropFirst()), environment: ChildProcess.currentEnvironment())
        }
    }
}
