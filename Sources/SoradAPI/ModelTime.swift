// How long clips of a model take on this machine, before any was made: the engine runs parts of the model on a few tokens and pixels when it
// describes a file, and sends what they cost as coefficients. Clips that were made here know better, and stand above it.
// Invariant: an estimate is never a promise. It leaves out what a machine with too little memory spends on reading weights again.
public import SoradSystem

/// Seconds by the size of a clip.
public struct ModelTime: Sendable, Equatable {
    /// Of a pass of prompts through the text encoder, with t tokens together: textPass + perTextToken · t. The first is what reading and
    /// unpacking its weights takes, and does not grow with the prompts.
    public var textPass: Double
    public var perTextToken: Double
    /// Most tokens of a prompt. A pass has room for two such prompts.
    public var textLength: Int
    /// Of a pass through the network, with t tokens: pass + perToken · t + perPair · t².
    public var pass: Double
    public var perToken: Double
    public var perPair: Double
    /// Of a pixel of a frame that is decoded, and of one that is encoded.
    public var perPixel: Double
    public var perEncodedPixel: Double
    /// Of a given picture of which the network reads embeddings, and how many of them it reads.
    public var perPicture: Double
    public var picturesRead: Int
    /// Clips of the whole length that are encoded for every clip: one around given pictures; two of what is followed, one where that is nothing.
    public var clipsEncoded: Int
    /// Pixels along a side, and frames, that one latent pixel stands for; latent pixels of a token.
    public var spatialScale: Int
    public var timeScale: Int
    public var tokenPixels: Int

    public init(
        textPass: Double, perTextToken: Double, textLength: Int, pass: Double, perToken: Double, perPair: Double, perPixel: Double,
        perEncodedPixel: Double, perPicture: Double = 0, picturesRead: Int = 0, clipsEncoded: Int = 0, spatialScale: Int, timeScale: Int,
        tokenPixels: Int
    ) {
        self.textPass = textPass
        self.perTextToken = perTextToken
        self.textLength = textLength
        self.pass = pass
        self.perToken = perToken
        self.perPair = perPair
        self.perPixel = perPixel
        self.perEncodedPixel = perEncodedPixel
        self.perPicture = perPicture
        self.picturesRead = picturesRead
        self.clipsEncoded = clipsEncoded
        self.spatialScale = spatialScale
        self.timeScale = timeScale
        self.tokenPixels = tokenPixels
    }

    /// Files, whatever the clip.
    private static let writing = 0.2

    /// Seconds by phase name.
    public func seconds(for plan: ClipPlan) -> [String: Double] {
        let latents = Double(plan.width / spatialScale) * Double(plan.height / spatialScale)
        func tokens(_ frames: Int) -> Double { Double(frames) * latents / Double(tokenPixels) }
        let references = plan.given?.references.count ?? 0
        let frames = plan.windows.isEmpty ? [1 + (plan.numFrames + timeScale - 2) / timeScale + references] : plan.windows.map(\.count)
        // Steps that may be left out count: how many will be is not known.
        let steps = Double(plan.stepsPerWindow)
        func each(_ tokens: Double) -> Double { perToken * tokens + perPair * tokens * tokens }
        let denoising = frames.reduce(0.0) { (sum: Double, count: Int) -> Double in
            let count = tokens(count)
            return sum + pass * steps + Double(plan.wholePasses) * each(count) + Double(plan.basePasses) * each(count / 4)
        }
        let pixels = Double(plan.width) * Double(plan.height)
        let encoding =
            perEncodedPixel * pixels * Double(encodedFrames(for: plan)) + perPicture * Double(min(picturesRead, plan.pictures))
        var seconds = [
            JobPhase.encodingText.rawValue: encodingText(of: plan), JobPhase.denoising.rawValue: denoising,
            JobPhase.decoding.rawValue: perPixel * pixels * Double(plan.numFrames), JobPhase.writing.rawValue: ModelTime.writing,
        ]
        // What a model follows is encoded where nothing is given too, in no stage of its own.
        let phase = plan.given == nil ? JobPhase.encodingText : .encodingFrames
        if encoding > 0 { seconds[phase.rawValue, default: 0] += encoding }
        return seconds
    }

    /// All prompts go through the encoder together, as many in a pass as have the tokens of two of the full length. The daemon has no
    /// tokenizer: umT5 has a piece for some 4 bytes of text, in Latin letters as in Chinese.
    private func encodingText(of plan: ClipPlan) -> Double {
        var prompts = Set(plan.scenes.isEmpty ? [plan.prompt] : plan.scenes.map(\.prompt))
        if plan.guidanceScale != 1 { prompts.insert(plan.negativePrompt) }
        let tokens = prompts.reduce(0) { $0 + min(textLength, 1 + $1.utf8.count / 4) }
        let passes = max(1, (tokens + 2 * textLength - 1) / (2 * textLength))
        return textPass * Double(passes) + perTextToken * Double(tokens)
    }

    /// Frames that the encoder gets.
    private func encodedFrames(for plan: ClipPlan) -> Int {
        let given = plan.given
        // Noise is mixed into latents of the whole clip.
        let mixed = plan.firstStep > 0 && given != nil ? plan.numFrames : 0
        guard clipsEncoded == 0 else {
            let clips = given?.source == nil && plan.pictures == 0 ? 1 : clipsEncoded
            return clips * plan.numFrames + (given?.references.count ?? 0) + mixed
        }
        let context = [given?.before, given?.after, given?.source].reduce(0) { $0 + ($1?.contextFrames ?? 0) }
        let pictures = (given?.hasFirstFrame == true ? 1 + mixed : 0) + (given?.hasLastFrame == true ? 1 + 2 * timeScale : 0)
        return context + pictures
    }

    /// What the arithmetic above relies on.
    public var isPlausible: Bool {
        [textPass, perTextToken, pass, perToken, perPair, perPixel, perEncodedPixel, perPicture].allSatisfy { (0...1e6).contains($0) }
            && [picturesRead, clipsEncoded].allSatisfy { (0...2).contains($0) }
            && [spatialScale, timeScale, tokenPixels].allSatisfy { (1...1024).contains($0) } && (1...1_000_000).contains(textLength)
    }
}

extension ModelTime: JSONRepresentable {
    public var json: JSONValue {
        [
            "textPass": .double(textPass), "perTextToken": .double(perTextToken), "textLength": .integer(textLength), "pass": .double(pass),
            "perToken": .double(perToken), "perPair": .double(perPair), "perPixel": .double(perPixel),
            "perEncodedPixel": .double(perEncodedPixel), "perPicture": .double(perPicture),
            "picturesRead": .integer(picturesRead), "clipsEncoded": .integer(clipsEncoded), "spatialScale": .integer(spatialScale),
            "timeScale": .integer(timeScale),
            "tokenPixels": .integer(tokenPixels),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "time")
        self.init(
            textPass: try members.double("textPass"), perTextToken: try members.double("perTextToken"),
            textLength: try members.integer("textLength"), pass: try members.double("pass"), perToken: try members.double("perToken"),
            perPair: try members.double("perPair"), perPixel: try members.double("perPixel"),
            perEncodedPixel: try members.double("perEncodedPixel"), perPicture: try members.double("perPicture"),
            picturesRead: try members.integer("picturesRead"), clipsEncoded: try members.integer("clipsEncoded"),
            spatialScale: try members.integer("spatialScale"), timeScale: try members.integer("timeScale"),
            tokenPixels: try members.integer("tokenPixels"))
    }
}

extension ClipPlan {
    /// Pictures of the beginning and the end that are given.
    fileprivate var pictures: Int { (given?.hasFirstFrame == true ? 1 : 0) + (given?.hasLastFrame == true ? 1 : 0) }
}

/// What a clip will take of this machine, as the answer to its request has it.
public struct ClipEstimate: Sendable, Equatable {
    public enum Basis: String, Sendable, CaseIterable {
        /// Clips of this shape that were made here.
        case history
        /// Parts of the model that were measured here, and the clip's size.
        case arithmetic
    }

    /// From the beginning to the end, without the jobs before it; nil where nothing is known.
    public var seconds: Double?
    public var basis: Basis?
    /// Bytes that must be there.
    public var memory: Int
    /// Bytes with which no weight is read from the disk twice.
    public var wantedMemory: Int
    /// Fewer than `wantedMemory` were there: the clip takes longer than `seconds` says.
    public var isMemoryShort: Bool

    public init(seconds: Double? = nil, basis: Basis? = nil, memory: Int = 0, wantedMemory: Int = 0, isMemoryShort: Bool = false) {
        self.seconds = seconds
        self.basis = basis
        self.memory = memory
        self.wantedMemory = wantedMemory
        self.isMemoryShort = isMemoryShort
    }
}

extension ClipEstimate: JSONRepresentable {
    public var json: JSONValue {
        var object = JSONObject()
        object["seconds"] = seconds.map { .double($0) }
        object["basis"] = basis.map { .string($0.rawValue) }
        object["memory_bytes"] = .integer(memory)
        object["wanted_memory_bytes"] = .integer(wantedMemory)
        object["memory_is_short"] = .bool(isMemoryShort)
        return .object(object)
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "estimate")
        self.init(
            seconds: json["seconds"]?.double, basis: json["basis"]?.string.flatMap(Basis.init(rawValue:)),
            memory: try members.integer("memory_bytes"), wantedMemory: try members.integer("wanted_memory_bytes"),
            isMemoryShort: json["memory_is_short"]?.bool ?? false)
    }
}
