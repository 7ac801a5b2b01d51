// sorad-bench: measures parts of the engine on this machine and prints each figure next to what the machine could do.
import SoradSystem

@main struct Program {
    static func main() {
        runProgram("sorad-bench") { () throws(SoradError) in
            try benchmarks.main(Array(CommandLine.arguments.dropFirst()))
        }
    }
}
