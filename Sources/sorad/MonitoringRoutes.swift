// What monitors ask: /livez, /readyz, /healthz and /metrics; and the socket that answers nothing else. Owns no state.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

/// Whether the daemon lives, whether it makes clips, and its state.
struct HealthRoutes: Sendable {
    let readiness: Readiness

    func add(to routes: inout Routes) {
        // An answer is all that it says; one that never comes means that the jobs' lock is held.
        routes.on(.get, "/livez", isOpen: true) { _ in
            _ = readiness.service.summary
            return .json(["status": "ok"] as JSONValue)
        }
        routes.on(.get, "/readyz", isOpen: true) { request in
            if let refusal = readiness.refusal(isKnown: request.peer != .nobody) { throw refusal }
            return .json(["status": "ok"] as JSONValue)
        }
        routes.on(.get, "/healthz", isOpen: true) { .json(state(for: $0.peer)) }
    }

    private func state(for peer: Peer) -> JSONValue {
        let (service, models) = (readiness.service, readiness.models)
        // Without a key it is not known who asks: no more than a monitor needs.
        if peer == .nobody { return ["status": .string(readiness.status)] }
        let summary = service.summary
        let troubles = readiness.troubles.map { trouble -> JSONValue in
            ["check": .string(trouble.check), "text": .string(trouble.text), "remedy": .string(trouble.remedy)]
        }
        return [
            "status": .string(readiness.status), "trouble": .optional(readiness.trouble),
            "troubles": .array(troubles),
            "version": .string(soradVersion), "intake": .string(summary.isDraining ? "draining" : "open"),
            "processing": .string(summary.isPaused ? "paused" : "running"), "queued": .integer(summary.queued),
            "running": .integer(summary.running),
            "worker": .bool(summary.workers > 0), "workers": .integer(summary.workers), "slots": .integer(service.slotCount),
            "disk_free_bytes": .optional(service.freeDiskBytes), "models": .integer(models.entries.count),
            "default_model": .optional(models.standard(preferred: readiness.defaultModel)?.info.id),
            "broken_models": .array(models.brokenFiles.map { .string($0) }),
            "backends": .array(service.backends.map { .string($0) }),
        ]
    }
}

extension Readiness {
    /// Why no clip would be made of a request now; nil when one would.
    /// - Parameter isKnown: who asks may read the reason.
    func refusal(isKnown: Bool) -> APIError? {
        let isDraining = service.summary.isDraining
        guard status != "ok" || isDraining else { return nil }
        let code = status != "ok" ? status : "draining"
        let reason = status == "starting" ? "the model files are being looked at" : trouble ?? "no new jobs are taken"
        return APIError(
            .serviceUnavailable, isKnown ? "no clip can be made now: \(reason)" : "no clip can be made now", code: code,
            headers: ["retry-after": "5"])
    }
}

/// The numbers about the daemon's work.
struct MetricsRoute: Sendable {
    let readiness: Readiness
    /// Open connections of clients.
    let connectionCount: @Sendable () -> Int

    func answer() -> Response {
        let metrics = readiness.service.metrics
        metrics.set("sorad_build_info", ["version": soradVersion], 1)
        metrics.set("sorad_connections", [:], Double(connectionCount()))
        metrics.set("sorad_ready", [:], readiness.refusal(isKnown: false) == nil ? 1 : 0)
        return .text(readiness.service.metricsText(), contentType: "text/plain; version=0.0.4; charset=utf-8")
    }
}

/// The socket of monitors: they need no key and no group, and can change nothing.
enum MetricsSocket {
    /// The sockets that were handed over, and the one that the setting names: a path, or an address of this machine alone.
    static func listeners(
        _ handedOver: [ListeningSocket], _ place: String, _ ownPaths: inout [String], _ log: Log
    ) throws(SoradError) -> [ListeningSocket] {
        var listeners = handedOver
        if let address = NetworkAddress(place) {
            listeners.append(try ListeningSocket(listeningAt: address))
        } else if !place.isEmpty {
            listeners.append(ListeningSocket(unix: try FileDescriptor.listen(replacingStale: place, mode: 0o666)))
            ownPaths.append(place)
        }
        if let far = listeners.compactMap(\.address).first(where: { !$0.isLoopback }) { throw beyondLoopback("\(far)") }
        for listener in listeners { log.info("metrics at \(listener.address.map { "http://\($0)/metrics" } ?? "a socket of their own")") }
        return listeners
    }

    static func check(_ place: String) throws(SoradError) {
        guard let address = NetworkAddress(place) else {
            guard place.isEmpty || place.contains("/") || place.hasPrefix("@") else {
                throw SoradError(
                    .configuration,
                    "the setting metrics-socket must be a path, or an address and a port like 127.0.0.1:9791; not \"\(place)\"",
                    param: "metrics-socket")
            }
            return
        }
        if !address.isLoopback { throw beyondLoopback(place) }
    }

    private static func beyondLoopback(_ address: String) -> SoradError {
        SoradError(
            .configuration, "the metrics must be served on this machine alone, not on \(address)",
            hint: "use 127.0.0.1:9791, and a collector or a proxy that carries them further", param: "metrics-socket")
    }

    static func server(
        _ listeners: [ListeningSocket], _ route: MetricsRoute, _ network: NetworkSettings, observer: @escaping HTTPServer.Observer
    ) throws(SoradError) -> HTTPServer? {
        guard !listeners.isEmpty else { return nil }
        var routes = Routes()
        HealthRoutes(readiness: route.readiness).add(to: &routes)
        routes.on(.get, "/metrics") { _ in route.answer() }
        var settings = ServerSettings()
        settings.handlerThreads = 1
        settings.connections = 32
        settings.connectionsPerUser = 32
        settings.anonymousConnections = 32
        settings.shedConnections = 8
        settings.jsonBody = 1 << 10
        settings.formBody = 1 << 10
        // A page of another name that leads here is refused; there is nothing to write, and no key to show.
        var door = try network.door(nil, needsKey: false)
        door.origins = []
        door.checksHosts = true
        return try HTTPServer(
            listeners: listeners.map { ($0, $0.address == nil ? Door() : door) }, surrendered: Door(), routes: routes, settings: settings,
            observer: observer)
    }
}
