// The socket for clients: every endpoint is one row of the list below and a handler in the file of its kind. Owns no state; every answer
// is made from the present state of the job service. docs/HTTP_API.md and docs/openapi.yaml describe the same list.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

struct ClientRoutes: Sendable {
    let service: JobService
    let models: ModelCatalog
    let defaultModel: String
    let aliases: ModelAliases
    let sizePolicy: SizePolicy
    /// The program that looks at given files.
    let worker: String
    let readings: PromptReadings
    let access: AccessRules

    func add(to routes: inout Routes) {
        // Clips, from requests: CreateRoute, VideoRoutes, SourceRoutes.
        onCreate("/v1/videos", RequestFields.create, in: &routes, create)
        onCreate("/v1/videos/edits", RequestFields.edit, in: &routes, edit)
        onCreate("/v1/videos/extensions", RequestFields.extend, in: &routes, extend)
        onCreate("/v1/videos/{id}/remix", RequestFields.remix, in: &routes, remix)
        // Jobs that exist: VideoRoutes, EventRoutes.
        routes.on(.get, "/v1/videos", list)
        routes.on(.get, "/v1/videos/{id}", show)
        routes.on(.delete, "/v1/videos/{id}", body: .none, remove)
        routes.on(.get, "/v1/videos/{id}/content", content)
        routes.on(.post, "/v1/videos/{id}/cancel", body: .none, cancel)
        routes.on(.get, "/v1/videos/{id}/events", events)
        // Jobs from and to other machines: PortableRoutes.
        routes.on(.get, "/v1/videos/{id}/job", exportJob)
        routes.on(.post, "/v1/videos/import", body: .fields, importJob)
        // Characters are of the hosted service alone.
        routes.on(.post, "/v1/videos/characters", body: .fields) { _ in throw noCharacters }
        routes.on(.get, "/v1/videos/characters/{id}") { _ in throw noCharacters }
        // Dialects that others speak (docs/CLIENTS.md).
        for path in ["/v1/videos/generations", "/v1/video/generations"] {
            routes.advise(.post, path, "POST /v1/videos makes clips, and answers with the job")
        }
        // The rest: ProvenanceRoutes, ModelRoutes.
        routes.on(.post, "/v1/content_provenance_checks", body: .fields, checkProvenance)
        routes.on(.get, "/v1/models", listModels)
        routes.on(.get, "/v1/models/{id}", showModel)
        routes.on(.get, "/v1/quota") { request in .json(try service.quotaReport(of: access.viewer(request.peer))) }
    }

    // MARK: parts of handlers

    /// The job as `viewer` sees it: administrators see everybody's, and so whose it is.
    func video(_ job: Job, _ viewer: Viewer) -> Video {
        var video = job.video
        if viewer.isAdmin { video.details.owner = job.owner }
        return video
    }

    func answer(_ job: Job, _ viewer: Viewer) -> Response {
        var response = Response.json(video(job, viewer))
        if !job.isOver { response.headers["openai-poll-after-ms"] = String(service.pollAfterMilliseconds) }
        return response
    }

    func identifier(_ request: Request) throws -> JobIdentifier {
        let text = request.parameter("id")
        guard let id = JobIdentifier(text) else { throw unknown(text) }
        return id
    }

    func job(_ request: Request) throws -> Job {
        let id = try identifier(request)
        guard let job = try service.job(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        return job
    }

    func unknown(_ id: String) -> APIError { .notFound("there is no video \"\(id)\"", code: "video_not_found") }

    func notReady(_ job: Job) -> APIError {
        .conflict("the video \(job.id) is not ready: it is \(job.status.rawValue) at \(job.percent) %", code: "video_not_ready")
    }

    /// Waits until the model files have been looked at, so that a request right after the start is not refused.
    /// - Throws: 503 with code "starting" when that takes long.
    func waitForModels() throws {
        models.waitForFirstScan(timeout: .seconds(20))
        guard models.isScanned else {
            throw APIError(
                .serviceUnavailable, "the model files are being looked at; send the request again", code: "starting",
                headers: ["retry-after": "5"])
        }
    }

    func model(named name: String?, _ fields: Fields) throws -> ModelInfo {
        try waitForModels()
        let entry = if let name { installed(name) } else { models.standard(preferred: defaultModel) }
        if let entry { return entry.info }
        let installed = models.entries.map(\.info.id)
        guard !installed.isEmpty else {
            let what = models.brokenFiles.first ?? "put a model file into a model directory and reload sorad"
            throw APIError(
                .serviceUnavailable, "no model is installed that sorad can use: \(what)", code: "no_model",
                headers: ["x-should-retry": "false"])
        }
        throw fields.invalid(
            "model", "names the unknown model \"\((name ?? "").prefix(64))\"; installed: \(installed.joined(separator: ", "))",
            code: "model_not_found")
    }

    /// The model of that name, or of that alias.
    func installed(_ name: String) -> ModelCatalog.Entry? { models.entry(name) ?? aliases.model(of: name).flatMap { models.entry($0) } }

    /// Below 2^53, so that it survives clients that read numbers as doubles.
    func randomSeed() -> UInt64 { randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) } >> 11 }
}
