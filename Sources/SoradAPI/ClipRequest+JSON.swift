// A request in a file: the fields of POST /v1/videos as JSON. Nobody answers such a file's author with a list of ignored fields, so every
// field that is unknown is refused.
public import SoradSystem

extension ClipRequest {
    private static let fieldNames = [
        "model", "prompt", "negative_prompt", "size", "width", "height", "seconds", "num_frames", "fps", "seed", "num_inference_steps",
        "guidance_scale", "guidance_scale_2", "guidance_interval", "cache", "flow_shift", "strength", "conditioning_scale", "upscale",
        "interpolate",
        "storyboard",
        "sigmas", "timesteps",
    ]

    /// - Throws: `.badInput` with the field and the values that are allowed.
    public init(json: JSONValue) throws(SoradError) {
        self.init()
        let fields = try FileFields(json, known: ClipRequest.fieldNames, name: "the request")
        model = try fields.text("model")
        prompt = try fields.text("prompt") ?? ""
        negativePrompt = try fields.text("negative_prompt")
        size = try fields.text("size")
        width = try fields.integer("width", in: ClipRequest.dimensionRange)
        height = try fields.integer("height", in: ClipRequest.dimensionRange)
        seconds = try fields.number("seconds", in: ClipRequest.secondsRange)
        numFrames = try fields.integer("num_frames", in: ClipRequest.frameRange)
        fps = try fields.integer("fps", in: ClipRequest.fpsRange)
        seed = try fields.seed("seed")
        numInferenceSteps = try fields.integer("num_inference_steps", in: ClipPlan.numInferenceStepsRange)
        guidanceScale = try fields.number("guidance_scale", in: ClipPlan.guidanceScaleRange)
        secondGuidanceScale = try fields.number("guidance_scale_2", in: ClipPlan.guidanceScaleRange)
        guidanceInterval = try fields.numbers("guidance_interval", in: ClipPlan.guidanceIntervalRange)
        cache = try fields.number("cache", in: ClipPlan.cacheRange, or: "off")
        flowShift = try fields.number("flow_shift", in: ClipPlan.flowShiftRange)
        strength = try fields.number("strength", in: ClipRequest.strengthRange)
        conditioningScale = try fields.number("conditioning_scale", in: ClipRequest.conditioningScaleRange)
        sigmas = try fields.numbers("sigmas", in: ClipPlan.sigmaRange)
        timesteps = try fields.numbers("timesteps", in: ClipRequest.timestepRange)
        upscale = try fields.integer("upscale", in: 1...4)
        interpolate = try fields.integer("interpolate", in: 1...2)
        for (index, value) in try fields.list("storyboard").enumerated() {
            let scene = try FileFields(value, known: ["prompt", "seconds", "num_frames"], name: "storyboard[\(index)]")
            let frames = try scene.integer("num_frames", in: ClipRequest.frameRange)
            let seconds = try scene.number("seconds", in: ClipRequest.secondsRange)
            guard frames != nil || seconds != nil else { throw scene.refused("seconds", "is missing") }
            storyboard.append(Scene(prompt: try scene.text("prompt") ?? "", seconds: seconds, numFrames: frames))
        }
    }
}

/// The members of a JSON object, each of the right type and range. `null` is as good as missing.
private struct FileFields {
    private let object: JSONObject
    private let name: String

    init(_ json: JSONValue, known: [String], name: String) throws(SoradError) {
        guard let object = json.object else { throw SoradError(.badInput, "\(name) is not a JSON object") }
        (self.object, self.name) = (object, name)
        if let unknown = object.members.first(where: { !known.contains($0.key) })?.key {
            let hint = nearestName(to: unknown, among: known).map { "did you mean \"\($0)\"?" }
            throw SoradError(.badInput, "\(name) has an unknown field \"\(unknown)\"", hint: hint, param: unknown)
        }
    }

    func refused(_ field: String, _ problem: String) -> SoradError {
        SoradError(.badInput, "the field \"\(field)\" of \(name) \(problem)", param: field)
    }

    private func value(_ field: String) -> JSONValue? { object[field].flatMap { $0 == .null ? nil : $0 } }

    func text(_ field: String) throws(SoradError) -> String? {
        guard let value = value(field) else { return nil }
        guard let text = value.string else { throw refused(field, "is not a text") }
        return text
    }

    func integer(_ field: String, in range: ClosedRange<Int>) throws(SoradError) -> Int? {
        guard let value = value(field) else { return nil }
        guard let number = value.integer, range.contains(number) else {
            throw refused(field, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func number(_ field: String, in range: ClosedRange<Double>) throws(SoradError) -> Double? {
        guard let value = value(field) else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw refused(field, "must be a number from \(decimalText(range.lowerBound)) to \(decimalText(range.upperBound))")
        }
        return number
    }

    /// As above, or `none`, which says that there is no number.
    func number(_ field: String, in range: ClosedRange<Double>, or none: String) throws(SoradError) -> Double? {
        value(field)?.string == none ? nil : try number(field, in: range)
    }

    /// Their order is checked where the plan is made.
    func numbers(_ field: String, in range: ClosedRange<Double>) throws(SoradError) -> [Double] {
        guard let value = value(field) else { return [] }
        guard let list = value.array, list.count <= ClipPlan.numInferenceStepsRange.upperBound + 1 else {
            throw refused(field, "is not a list of numbers")
        }
        return try list.map { element throws(SoradError) in
            guard let number = element.double, range.contains(number) else {
                throw refused(field, "must have numbers from \(decimalText(range.lowerBound)) to \(decimalText(range.upperBound))")
            }
            return number
        }
    }

    /// nil for −1 too, which asks for a random one.
    func seed(_ field: String) throws(SoradError) -> UInt64? {
        guard let value = value(field), value.integer != -1 else { return nil }
        guard let seed = value.unsigned else { throw refused(field, "must be a whole number from -1 to \(UInt64.max)") }
        return seed
    }

    func list(_ field: String) throws(SoradError) -> [JSONValue] {
        guard let value = value(field) else { return [] }
        guard let list = value.array, !list.isEmpty else { throw refused(field, "is not a list of scenes") }
        return list
    }
}
