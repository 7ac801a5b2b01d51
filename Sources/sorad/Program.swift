// sorad: the daemon. Reads the settings, starts, and serves until a signal to stop.
import Glibc
import SoradSystem

@main struct Program {
    static func main() {
        MemoryHeadroom.returnFreedBlocks()
        // Jobs and their files are nobody else's, whatever started the daemon; its sockets get their modes by name.
        umask(0o077)
        runProgram("sorad") { () throws(SoradError) in
            try DaemonSettings.command(serve).main(Array(CommandLine.arguments.dropFirst()))
        }
    }

    @Sendable private static func serve(_ arguments: Arguments) throws(SoradError) {
        let environment = ChildProcess.currentEnvironment()
        // Before any thread: they inherit the mask.
        let signals: SignalDescriptor
        do throws(Errno) { signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP]) } catch {
            throw SoradError(.unavailable, "cannot watch for signals: \(error.reason)")
        }
        let (settings, warnings) = try DaemonSettings.load(arguments, environment: environment, isRoot: isRoot())
        let log = Log(program: "sorad", level: settings.logLevel, environment: environment)
        warnings.forEach { log.warning($0) }
        try Daemon(settings, arguments: arguments, environment: environment, signals: signals, log: log).run()
    }
}
