// Clips that are made from clips: POST /v1/videos/{id}/remix, /v1/videos/edits and /v1/videos/extensions; and how given files are taken in.
// Owns no state. A file is stored under its role in the directory of a draft, looked at by the worker, and only then becomes a job's.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    var noCharacters: APIError {
        let model = models.standard(preferred: defaultModel)?.info
        let sources =
            model?.takesConditioningFrames == true
            ? "first and last pictures (input_reference, end_image) and clips (edits, remix, extensions)" : "clips (edits, remix)"
        return APIError(
            .badRequest,
            "the model \(model?.id ?? "that is installed") cannot keep characters; it makes clips from text, \(sources); "
                + "describe who is to be seen in the prompt", code: "unsupported_parameter")
    }

    // MARK: handlers

    @Sendable func remix(_ asked: ClipRequest, _ request: Request) throws -> Planned {
        try remake(.job(request.parameter("id")), asked, request, isRemix: true)
    }

    @Sendable func edit(_ asked: ClipRequest, _ request: Request) throws -> Planned {
        guard let video = try request.fields.video("video") else { throw request.fields.missing("video") }
        return try remake(video, asked, request, isRemix: false)
    }

    private func remake(_ video: VideoReference, _ asked: ClipRequest, _ request: Request, isRemix: Bool) throws -> Planned {
        let draft = try service.draft()
        let source = try take(video, "video", as: .source, in: draft, request)
        let model = try model(named: asked.model ?? source.model, request.fields)
        let mask = try request.fields.picture("mask")
        let references = try request.fields.pictures("reference_images")
        var plan = try asked.remake(
            of: source.clip, for: model, randomSeed: randomSeed(), isRemix: isRemix, hasMask: mask != nil, references: references.count)
        plan.referencePixels = source.pixels
        try give(source, as: .source, \.source, to: &plan, model, draft)
        if let mask {
            let facts = try store(mask, "mask", as: .mask, in: draft, request)
            if !facts.isPicture {
                guard model.takesControl else {
                    throw request.fields.invalid("mask", "is a clip; give a picture, white where the clip is to change")
                }
                try plan.setMask(facts)
            }
            plan.referencePixels = max(plan.referencePixels, facts.heldPixels)
        }
        try store(references, in: draft, to: &plan, request)
        return (plan, draft)
    }

    @Sendable func extend(_ asked: ClipRequest, _ request: Request) throws -> Planned {
        let fields = request.fields
        guard let video = try fields.video("video") else { throw fields.missing("video") }
        guard asked.seconds != nil || asked.numFrames != nil || !asked.storyboard.isEmpty else { throw fields.missing("seconds") }
        let direction = try fields.choice("direction", of: ["forwards", "backwards"])
        let isLoop = try fields.bool("loop") ?? false
        let next = try fields.video("end_video")
        guard [direction != nil, isLoop, next != nil].filter({ $0 }).count <= 1 else {
            throw fields.invalid(
                isLoop ? "loop" : "end_video", "contradicts another field; send one of direction, loop and end_video")
        }
        let draft = try service.draft()
        let source = try take(video, "video", as: direction == "backwards" ? .after : .before, in: draft, request)
        var referencePixels = source.pixels
        var how = direction == "backwards" ? ClipRequest.Extension.backwards : .forwards
        var second: TakenClip?
        if isLoop {
            if source.job == nil { try draft.adopt(draft.path(.before), as: .after) }
            second = source
            how = .loop
        } else if let next {
            let after = try take(next, "end_video", as: .after, in: draft, request)
            referencePixels = max(referencePixels, after.pixels)
            second = after
            how = .join(after.clip)
        }
        let model = try model(named: asked.model ?? source.model, fields)
        var plan = try asked.extending(source.clip, how, for: model, randomSeed: randomSeed())
        plan.referencePixels = referencePixels
        if direction == "backwards" {
            try give(source, as: .after, \.after, to: &plan, model, draft)
        } else {
            try give(source, as: .before, \.before, to: &plan, model, draft)
            if let second { try give(second, as: .after, \.after, to: &plan, model, draft) }
        }
        return (plan, draft)
    }

    // MARK: taking files in

    /// A clip that a request names.
    private struct TakenClip {
        let clip: SourceClip
        /// The one that made it.
        var model: String?
        /// `MediaFacts.heldPixels`
        let pixels: Int
        /// The job that made it; nil for an upload, which lies in the draft already.
        var job: Job?
    }

    /// Looks at a clip. An upload is put into the draft.
    private func take(
        _ video: VideoReference, _ name: String, as file: ReferenceFile, in draft: JobDraft, _ request: Request
    ) throws -> TakenClip {
        switch video {
        case .upload(let upload):
            let facts = try store(upload, name, as: file, in: draft, request)
            guard !facts.isPicture else {
                throw request.fields.invalid(name, "is a picture; give a clip, or send it to /v1/videos as input_reference")
            }
            return TakenClip(clip: SourceClip(facts), pixels: facts.heldPixels)
        case .job(let text):
            let job = try completedJob(text, viewer: access.viewer(request.peer))
            let model = models.entry(job.plan.model) == nil ? nil : job.plan.model
            return TakenClip(
                clip: SourceClip(job.plan, videoID: job.id.text), model: model,
                pixels: MediaFacts.heldPixels(ofClip: job.plan.shownWidth, job.plan.shownHeight), job: job)
        }
    }

    /// Puts a finished job's clip into a draft: its parts, where this model can decode them and the size is the same, so that nothing is
    /// lost; else its MP4 file.
    private func give(
        _ source: TakenClip, as role: ReferenceFile, _ member: WritableKeyPath<ReferenceMedia, ReferenceClip?>, to plan: inout ClipPlan,
        _ model: ModelInfo, _ draft: JobDraft
    ) throws {
        guard let job = source.job else { return }
        do throws(SoradError) {
            let parts = job.plan.parts
            let isKept = job.result?.latents == ClipPlan.latentsName && job.result?.modelSHA256 == model.sha256
            guard isKept, parts.count <= ClipPart.limit, job.plan.width == plan.width, job.plan.height == plan.height else {
                guard let path = service.resultPath(job, \.video) else { preconditionFailure("\(job.id) is completed without a result") }
                return try draft.adopt(path, as: role)
            }
            plan.given?[keyPath: member]?.parts = parts.map(\.part)
            for (index, part) in parts.enumerated() {
                guard let name = plan.given?[keyPath: member]?.fileName(index, as: role) else { continue }
                try draft.adopt(service.keptPath(job, named: part.file), named: name)
            }
        } catch {
            throw error.kind == .notFound ? unknown(job.id.text) : APIError(error)
        }
    }

    /// Puts pictures of what shall be seen into a draft.
    func store(_ references: [(name: String, upload: Upload)], in draft: JobDraft, to plan: inout ClipPlan, _ request: Request) throws {
        for ((name, upload), role) in zip(references, ReferenceFile.references) {
            let facts = try store(upload, name, as: role, in: draft, request)
            guard facts.isPicture else { throw request.fields.invalid(name, "is a clip; give a picture") }
            plan.given?.references.append(PictureSize(width: facts.width, height: facts.height))
            plan.referencePixels = max(plan.referencePixels, facts.heldPixels)
        }
    }

    /// Puts an uploaded file into a draft and has the worker look at it.
    func store(_ upload: Upload, _ name: String, as file: ReferenceFile, in draft: JobDraft, _ request: Request) throws -> MediaFacts {
        try service.checkSpace(for: upload.bytesToWrite)
        try upload.move(to: draft.path(file))
        do throws(SoradError) {
            return try inspectReferenceFile(at: draft.path(file), worker: worker) { request.gone.isStopped }
        } catch {
            guard error.kind == .badInput else { throw error }
            throw request.fields.invalid(name, "cannot be used: \(error.message)", code: "invalid_file")
        }
    }

    private func completedJob(_ text: String, viewer: Viewer) throws -> Job {
        guard let id = JobIdentifier(text), let job = try service.job(id, viewer: viewer) else { throw unknown(text) }
        switch job.status {
        case .completed: return job
        case .failed: throw APIError.conflict("the video \(id) failed, so nothing can be made from it", code: "video_failed")
        case .queued, .inProgress: throw notReady(job)
        }
    }
}
