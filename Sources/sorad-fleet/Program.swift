// sorad-fleet: stands between the daemon, which has no network, and HTCondor. Holds nothing that is not on disk or in the pool's queue.
import Glibc
import SoradFleet
import SoradSystem

@main struct Program {
    static func main() {
        // The jobs' folders are nobody else's.
        umask(0o077)
        runProgram("sorad-fleet") { () throws(SoradError) in
            try FleetSettings.command(run).main(Array(CommandLine.arguments.dropFirst()))
        }
    }

    @Sendable private static func run(_ settings: FleetSettings) throws(SoradError) {
        if settings.advertises {
            return printOut(Advertisement(worker: settings.fleet.rules.worker, models: settings.models, cache: settings.cache).text())
        }
        let environment = ChildProcess.currentEnvironment()
        let log = Log(program: "sorad-fleet", level: settings.logLevel, environment: environment)
        let fleet = try Fleet(settings.fleet, log: log)
        ServiceNotifier(environment: environment).send("READY=1")
        log.notice("sorad-fleet \(soradVersion) serves", LogFields(.started))
        try fleet.run()
    }
}
