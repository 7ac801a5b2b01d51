// /v1/models.
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
}
