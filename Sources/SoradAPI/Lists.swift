// Pages of videos and the list of models.
public import SoradSystem

/// One page of a list. A client asks for the next page with `after=` and `lastID`.
public struct VideoList: JSONRepresentable, Equatable {
    public var data: [Video]
    public var hasMore: Bool

    public init(data: [Video], hasMore: Bool) {
        self.data = data
        self.hasMore = hasMore
    }

    public var firstID: String? { data.first?.id }
    public var lastID: String? { data.last?.id }

    public var json: JSONValue {
        [
            "object": "list", "data": .array(data.map(\.json)), "first_id": .optional(firstID), "last_id": .optional(lastID),
            "has_more": .bool(hasMore),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "list")
        try members.expect("object", "list")
        data = []
        for element in try members.array("data") { data.append(try Video(json: element)) }
        hasMore = json["has_more"]?.bool ?? false
    }
}

/// One model as the model list shows it; `info`'s facts go along as extra members.
public struct Model: JSONRepresentable, Equatable {
    public var id: String
    public var created: Int
    public var ownedBy: String
    /// Further members, e.g. sizes and limits.
    public var details: JSONObject

    public init(id: String, created: Int, ownedBy: String, details: JSONObject = [:]) {
        self.id = id
        self.created = created
        self.ownedBy = ownedBy
        self.details = details
    }

    public init(info: ModelInfo) {
        var details: JSONObject = [
            "sha256": .string(info.sha256), "license": .string(info.license), "default_width": .integer(info.defaultWidth),
            "default_height": .integer(info.defaultHeight), "default_num_frames": .integer(info.defaultNumFrames),
            "fps": .integer(info.fps), "size_multiple": .integer(info.sizeMultiple), "frame_multiple": .integer(info.frameMultiple),
            "max_width": .integer(info.maxWidth), "max_height": .integer(info.maxHeight),
            "max_num_frames": .integer(info.maxNumFrames), "max_pixels": .integer(info.maxPixels),
            "default_num_inference_steps": .integer(info.defaultNumInferenceSteps),
            "default_guidance_scale": .double(info.defaultGuidanceScale), "default_flow_shift": .double(info.defaultFlowShift),
            "takes_conditioning_frames": .bool(info.takesConditioningFrames),
            // The name of earlier versions, for their clients.
            "takes_known_frames": .bool(info.takesConditioningFrames),
        ]
        if info.picturesNeeded > 0 { details["required_pictures"] = .integer(info.picturesNeeded) }
        if info.takesControl { details["follows_clips"] = true }
        details["text_length"] = info.textLength.map { .integer($0) }
        func factors(_ factors: [Int]) -> JSONValue { .array(factors.map { .integer($0) }) }
        if info.upscales { details["upscale"] = factors(ClipPlan.upscaleFactors) }
        if info.interpolates { details["interpolate"] = factors(ClipPlan.interpolateFactors) }
        details["window_frames"] = info.windowFrames.map { .integer($0) }
        if !info.declaredSizes.isEmpty { details["sizes"] = .array(info.declaredSizes.map { .string($0.text) }) }
        self.init(id: info.id, created: info.created, ownedBy: "sorad", details: details)
    }

    public var json: JSONValue {
        var object: JSONObject = [
            "id": .string(id), "object": "model", "created": .integer(created), "owned_by": .string(ownedBy),
        ]
        for member in details.members { object[member.key] = member.value }
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "model")
        try members.expect("object", "model")
        id = try members.string("id")
        created = json["created"]?.integer ?? 0
        ownedBy = json["owned_by"]?.string ?? ""
        details = json.object ?? [:]
        for key in ["id", "object", "created", "owned_by"] { details[key] = nil }
    }
}

public struct ModelList: JSONRepresentable, Equatable {
    public var data: [Model]

    public init(data: [Model]) { self.data = data }

    public var json: JSONValue { ["object": "list", "data": .array(data.map(\.json))] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "model list")
        try members.expect("object", "list")
        data = []
        for element in try members.array("data") { data.append(try Model(json: element)) }
    }
}
