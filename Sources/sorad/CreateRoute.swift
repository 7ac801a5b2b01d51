// The one way in which a request becomes a job, whatever the clip is made from: ClipRequest, ClipPlan, Job.
// Invariant: a request that has come before makes nothing; it is answered with the job that it made then.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    /// The plan, and the draft that holds its given files; nil when there are none.
    typealias Planned = (plan: ClipPlan, draft: JobDraft?)

    /// Adds a route on which a POST makes a job of the plan that `plan` makes of the request.
    /// - Parameter table: the fields that mean something there; made for the first request, because it takes milliseconds.
    func onCreate(
        _ pattern: String, _ table: @escaping @autoclosure @Sendable () -> FieldTable, in routes: inout Routes,
        _ plan: @escaping @Sendable (ClipRequest, Request) throws -> Planned
    ) {
        routes.on(.post, pattern, body: .fields) { request in
            let viewer = access.viewer(request.peer)
            let record = try IdempotencyRecord(request)
            if let job = try service.earlier(record, owner: viewer.user) { return answer(job, viewer) }
            let table = table()
            var asked = try ClipRequest(request.fields, table, viewer)
            asked.ignored += try request.unusedQuery(by: table)
            asked.sizePolicy = sizePolicy
            var (plan, draft) = try plan(asked, request)
            if let name = asked.model, name != plan.model { plan.notes.requestedModel = name }
            let model = try model(named: plan.model, request.fields)
            try model.check(plan)
            let digest = try planDigest(of: plan, model: model, draft: draft)
            if asked.mayReuse, let job = try service.finished(digest: digest, owner: viewer.user) {
                var response = answer(job, viewer)
                response.headers["x-sorad-reused"] = "true"
                return response
            }
            if let entry = models.entry(model.id) { readings.add(to: &plan, model, at: entry.path) }
            let job = try service.submit(
                owner: viewer, plan, model: model, priority: asked.priority, draft: draft, record: record, digest: digest)
            return answer(job, viewer)
        }
    }
}

extension Request {
    /// The names of query fields that have no effect on a request whose fields are in its body.
    fileprivate func unusedQuery(by table: FieldTable) throws(APIError) -> [String] {
        let names = query.names.filter { query.has($0) }
        if let field = names.first(where: { table.known.contains($0) }) {
            throw query.invalid(field, "is in the query string, and this call reads its fields from the body", code: "unknown_parameter")
        }
        return try query.unused(by: table).map { "?\($0)" }
    }
}

extension ClipRequest {
    /// Reads a form or a JSON object. Fields that `table` does not know are refused or named in `ignored`.
    init(_ fields: Fields, _ table: FieldTable, _ viewer: Viewer) throws(APIError) {
        self.init()
        ignored = try fields.unused(by: table)
        if let count = try fields.integer("n", in: 1...1000), count != 1 {
            throw fields.invalid("n", "must be 1; send one request per clip", code: "unsupported_parameter")
        }
        model = try fields.text("model", maxBytes: 1024)
        storyboard = try fields.objects("storyboard").map { scene throws(APIError) in
            try scene.rejectUnknown(known: ["prompt", "seconds", "num_frames"])
            let frames = try scene.integer("num_frames", in: ClipRequest.frameRange)
            let seconds = try scene.number("seconds", in: ClipRequest.secondsRange)
            guard frames != nil || seconds != nil else { throw scene.missing("seconds") }
            return Scene(prompt: try scene.requiredText("prompt"), seconds: seconds, numFrames: frames)
        }
        prompt = storyboard.isEmpty ? try fields.requiredText("prompt") : try fields.text("prompt") ?? ""
        negativePrompt = try fields.text("negative_prompt")
        size = try fields.text("size")
        width = try fields.integer("width", in: ClipRequest.dimensionRange)
        height = try fields.integer("height", in: ClipRequest.dimensionRange)
        seconds = try fields.number("seconds", in: ClipRequest.secondsRange)
        numFrames = try fields.integer("num_frames", in: ClipRequest.frameRange)
        fps = try fields.integer("fps", in: ClipRequest.fpsRange)
        // −1 asks for a random one, as it does in other programs.
        seed = try fields.integer("seed", in: -1...Int128(UInt64.max)).flatMap { UInt64(exactly: $0) }
        numInferenceSteps = try fields.integer("num_inference_steps", in: ClipPlan.numInferenceStepsRange)
        guidanceScale = try fields.number("guidance_scale", in: ClipPlan.guidanceScaleRange)
        secondGuidanceScale = try fields.number("guidance_scale_2", in: ClipPlan.guidanceScaleRange)
        guidanceInterval = try fields.numbers("guidance_interval", in: ClipPlan.guidanceIntervalRange, most: 2)
        cache = try fields.number("cache", in: ClipPlan.cacheRange, or: "off")
        flowShift = try fields.number("flow_shift", in: ClipPlan.flowShiftRange)
        sigmas = try fields.numbers("sigmas", in: ClipPlan.sigmaRange, most: ClipPlan.numInferenceStepsRange.upperBound)
        timesteps = try fields.numbers("timesteps", in: ClipRequest.timestepRange, most: ClipPlan.numInferenceStepsRange.upperBound)
        strength = try fields.number("strength", in: ClipRequest.strengthRange)
        conditioningScale = try fields.number("conditioning_scale", in: ClipRequest.conditioningScaleRange)
        upscale = try fields.integer("upscale", in: 1...4)
        interpolate = try fields.integer("interpolate", in: 1...2)
        // Everybody may stand back; only an administrator may push ahead.
        let highest = viewer.isAdmin ? JobService.priorityRange.upperBound : 0
        priority = try fields.integer("priority", in: JobService.priorityRange.lowerBound...highest) ?? 0
        mayReuse = try fields.bool("reuse") ?? false
        guard !mayReuse || seed != nil else {
            throw fields.invalid("reuse", "needs a seed: without one every clip is another; send the seed of the clip that you have")
        }
    }
}
