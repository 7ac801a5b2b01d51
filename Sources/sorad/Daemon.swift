// The daemon's one loop: signals, the workers, deadlines and the service manager, all in the main thread; HTTP has threads of its own.
// Invariant: the loop never waits for anything but `poll`, so whatever happens it is back within moments.
import Glibc
import SoradHTTP
import SoradJobs
import SoradSystem

final class Daemon {
    private let signals: SignalDescriptor
    private let notifier: ServiceNotifier
    private let log: Log
    private let wake: EventCounter
    private let stateLock: FileDescriptor
    private let service: JobService
    private let models: ModelCatalog
    private let supervisors: [any SlotSupervisor]
    /// nil where clips are made on this machine.
    private let fleet: FleetDoor?
    private let server: HTTPServer
    /// nil when the service manager handed over a socket for clients alone.
    private let adminServer: HTTPServer?
    /// nil where no monitor has a socket.
    private let metricsServer: HTTPServer?
    private let keys: KeyRing
    private let reloading: SettingsReload
    private var settings: DaemonSettings
    private let ownSocketPaths: [String]
    private var modelScan: SystemThread?
    /// When the models may be looked at again without being asked to by an operator.
    private var nextScan: MonotonicTime?
    private var nextWatchdog: MonotonicTime?
    private var lastStatus = ""
    /// When it may change again: steps of small clips are done in milliseconds.
    private var nextStatus: MonotonicTime?

    /// Takes the state directory and the socket, and begins to serve. Its errors are for the operator.
    init(
        _ settings: DaemonSettings, arguments: Arguments, environment: [String: String],
        signals: consuming SignalDescriptor, log: Log
    ) throws(SoradError) {
        self.signals = signals
        self.log = log
        notifier = ServiceNotifier(environment: environment)
        var handedOver = try SocketActivation.takeListeners(environment: environment)
        let descriptors = DescriptorLimit.raise()
        var settings = settings
        settings.stateDirectory = try Daemon.stateDirectory(settings.stateDirectory, log)
        stateLock = try Daemon.lockState(settings.stateDirectory)
        do throws(Errno) { wake = try EventCounter(.signal) } catch {
            throw SoradError(.unavailable, "cannot make an event counter: \(error.reason)")
        }
        service = try JobService(directory: settings.stateDirectory, settings: settings.jobs, time: .system, wake: wake, log: log)
        models = try ModelCatalog()
        keys = try KeyRing(path: "\(settings.stateDirectory)/keys", proxies: settings.network.proxies())
        reloading = try SettingsReload(arguments: arguments, environment: environment, keys: keys)
        let network = try NetworkListeners.open(handedOver.network, settings.network.addresses(), keys: keys, log: log)
        // Asked at each start of a worker: the quota may have changed.
        let share: @Sendable (Int) -> Int? = { [settings] in settings.threadShares[$0] }
        let (service, models) = (service, models)
        let (program, workerArguments) = (settings.worker, settings.workerArguments)
        var ownSocketPaths: [String] = []
        let listener = try Daemon.listener(handedOver.clients.take(), settings.socket, mode: 0o660, &ownSocketPaths, log)
        fleet = try Daemon.fleet(handedOver.fleet.take(), settings, &ownSocketPaths, log)
        let door = fleet
        supervisors = service.slots.map { slot -> any SlotSupervisor in
            if let door {
                return FleetSupervisor(
                    slot, door: door, service: service, models: models, arguments: settings.remoteArguments,
                    markingCommand: settings.markingCommand, log: log)
            }
            return WorkerSupervisor(
                slot, service: service, models: models, program: program, threads: { share(slot.number) }, arguments: workerArguments,
                log: log)
        }
        let adminGroup = groupIdentifier(settings.adminGroup)
        let access = AccessRules(adminGroup: adminGroup, daemonUser: effectiveUser())
        var adminListener = handedOver.administrators.take()
        // With a service manager its units say which sockets there are.
        if adminListener == nil, !ownSocketPaths.isEmpty {
            adminListener = try Daemon.listener(nil, settings.adminSocket, mode: 0o660, group: adminGroup, &ownSocketPaths, log)
        }
        let metricsListeners = try MetricsSocket.listeners(handedOver.metrics, settings.metricsSocket, &ownSocketPaths, log)
        self.ownSocketPaths = ownSocketPaths
        let readiness = Readiness(service: service, models: models, defaultModel: settings.defaultModel)
        var routes = Routes()
        PageRoutes().add(to: &routes)
        HealthRoutes(readiness: readiness).add(to: &routes)
        SessionRoutes(keys: keys, addresses: network.compactMap(\.address)).add(to: &routes)
        ClientRoutes(
            service: service, models: models, defaultModel: settings.defaultModel, aliases: try ModelAliases(settings.aliases),
            sizePolicy: settings.sizePolicy, worker: settings.worker,
            readings: PromptReadings(worker: settings.worker, log: log), access: access
        ).add(to: &routes)
        var serverSettings = ServerSettings()
        // Enough that some that wait for the first look at the models do not hold up the others.
        serverSettings.handlerThreads = 4
        // A picture may come as a data: URL in a form's text.
        serverSettings.multipart.textField = serverSettings.jsonBody
        let uploads = try Daemon.emptyUploads(settings.stateDirectory)
        serverSettings.uploadDirectory = uploads
        let adminConnections = min(64, max(4, descriptors / 16))
        let open = serverSettings.fit(descriptors: descriptors - Daemon.ownDescriptors(settings) - adminConnections * 9 / 8)
        let minimumFree = settings.jobs.minimumFree
        serverSettings.uploadSpace = UploadSpace(bytes: Daemon.uploadBytes, files: open) {
            (try? DiskSpace(at: uploads)).map { max(0, $0.free - minimumFree) }
        }
        if serverSettings.connections < ServerSettings().connections {
            log.notice("at most \(serverSettings.connections) connections: \(descriptors) descriptors may be open")
        }
        let doors = (
            unix: try settings.network.door(keys, needsKey: false), network: try settings.network.door(keys, needsKey: true)
        )
        for code in Status.answers { service.metrics.add("sorad_http_requests_total", ["code": "\(code)"], 0) }
        server = try HTTPServer(
            listeners: [(ListeningSocket(unix: listener), doors.unix)] + network.map { ($0, doors.network) }, surrendered: doors.network,
            routes: routes, settings: serverSettings, observer: Daemon.observer(log, service.metrics))
        let clients = server
        let metrics = MetricsRoute(readiness: readiness) { clients.connectionCount }
        metricsServer = try MetricsSocket.server(metricsListeners, metrics, settings.network, observer: Daemon.observer(log, nil))
        if let listener = adminListener.take() {
            let routes = AdminRoutes(
                service: service, access: access, models: models,
                modelDirectories: settings.models.isEmpty ? settings.modelDirectories : [], log: log, metrics: metrics,
                reload: reloading, fleet: door?.status, keys: KeyRoutes(keys: keys, log: log) { clients.endConnections(ofKey: $0) })
            adminServer = try Daemon.adminServer(listener, routes, doors.unix, connections: adminConnections, log)
        } else {
            adminServer = nil
            log.notice("no socket for administrators was handed over; see sorad-admin.socket")
        }
        self.settings = settings
    }

    /// Bytes of all uploads that are under way.
    private static let uploadBytes = 8 << 30
    /// Descriptors that are not connections' nor uploads': a few tens of the daemon itself and of the database, those of each worker, and
    /// those of inspections.
    private static func ownDescriptors(_ settings: DaemonSettings) -> Int {
        128 + (settings.fleetPlaces > 0 ? settings.fleetPlaces : 12 * settings.jobs.workers)
    }

    /// Serves until a signal to stop.
    func run() {
        scanModels()
        lastStatus = status()
        notifier.send("READY=1", "STATUS=\(lastStatus)")
        log.notice("sorad \(soradVersion) serves", LogFields(.started))
        if let interval = notifier.watchdogInterval { nextWatchdog = MonotonicTime.now() + interval }
        var isStopping = false
        while true {
            workAll()
            if isStopping && service.summary.workers == 0 { break }
            waitForSomething()
            for signal in takeSignals() {
                if signal == SIGHUP {
                    reload()
                } else if !isStopping {
                    isStopping = true
                    stop(signal)
                }
            }
            if let deadline = service.nextDeadline, MonotonicTime.now() >= deadline {
                // Messages that have arrived by now count before the silence does.
                workAll()
                service.deliver(.ticked)
            }
            service.feed.beat(MonotonicTime.now())
            scanAgainIfDue()
            keepManagerInformed()
        }
        log.notice("stopped")
    }

    // MARK: the loop's parts

    private func workAll() {
        fleet?.work(for: service)
        supervisors.forEach { $0.work() }
    }

    private func waitForSomething() {
        let made = supervisors.flatMap { $0.pollEntries } + (fleet?.pollEntries ?? [])
        var entries = made + [PollEntry(reading: signals.rawDescriptor), PollEntry(reading: wake.rawDescriptor)]
        let deadlines = [service.nextDeadline, service.feed.nextBeat, nextWatchdog, nextScan, nextStatus] + supervisors.map { $0.deadline }
        let due = deadlines.compactMap { $0 }.min()
        do throws(Errno) {
            try poll(&entries, timeout: due.map { max(.zero, $0 - MonotonicTime.now()) })
        } catch { preconditionFailure("poll: \(error)") }
        if entries.last?.isReady == true { wake.take() }
    }

    private func takeSignals() -> [Int32] {
        var taken: [Int32] = []
        while let signal = try? signals.take() { taken.append(signal) }
        return taken
    }

    private func stop(_ signal: Int32) {
        notifier.send("STOPPING=1", "STATUS=Stopping")
        log.notice("stopping on signal \(signal)", LogFields(.stopping))
        service.deliver(.stopRequested)
        service.feed.end()
        ownSocketPaths.forEach(removeFile)
        server.stop(grace: .seconds(1))
        adminServer?.stop(grace: .seconds(1))
        metricsServer?.stop(grace: .zero)
    }

    private func reload() {
        notifier.sendReloading()
        do throws(SoradError) {
            // Nothing is changed before this has succeeded.
            let fresh = try reloading.prepare()
            log.level = fresh.settings.logLevel
            keys.take(fresh.keys)
            settings.models = fresh.settings.models
            settings.modelDirectories = fresh.settings.modelDirectories
            scanModels()
            let waiting = fresh.waiting.isEmpty ? "" : "; these settings wait for a restart: \(fresh.waiting.joined(separator: ", "))"
            log.notice("reloaded log level, keys and models\(waiting)", LogFields(.reloaded))
        } catch {
            log.error("the settings are kept as they were: \(error)", LogFields(.reloadRefused))
        }
        notifier.send("READY=1")
    }

    /// In a thread of its own: a large model's file takes long to check, and requests are served meanwhile.
    /// - Parameter isAsked: by an operator, or at the start: what is gone is gone.
    private func scanModels(isAsked: Bool = true) {
        guard models.beginScan() else { return models.lookAgain() }
        let files = settings.models.isEmpty ? modelFiles(in: settings.modelDirectories) : settings.models
        let (worker, models, service, log, readiness, wake) = (settings.worker, models, service, log, readiness, wake)
        do throws(Errno) {
            // It has ended but for its last instructions.
            if let earlier = modelScan.take() { earlier.join() }
            modelScan = try SystemThread(name: "sorad-models") {
                models.scan(files, worker: worker, service: service, time: .system, keepsMissing: !isAsked, log: log)
                service.deliver(.released(.models))
                models.endScan()
                // With no model the catalog has said so.
                if isAsked {
                    for trouble in readiness.machineTroubles where !models.entries.isEmpty || !files.isEmpty { log.warning(trouble.text) }
                }
                wake.add()
            }
        } catch {
            models.endScan()
            models.lookAgain()
            log.error("cannot start a thread to look at the models: \(error)")
        }
    }

    /// A scan that a fault of the machine spoiled, or that a worker which could not be started makes necessary: at most one a second.
    private func scanAgainIfDue() {
        let now = MonotonicTime.now()
        if nextScan == nil, models.takeWish() { nextScan = now + .seconds(1) }
        guard let due = nextScan, now >= due, !models.isScanning else { return }
        nextScan = nil
        scanModels(isAsked: false)
    }

    /// `WATCHDOG=1` means that this loop comes round and that the jobs' lock is not held for ever (`nextDeadline` takes it).
    private func keepManagerInformed() {
        let now = MonotonicTime.now()
        if nextStatus.map({ now >= $0 }) ?? true {
            let status = status()
            nextStatus = status == lastStatus ? nil : now + .seconds(1)
            if status != lastStatus { notifier.send("STATUS=\(status)") }
            lastStatus = status
        }
        guard let interval = notifier.watchdogInterval, let due = nextWatchdog, MonotonicTime.now() >= due else { return }
        notifier.send("WATCHDOG=1")
        nextWatchdog = MonotonicTime.now() + interval
    }

    private var readiness: Readiness { Readiness(service: service, models: models, defaultModel: settings.defaultModel) }

    /// "denoising 64/400 for anna, 33 s left; 2 queued; drained"
    private func status() -> String {
        let summary = service.summary
        guard models.isScanned else { return "looking at the models" }
        var parts = service.work
        if summary.queued > 0 { parts.append("\(summary.queued) queued") }
        if parts.isEmpty { parts = ["idle"] }
        if let trouble = readiness.trouble { parts.append(trouble) }
        if summary.isDraining { parts.append("drained") }
        if summary.isPaused { parts.append("paused") }
        return printable(parts.joined(separator: "; "))
    }

    // MARK: starting

    /// The directory, made if it is missing, under its own name: the database is opened without following symbolic links.
    private static func stateDirectory(_ path: String, _ log: Log) throws(SoradError) -> String {
        let resolved: String
        do throws(Errno) {
            try makeDirectories(path)
            resolved = try resolvedPath(path)
        } catch {
            throw SoradError(
                .unavailable, "cannot use the state directory \(path): \(error.reason)",
                hint: "give a --state-dir that you may write to; a symbolic link there must lead to a directory")
        }
        let mode = FilePlace(resolved, followingLinks: true)?.mode ?? 0
        guard mode & 0o002 == 0 else {
            throw SoradError(
                .configuration, "everybody may write to the state directory \(path), and so replace its keys and jobs",
                hint: "chmod o-w \(path), or give another --state-dir", param: "state-dir")
        }
        if mode & 0o020 != 0 {
            log.warning("a group may write to the state directory \(path), and so replace its keys and jobs; chmod g-w \(path) forbids it")
        }
        return resolved
    }

    /// One daemon per state directory.
    private static func lockState(_ directory: String) throws(SoradError) -> FileDescriptor {
        do throws(Errno) {
            if let lock = try openLocked("\(directory)/lock") { return lock }
        } catch {
            throw SoradError(
                .unavailable, "cannot use the state directory \(directory): \(error.reason)",
                hint: "give a --state-dir that you may write to")
        }
        throw SoradError(
            .configuration, "another sorad uses the state directory \(directory)", hint: "stop it, or give another --state-dir")
    }

    /// nil when another process holds the lock.
    private static func openLocked(_ path: String) throws(Errno) -> FileDescriptor? {
        let file = try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW)
        guard try file.tryLock() else { return nil }
        return file
    }

    /// The socket that was handed over, or one of our own at `path`.
    private static func listener(
        _ given: consuming FileDescriptor?, _ path: String, mode: UInt32, group: UInt32? = nil, _ own: inout [String], _ log: Log
    ) throws(SoradError) -> FileDescriptor {
        if let given { return given }
        let listener = try FileDescriptor.listen(replacingStale: path, mode: mode)
        own.append(path)
        if let group {
            do throws(Errno) { try giveToGroup(path, group) } catch { log.warning("\(path) cannot be given to its group: \(error.reason)") }
        }
        log.info("listening on \(path)")
        return listener
    }

    /// The socket of sorad-fleet, where a pool of machines makes the clips.
    private static func fleet(
        _ given: consuming FileDescriptor?, _ settings: DaemonSettings, _ own: inout [String], _ log: Log
    ) throws(SoradError) -> FleetDoor? {
        guard settings.fleetPlaces > 0 else { return nil }
        // With a service manager its units say which sockets there are.
        let isHandedOver = given != nil
        guard isHandedOver || !own.isEmpty else {
            throw SoradError(
                .configuration, "fleet-places is set, and no socket for sorad-fleet was handed over",
                hint: "systemctl enable --now sorad-fleet.socket sorad-fleet.service", param: "fleet-places")
        }
        let socket = try listener(given, settings.fleetSocket, mode: 0o600, &own, log)
        return FleetDoor(listener: socket, user: effectiveUser(), log: log)
    }

    /// Few ask here, and never for much.
    private static func adminServer(
        _ listener: consuming FileDescriptor, _ admin: AdminRoutes, _ door: Door, connections: Int, _ log: Log
    ) throws(SoradError) -> HTTPServer {
        var routes = Routes()
        admin.add(to: &routes)
        var settings = ServerSettings()
        settings.handlerThreads = 1
        settings.connections = connections
        settings.connectionsPerUser = connections * 3 / 4
        settings.shedConnections = connections / 8
        settings.jsonBody = 64 << 10
        settings.formBody = 64 << 10
        return try HTTPServer(
            listeners: [(ListeningSocket(unix: listener), door)], surrendered: door, routes: routes, settings: settings,
            observer: observer(log, nil))
    }

    /// Uploads that a daemon which died left behind are of no use.
    private static func emptyUploads(_ stateDirectory: String) throws(SoradError) -> String {
        let path = "\(stateDirectory)/uploads"
        do throws(Errno) {
            try removeDirectory(path)
            try makeDirectories(path)
        } catch { throw SoradError(.unavailable, "cannot use the directory \(path): \(error.reason)") }
        return path
    }

    /// - Parameter metrics: nil for answers that are not counted.
    private static func observer(_ log: Log, _ metrics: Metrics?) -> HTTPServer.Observer {
        { notice in
            switch notice {
            case .answered(let id, let peer, let method, let path, let status, let bytes, let duration):
                metrics?.add("sorad_http_requests_total", ["code": "\(status)"])
                metrics?.observe("sorad_http_request_duration_seconds", [:], duration.inSeconds)
                log.debug("\(id) uid \(peer.userID) \(method) \(path) \(status) \(bytes) bytes \(duration.nanoseconds / 1_000_000) ms")
            case .fault(let text): log.error(text)
            }
        }
    }
}
