// /v1/videos: from HTTP to jobs and back. Owns no state; every answer is made from what the job service says now.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

struct VideoRoutes: Sendable {
    let service: JobService
    let models: ModelCatalog
    let defaultModel: String
    /// The program that looks at given files.
    let worker: String
    let access: AccessRules

    func add(to routes: inout Routes) {
        onCreate("/v1/videos", in: &routes, create)
        routes.on(.get, "/v1/videos", list)
        routes.on(.get, "/v1/videos/{id}", show)
        routes.on(.delete, "/v1/videos/{id}", body: .none, remove)
        routes.on(.get, "/v1/videos/{id}/content", content)
        routes.on(.post, "/v1/videos/{id}/cancel", body: .none, cancel)
        addSources(to: &routes)
        addEvents(to: &routes)
        addProvenance(to: &routes)
    }

    // MARK: handlers

    @Sendable private func create(_ request: Request) throws -> NewClip {
        let parameters = try ClipParameters(request.fields)
        let model = try model(named: try request.fields.text("model", maxBytes: 1024), request.fields)
        let pictures = [
            (name: "input_reference", role: GivenFile.firstFrame, upload: try request.fields.picture("input_reference")),
            (name: "end_image", role: .lastFrame, upload: try request.fields.picture("end_image")),
        ]
        let effective = try parameters.effective(
            for: model, randomSeed: randomSeed(), hasFirstFrame: pictures[0].upload != nil, hasLastFrame: pictures[1].upload != nil)
        let draft = effective.request.given == nil ? nil : try service.draft()
        var givenPixels = 0
        if let draft {
            for (name, role, upload) in pictures {
                guard let upload else { continue }
                let facts = try store(upload, name, as: role, in: draft, request.fields)
                guard facts.isPicture else {
                    throw request.fields.invalid(name, "is a clip; give a picture, or send the clip to /v1/videos/edits as video")
                }
                givenPixels = max(givenPixels, facts.heldPixels)
            }
        }
        return NewClip(model: model, effective: effective, draft: draft, givenPixels: givenPixels)
    }

    @Sendable private func list(_ request: Request) throws -> Response {
        let query = request.query
        let limit = try query.integer("limit", in: 1...100) ?? 20
        let order = try query.choice("order", of: ["asc", "desc"]) ?? "desc"
        var after: JobIdentifier?
        if let text = try query.text("after", maxBytes: 1024) {
            after = JobIdentifier(text)
            if after == nil { throw query.invalid("after", "is not the id of a video") }
        }
        let page = try service.page(viewer: access.viewer(request.peer), after: after, newestFirst: order == "desc", limit: limit)
        return .json(VideoList(data: page.jobs.map(\.video), hasMore: page.hasMore))
    }

    @Sendable private func show(_ request: Request) throws -> Response { answer(try job(request)) }

    @Sendable private func remove(_ request: Request) throws -> Response {
        let id = try identifier(request)
        guard try service.delete(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        return .json(DeletedVideo(id: id.text))
    }

    @Sendable private func cancel(_ request: Request) throws -> Response {
        let id = try identifier(request)
        guard let job = try service.cancel(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        if job.error?.code != "cancelled" {
            throw APIError.conflict(
                "The video \(id) is \(job.status.rawValue) and can no longer be cancelled.", code: "video_not_cancellable")
        }
        return answer(job)
    }

    @Sendable private func content(_ request: Request) throws -> Response {
        let variant = try request.query.choice("variant", of: ["video", "thumbnail", "spritesheet"]) ?? "video"
        let (file, contentType): (KeyPath<ClipResult, String>, String) =
            switch variant {
            case "thumbnail": (\.thumbnail, "image/webp")
            case "spritesheet": (\.spritesheet, "image/jpeg")
            default: (\.video, "video/mp4")
            }
        let job = try job(request)
        if let error = job.error {
            throw APIError.conflict("The video \(job.id) has no content, because it failed: \(error.message)", code: "video_failed")
        }
        guard let path = service.resultPath(job, file), let result = job.result else {
            throw APIError.conflict(
                "The video \(job.id) is not ready: it is \(job.status.rawValue) at \(job.percent) %.", code: "video_not_ready")
        }
        // The frames decide the files, so their hash names the content.
        return .file(try OpenFile(path: path), contentType: contentType, entityTag: "\(result.sha256.prefix(32))-\(variant)", for: request)
    }

    // MARK: parts of them

    func answer(_ job: Job) -> Response {
        var response = Response.json(job.video)
        if !job.isOver { response.headers["openai-poll-after-ms"] = String(service.pollAfterMilliseconds) }
        return response
    }

    func identifier(_ request: Request) throws -> JobIdentifier {
        let text = request.parameter("id")
        guard let id = JobIdentifier(text) else { throw unknown(text) }
        return id
    }

    private func job(_ request: Request) throws -> Job {
        let id = try identifier(request)
        guard let job = try service.job(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        return job
    }

    func unknown(_ id: String) -> APIError { .notFound("There is no video \"\(id)\".", code: "video_not_found") }

    func model(named name: String?, _ fields: Fields) throws -> ModelInfo {
        models.waitForFirstScan(timeout: .seconds(20))
        let entry = if let name { models.entry(name) } else { models.standard(preferred: defaultModel) }
        if let entry { return entry.info }
        let installed = models.entries.map(\.info.id)
        guard !installed.isEmpty else {
            let what = models.brokenFiles.first ?? "put a model file into a model directory and reload sorad"
            throw APIError(
                .serviceUnavailable, "No model is installed that sorad can use: \(what)\(what.hasSuffix(".") ? "" : ".")", code: "no_model",
                headers: ["x-should-retry": "false"])
        }
        throw fields.invalid(
            "model", "names the unknown model \"\((name ?? "").prefix(64))\"; installed: \(installed.joined(separator: ", "))",
            code: "model_not_found")
    }

    /// Below 2^53, so that it survives clients that read numbers as doubles.
    func randomSeed() -> UInt64 { randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) } >> 11 }
}

extension ClipParameters {
    /// Fields that ask for something that no model here can do: ignoring them would give a clip that nobody asked for.
    private static let unsupported: [String: String] = ["loras": "LoRA adapters", "guidance_scale_2": "a second guidance scale"]
    private static let notForCreate: [String: String] = [
        "image": "a picture, which belongs into input_reference", "video": "a video, which belongs to /v1/videos/edits",
    ]

    /// Reads a form or a JSON object. Fields that are unknown are ignored, as the hosted service does; those of `more` are refused.
    init(_ fields: Fields, unsupported more: [String: String] = ClipParameters.notForCreate) throws(APIError) {
        self.init()
        let refused = ClipParameters.unsupported.merging(more) { $1 }
        for (name, what) in refused.sorted(by: { $0.key < $1.key }) where fields.has(name) {
            throw fields.invalid(name, "asks for \(what), which is not supported here; leave it out", code: "unsupported_parameter")
        }
        if let count = try fields.integer("n", in: 1...1000), count != 1 {
            throw fields.invalid("n", "must be 1; send one request per clip", code: "unsupported_parameter")
        }
        prompt = try fields.requiredText("prompt")
        negativePrompt = try fields.text("negative_prompt")
        size = try fields.text("size")
        width = try fields.integer("width", in: ClipParameters.dimensionRange)
        height = try fields.integer("height", in: ClipParameters.dimensionRange)
        seconds = try fields.number("seconds", in: ClipParameters.secondsRange)
        numFrames = try fields.integer("num_frames", in: ClipParameters.frameRange)
        fps = try fields.integer("fps", in: ClipParameters.fpsRange)
        seed = try fields.integer("seed", in: 0...UInt64.max)
        numInferenceSteps = try fields.integer("num_inference_steps", in: GenerationRequest.numInferenceStepsRange)
        guidanceScale = try fields.number("guidance_scale", in: GenerationRequest.guidanceScaleRange)
        flowShift = try fields.number("flow_shift", in: GenerationRequest.flowShiftRange)
        strength = try fields.number("strength", in: ClipParameters.strengthRange)
    }
}
