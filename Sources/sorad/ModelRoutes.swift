// /v1/models.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem

extension ClientRoutes {
    @Sendable func listModels(_: Request) throws -> Response {
        try waitForModels()
        let found = models.entries.map { Model(info: $0.info) }
        let others = aliases.names.filter { models.entry($0.alias) == nil }.compactMap { model(alias: $0.alias) }
        return .json(ModelList(data: found + others))
    }

    @Sendable func showModel(_ request: Request) throws -> Response {
        try waitForModels()
        let id = request.parameter("id")
        guard let entry = installed(id), var model = models.entry(id).map({ Model(info: $0.info) }) ?? model(alias: id) else {
            throw APIError.notFound("there is no model \"\(id)\"", code: "model_not_found")
        }
        model.details["estimate"] = try estimate(request.query, entry.info)
        return .json(model)
    }

    /// What a clip of the size, the length and the steps in the query takes of this machine; of the model's own where it names none. nil for
    /// a model that says nothing of it.
    private func estimate(_ query: Fields, _ info: ModelInfo) throws -> JSONValue? {
        try query.rejectUnknown(known: ["size", "seconds", "num_frames", "fps", "num_inference_steps", "guidance_scale"])
        var asked = ClipRequest()
        asked.prompt = "a clip"
        asked.size = try query.text("size")
        asked.seconds = try query.number("seconds", in: ClipRequest.secondsRange)
        asked.numFrames = try query.integer("num_frames", in: ClipRequest.frameRange)
        asked.fps = try query.integer("fps", in: ClipRequest.fpsRange)
        asked.numInferenceSteps = try query.integer("num_inference_steps", in: ClipPlan.numInferenceStepsRange)
        asked.guidanceScale = try query.number("guidance_scale", in: ClipPlan.guidanceScaleRange)
        let plan = try asked.plan(for: info, randomSeed: 0)
        guard let estimate = service.estimate(of: plan, info) else { return nil }
        var object: JSONObject = [
            "size": .string("\(plan.width)x\(plan.height)"), "num_frames": .integer(plan.numFrames),
            "num_inference_steps": .integer(plan.numInferenceSteps), "guidance_scale": .double(plan.guidanceScale),
        ]
        for member in estimate.json.object?.members ?? [] { object[member.key] = member.value }
        return .object(object)
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
