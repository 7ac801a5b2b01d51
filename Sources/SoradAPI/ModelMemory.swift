// What a clip takes of memory. The engine plans its memory before it takes any and hands the plan over as coefficients, so that the
// daemon, which knows no model, can tell before a job is accepted whether it fits.
// Invariant: never less than what a clip takes; each part is an upper bound over all sizes that the model makes.
public import SoradSystem

/// A model's need of memory by the size of a clip, in bytes.
public struct ModelMemory: Codable, Sendable, Equatable {
    /// fixed + perUnit · units
    public struct Cost: Codable, Sendable, Equatable {
        public var fixed: Int
        public var perUnit: Int

        public init(fixed: Int, perUnit: Int) {
            self.fixed = fixed
            self.perUnit = perUnit
        }

        func bytes(_ units: Int) -> Int { sum(fixed, product(perUnit, units)) }
    }

    /// Whatever the clip: the model file, the worker's program and tables.
    public var base: Int
    /// Pixels along a side, and frames, that one latent pixel stands for.
    public var spatialScale: Int
    public var timeScale: Int
    /// Before the first step: while the longest prompt is encoded, or the previews are prepared.
    public var preparing: Int
    /// Per latent pixel of the clip, without and with guidance.
    public var denoise: Cost
    public var denoiseGuided: Cost
    /// Per pixel of one frame.
    public var decode: Cost
    public var encode: Cost
    /// ffmpeg while it writes a clip, per pixel that it holds (`heldPixels`).
    public var writer: Cost
    /// ffmpeg while it reads a given file, per pixel of a frame.
    public var reader: Cost
    /// Per pixel of all frames, while the written files are marked.
    public var marking: Cost

    public init(
        base: Int, spatialScale: Int, timeScale: Int, preparing: Int, denoise: Cost, denoiseGuided: Cost, decode: Cost, encode: Cost,
        writer: Cost, reader: Cost, marking: Cost
    ) {
        self.base = base
        self.spatialScale = spatialScale
        self.timeScale = timeScale
        self.preparing = preparing
        self.denoise = denoise
        self.denoiseGuided = denoiseGuided
        self.decode = decode
        self.encode = encode
        self.writer = writer
        self.reader = reader
        self.marking = marking
    }

    /// Pixels that the writer holds: the frames that it looks ahead at and some that it works with, and the tiles of the contact sheet,
    /// which go through several forms.
    static func heldPixels(frames: Int, pixels: Int) -> Int {
        sum(product(8 + min(frames, 50), pixels), 3 * min(frames, 16) * min(pixels, 256 * 256))
    }

    /// Worker and ffmpeg together at their highest.
    /// - Parameter givenPixels: `MediaFacts.heldPixels` of the largest given file; 0 for none.
    public func bytes(for request: GenerationRequest, givenPixels: Int = 0) -> Int {
        let pixels = product(request.width, request.height)
        let reader = request.given == nil ? 0 : reader.bytes(max(givenPixels, pixels))
        // The frames of given clips pass by before and after the new ones are decoded.
        let passing = request.given?.before == nil && request.given?.after == nil ? 0 : reader
        let writer = writer.bytes(ModelMemory.heldPixels(frames: request.clipFrames, pixels: pixels))
        return sum(
            base,
            [
                preparing, denoisingBytes(request), sum(encodingBytes(request), reader),
                sum(max(decode.bytes(pixels), passing), writer), markingBytes(request),
            ].max() ?? 0)
    }

    /// The worker's own part of that.
    public func workerBytes(for request: GenerationRequest) -> Int {
        let pixels = product(request.width, request.height)
        return sum(
            base, [preparing, denoisingBytes(request), encodingBytes(request), decode.bytes(pixels), markingBytes(request)].max() ?? 0)
    }

    private func denoisingBytes(_ request: GenerationRequest) -> Int {
        let frames = 1 + (request.numFrames + timeScale - 2) / timeScale
        let latents = product(frames, product(request.width / spatialScale, request.height / spatialScale))
        return (request.guidanceScale == 1 ? denoise : denoiseGuided).bytes(latents)
    }

    private func encodingBytes(_ request: GenerationRequest) -> Int {
        guard let given = request.given else { return 0 }
        let held = 1 + max(given.before?.contextFrames ?? 0, given.after?.contextFrames ?? 0)
        let pixels = product(request.width, request.height)
        return sum(encode.bytes(pixels), product(3 * held, pixels))
    }

    private func markingBytes(_ request: GenerationRequest) -> Int {
        marking.bytes(product(request.clipFrames, product(request.width, request.height)))
    }

    /// What the arithmetic above relies on.
    public var isPlausible: Bool {
        let costs = [denoise, denoiseGuided, decode, encode, writer, reader, marking]
        return ([base, preparing] + costs.flatMap { [$0.fixed, $0.perUnit] }).allSatisfy { (0...1 << 50).contains($0) }
            && [spatialScale, timeScale].allSatisfy { (1...1024).contains($0) }
    }
}

/// A size that is too large to be counted does not fit anywhere.
private func product(_ a: Int, _ b: Int) -> Int {
    let (result, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? .max : result
}

private func sum(_ a: Int, _ b: Int) -> Int {
    let (result, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : result
}

extension ModelMemory: JSONRepresentable {
    public var json: JSONValue {
        [
            "base": .integer(base), "spatialScale": .integer(spatialScale), "timeScale": .integer(timeScale),
            "preparing": .integer(preparing),
            "denoise": denoise.json, "denoiseGuided": denoiseGuided.json, "decode": decode.json, "encode": encode.json,
            "writer": writer.json, "reader": reader.json, "marking": marking.json,
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "memory")
        func cost(_ key: String) throws(JSONError) -> Cost {
            let members = JSONMembers(json[key] ?? .null, of: key)
            return Cost(fixed: try members.integer("fixed"), perUnit: try members.integer("perUnit"))
        }
        self.init(
            base: try members.integer("base"), spatialScale: try members.integer("spatialScale"),
            timeScale: try members.integer("timeScale"), preparing: try members.integer("preparing"), denoise: try cost("denoise"),
            denoiseGuided: try cost("denoiseGuided"), decode: try cost("decode"), encode: try cost("encode"),
            writer: try cost("writer"), reader: try cost("reader"), marking: try cost("marking"))
    }
}

extension ModelMemory.Cost {
    var json: JSONValue { ["fixed": .integer(fixed), "perUnit": .integer(perUnit)] }
}
