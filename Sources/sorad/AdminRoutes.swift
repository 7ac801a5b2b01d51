// The admin socket: state and controls for administrators. The socket's mode lets in root and its group; the kernel's word about the peer
// is asked again here, so that a careless mode opens nothing. Small JSON objects, described in docs/ADMIN.md.
import Glibc
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

struct AdminRoutes: Sendable {
    let service: JobService
    let access: AccessRules
    let models: ModelCatalog
    /// The folders that are searched for model files.
    let modelDirectories: [String]
    let log: Log
    let metrics: MetricsRoute
    let reload: SettingsReload
    /// nil where clips are made on this machine.
    let fleet: FleetStatus?
    let keys: KeyRoutes

    func add(to routes: inout Routes) {
        on(.get, "/admin/status", in: &routes) { _ in .json(status) }
        on(.post, "/admin/drain", in: &routes) { try done(drained: $0) }
        on(.post, "/admin/pause", in: &routes) { try done(paused: $0) }
        on(.post, "/admin/resume", in: &routes) { request in
            try service.resume()
            log.notice("resumed by uid \(request.peer.userID)", LogFields(.resumed, user: request.peer.userID))
            return .json(status)
        }
        on(.post, "/admin/reload", in: &routes) { request in
            log.notice("reload asked for by uid \(request.peer.userID)", LogFields(user: request.peer.userID))
            // Whoever asks learns here what is wrong: afterwards only the log says it.
            let waiting: [String]
            do throws(SoradError) { waiting = try reload.prepare().waiting } catch {
                throw APIError.conflict("the settings are kept as they were: \(error.message)", code: "configuration")
            }
            // The loop reloads, as it does for the service manager.
            kill(getpid(), SIGHUP)
            return .json(["reloading": true, "waiting": .array(waiting.map { .string($0) })] as JSONValue)
        }
        on(.get, "/admin/log-level", in: &routes) { _ in level }
        on(.post, "/admin/log-level", body: .fields, in: &routes, setLevel)
        on(.get, "/admin/models", in: &routes) { _ in
            let files = models.entries.map { entry -> JSONValue in
                ["id": .string(entry.info.id), "path": .string(entry.path), "sha256": .string(entry.info.sha256)]
            }
            return .json(
                [
                    "directories": .array(modelDirectories.map { .string($0) }), "data": .array(files),
                    "broken_models": .array(models.brokenFiles.map { .string($0) }), "scans": .integer(models.scans),
                    "scanning": .bool(models.isScanning),
                ] as JSONValue)
        }
        on(.get, "/admin/quotas", in: &routes) { _ in .json(service.quotas.json) }
        on(.post, "/admin/quotas/{user}", body: .fields, in: &routes, setQuota)
        on(.delete, "/admin/quotas/{user}", in: &routes, removeQuota)
        on(.post, "/admin/jobs/{id}/priority", body: .fields, in: &routes, setPriority)
        on(.get, "/admin/keys", in: &routes, keys.list)
        on(.post, "/admin/keys", body: .fields, in: &routes, keys.add)
        on(.delete, "/admin/keys/{name}", in: &routes, keys.remove)
        on(.get, "/admin/fleet", in: &routes) { _ in .json(pool) }
        on(.get, "/metrics", in: &routes) { _ in metrics.answer() }
    }

    /// A route that only administrators reach.
    private func on(
        _ method: SoradHTTP.Method, _ pattern: String, body: BodyKind = .none, in routes: inout Routes, _ handler: @escaping Handler
    ) {
        routes.on(method, pattern, body: body) { request in
            guard access.mayAdminister(request.peer) else {
                throw APIError(
                    .forbidden, "only root and members of the admin group may administer sorad", code: "permission_denied")
            }
            return try handler(request)
        }
    }

    // MARK: handlers

    private var status: JSONValue {
        let summary = service.summary
        return [
            "version": .string(soradVersion), "intake": summary.isDraining ? "draining" : "open",
            "processing": summary.isPaused ? "paused" : "running", "queued": .integer(summary.queued), "running": .integer(summary.running),
            "worker": .bool(summary.workers > 0), "workers": .integer(summary.workers), "trouble": .optional(metrics.readiness.trouble),
            "log_level": .string("\(log.level)"),
        ]
    }

    /// The pool's machines, and where each job is made.
    private var pool: JSONValue {
        let jobs = fleet == nil ? [] : service.begunJobs
        let state = fleet?.pool ?? PoolState()
        return [
            "places": .integer(fleet == nil ? 0 : service.slotCount), "connected": .bool(fleet?.isConnected ?? false),
            "trouble": .optional(state.trouble), "boxes": .array(state.boxes.map(\.json)),
            "jobs": .array(
                jobs.map { job in
                    [
                        "id": .string(job.id.text), "owner": .integer(Int(job.owner)), "progress": .integer(job.percent),
                        "box": .optional(job.box), "note": .optional(job.note),
                    ]
                }),
        ]
    }

    private var level: Response { .json(["log_level": .string("\(log.level)")] as JSONValue) }

    private func done(drained request: Request) throws -> Response {
        try service.drain()
        log.notice("drained by uid \(request.peer.userID): no new jobs are taken", LogFields(.drained, user: request.peer.userID))
        return .json(status)
    }

    private func done(paused request: Request) throws -> Response {
        try service.pause()
        log.notice("paused by uid \(request.peer.userID): no job is begun", LogFields(.paused, user: request.peer.userID))
        return .json(status)
    }

    @Sendable private func setLevel(_ request: Request) throws -> Response {
        guard let name = try request.fields.choice("level", of: Log.Level.allCases.map { "\($0)" }) else {
            throw request.fields.missing("level")
        }
        log.level = Log.Level(name: name) ?? .info
        log.notice("log level \(name), set by uid \(request.peer.userID)")
        return level
    }

    @Sendable private func setQuota(_ request: Request) throws -> Response {
        let fields = request.fields
        try fields.rejectUnknown(known: Set(Quota.names))
        guard !fields.isEmpty else {
            throw APIError(.badRequest, "the quota is empty; send some of \(Quota.names.joined(separator: ", "))", code: "invalid_value")
        }
        let user = try user(request)
        let table = service.quotas
        var quota = user.map { table.quota(of: $0) } ?? table.standard
        // A field that is null takes the limit away, one that is missing leaves it.
        let names = fields.names
        if names.contains("jobs") { quota.jobs = try fields.integer("jobs", in: 0...1_000_000) }
        if names.contains("seconds_per_day") { quota.secondsPerDay = try fields.integer("seconds_per_day", in: 0...1_000_000_000) }
        if names.contains("bytes") { quota.bytes = try fields.integer("bytes", in: 0...Int(1) << 60) }
        let new = try service.setQuota(quota, of: user)
        log.notice("quota of \(user.map { "uid \($0)" } ?? "everybody") set by uid \(request.peer.userID): \(quota.json.text())")
        return .json(new.json)
    }

    @Sendable private func removeQuota(_ request: Request) throws -> Response {
        guard let user = try user(request) else {
            throw APIError(.badRequest, "the default quota cannot be removed; set its limits to null", code: "invalid_value")
        }
        let new = try service.setQuota(nil, of: user)
        log.notice("quota of uid \(user) removed by uid \(request.peer.userID)")
        return .json(new.json)
    }

    /// nil for "default".
    private func user(_ request: Request) throws -> UInt32? {
        let name = request.parameter("user")
        if name == "default" { return nil }
        guard let user = userIdentifier(name) else {
            throw APIError.notFound("there is no user \"\(name)\" on this system", code: "user_not_found")
        }
        return user
    }

    @Sendable private func setPriority(_ request: Request) throws -> Response {
        guard let priority = try request.fields.integer("priority", in: JobService.priorityRange) else {
            throw request.fields.missing("priority")
        }
        let text = request.parameter("id")
        guard let id = JobIdentifier(text), let job = try service.job(id, viewer: 0) else {
            throw APIError.notFound("there is no video \"\(text)\"", code: "video_not_found")
        }
        guard let moved = try service.setPriority(priority, of: id) else {
            throw APIError.conflict("the video \(id) is \(job.status.rawValue), so its priority has no effect", code: "video_over")
        }
        log.notice("priority of \(id) set to \(priority) by uid \(request.peer.userID)", LogFields(job: id.text, user: request.peer.userID))
        return .json(moved.video)
    }
}
