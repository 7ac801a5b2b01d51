// The JSON of given frames, as the job store keeps it and the worker gets it. Members that say nothing are left out.
public import SoradSystem

extension ReferenceClip: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = ["numFrames": .integer(numFrames), "contextFrames": .integer(contextFrames)]
        if !parts.isEmpty { object["parts"] = .array(parts.map(\.json)) }
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "given clip")
        let frames = try members.integer("numFrames")
        let context = try members.integer("contextFrames")
        guard frames <= ReferenceClip.limit, context >= 1, context <= frames else {
            throw JSONError("a given clip has \(frames) frames, of which \(context) are used")
        }
        var parts: [ClipPart] = []
        for part in json["parts"]?.array ?? [] { parts.append(try ClipPart(json: part)) }
        guard parts.count <= ClipPart.limit, parts.isEmpty || parts.reduce(0, { $0 + $1.count }) == frames else {
            throw JSONError("the \(parts.count) parts of a given clip are not its \(frames) frames")
        }
        self.init(numFrames: frames, contextFrames: context, parts: parts)
    }
}

extension ReferenceMedia: JSONRepresentable {
    public var json: JSONValue {
        var object: JSONObject = [
            "hasFirstFrame": .bool(hasFirstFrame), "hasLastFrame": .bool(hasLastFrame), "isLoop": .bool(isLoop), "isRemix": .bool(isRemix),
        ]
        if hasMask { object["hasMask"] = true }
        if maskIsClip { object["maskIsClip"] = true }
        if !references.isEmpty { object["references"] = .array(references.map { .string($0.text) }) }
        object["conditioningScale"] = conditioningScale.map { .double($0) }
        object["before"] = before?.json
        object["after"] = after?.json
        object["source"] = source?.json
        object["strength"] = strength.map { .double($0) }
        object["videoID"] = videoID.map { .string($0) }
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        guard json.object != nil else { throw JSONError("the given frames are not an object") }
        func flag(_ name: String) -> Bool { json[name]?.bool ?? false }
        func clip(_ name: String) throws(JSONError) -> ReferenceClip? {
            guard let value = json[name], value != .null else { return nil }
            return try ReferenceClip(json: value)
        }
        self.init()
        hasFirstFrame = flag("hasFirstFrame")
        hasLastFrame = flag("hasLastFrame")
        isLoop = flag("isLoop")
        isRemix = flag("isRemix")
        hasMask = flag("hasMask")
        maskIsClip = flag("maskIsClip")
        for value in json["references"]?.array ?? [] {
            guard let size = value.string.flatMap({ PictureSize($0) }), references.count < ReferenceFile.references.count else {
                throw JSONError("the reference pictures are no \(ReferenceFile.references.count) sizes at most")
            }
            references.append(size)
        }
        conditioningScale = json["conditioningScale"]?.double
        before = try clip("before")
        after = try clip("after")
        source = try clip("source")
        strength = json["strength"]?.double
        videoID = json["videoID"]?.string
    }
}

extension MediaFacts: JSONRepresentable {
    public var json: JSONValue {
        [
            "format": .string(format.rawValue), "width": .integer(width), "height": .integer(height), "num_frames": .integer(numFrames),
            "fps": .integer(fps), "microseconds": .integer(microseconds), "held_pixels": .integer(heldPixels),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "file")
        guard let format = Format(rawValue: try members.string("format")) else { throw JSONError("the file's format is unknown") }
        let (width, height) = (try members.integer("width"), try members.integer("height"))
        let (numFrames, fps) = (try members.integer("num_frames"), try members.integer("fps"))
        guard max(width, height) <= 1 << 20, numFrames <= ReferenceClip.limit * 10, (0...1000).contains(fps) else {
            throw JSONError("a file has \(width)×\(height) pixels, \(numFrames) frames and \(fps) a second")
        }
        self.init(
            format: format, width: width, height: height, numFrames: numFrames, fps: fps, microseconds: json["microseconds"]?.integer,
            heldPixels: json["held_pixels"]?.integer)
    }
}
