// Every setting of the daemon, one row each: name, range, the property that it sets (which holds the default), meaning. Flags, variables,
// the settings file, the help, the sample file and the list in docs/CONFIGURATION.md are made from the table. A wrong value stops the
// start.
import SoradAPI
import SoradJobs
import SoradSystem

struct DaemonSettings: Sendable {
    /// "" until `complete`; so are the others that have no value here.
    var socket = ""
    var adminSocket = ""
    var network = NetworkSettings()
    var adminGroup = "sorad-admin"
    /// A path, or "ADDRESS:PORT"; "" for none.
    var metricsSocket = ""
    var stateDirectory = ""
    var models: [String] = []
    var modelDirectories: [String] = []
    var defaultModel = "sorad-mini"
    var aliases: [String] = []
    var sizePolicy = SizePolicy.refuse
    var worker = ""
    /// Of all workers together; 0 is one for each CPU that may be used.
    var threads = 0
    /// As in `BackendChoice`.
    var backend = "auto"
    /// Clips that a pool of machines makes at once; 0 for this machine's own workers.
    var fleetPlaces = 0
    var fleetSocket = ""
    var logLevel = Log.Level.info
    /// "" for none; so are the two below.
    var producer = ""
    var visibleLabel = ""
    var markingCommand = ""
    var jobs = JobService.Settings()
    /// A settings file that must be there.
    private var config: String?
    private var printsConfiguration = false
    private var printsTable = false
    private var checks = false
    private var shows = false

    static let table = SettingsTable(DaemonSettings()) {
        Setting(
            "socket", \.socket, "PATH", default: "/run/sorad/sorad.sock; for a normal user $XDG_RUNTIME_DIR/sorad/sorad.sock",
            "Unix socket to listen on; not used when systemd hands one over")
        Setting(
            "admin-socket", \.adminSocket, "PATH", default: "admin.sock in the folder of the socket",
            "Unix socket for administrators; not used when systemd hands one over")
        Setting(
            "listen", \.network.listen, "ADDRESS:PORT", default: "none: no network",
            "TCP address to listen on besides, for clients with a key; systemd hands over those of sorad-tcp.socket instead")
        Setting(
            "host", \.network.hosts, "NAME", default: "localhost, 127.0.0.1 and [::1]", readsColons: true,
            "further name under which clients by TCP ask for this server")
        Setting(
            "origin", \.network.origins, "ORIGIN", default: "none but the server's own",
            "origin of web pages that may use this server, like https://app.example")
        Setting(
            "trusted-proxy", \.network.trustedProxies, "PEER", default: "none",
            "user:NAME or key:NAME of a proxy that says in x-sorad-user whose request it carries")
        Setting(
            "metrics-socket", \.metricsSocket, "PLACE", default: "none: no socket",
            "path of a Unix socket, or ADDRESS:PORT on this machine, that answers GET /metrics, /livez, /readyz and /healthz without a key, and nothing "
                + "else; systemd hands over that of sorad-metrics.socket instead")
        Setting("admin-group", \.adminGroup, "GROUP", "group whose members administer sorad and see everybody's jobs")
        Setting(
            "state-dir", \.stateDirectory, "DIR", default: "/var/lib/sorad; for a normal user $XDG_STATE_HOME/sorad",
            "folder of the jobs and their files")
        Setting(
            "model", \.models, "FILE", default: "those found in the model directories", readsColons: true,
            "model file; model directories are then not searched")
        Setting(
            "model-dir", \.modelDirectories, "DIR", default: "../share/sorad/models from the program's folder, and STATE-DIR/models",
            readsColons: true,
            "folder that is searched for *.gguf")
        Setting(
            "default-model", \.defaultModel, "NAME", "model for requests that name none; if it is missing, the first one found")
        Setting(
            "alias", \.aliases, "NAME MODEL", default: "none",
            "another name for a model, for applications that ask for one that is not here, like \"sora-2 sorad-mini\"")
        Setting(
            "size-policy", \.sizePolicy,
            "what is done about a size or a length that the model does not make: refuse it, or make the nearest and say so in the answer")
        Setting(
            "worker", \.worker, "PATH", default: "sorad-worker in the program's folder, or in ../libexec/sorad from it",
            "path of the engine, sorad-worker")
        Setting("workers", 1...64, \.jobs.workers, "clips made at the same time, each by its own worker")
        Setting(
            "fleet-places", 0...1_000, \.fleetPlaces,
            "clips that a pool of machines makes at the same time, through sorad-fleet, instead of the workers of this machine; 0 is no pool"
        )
        Setting(
            "fleet-socket", \.fleetSocket, "PATH", default: "fleet.sock in the folder of the socket",
            "Unix socket for sorad-fleet; not used when systemd hands one over")
        Setting(
            "threads", 0...1024, \.threads,
            "compute threads, divided among the workers; 0 is one per usable CPU")
        Setting(
            "backend", \.backend, "BACKEND",
            "what makes clips, with the same frames: \(BackendChoice.forms); auto takes a graphics card only where it was measured to be "
                + "faster")
        Setting(
            "aigc-producer", \.producer, "TEXT", default: "none: no label",
            "who offers the clips, a name or a code: every file then has the label AIGC of GB 45438 with it and the job's id")
        Setting(
            "visible-label", \.visibleLabel, "TEXT", default: "none: no words",
            "words in the lower right corner of every frame, like \"AI generated\" or \"AI生成\"")
        Setting(
            "marking-command", \.markingCommand, "PATH", default: "none: no program",
            "program that gets each finished clip and writes the signed one that is kept: PATH CLIP RESULT")
        Setting("log-level", \.logLevel, "least urgent level that is logged")
        Setting("queue-limit", 1...10_000, \.jobs.queueLimit, "jobs that may wait; more are refused")
        Setting(
            "min-free", 1...1_000_000, \.jobs.minimumFreeMegabytes, unit: "MEGABYTES", "free disk space that new jobs must leave")
        Setting(
            "memory-limit", 0...1_000_000_000, \.jobs.memory.limitMegabytes, unit: "MEGABYTES",
            "memory of all workers and their ffmpegs; clips that need more are refused; 0 is all that the machine and the control "
                + "group have")
        Setting("keep-days", 0...36_500, \.jobs.retention.days, "days to keep finished jobs; 0 keeps them forever")
        Setting(
            "keep-megabytes", 0...1_000_000_000, \.jobs.retention.megabytes,
            "size of all finished clips above which the oldest are removed; 0 is no limit")
        Setting(
            "keep-digests-days", 0...36_500, \.jobs.retention.digestDays,
            "days to keep the digest of a removed clip for provenance checks, from its completion; 0 keeps it forever")
        Setting(
            "worker-idle-timeout", seconds: 0...604_800, \.jobs.limits.workerIdle,
            "idle time after which a worker is stopped and its memory freed")
        Setting(
            "worker-start-timeout", seconds: 1...86_400, \.jobs.limits.workerStart,
            "longest time without a heartbeat while a worker loads its model, before it is killed")
        Setting(
            "worker-silence-timeout", seconds: 1...86_400, \.jobs.limits.longestSilence,
            "longest time without a heartbeat while a worker has a job, before it is killed")
        Setting(
            "worker-silence-floor", seconds: 1...86_400, \.jobs.limits.shortestSilence,
            "lower bound of the adaptive hang timeout, which is ten times the expected duration of a step or a frame")
        Setting(
            "retry-wait", seconds: 0...3_600, \.jobs.limits.longestWait,
            "longest wait before a job that a fault of the machine stopped is tried again; the first is a tenth of a second, each further "
                + "one twice as long")
        Setting(
            "retry-attempts", 1...1_000, \.jobs.limits.attempts,
            "faults at one place of a job after which they count as its own and it fails, unless other jobs get on no better")
        Setting(
            "hold-days", 0...36_500, \.jobs.limits.holdDays,
            "days for which faults of the machine (a missing model or ffmpeg, a worker that cannot be started) may hold a job before it "
                + "fails; 0 is no limit")
        Setting("event-heartbeat", seconds: 1...3_600, \.jobs.heartbeat, "longest silence on an event stream")
        Setting("cancel-grace", seconds: 1...60, \.jobs.limits.grace, "time that a worker has to stop, before it is killed")
    }

    /// Options of the command line alone.
    private static let programOptions = SettingsTable(DaemonSettings()) {
        Setting(
            "config", \.config, "FILE", default: "/etc/sorad/sorad.conf; for a normal user $XDG_CONFIG_HOME/sorad/sorad.conf",
            "settings file; *.conf files in the folder FILE.d override it")
        Setting("print-config", \.printsConfiguration, "print a settings file with every setting explained, and exit")
        Setting("print-settings", \.printsTable, "print the settings as a Markdown table, and exit")
        Setting("show-config", \.shows, "print every setting, its value and where it comes from as JSON, and exit")
        Setting("check-config", \.checks, "say what is wrong in the settings of all these sources, and exit: 0 or 78")
    }

    /// The daemon's command line; `run` gets its arguments unless they ask for a text to print.
    static func command(_ run: @escaping @Sendable (Arguments) throws(SoradError) -> Void) -> Command {
        Command(
            "sorad", options: table.options + programOptions.options,
            summary: "makes short videos from text on this machine: listens on a Unix socket, keeps jobs, runs workers",
            details: """
                Settings come from, strongest first: these options, SORAD_* variables (SORAD_LOG_LEVEL for --log-level), the \
                *.conf files next to the settings file, the settings file ("log-level = debug"), the defaults.
                Signals: TERM and INT stop the daemon (running jobs continue after the next start), HUP reads the log level, the \
                keys and the models again, unless something is wrong in the settings.

                """ + SoradError.exitStatusHelp, areSettings: true
        ) { arguments throws(SoradError) in
            let asked = programOptions.values(arguments)
            if asked.printsConfiguration { return printOut(table.sampleFile(of: "sorad")) }
            if asked.printsTable { return printOut(table.markdown) }
            if asked.shows { return try show(arguments) }
            if asked.checks { return try check(arguments) }
            try run(arguments)
        }
    }

    /// Reads all sources.
    /// - Returns: also warnings for the log.
    static func load(
        _ arguments: Arguments, environment: [String: String], isRoot: Bool
    ) throws(SoradError) -> (settings: DaemonSettings, warnings: [String]) {
        let files = try files(arguments, environment, isRoot)
        var (settings, warnings) = try table.values(arguments, environment: environment, files: files)
        try settings.complete(environment, isRoot)
        return (settings, warnings + settings.remarks)
    }

    /// Everything that is wrong in all sources, in sentences: values that are refused, lines and variables that are ignored, and what is
    /// named and not there.
    /// - Throws: for a file that cannot be read.
    static func problems(_ arguments: Arguments, environment: [String: String], isRoot: Bool) throws(SoradError) -> [String] {
        var (settings, problems) = table.examined(
            arguments, environment: environment, files: try files(arguments, environment, isRoot))
        var faults = settings.faults
        do throws(SoradError) { try settings.fillIn(environment, isRoot) } catch { faults.append(error) }
        problems += faults.map { fault in fault.hint.map { "\(fault.message); \($0)" } ?? fault.message }
        return problems + settings.remarks
    }

    /// Every setting as the sources have it now.
    static func effective(
        _ arguments: Arguments, environment: [String: String], isRoot: Bool
    ) throws(SoradError) -> [SettingsTable<DaemonSettings>.Effective] {
        table.effective(arguments, environment: environment, files: try files(arguments, environment, isRoot))
    }

    private static func files(
        _ arguments: Arguments, _ environment: [String: String], _ isRoot: Bool
    ) throws(SoradError) -> [SettingsFile] {
        let named = arguments["config"]
        let path =
            named ?? environment["SORAD_CONFIG"]
            ?? standardPath(
                environment, isRoot, root: "/etc/sorad/sorad.conf", variable: "XDG_CONFIG_HOME", home: ".config", "sorad/sorad.conf")
        return try path.map { path throws(SoradError) in try SettingsFile.all(at: path, isRequired: named != nil) } ?? []
    }

    /// Prints every setting with its source.
    private static func show(_ arguments: Arguments) throws(SoradError) {
        let environment = ChildProcess.currentEnvironment()
        let files = try files(arguments, environment, isRoot())
        let rows = table.effective(arguments, environment: environment, files: files).map { setting -> JSONValue in
            ["name": .string(setting.name), "values": .array(setting.values.map { .string($0) }), "origin": .optional(setting.origin)]
        }
        let json: JSONValue = ["files": .array(files.map { .string($0.path) }), "settings": .array(rows)]
        printOut(json.text(pretty: true) + "\n")
    }

    /// Prints everything that is wrong in the settings.
    /// - Throws: `.configuration` when something is.
    private static func check(_ arguments: Arguments) throws(SoradError) {
        let problems = try problems(arguments, environment: ChildProcess.currentEnvironment(), isRoot: isRoot())
        for problem in problems { printError("sorad: \(printable(problem))\n") }
        guard problems.isEmpty else {
            throw SoradError(.configuration, problems.count == 1 ? "one setting is wrong" : "\(problems.count) settings are wrong")
        }
        printOut("the settings are right\n")
    }

    /// What the settings name and this machine does not have, in sentences.
    private var remarks: [String] {
        var remarks: [String] = []
        if !worker.isEmpty, ChildProcess.executablePath(of: worker) == nil {
            remarks.append("the setting worker names \(worker), which is not a program")
        }
        if adminGroup != DaemonSettings.table.initial.adminGroup, groupIdentifier(adminGroup) == nil {
            remarks.append(
                "the setting admin-group names \"\(adminGroup)\", and there is no such group: nobody but root is an administrator")
        }
        if !markingCommand.isEmpty, ChildProcess.executablePath(of: markingCommand) == nil {
            remarks.append("the setting marking-command names \(markingCommand), which is not a program: clips wait for it")
        }
        for path in models where !fileExists(path) { remarks.append("the setting model names \(path), and no file is there") }
        return remarks
    }

    /// The threads of each worker; nil leaves the choice to it.
    var threadShares: [Int?] {
        if threads == 0 && jobs.workers == 1 { return [nil] }
        return WorkerSupervisor.shares(of: threads == 0 ? ProcessorCount.usable() : threads, slots: jobs.workers)
    }

    /// What every worker gets besides model and threads.
    var workerArguments: [String] {
        ["--backend", backend, "--cache-dir", "\(stateDirectory)/devices"] + marking.workerArguments
    }

    /// What a worker gets on another machine, which does not have the program that signs.
    var remoteArguments: [String] { ClipMarking(producer: marking.producer, visibleLabel: marking.visibleLabel).workerArguments }

    private var marking: ClipMarking {
        func given(_ text: String) -> String? { text.isEmpty ? nil : text }
        return ClipMarking(producer: given(producer), visibleLabel: given(visibleLabel), command: given(markingCommand))
    }

    /// Judges all values, and fills in the defaults that depend on the machine and the user.
    private mutating func complete(_ environment: [String: String], _ isRoot: Bool) throws(SoradError) {
        if let fault = faults.first { throw fault }
        try fillIn(environment, isRoot)
    }

    /// What only the meaning of values shows.
    private var faults: [SoradError] {
        var faults: [SoradError] = []
        func judge(_ check: () throws(SoradError) -> Void) { do throws(SoradError) { try check() } catch { faults.append(error) } }
        if BackendChoice(backend) == nil {
            faults.append(
                SoradError(
                    .configuration, "the setting backend must be \(BackendChoice.forms), not \"\(backend)\"", param: "backend"))
        }
        judge { () throws(SoradError) in _ = try network.addresses() }
        judge { () throws(SoradError) in _ = try network.proxies() }
        judge { () throws(SoradError) in _ = try network.door(nil, needsKey: false) }
        judge { () throws(SoradError) in _ = try ModelAliases(aliases) }
        judge { () throws(SoradError) in try MetricsSocket.check(metricsSocket) }
        judge { () throws(SoradError) in try marking.check() }
        return faults
    }

    private mutating func fillIn(_ environment: [String: String], _ isRoot: Bool) throws(SoradError) {
        if stateDirectory.isEmpty {
            stateDirectory = try DaemonSettings.required(
                "state-dir", "neither XDG_STATE_HOME nor HOME is set",
                DaemonSettings.standardPath(
                    environment, isRoot, root: "/var/lib/sorad", variable: "XDG_STATE_HOME", home: ".local/state", "sorad"))
        }
        if socket.isEmpty {
            socket = try DaemonSettings.required(
                "socket", "XDG_RUNTIME_DIR is not set",
                DaemonSettings.standardPath(
                    environment, isRoot, root: "/run/sorad/sorad.sock", variable: "XDG_RUNTIME_DIR", home: nil, "sorad/sorad.sock"))
        }
        if adminSocket.isEmpty { adminSocket = DaemonSettings.sibling(of: socket, "admin.sock") }
        if fleetSocket.isEmpty { fleetSocket = DaemonSettings.sibling(of: socket, "fleet.sock") }
        completeFleet()
        guard adminSocket != socket else {
            throw SoradError(.configuration, "the settings socket and admin-socket name the same path \(socket)", param: "admin-socket")
        }
        if modelDirectories.isEmpty { modelDirectories = ["\(executableDirectory())/../share/sorad/models", "\(stateDirectory)/models"] }
        if worker.isEmpty {
            let places = ["\(executableDirectory())/sorad-worker", "\(executableDirectory())/../libexec/sorad/sorad-worker"]
            worker = places.first(where: fileExists) ?? places[0]
        }
    }

    /// With a pool, its places are the daemon's workers, and memory is what its machines have.
    private mutating func completeFleet() {
        guard fleetPlaces > 0 else { return }
        jobs.workers = fleetPlaces
        jobs.isFleet = true
        jobs.limits.workersAreRemote = true
        jobs.memory.headroom = { nil }
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

    private static func sibling(of path: String, _ name: String) -> String {
        if path.hasPrefix("@") { return "\(path)-\(name)" }
        return path.lastIndex(of: "/").map { String(path[...$0]) + name } ?? name
    }

    private static func required(_ name: String, _ why: String, _ value: String?) throws(SoradError) -> String {
        if let value { return value }
        throw SoradError(.configuration, "there is no default for \(name), because \(why)", hint: "give --\(name)", param: name)
    }
}
