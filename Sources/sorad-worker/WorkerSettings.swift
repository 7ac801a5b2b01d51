// The command line of sorad-worker.
import SoradAPI
import SoradSystem

struct WorkerSettings: Sendable {
    var model = ""
    var threads: Int?
    /// Shortest time between two checkpoints of a clip, milliseconds.
    var checkpointInterval = 0
    var describes = false
    /// `FileIdentity.text` of the model file, as the daemon had it described: its checksum was compared then.
    var verified: String?
    /// As in `BackendChoice`.
    var backend = "cpu"
    /// Percent of each product's rows that the CPU computes next to a device; nil for what was measured to be fastest.
    var cpuShare: Int?
    /// "" means the user's own.
    var cacheDirectory = ""
    var checksBackends = false
    /// This is the child in which a device is tried.
    var isTrial = false
    /// A picture or clip to look at.
    var inspect: String?
    /// A clip whose mark is to be read.
    var origin: String?
    var readsPrompts = false
    var producer: String?
    var visibleLabel: String?
    var markingCommand: String?
    /// A folder with one job.
    var once: String?
    /// Seconds until a run of `once` puts its work down; nil for never.
    var checkpointEvery: Int?

    private static let table = SettingsTable(WorkerSettings()) {
        Setting("model", \.model, "FILE", "the model file")
        Setting(
            "verified", \.verified, "STATE",
            "the state of the model file whose checksum was compared before; a file in that state is not read whole")
        Setting("threads", 1...1024, \.threads, default: "one per usable CPU", "compute threads")
        Setting(
            "checkpoint-interval", 0...3_600_000, \.checkpointInterval, unit: "MILLISECONDS",
            "shortest time between two checkpoints of a clip")
        Setting("backend", \.backend, "BACKEND", "what computes clips: \(BackendChoice.forms)")
        Setting(
            "cpu-share", 0...100, \.cpuShare, unit: "PERCENT", default: "as measured",
            "share of each product's rows that the CPU computes next to a device")
        Setting("cache-dir", \.cacheDirectory, "DIR", default: "$XDG_CACHE_HOME/sorad", "folder of device trials and compiled shaders")
        Setting("backend-check", \.checksBackends, "test every Vulkan device, print what came of it and exit; with --model, also its speed")
        Setting("backend-trial", \.isTrial, "test the device of --backend, print the result as JSON and exit: what the worker itself runs")
        Setting("once", \.once, "DIR", "make the clip of the folder's request.json there and exit; see docs/PORTABLE_JOBS.md")
        Setting(
            "checkpoint-every", 1...1_000_000, \.checkpointEvery, unit: "SECONDS", default: "never",
            "with --once, write a checkpoint after that long and exit with status 85, to be started again")
        Setting("describe", \.describes, "print the model's facts as JSON and exit")
        Setting("inspect", \.inspect, "FILE", "print the facts of a picture or clip as JSON and exit; needs no model")
        Setting("read-prompts", \.readsPrompts, "say how the model reads the prompts of a JSON list on standard input, and exit")
        Setting("aigc-producer", \.producer, "TEXT", "who makes the clips, for the label of GB 45438")
        Setting("visible-label", \.visibleLabel, "TEXT", "words in the corner of every frame")
        Setting("marking-command", \.markingCommand, "PATH", "program that gets each clip and writes the signed one")
        Setting("origin", \.origin, "FILE", "print the provenance mark of a clip as JSON and exit; needs no model")
    }

    var marking: ClipMarking { ClipMarking(producer: producer, visibleLabel: visibleLabel, command: markingCommand) }
    var choice: BackendChoice { BackendChoice(backend) ?? .cpu }

    static func command(_ run: @escaping @Sendable (WorkerSettings) throws(SoradError) -> Void) -> Command {
        Command(
            "sorad-worker", options: table.options,
            summary: "the engine of sorad; the daemon starts it with a socket on descriptor 3",
            details: "Run it by hand with --once, --describe, --inspect, --origin or --read-prompts.\n\n" + SoradError.exitStatusHelp
                + " With --once also 85: a checkpoint is written, start it again."
        ) { arguments throws(SoradError) in
            let settings = table.values(arguments)
            guard BackendChoice(settings.backend) != nil else {
                throw SoradError(.usage, "--backend must be \(BackendChoice.forms), not \"\(settings.backend)\"")
            }
            if settings.checksBackends || settings.isTrial { return try run(settings) }
            guard !settings.model.isEmpty || settings.inspect != nil || settings.origin != nil else {
                throw SoradError(.usage, "--model is missing", hint: "see sorad-worker --help")
            }
            try run(settings)
        }
    }
}
