// /v1/models and /healthz.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

struct ModelRoutes: Sendable {
    let service: JobService
    let models: ModelCatalog

    func add(to routes: inout Routes) {
        routes.on(.get, "/v1/models") { _ in
            models.waitForFirstScan(timeout: .seconds(20))
            return .json(ModelList(data: models.entries.map { Model(info: $0.info) }))
        }
        routes.on(.get, "/v1/models/{id}") { request in
            models.waitForFirstScan(timeout: .seconds(20))
            let id = request.parameter("id")
            guard let entry = models.entry(id) else { throw APIError.notFound("There is no model \"\(id)\".", code: "model_not_found") }
            return .json(Model(info: entry.info))
        }
        routes.on(.get, "/healthz") { _ in
            let summary = service.summary
            let health: JSONValue = [
                "status": .string(summary.trouble == nil ? "ok" : "degraded"), "trouble": .optional(summary.trouble),
                "version": .string(soradVersion), "queued": .integer(summary.queued), "running": .integer(summary.running),
                "worker": .bool(summary.workers > 0), "workers": .integer(summary.workers), "models": .integer(models.entries.count),
                "broken_models": .array(models.brokenFiles.map { .string($0) }),
            ]
            return .json(health)
        }
    }
}
