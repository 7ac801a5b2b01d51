// /v1/models and /healthz.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func listModels(_: Request) throws -> Response {
        models.waitForFirstScan(timeout: .seconds(20))
        let found = models.entries.map { Model(info: $0.info) }
        let others = aliases.names.filter { models.entry($0.alias) == nil }.compactMap { model(alias: $0.alias) }
        return .json(ModelList(data: found + others))
    }

    @Sendable func showModel(_ request: Request) throws -> Response {
        models.waitForFirstScan(timeout: .seconds(20))
        let id = request.parameter("id")
        if let entry = models.entry(id) { return .json(Model(info: entry.info)) }
        guard let other = model(alias: id) else { throw APIError.notFound("there is no model \"\(id)\"", code: "model_not_found") }
        return .json(other)
    }

    /// A model under the name that an application knows.
    private func model(alias: String) -> Model? {
        guard let entry = installed(alias) else { return nil }
        var model = Model(info: entry.info)
        model.id = alias
        model.details["alias_of"] = .string(entry.info.id)
        return model
    }

    @Sendable func health(_ request: Request) throws -> Response {
        let summary = service.summary
        let readiness = Readiness(service: service, models: models, defaultModel: defaultModel)
        // Without a key it is not known who asks: no more than a monitor needs.
        if request.peer == .nobody { return .json(["status": .string(readiness.status)] as JSONValue) }
        let health: JSONValue = [
            "status": .string(readiness.status), "trouble": .optional(readiness.trouble),
            "version": .string(soradVersion), "intake": .string(summary.isDraining ? "draining" : "open"),
            "processing": .string(summary.isPaused ? "paused" : "running"), "queued": .integer(summary.queued),
            "running": .integer(summary.running),
            "worker": .bool(summary.workers > 0), "workers": .integer(summary.workers), "slots": .integer(service.slotCount),
            "disk_free_bytes": .optional(service.freeDiskBytes), "models": .integer(models.entries.count),
            "default_model": .optional(models.standard(preferred: defaultModel)?.info.id),
            "broken_models": .array(models.brokenFiles.map { .string($0) }),
        ]
        return .json(health)
    }
}
