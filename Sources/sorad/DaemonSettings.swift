// Every setting of the daemon, once: name, default, meaning. Values that are wrong stop the start, with a sentence.
import SoradJobs
import SoradSystem

/// The settings with their values worked out.
struct DaemonSettings: Sendable {
    var socket: String
    var stateDirectory: String
    var models: [String]
    var modelDirectories: [String]
    var defaultModel: String
    var worker: String
    var logLevel: Log.Level
    var jobs: JobService.Settings
    var adminSocket: String
    var adminGroup: String

    static let table = SettingsTable([
        SettingDefinition(
            "socket", "PATH", default: "/run/sorad/sorad.sock; $XDG_RUNTIME_DIR/sorad/sorad.sock for a normal user",
            "Unix socket to listen on; not used when systemd hands one over."),
        SettingDefinition(
            "admin-socket", "PATH", default: "admin.sock beside the socket",
            "Unix socket for administrators; not used when systemd hands one over."),
        SettingDefinition(
            "admin-group", "GROUP", default: "sorad-admin, if there is one", "Its members may administer sorad and see everybody's jobs."),
        SettingDefinition(
            "state-dir", "DIR", default: "/var/lib/sorad; $XDG_STATE_HOME/sorad for a normal user", "Where jobs and their files are kept."),
        SettingDefinition(
            "model", "FILE", default: "those found in the model directories", "A model file; with this, no directory is searched.",
            isList: true),
        SettingDefinition(
            "model-dir", "DIR", default: "../share/sorad/models beside this program, and STATE-DIR/models",
            "A directory searched for *.gguf.", isList: true),
        SettingDefinition("default-model", "NAME", default: "sorad-mini, else the first found", "The model for requests that name none."),
        SettingDefinition("worker", "PATH", default: "sorad-worker beside this program", "The engine's program."),
        SettingDefinition(
            "config", "FILE", default: "/etc/sorad/sorad.conf; $XDG_CONFIG_HOME/sorad/sorad.conf for a normal user",
            "Settings file; the *.conf files of the directory FILE.d come after it."),
        SettingDefinition("log-level", "LEVEL", default: "info", "error, warning, notice, info or debug."),
        SettingDefinition("queue-limit", "N", default: "100", "Jobs that may wait; more are refused."),
        SettingDefinition("min-free", "MEGABYTES", default: "32", "Room on the disk that new jobs must leave free; else they are refused."),
        SettingDefinition(
            "memory-limit", "MEGABYTES", default: "0",
            "Memory that worker and ffmpeg may take; clips that need more are refused. 0 is what the machine and the control group have."),
        SettingDefinition("keep-days", "N", default: "30", "Finished jobs are removed after so many days; 0 keeps them for ever."),
        SettingDefinition(
            "keep-megabytes", "N", default: "20000", "Above this, the clips that were finished first are removed; 0 is no limit."),
        SettingDefinition(
            "keep-digests-days", "N", default: "365",
            "How long after its completion a removed clip is still known as made here (provenance checks); 0 is for ever."),
        SettingDefinition("worker-idle-timeout", "SECONDS", default: "300", "How long a worker without work keeps its memory."),
        SettingDefinition(
            "worker-start-timeout", "SECONDS", default: "120", "A worker that gives no sign of life for so long while it loads is killed."),
        SettingDefinition(
            "worker-silence-timeout", "SECONDS", default: "600", "A worker that gives no sign of life for so long in a job is killed."),
        SettingDefinition(
            "worker-silence-floor", "SECONDS", default: "60",
            "The same where clips like this one are known: ten times a step's or a frame's time, but never less than this."),
        SettingDefinition("event-heartbeat", "SECONDS", default: "15", "How long a stream of events may be silent."),
        SettingDefinition("cancel-grace", "SECONDS", default: "2", "How long a worker may take to stop before it is killed."),
    ])

    /// Reads all sources. `warnings` are for the log.
    static func load(
        _ commandLine: SettingsTable.CommandLine, environment: [String: String], isRoot: Bool
    ) throws(SoradError) -> (settings: DaemonSettings, warnings: [String]) {
        let named = commandLine.text("config") ?? environment["SORAD_CONFIG"]
        let path =
            named
            ?? standardPath(
                environment, isRoot, root: "/etc/sorad/sorad.conf", variable: "XDG_CONFIG_HOME", home: ".config", "sorad/sorad.conf")
        let files =
            try path.map { path throws(SoradError) in try settingsFiles(at: path, isRequired: commandLine.text("config") != nil) } ?? []
        let given = table.settings(commandLine, environment: environment, files: files)
        return (try DaemonSettings(given, environment: environment, isRoot: isRoot), given.warnings)
    }

    private init(_ given: Settings, environment: [String: String], isRoot: Bool) throws(SoradError) {
        let state =
            given.text("state-dir")
            ?? DaemonSettings.standardPath(
                environment, isRoot, root: "/var/lib/sorad", variable: "XDG_STATE_HOME", home: ".local/state", "sorad")
        let socket =
            given.text("socket")
            ?? DaemonSettings.standardPath(
                environment, isRoot, root: "/run/sorad/sorad.sock", variable: "XDG_RUNTIME_DIR", home: nil, "sorad/sorad.sock")
        guard let state else { throw DaemonSettings.missing("state-dir", "neither XDG_STATE_HOME nor HOME is set") }
        guard let socket else { throw DaemonSettings.missing("socket", "XDG_RUNTIME_DIR is not set") }
        self.socket = socket
        adminSocket = given.text("admin-socket") ?? DaemonSettings.beside(socket, "admin.sock")
        adminGroup = given.text("admin-group") ?? "sorad-admin"
        stateDirectory = state
        models = given.list("model")
        let directories = given.list("model-dir")
        modelDirectories = directories.isEmpty ? ["\(executableDirectory())/../share/sorad/models", "\(state)/models"] : directories
        defaultModel = given.text("default-model") ?? "sorad-mini"
        worker = given.text("worker") ?? "\(executableDirectory())/sorad-worker"
        let level = try given.choice("log-level", of: Log.Level.allCases.map { "\($0)" }, default: "info")
        logLevel = Log.Level(name: level) ?? .info
        jobs = JobService.Settings()
        jobs.queueLimit = try given.integer("queue-limit", in: 1...10_000, default: 100)
        jobs.minimumFree = try given.integer("min-free", in: 1...1_000_000, default: 32) * 1_000_000
        let memory = try given.integer("memory-limit", in: 0...1_000_000_000, default: 0)
        jobs.memory.limit = memory == 0 ? nil : memory * 1_000_000
        let days = try given.integer("keep-days", in: 0...36_500, default: 30)
        let megabytes = try given.integer("keep-megabytes", in: 0...1_000_000_000, default: 20_000)
        jobs.retention = Retention(
            maximumAge: days == 0 ? nil : days * 86_400, maximumBytes: megabytes == 0 ? nil : megabytes * 1_000_000)
        let digestDays = try given.integer("keep-digests-days", in: 0...36_500, default: 365)
        jobs.retention.digestAge = digestDays == 0 ? nil : digestDays * 86_400
        jobs.limits.workerIdle = .seconds(try given.integer("worker-idle-timeout", in: 0...604_800, default: 300))
        jobs.limits.workerStart = .seconds(try given.integer("worker-start-timeout", in: 1...86_400, default: 120))
        let longest = try given.integer("worker-silence-timeout", in: 1...86_400, default: 600)
        let shortest = try given.integer("worker-silence-floor", in: 1...86_400, default: 60)
        jobs.limits.workerSilence = .seconds(min(shortest, longest)) ... .seconds(longest)
        jobs.heartbeat = .seconds(try given.integer("event-heartbeat", in: 1...3_600, default: 15))
        jobs.limits.grace = .seconds(try given.integer("cancel-grace", in: 1...60, default: 2))
    }

    /// `root` for root; else `suffix` below the XDG directory, or below `home` in $HOME; nil when none of these is known.
    private static func standardPath(
        _ environment: [String: String], _ isRoot: Bool, root: String, variable: String, home: String?, _ suffix: String
    ) -> String? {
        if isRoot { return root }
        if let base = environment[variable], base.hasPrefix("/") { return "\(base)/\(suffix)" }
        guard let home, let base = environment["HOME"], base.hasPrefix("/") else { return nil }
        return "\(base)/\(home)/\(suffix)"
    }

    private static func beside(_ path: String, _ name: String) -> String {
        if path.hasPrefix("@") { return "\(path)-\(name)" }
        return path.lastIndex(of: "/").map { String(path[...$0]) + name } ?? name
    }

    private static func missing(_ name: String, _ why: String) -> SoradError {
        SoradError(.configuration, "There is no default for \(name), because \(why).", hint: "give --\(name)", param: name)
    }

    static let help = """
        Usage: sorad [SETTING]…
        Makes short videos from text on this machine: listens on a Unix socket, keeps jobs, runs the worker.

        Settings come from, strongest first: these flags, SORAD_* variables (SORAD_LOG_LEVEL for --log-level), the
        *.conf files beside the settings file, the settings file ("log-level = debug"), the defaults.

        \(table.help)
          --help, --version

        Signals: TERM or INT stop it (the running job goes on after the next start), HUP reads log level and models anew.
        Exit status: 0 stopped as asked, 64 wrong arguments, 69 the socket or state is not available,
        78 wrong settings or a second daemon on the same state.
        """
}
