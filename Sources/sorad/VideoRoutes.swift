// /v1/videos: from HTTP to jobs and back.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func create(_ asked: ClipRequest, _ request: Request) throws -> Planned {
        let model = try model(named: asked.model, request.fields)
        let pictures = [
            (name: "input_reference", role: ReferenceFile.firstFrame, upload: try request.fields.picture("input_reference")),
            (name: "end_image", role: .lastFrame, upload: try request.fields.picture("end_image")),
        ]
        let references = try request.fields.pictures("reference_images")
        var plan = try asked.plan(
            for: model, randomSeed: randomSeed(), hasFirstFrame: pictures[0].upload != nil, hasLastFrame: pictures[1].upload != nil,
            references: references.count)
        let draft = plan.given == nil ? nil : try service.draft()
        if let draft {
            for (name, role, upload) in pictures {
                guard let upload else { continue }
                let facts = try store(upload, name, as: role, in: draft, request)
                guard facts.isPicture else {
                    throw request.fields.invalid(name, "is a clip; give a picture, or send the clip to /v1/videos/edits as video")
                }
                plan.referencePixels = max(plan.referencePixels, facts.heldPixels)
            }
            try store(references, in: draft, to: &plan, request)
        }
        return (plan, draft)
    }

    @Sendable func list(_ request: Request) throws -> Response {
        let query = request.query
        _ = try query.unused(by: RequestFields.list)
        let limit = try query.integer("limit", in: 1...100) ?? 20
        let order = try query.choice("order", of: ["asc", "desc"]) ?? "desc"
        var after: JobIdentifier?
        if let text = try query.text("after", maxBytes: 1024) {
            after = JobIdentifier(text)
            if after == nil { throw query.invalid("after", "is not the id of a video") }
        }
        let viewer = access.viewer(request.peer)
        let page = try service.page(viewer: viewer, after: after, newestFirst: order == "desc", limit: limit)
        return .json(VideoList(data: page.jobs.map { video($0, viewer) }, hasMore: page.hasMore))
    }

    @Sendable func show(_ request: Request) throws -> Response {
        answer(try job(request), access.viewer(request.peer))
    }

    @Sendable func remove(_ request: Request) throws -> Response {
        let id = try identifier(request)
        guard try service.delete(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        return .json(DeletedVideo(id: id.text))
    }

    @Sendable func cancel(_ request: Request) throws -> Response {
        let id = try identifier(request)
        guard let job = try service.cancel(id, viewer: access.viewer(request.peer)) else { throw unknown(id.text) }
        if job.error?.code != "cancelled" {
            throw APIError.conflict(
                "the video \(id) is \(job.status.rawValue) and can no longer be cancelled", code: "video_not_cancellable")
        }
        return answer(job, access.viewer(request.peer))
    }

    @Sendable func content(_ request: Request) throws -> Response {
        _ = try request.query.unused(by: RequestFields.content)
        let variant = try request.query.choice("variant", of: ["video", "thumbnail", "spritesheet"]) ?? "video"
        let (file, contentType): (KeyPath<ClipResult, String>, String) =
            switch variant {
            case "thumbnail": (\.thumbnail, "image/webp")
            case "spritesheet": (\.spritesheet, "image/jpeg")
            default: (\.video, "video/mp4")
            }
        let job = try job(request)
        if let error = job.error {
            throw APIError.conflict("the video \(job.id) has no content, because it failed: \(error.message)", code: "video_failed")
        }
        guard let path = service.resultPath(job, file), let result = job.result else {
            throw notReady(job)
        }
        // The frames decide the files, so their hash names the content.
        return .file(try OpenFile(path: path), contentType: contentType, entityTag: "\(result.sha256.prefix(32))-\(variant)", for: request)
    }
}
