// The command line of sorad-fleet.
import SoradFleet
import SoradSystem

struct FleetSettings: Sendable {
    var fleet: Fleet.Settings
    var logLevel = Log.Level.info
    /// This machine is a box and says what it has.
    var advertises = false
    var models = FleetSettings.models
    var cache = ""

    private static let models = ["/usr/share/sorad/models", "/usr/local/share/sorad/models"]

    private init() {
        fleet = Fleet.Settings()
        fleet.socket = "/run/sorad/fleet.sock"
        fleet.stateDirectory = "/var/lib/sorad"
    }

    private static let table = SettingsTable(FleetSettings()) {
        Setting("socket", \.fleet.socket, "PATH", "the daemon's socket for the fleet")
        Setting("state-dir", \.fleet.stateDirectory, "DIR", "the daemon's state directory; jobs of the pool are in fleet there")
        Setting("condor-bin", \.fleet.commands, "DIR", default: "PATH", "folder of HTCondor's commands")
        Setting("worker", \.fleet.rules.worker, "PATH", "path of sorad-worker on the boxes")
        Setting(
            "checkpoint-every", 1...86_400, \.fleet.rules.checkpointEvery, unit: "SECONDS",
            "time between two checkpoints that travel to the head")
        Setting(
            "lease", 20...86_400, \.fleet.rules.lease, unit: "SECONDS",
            "time that a job waits for a box out of reach before another gets it")
        Setting(
            "silence-timeout", 20...86_400, \.fleet.rules.silence, unit: "SECONDS",
            "longest time without a word of a worker, or without its files, from a box in reach, before it is killed and another box gets "
                + "the job")
        Setting(
            "most-holds", 0...1_000, \.fleet.rules.mostHolds, "holds of a job after which it is released by condor_release alone")
        Setting("cores", 1...1_024, \.fleet.rules.cores, "cores of a box that a clip asks for")
        Setting("log-level", \.logLevel, "least urgent level that is logged")
        Setting("advertise", \.advertises, "on a box: print what it has as attributes for HTCondor's startd, and exit")
        Setting("models", \.models, "DIR", default: FleetSettings.models.joined(separator: ", "), "with --advertise, folder of models")
        Setting("cache", \.cache, "FILE", default: "none", "with --advertise, file that keeps the digests of the models")
    }

    static func command(_ run: @escaping @Sendable (FleetSettings) throws(SoradError) -> Void) -> Command {
        Command(
            "sorad-fleet", options: table.options,
            summary: "lets a pool of machines (HTCondor) make the clips of a daemon whose fleet-places is set",
            details: "docs/FLEET.md is the guide. It may be killed and started again at any moment.\n\n" + SoradError.exitStatusHelp,
            areSettings: true
        ) { arguments throws(SoradError) in try run(table.values(arguments)) }
    }
}
