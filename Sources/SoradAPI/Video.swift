// The objects of the Videos API as they go over HTTP. Their JSON has every documented member, null included, always in the same order.
public import SoradSystem

/// One job as a client sees it.
public struct Video: JSONRepresentable, Equatable {
    public enum Status: String, Sendable, CaseIterable {
        case queued, inProgress = "in_progress", completed, failed
    }

    public var id: String
    public var model: String
    public var status: Status
    /// Percent, 0…100, never falling.
    public var progress: Int
    /// Unix time in seconds, like the two below.
    public var createdAt: Int
    public var completedAt: Int?
    public var expiresAt: Int?
    public var prompt: String
    /// "WIDTHxHEIGHT" in pixels.
    public var size: String
    /// Length of the clip in whole seconds, as text: `ClipPlan.wholeSeconds`. `details.durationSeconds` is exact.
    public var seconds: String
    public var remixedFromVideoID: String?
    /// Set when `status` is `failed`.
    public var error: JobError?
    /// Members of sorad alone: the effective parameters, the phase, the hash.
    public var details: VideoDetails

    public init(
        id: String, model: String, status: Status, progress: Int, createdAt: Int, completedAt: Int? = nil, expiresAt: Int? = nil,
        prompt: String, size: String, seconds: String, remixedFromVideoID: String? = nil, error: JobError? = nil,
        details: VideoDetails = VideoDetails()
    ) {
        self.id = id
        self.model = model
        self.status = status
        self.progress = progress
        self.createdAt = createdAt
        self.completedAt = completedAt
        self.expiresAt = expiresAt
        self.prompt = prompt
        self.size = size
        self.seconds = seconds
        self.remixedFromVideoID = remixedFromVideoID
        self.error = error
        self.details = details
    }

    public var json: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "object": "video", "model": .string(model), "status": .string(status.rawValue),
            "progress": .integer(progress), "created_at": .integer(createdAt), "completed_at": .optional(completedAt),
            "expires_at": .optional(expiresAt), "prompt": .string(prompt), "size": .string(size), "seconds": .string(seconds),
            "remixed_from_video_id": .optional(remixedFromVideoID),
            "error": error.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null,
        ]
        details.write(to: &object)
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "video")
        try members.expect("object", "video")
        let name = try members.string("status")
        guard let status = Status(rawValue: name) else { throw JSONError("the video's status \"\(name)\" is unknown") }
        var failure: JobError?
        if let error = json["error"], error != .null {
            let error = JSONMembers(error, of: "video error")
            failure = JobError(code: try error.string("code"), message: try error.string("message"))
        }
        self.init(
            id: try members.string("id"), model: try members.string("model"), status: status, progress: try members.integer("progress"),
            createdAt: try members.integer("created_at"), completedAt: json["completed_at"]?.integer,
            expiresAt: json["expires_at"]?.integer, prompt: json["prompt"]?.string ?? "", size: try members.string("size"),
            seconds: try members.string("seconds"), remixedFromVideoID: json["remixed_from_video_id"]?.string, error: failure,
            details: VideoDetails(json: json))
    }
}

/// The members of a video that only sorad sends; absent from the JSON where nil.
public struct VideoDetails: Sendable, Equatable {
    /// The user whose job it is; only for administrators.
    public var owner: UInt32?
    public var width: Int?
    public var height: Int?
    /// Exact playing time.
    public var durationSeconds: Double?
    /// Effective number of frames, after rounding to the latent grid.
    public var numFrames: Int?
    public var fps: Int?
    public var seed: UInt64?
    public var negativePrompt: String?
    public var numInferenceSteps: Int?
    public var guidanceScale: Double?
    public var secondGuidanceScale: Double?
    /// Noise levels of the guided steps; nil for all.
    public var guidanceInterval: ClosedRange<Double>?
    public var cache: Double?
    /// Passes through the network that a finished job has made.
    public var passes: Int?
    public var flowShift: Double?
    /// The noise levels of the steps, where the request named them.
    public var sigmas: [Double]?
    public var strength: Double?
    /// How closely a model that follows a clip followed it, where the request named it.
    public var conditioningScale: Double?
    /// Stages behind the decoder; width, height, frames and rate are those of the finished clip.
    public var upscale: Int?
    public var interpolate: Int?
    /// The scenes of a storyboard.
    public var storyboard: [ClipScene]?
    /// The job whose clip this one was made from.
    public var sourceVideoID: String?
    /// The fields of the request that were pictures or clips.
    public var given: [String] = []
    public var phase: JobPhase?
    /// Denoise steps done and to do.
    public var step: Int?
    public var steps: Int?
    /// Frames decoded, of `numFrames`; only while they are.
    public var frame: Int?
    public var etaSeconds: Double?
    /// Why a queued job waits, when it waits for something else than its turn, or why a pool does not make one that was begun.
    public var note: String?
    /// The machine of a pool that makes the clip; absent where this machine does.
    public var box: String?
    /// Only where it is not 0.
    public var priority: Int?
    /// Fields of the request, and what the model makes of its prompt.
    public var notes = RequestNotes()
    /// SHA-256 over the raw frames of a finished job, lower-case hexadecimal.
    public var sha256: String?
    /// Seconds spent by phase name.
    public var timings: [String: Double]?

    public init() {}

    /// The effective parameters of `plan`; phase, hash and timings are still nil.
    public init(plan: ClipPlan) {
        width = plan.shownWidth
        height = plan.shownHeight
        numFrames = plan.shownFrames
        fps = plan.shownRate
        upscale = plan.upscale == 1 ? nil : plan.upscale
        interpolate = plan.interpolate == 1 ? nil : plan.interpolate
        seed = plan.seed
        negativePrompt = plan.negativePrompt
        numInferenceSteps = plan.numInferenceSteps
        guidanceScale = plan.guidanceScale
        (secondGuidanceScale, guidanceInterval, cache) = (plan.secondGuidanceScale, plan.guidanceInterval, plan.cache)
        flowShift = plan.sigmas.isEmpty ? plan.flowShift : nil
        sigmas = plan.sigmas.isEmpty ? nil : plan.sigmas
        strength = plan.given?.strength
        conditioningScale = plan.given?.conditioningScale
        storyboard = plan.scenes.isEmpty ? nil : plan.scenes
        sourceVideoID = plan.given?.videoID
        given = plan.given?.fieldNames ?? []
        durationSeconds = plan.durationSeconds
        notes = plan.notes
    }

    init(json: JSONValue) {
        owner = json["owner"]?.integer.flatMap { UInt32(exactly: $0) }
        durationSeconds = json["duration_seconds"]?.double
        notes = RequestNotes(video: json)
        width = json["width"]?.integer
        height = json["height"]?.integer
        numFrames = json["num_frames"]?.integer
        fps = json["fps"]?.integer
        seed = json["seed"]?.unsigned
        negativePrompt = json["negative_prompt"]?.string
        numInferenceSteps = json["num_inference_steps"]?.integer
        guidanceScale = json["guidance_scale"]?.double
        secondGuidanceScale = json["guidance_scale_2"]?.double
        if let ends = json["guidance_interval"]?.array?.compactMap(\.double), ends.count == 2, ends[0] <= ends[1] {
            guidanceInterval = ends[0]...ends[1]
        }
        cache = json["cache"]?.double
        passes = json["passes"]?.integer
        flowShift = json["flow_shift"]?.double
        sigmas = json["sigmas"]?.array?.compactMap(\.double)
        strength = json["strength"]?.double
        conditioningScale = json["conditioning_scale"]?.double
        upscale = json["upscale"]?.integer
        interpolate = json["interpolate"]?.integer
        storyboard = json["storyboard"]?.array?.compactMap { scene in
            guard let prompt = scene["prompt"]?.string, let frames = scene["num_frames"]?.integer else { return nil }
            return ClipScene(prompt: prompt, numFrames: frames)
        }
        sourceVideoID = json["source_video_id"]?.string
        given = json["given"]?.array?.compactMap(\.string) ?? []
        phase = json["phase"]?.string.flatMap(JobPhase.init(rawValue:))
        step = json["step"]?.integer
        steps = json["steps"]?.integer
        frame = json["frame"]?.integer
        etaSeconds = json["eta_seconds"]?.double
        note = json["note"]?.string
        box = json["box"]?.string
        priority = json["priority"]?.integer
        sha256 = json["sha256"]?.string
        if let object = json["timings"]?.object {
            timings = [:]
            for member in object.members { timings?[member.key] = member.value.double }
        }
    }

    func write(to object: inout JSONObject) {
        object["owner"] = owner.map { .integer(Int($0)) }
        object["duration_seconds"] = durationSeconds.map { .double($0) }
        object["width"] = width.map { .integer($0) }
        object["height"] = height.map { .integer($0) }
        object["num_frames"] = numFrames.map { .integer($0) }
        object["fps"] = fps.map { .integer($0) }
        object["seed"] = seed.map { .unsigned($0) }
        object["negative_prompt"] = negativePrompt.map { .string($0) }
        object["num_inference_steps"] = numInferenceSteps.map { .integer($0) }
        object["guidance_scale"] = guidanceScale.map { .double($0) }
        object["guidance_scale_2"] = secondGuidanceScale.map { .double($0) }
        object["guidance_interval"] = guidanceInterval.map { [.double($0.lowerBound), .double($0.upperBound)] }
        object["cache"] = cache.map { .double($0) }
        object["passes"] = passes.map { .integer($0) }
        object["flow_shift"] = flowShift.map { .double($0) }
        object["sigmas"] = sigmas.map { .array($0.map { .double($0) }) }
        object["strength"] = strength.map { .double($0) }
        object["conditioning_scale"] = conditioningScale.map { .double($0) }
        object["upscale"] = upscale.map { .integer($0) }
        object["interpolate"] = interpolate.map { .integer($0) }
        object["storyboard"] = storyboard.map { scenes in
            .array(
                scenes.enumerated().map { index, scene in
                    var object: JSONObject = [
                        "prompt": .string(scene.prompt),
                        "seconds": .double(ClipPlan.duration(ofFrames: scene.numFrames * (interpolate ?? 1), fps: fps ?? 1)),
                        "num_frames": .integer(scene.numFrames),
                    ]
                    if notes.scenes.indices.contains(index) { notes.scenes[index].write(to: &object) }
                    return .object(object)
                })
        }
        object["source_video_id"] = sourceVideoID.map { .string($0) }
        if !given.isEmpty { object["given"] = .array(given.map { .string($0) }) }
        notes.write(to: &object)
        object["phase"] = phase.map { .string($0.rawValue) }
        object["step"] = step.map { .integer($0) }
        object["steps"] = steps.map { .integer($0) }
        object["frame"] = frame.map { .integer($0) }
        object["eta_seconds"] = etaSeconds.map { .double($0) }
        object["priority"] = priority.map { .integer($0) }
        object["note"] = note.map { .string($0) }
        object["box"] = box.map { .string($0) }
        object["sha256"] = sha256.map { .string($0) }
        if let timings {
            var members = JSONObject()
            for (phase, seconds) in timings.sorted(by: { $0.key < $1.key }) { members[phase] = .double(seconds) }
            object["timings"] = .object(members)
        }
    }
}

extension RequestNotes {
    /// As members of a Video object.
    fileprivate func write(to object: inout JSONObject) {
        object["requested_model"] = requestedModel.map { .string($0) }
        object["requested_size"] = requestedSize.map { .string($0) }
        object["requested_seconds"] = requestedSeconds.map { .double($0) }
        object["estimate"] = estimate?.json
        prompt?.write(to: &object)
        if let negativePrompt {
            object["negative_prompt_tokens"] = .integer(negativePrompt.tokens)
            object["negative_prompt_truncated"] = .bool(negativePrompt.isTruncated)
        }
        if !ignored.isEmpty { object["ignored"] = .array(ignored.map { .string($0) }) }
    }

    fileprivate init(video json: JSONValue) {
        self.init()
        ignored = json["ignored"]?.array?.compactMap(\.string) ?? []
        requestedModel = json["requested_model"]?.string
        requestedSize = json["requested_size"]?.string
        requestedSeconds = json["requested_seconds"]?.double
        estimate = json["estimate"].flatMap { try? ClipEstimate(json: $0) }
        prompt = PromptReading(members: json)
        scenes = json["storyboard"]?.array?.compactMap { PromptReading(members: $0) } ?? []
        negativePrompt = PromptReading(members: json, prefix: "negative_prompt")
        negativePrompt?.unknownWords = []
    }
}

extension PromptReading {
    /// As members of a Video object, or of one of its scenes.
    fileprivate func write(to object: inout JSONObject) {
        object["prompt_tokens"] = .integer(tokens)
        object["prompt_truncated"] = .bool(isTruncated)
        object["unknown_words"] = .array(unknownWords.map { .string($0) })
    }

    fileprivate init?(members json: JSONValue, prefix: String = "prompt") {
        guard let tokens = json[prefix + "_tokens"]?.integer, let isTruncated = json[prefix + "_truncated"]?.bool else { return nil }
        self.init(
            tokens: tokens, textLength: isTruncated ? tokens - 1 : tokens,
            unknownWords: json["unknown_words"]?.array?.compactMap(\.string) ?? [])
    }
}

/// The answer to a delete.
public struct DeletedVideo: JSONRepresentable, Equatable {
    public var id: String

    public init(id: String) { self.id = id }

    public var json: JSONValue { ["id": .string(id), "object": "video.deleted", "deleted": true] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "deleted video")
        try members.expect("object", "video.deleted")
        id = try members.string("id")
    }
}
