// What the daemon noticed in a request, for the answer alone: nothing of it changes the clip.
public import SoradSystem

/// How the model reads a text prompt.
public struct PromptReading: Sendable, Equatable {
    /// Tokens of the whole text, the end mark included.
    public var tokens: Int
    /// Tokens that the model reads at most, the end mark included.
    public var textLength: Int
    /// The words that the model's vocabulary lacks, each once, in their order; at most `unknownWordsLimit`.
    public var unknownWords: [String]

    public static let unknownWordsLimit = 32

    /// The model reads the beginning only.
    public var isTruncated: Bool { tokens > textLength }

    public init(tokens: Int, textLength: Int, unknownWords: [String]) {
        self.tokens = tokens
        self.textLength = textLength
        self.unknownWords = unknownWords
    }
}

extension PromptReading: JSONRepresentable {
    public var json: JSONValue {
        [
            "tokens": .integer(tokens), "textLength": .integer(textLength), "unknownWords": .array(unknownWords.map { .string($0) }),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "reading of a prompt")
        tokens = try members.integer("tokens")
        textLength = try members.integer("textLength")
        unknownWords = try members.array("unknownWords").prefix(PromptReading.unknownWordsLimit).compactMap(\.string)
    }
}

/// The remarks of an answer.
public struct RequestNotes: Sendable, Equatable {
    /// Names of fields that had no effect.
    public var ignored: [String] = []
    /// The alias by which the model was asked for.
    public var requestedModel: String?
    /// "WIDTHxHEIGHT", where another size is made.
    public var requestedSize: String?
    /// Where the clip is shorter.
    public var requestedSeconds: Double?
    /// nil where nobody could read it, and for a storyboard.
    public var prompt: PromptReading?
    /// Of a storyboard, one for each scene; none where nobody could read them.
    public var scenes: [PromptReading] = []
    /// nil where there is none, or it has no effect.
    public var negativePrompt: PromptReading?

    /// What the clip will take of this machine; nil for a model that says nothing of it.
    public var estimate: ClipEstimate?

    public init() {}
}

extension RequestNotes: JSONRepresentable {
    public var json: JSONValue {
        var object = JSONObject()
        if !ignored.isEmpty { object["ignored"] = .array(ignored.map { .string($0) }) }
        object["requestedModel"] = requestedModel.map { .string($0) }
        object["requestedSize"] = requestedSize.map { .string($0) }
        object["requestedSeconds"] = requestedSeconds.map { .double($0) }
        object["prompt"] = prompt?.json
        if !scenes.isEmpty { object["scenes"] = .array(scenes.map(\.json)) }
        object["negativePrompt"] = negativePrompt?.json
        object["estimate"] = estimate?.json
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        ignored = json["ignored"]?.array?.compactMap(\.string) ?? []
        requestedModel = json["requestedModel"]?.string
        requestedSize = json["requestedSize"]?.string
        requestedSeconds = json["requestedSeconds"]?.double
        prompt = try json["prompt"].map { json throws(JSONError) in try PromptReading(json: json) }
        for scene in json["scenes"]?.array ?? [] { scenes.append(try PromptReading(json: scene)) }
        negativePrompt = try json["negativePrompt"].map { json throws(JSONError) in try PromptReading(json: json) }
        estimate = try json["estimate"].map { json throws(JSONError) in try ClipEstimate(json: json) }
    }
}
