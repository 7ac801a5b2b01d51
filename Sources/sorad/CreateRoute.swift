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
    /// - Parameter refusing: fields that mean nothing there, each with a name for its subject.
    func onCreate(
        _ pattern: String, refusing: [String: String], in routes: inout Routes,
        _ plan: @escaping @Sendable (ClipRequest, Request) throws -> Planned
    ) {
        routes.on(.post, pattern, body: .fields) { request in
            let viewer = access.viewer(request.peer)
            let record = try IdempotencyRecord(request)
            if let job = try service.earlier(record, owner: viewer.user) { return answer(job) }
            let asked = try ClipRequest(request.fields, refusing: refusing, viewer)
            let (plan, draft) = try plan(asked, request)
            let model = try model(named: plan.model, request.fields)
            let digest = try planDigest(of: plan, model: model, draft: draft)
            if asked.mayReuse, let job = try service.finished(digest: digest, owner: viewer.user) {
                var response = answer(job)
                response.headers["x-sorad-reused"] = "true"
                return response
            }
            return answer(
                try service.submit(
                    owner: viewer, plan, model: model, priority: asked.priority, draft: draft, record: record, digest: digest))
        }
    }
}

extension ClipRequest {
    /// Fields that ask for something that no model here can do: ignoring them would give a clip that nobody asked for.
    private static let unsupported: [String: String] = ["loras": "LoRA adapters", "guidance_scale_2": "a second guidance scale"]
    static let misplaced: [String: String] = [
        "image": "a picture, which belongs into input_reference", "video": "a video, which belongs to /v1/videos/edits",
    ]
    /// Fields of a clip from text and pictures that mean nothing where a clip is the source.
    static let notForClips: [String: String] = [
        "input_reference": "a picture besides the video", "end_image": "a picture besides the video",
        "image": "a picture besides the video",
    ]
    static let notForRemixes = notForClips.merging(["video": "another video"]) { $1 }
    static let notForExtensions = notForClips.merging(["strength": "a strength"]) { $1 }

    /// Reads a form or a JSON object. Fields that are unknown are ignored, as the hosted service does; those of `refusing` are refused.
    init(_ fields: Fields, refusing: [String: String], _ viewer: Viewer) throws(APIError) {
        self.init()
        let refused = ClipRequest.unsupported.merging(refusing) { $1 }
        for (name, what) in refused.sorted(by: { $0.key < $1.key }) where fields.has(name) {
            throw fields.invalid(name, "asks for \(what), which is not supported here; leave it out", code: "unsupported_parameter")
        }
        if let count = try fields.integer("n", in: 1...1000), count != 1 {
            throw fields.invalid("n", "must be 1; send one request per clip", code: "unsupported_parameter")
        }
        model = try fields.text("model", maxBytes: 1024)
        prompt = try fields.requiredText("prompt")
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
        flowShift = try fields.number("flow_shift", in: ClipPlan.flowShiftRange)
        strength = try fields.number("strength", in: ClipRequest.strengthRange)
        // Everybody may stand back; only an administrator may push ahead.
        let highest = viewer.isAdmin ? JobService.priorityRange.upperBound : 0
        priority = try fields.integer("priority", in: JobService.priorityRange.lowerBound...highest) ?? 0
        mayReuse = try fields.bool("reuse") ?? false
        guard !mayReuse || seed != nil else {
            throw fields.invalid("reuse", "needs a seed: without one every clip is another; send the seed of the clip that you have")
        }
    }
}
