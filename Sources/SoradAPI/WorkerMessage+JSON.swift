// The JSON of the messages between daemon and worker, and of the job store's records.
// Keys are the property names; a case is an object with one member, named after it. Written out because the daemon links no Foundation.
public import SoradSystem

extension WorkerCommand: JSONRepresentable {
    public var json: JSONValue {
        switch self {
        case .generate(let job, let plan, let directory, let expected, let embeddings):
            var members: JSONObject = [
                "job": .string(job), "request": plan.json, "directory": .string(directory), "expectedSeconds": secondsJSON(expected),
            ]
            members["embeddings"] = embeddings.map { .string($0) }
            return ["generate": .object(members)]
        case .cancel(let job): return ["cancel": ["job": .string(job)]]
        }
    }

    public init(json: JSONValue) throws(JSONError) {
        let (name, members) = try onlyMember(json, of: "worker command")
        switch name {
        case "generate":
            self = .generate(
                job: try members.string("job"), plan: try ClipPlan(json: members.value["request"] ?? .null),
                directory: try members.string("directory"), expectedSeconds: secondsByPhase(members.value["expectedSeconds"]),
                embeddings: members.value["embeddings"]?.string)
        case "cancel": self = .cancel(job: try members.string("job"))
        default: throw JSONError("the worker command \"\(name)\" is unknown")
        }
    }
}

extension WorkerEvent: JSONRepresentable {
    public var json: JSONValue {
        switch self {
        case .ready(let model): ["ready": ["model": model.json]]
        case .alive: ["alive": [:]]
        case .backend(let sentence): ["backend": ["sentence": .string(sentence)]]
        case .progress(let job, let progress): ["progress": ["job": .string(job), "progress": progress.json]]
        case .finished(let job, let result): ["finished": ["job": .string(job), "result": result.json]]
        case .failed(let job, let error): ["failed": ["job": .string(job), "error": error.json]]
        }
    }

    public init(json: JSONValue) throws(JSONError) {
        let (name, members) = try onlyMember(json, of: "worker event")
        let value = members.value
        switch name {
        case "ready": self = .ready(model: try ModelInfo(json: value["model"] ?? .null))
        case "alive": self = .alive
        case "backend": self = .backend(try members.string("sentence"))
        case "progress":
            self = .progress(job: try members.string("job"), progress: try JobProgress(json: value["progress"] ?? .null))
        case "finished": self = .finished(job: try members.string("job"), result: try ClipResult(json: value["result"] ?? .null))
        case "failed": self = .failed(job: try members.string("job"), error: try JobError(json: value["error"] ?? .null))
        default: throw JSONError("the worker event \"\(name)\" is unknown")
        }
    }
}

extension ClipPlan: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = [
            "model": .string(model), "prompt": .string(prompt), "negativePrompt": .string(negativePrompt), "width": .integer(width),
            "height": .integer(height), "numFrames": .integer(numFrames), "fps": .integer(fps), "seed": .unsigned(seed),
            "numInferenceSteps": .integer(numInferenceSteps), "guidanceScale": .double(guidanceScale), "flowShift": .double(flowShift),
        ]
        object["given"] = given?.json
        // Left out where there are none, so that a plain clip's text stays what it was.
        if !windows.isEmpty { object["windows"] = .array(windows.map(\.json)) }
        if !scenes.isEmpty { object["scenes"] = .array(scenes.map(\.json)) }
        if !sigmas.isEmpty { object["sigmas"] = .array(sigmas.map { .double($0) }) }
        object["guidanceScale2"] = secondGuidanceScale.map { .double($0) }
        object["guidanceInterval"] = guidanceInterval.map { [.double($0.lowerBound), .double($0.upperBound)] }
        object["cache"] = cache.map { .double($0) }
        object["cascade"] = cascade?.json
        if upscale != 1 { object["upscale"] = .integer(upscale) }
        if interpolate != 1 { object["interpolate"] = .integer(interpolate) }
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "request")
        guard let seed = json["seed"]?.unsigned else { throw JSONError("the request has no integer \"seed\"") }
        self.init(
            model: try members.string("model"), prompt: try members.string("prompt"),
            negativePrompt: try members.string("negativePrompt"), width: try members.integer("width"),
            height: try members.integer("height"), numFrames: try members.integer("numFrames"), fps: try members.integer("fps"),
            seed: seed, numInferenceSteps: try members.integer("numInferenceSteps"),
            guidanceScale: try members.double("guidanceScale"), flowShift: try members.double("flowShift"))
        if let value = json["given"], value != .null { given = try ReferenceMedia(json: value) }
        for value in json["windows"]?.array ?? [] { windows.append(try ClipWindow(json: value)) }
        for value in json["scenes"]?.array ?? [] { scenes.append(try ClipScene(json: value)) }
        guard windows.count <= ClipWindow.limit, scenes.count <= ClipWindow.limit else {
            throw JSONError("the request has \(windows.count) windows and \(scenes.count) scenes")
        }
        let levels = json["sigmas"]?.array ?? []
        guard levels.count <= ClipPlan.numInferenceStepsRange.upperBound else {
            throw JSONError("the request has \(levels.count) noise levels")
        }
        for value in levels {
            guard let level = value.double, level.isFinite else { throw JSONError("the request has a noise level that is no number") }
            sigmas.append(level)
        }
        secondGuidanceScale = json["guidanceScale2"]?.double
        if let ends = json["guidanceInterval"]?.array {
            guard ends.count == 2, let low = ends[0].double, let high = ends[1].double, low <= high else {
                throw JSONError("the request has a guidance interval that is none")
            }
            guidanceInterval = low...high
        }
        cache = json["cache"]?.double
        cascade = try json["cascade"].map { json throws(JSONError) in try CascadePlan(json: json) }
        upscale = json["upscale"]?.integer ?? 1
        interpolate = json["interpolate"]?.integer ?? 1
        guard ([1] + ClipPlan.upscaleFactors).contains(upscale), ([1] + ClipPlan.interpolateFactors).contains(interpolate) else {
            throw JSONError("the request upscales by \(upscale) and interpolates by \(interpolate)")
        }
    }
}

extension ModelInfo: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "sha256": .string(sha256), "created": .integer(created), "license": .string(license),
            "defaultWidth": .integer(defaultWidth), "defaultHeight": .integer(defaultHeight),
            "defaultNumFrames": .integer(defaultNumFrames), "fps": .integer(fps), "sizeMultiple": .integer(sizeMultiple),
            "frameMultiple": .integer(frameMultiple), "maxWidth": .integer(maxWidth), "maxHeight": .integer(maxHeight),
            "maxNumFrames": .integer(maxNumFrames), "maxPixels": .integer(maxPixels),
            "defaultNumInferenceSteps": .integer(defaultNumInferenceSteps), "defaultGuidanceScale": .double(defaultGuidanceScale),
            "defaultFlowShift": .double(defaultFlowShift), "takesConditioningFrames": .bool(takesConditioningFrames),
        ]
        object["textLength"] = textLength.map { .integer($0) }
        if hasExperts { object["hasExperts"] = true }
        if picturesNeeded > 0 { object["picturesNeeded"] = .integer(picturesNeeded) }
        if takesControl { object["takesControl"] = true }
        if upscales { object["upscales"] = true }
        if interpolates { object["interpolates"] = true }
        object["cascade"] = cascade?.json
        object["windowFrames"] = windowFrames.map { .integer($0) }
        if !declaredSizes.isEmpty { object["sizes"] = .array(declaredSizes.map { .string($0.text) }) }
        object["memory"] = memory?.json
        object["time"] = time?.json
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "model")
        self.init(
            id: try members.string("id"), sha256: try members.string("sha256"), created: try members.integer("created"),
            license: try members.string("license"), defaultWidth: try members.integer("defaultWidth"),
            defaultHeight: try members.integer("defaultHeight"), defaultNumFrames: try members.integer("defaultNumFrames"),
            fps: try members.integer("fps"), sizeMultiple: try members.integer("sizeMultiple"),
            frameMultiple: try members.integer("frameMultiple"), maxWidth: try members.integer("maxWidth"),
            maxHeight: try members.integer("maxHeight"), maxNumFrames: try members.integer("maxNumFrames"),
            maxPixels: try members.integer("maxPixels"), defaultNumInferenceSteps: try members.integer("defaultNumInferenceSteps"),
            defaultGuidanceScale: try members.double("defaultGuidanceScale"), defaultFlowShift: try members.double("defaultFlowShift"),
            takesConditioningFrames: json["takesConditioningFrames"]?.bool ?? false, textLength: json["textLength"]?.integer,
            memory: try json["memory"].map { json throws(JSONError) in try ModelMemory(json: json) })
        time = try json["time"].map { json throws(JSONError) in try ModelTime(json: json) }
        windowFrames = json["windowFrames"]?.integer
        hasExperts = json["hasExperts"]?.bool ?? false
        picturesNeeded = json["picturesNeeded"]?.integer ?? 0
        takesControl = json["takesControl"]?.bool ?? false
        upscales = json["upscales"]?.bool ?? false
        interpolates = json["interpolates"]?.bool ?? false
        cascade = try json["cascade"].map { json throws(JSONError) in try ModelCascade(json: json) }
        for value in json["sizes"]?.array ?? [] {
            guard let size = value.string.flatMap({ PictureSize($0) }) else { throw JSONError("the model has a size that is none") }
            declaredSizes.append(size)
        }
    }
}

extension JobProgress: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = [
            "phase": .string(phase.rawValue), "step": .integer(step), "steps": .integer(steps), "percent": .integer(percent),
        ]
        if frame != 0 { object["frame"] = .integer(frame) }
        object["etaSeconds"] = etaSeconds.map { .double($0) }
        object["preview"] = preview?.json
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "progress")
        let name = try members.string("phase")
        guard let phase = JobPhase(rawValue: name) else { throw JSONError("the phase \"\(name)\" is no name") }
        self.init(
            phase: phase, step: try members.integer("step"), steps: try members.integer("steps"),
            frame: json["frame"]?.integer ?? 0, percent: try members.integer("percent"), etaSeconds: json["etaSeconds"]?.double,
            preview: try json["preview"].map { json throws(JSONError) in try JobPreview(json: json) })
    }
}

extension ClipResult: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = [
            "sha256": .string(sha256), "video": .string(video), "thumbnail": .string(thumbnail), "spritesheet": .string(spritesheet),
            "timings": secondsJSON(timings), "resumedStep": .integer(resumedStep), "resumedFrames": .integer(resumedFrames),
        ]
        object["passes"] = passes.map { .integer($0) }
        object["videoSHA256"] = videoSHA256.map { .string($0) }
        object["latents"] = latents.map { .string($0) }
        object["modelSHA256"] = modelSHA256.map { .string($0) }
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "result")
        let phases = json["timings"]?.object?.members.count ?? 0
        guard phases <= ClipResult.timingsLimit else { throw JSONError("the result has \(phases) timings") }
        self.init(
            sha256: try members.string("sha256"), video: try members.string("video"), thumbnail: try members.string("thumbnail"),
            spritesheet: try members.string("spritesheet"), timings: secondsByPhase(json["timings"]),
            resumedStep: json["resumedStep"]?.integer ?? 0, resumedFrames: json["resumedFrames"]?.integer ?? 0,
            videoSHA256: json["videoSHA256"]?.string, latents: json["latents"]?.string, modelSHA256: json["modelSHA256"]?.string)
        passes = json["passes"]?.integer
    }
}

extension JobError: JSONRepresentable {
    public var json: JSONValue { ["code": .string(code), "message": .string(message)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "error")
        self.init(code: try members.string("code"), message: try members.string("message"))
    }
}

extension JSONMembers {
    func double(_ key: String) throws(JSONError) -> Double {
        guard let double = value[key]?.double else { throw JSONError("the \(name) has no number \"\(key)\"") }
        return double
    }
}

/// Seconds by phase name, in the order of the names.
package func secondsJSON(_ seconds: [String: Double]) -> JSONValue {
    var object = JSONObject()
    for (phase, value) in seconds.sorted(by: { $0.key < $1.key }) { object[phase] = .double(value) }
    return .object(object)
}

/// Members that are no numbers are left out.
package func secondsByPhase(_ json: JSONValue?) -> [String: Double] {
    var seconds: [String: Double] = [:]
    for member in json?.object?.members ?? [] { seconds[member.key] = member.value.double }
    return seconds
}

/// A message is an object with one member, named after its case.
func onlyMember(_ json: JSONValue, of name: String) throws(JSONError) -> (String, JSONMembers) {
    guard let members = json.object?.members, members.count == 1, let member = members.first else {
        throw JSONError("the \(name) is not an object with one member")
    }
    return (member.key, JSONMembers(member.value, of: member.key))
}
