// The command line of sorad-worker.
import SoradSystem

struct WorkerSettings: Sendable {
    var model = ""
    var threads: Int?
    /// Shortest time between two checkpoints of a clip, milliseconds.
    var checkpointInterval = 0
    var describes = false
    /// A picture or clip to look at.
    var inspect: String?
    /// A clip whose mark is to be read.
    var origin: String?
    var readsPrompts = false

    private static let table = SettingsTable(WorkerSettings()) {
        Setting("model", \.model, "FILE", "the model file")
        Setting("threads", 1...1024, \.threads, default: "one per usable CPU", "compute threads")
        Setting(
            "checkpoint-interval", 0...3_600_000, \.checkpointInterval, unit: "MILLISECONDS",
            "shortest time between two checkpoints of a clip")
        Setting("describe", \.describes, "print the model's facts as JSON and exit")
        Setting("inspect", \.inspect, "FILE", "print the facts of a picture or clip as JSON and exit; needs no model")
        Setting("read-prompts", \.readsPrompts, "say how the model reads the prompts of a JSON list on standard input, and exit")
        Setting("origin", \.origin, "FILE", "print the provenance mark of a clip as JSON and exit; needs no model")
    }

    static func command(_ run: @escaping @Sendable (WorkerSettings) throws(SoradError) -> Void) -> Command {
        Command(
            "sorad-worker", options: table.options,
            summary: "the engine of sorad; the daemon starts it with a socket on descriptor 3",
            details: "Run it by hand with --describe, --inspect, --origin or --read-prompts.\n\n" + SoradError.exitStatusHelp
        ) { arguments throws(SoradError) in
            let settings = table.values(arguments)
            guard !settings.model.isEmpty || settings.inspect != nil || settings.origin != nil else {
                throw SoradError(.usage, "--model is missing", hint: "see sorad-worker --help")
            }
            try run(settings)
        }
    }
}
