// sorad: the daemon. Reads the settings, starts, and turns errors into a sentence and an exit status.
import Glibc
import SoradSystem

let soradVersion = "0.1.0"

@main struct Program {
    static func main() {
        MemoryRoom.returnFreedBlocks()
        do throws(SoradError) {
            exitProcess(try run())
        } catch {
            printError("sorad: \(error)\n")
            exitProcess(error.exitCode)
        }
    }

    private static func run() throws(SoradError) -> Int32 {
        let environment = ChildProcess.currentEnvironment()
        let commandLine = try DaemonSettings.table.parse(arguments: Array(CommandLine.arguments.dropFirst()))
        if commandLine.wantsHelp {
            printOut(DaemonSettings.help + "\n")
            return 0
        }
        if commandLine.wantsVersion {
            printOut("sorad \(soradVersion)\n")
            return 0
        }
        // Before any thread: they inherit the mask.
        let signals: SignalDescriptor
        do throws(Errno) { signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP]) } catch {
            throw SoradError(.unavailable, "Cannot watch for signals: \(error.reason).")
        }
        let (settings, warnings) = try DaemonSettings.load(commandLine, environment: environment, isRoot: isRoot())
        let log = Log(program: "sorad", level: settings.logLevel, environment: environment)
        warnings.forEach { log.warning($0) }
        return try Daemon(settings, commandLine: commandLine, environment: environment, signals: signals, log: log).run()
    }
}
