// /v1/models and /healthz.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func listModels(_: Request) throws -> Response {
        models.waitForFirstScan(timeout: .seconds(20))
        return .json(ModelList(data: models.entries.map { Model(info: $0.info) }))
    }

    @Sendable func showModel(_ request: Request) throws -> Response {
        models.waitForFirstScan(timeout: .seconds(20))
        let id = request.parameter("id")
        guard let entry = models.entry(id) else { throw APIError.notFound("there is no model \"\(id)\"", code: "model_not_found") }
        return .json(Model(info: entry.info))
    }

    @Sendable func health(_: Request) throws -> Response {
        let summary = service.summary
        let readiness = Readiness(service: service, models: models, defaultModel: defaultModel)
        let health: JSONValue = [
            "status": .string(readiness.status), "trouble": .optional(readiness.trouble),
            "version": .string(soradVersion), "intake": .string(summary.isDraining ? "draining" : "open"),
            "processing": .string(summary.isPaused ? "paused" : "running"), "queued": .integer(summary.queued),
            "running": .integer(summary.running),
            "worker": .bool(summary.workers > 0), "workers": .integer(summary.workers), "models": .integer(models.entries.count),
            "broken_models": .array(models.brokenFiles.map { .string($0) }),
        ]
        return .json(health)
    }
}
