// The memory that a clip needs, stage by stage. The engine plans its memory before it takes any and sends the plan as coefficients, so
// that the daemon, which knows no model, can tell before it accepts a job whether the clip fits.
// Invariant: never less than a clip takes; each part is an upper bound over all sizes that the model makes.

/// A model's need of memory by the size of a clip, in bytes: `base`, and on top of it the stage that needs most.
///
/// The weights are pages of a mapped file, which the kernel takes and reads again as it likes: a clip is made with few of them in memory,
/// and quickly with those of a whole stage. So they are wanted, and only what no file backs is needed.
public struct ModelMemory: Sendable, Equatable {
    /// Whatever the clip: the worker's program and tables, and some pages of the model file (`pagesNeeded`).
    public var base: Int
    /// Pixels along a side, and frames, that one latent pixel stands for.
    public var spatialScale: Int
    public var timeScale: Int
    public var stages: [Stage]

    public init(base: Int, spatialScale: Int, timeScale: Int, stages: [Stage]) {
        self.base = base
        self.spatialScale = spatialScale
        self.timeScale = timeScale
        self.stages = stages
    }

    /// What is in memory at one time. A phase may have several rows, one for each part of its time.
    public struct Stage: Sendable, Equatable {
        public var phase: JobPhase
        /// The stage's need is the sum of those whose condition holds.
        public var parts: [Part]
        /// Bytes of the model file that it reads, beyond `pagesNeeded`.
        public var weights: Int

        public init(_ phase: JobPhase, _ parts: [Part], weights: Int = 0) {
            self.phase = phase
            self.parts = parts
            self.weights = weights
        }
    }

    /// Bytes of a model file without which it would take its weights from the disk one by one: those of the largest layers.
    public static let pagesNeeded = 64 << 20

    /// The requests that a part is needed for.
    public enum Condition: String, Sendable, CaseIterable {
        case always
        /// Without and with classifier-free guidance.
        case unguided, guided
        /// Steps may be left out.
        case cached
        /// Pictures or clips are given.
        case given
        /// A given clip is a part of the finished one: its frames pass through the encoder.
        case extending
        /// A given clip is kept as latents, which are decoded.
        case decodingGiven
        /// The clip is made in several windows.
        case windowed
        /// A stage behind the decoder: a frame between every two; frames of twice the sides; those once more.
        case interpolated, upscaled, upscaledTwice
    }

    /// Who holds the memory.
    public enum Process: String, Sendable, CaseIterable { case worker, ffmpeg }

    /// What a part of the memory grows with.
    public enum Measure: String, Sendable, CaseIterable {
        /// Latent pixels of the clip: latent frames × height × width.
        case latentPixels
        /// Pixels of one frame.
        case framePixels
        /// Pixels of the given frames that the encoder gets, and of one more.
        case contextPixels
        /// Pixels that ffmpeg holds of the largest given file (`MediaFacts.heldPixels`), at least one frame's.
        case referencePixels
        /// Pixels that ffmpeg holds while it writes the clip.
        case writerPixels
        /// Pixels of all frames.
        case clipPixels
    }

    /// fixed + perUnit · measure
    public struct Part: Sendable, Equatable {
        public var process: Process
        public var condition: Condition
        public var measure: Measure
        public var fixed: Int
        public var perUnit: Int

        public init(_ process: Process, when condition: Condition = .always, _ measure: Measure, fixed: Int, perUnit: Int) {
            self.process = process
            self.condition = condition
            self.measure = measure
            self.fixed = fixed
            self.perUnit = perUnit
        }

        public func when(_ condition: Condition) -> Part { Part(process, when: condition, measure, fixed: fixed, perUnit: perUnit) }
    }

    /// Worker and ffmpeg together at their highest.
    /// - Parameter referencePixels: `MediaFacts.heldPixels` of the largest given file; 0 for none.
    public func bytes(for request: ClipPlan, referencePixels: Int = 0) -> Int {
        highest(request, referencePixels: referencePixels) { _ in true }
    }

    /// The same with all weights of a stage in memory.
    public func wantedBytes(for request: ClipPlan, referencePixels: Int = 0) -> Int {
        highest(request, referencePixels: referencePixels, withWeights: true) { _ in true }
    }

    /// The worker's own part of what is needed.
    public func workerBytes(for request: ClipPlan) -> Int { highest(request, referencePixels: 0) { $0.process == .worker } }

    private func highest(
        _ request: ClipPlan, referencePixels: Int, withWeights: Bool = false, where counts: (Part) -> Bool
    ) -> Int {
        let needs = stages.map { stage in
            let parts = stage.parts.filter { $0.condition.holds(for: request) && counts($0) }
            return parts.reduce(withWeights && !parts.isEmpty ? stage.weights : 0) { need, part in
                sum(need, sum(part.fixed, product(part.perUnit, units(of: part.measure, request, referencePixels))))
            }
        }
        return sum(base, needs.max() ?? 0)
    }

    private func units(of measure: Measure, _ request: ClipPlan, _ referencePixels: Int) -> Int {
        let pixels = product(request.width, request.height)
        switch measure {
        case .latentPixels:
            let own = request.windows.map(\.count).max() ?? 1 + (request.numFrames + timeScale - 2) / timeScale
            let frames = sum(own, request.given?.references.count ?? 0)
            return product(frames, product(request.width / spatialScale, request.height / spatialScale))
        case .framePixels: return pixels
        case .contextPixels:
            return product(1 + max(request.given?.before?.contextFrames ?? 0, request.given?.after?.contextFrames ?? 0), pixels)
        case .referencePixels: return max(referencePixels, pixels)
        case .writerPixels:
            return ModelMemory.heldPixels(frames: request.shownFrames, pixels: product(request.shownWidth, request.shownHeight))
        case .clipPixels: return product(request.shownFrames, product(request.shownWidth, request.shownHeight))
        }
    }

    /// Pixels that ffmpeg holds while it writes a clip: the frames that the video encoder looks ahead at and some that it works with, and
    /// the tiles of the contact sheet, which go through several forms.
    static func heldPixels(frames: Int, pixels: Int) -> Int {
        sum(product(8 + min(frames, 50), pixels), 3 * min(frames, 16) * min(pixels, 256 * 256))
    }

    /// What the arithmetic above relies on.
    public var isPlausible: Bool {
        let coefficients = [base] + stages.map(\.weights) + stages.flatMap { $0.parts.flatMap { [$0.fixed, $0.perUnit] } }
        return coefficients.allSatisfy { (0...1 << 50).contains($0) } && !stages.isEmpty
            && [spatialScale, timeScale].allSatisfy { (1...1024).contains($0) }
    }
}

extension ModelMemory.Condition {
    fileprivate func holds(for request: ClipPlan) -> Bool {
        switch self {
        case .always: true
        case .unguided: request.guidanceScale == 1
        case .guided: request.guidanceScale != 1
        case .cached: request.cache != nil
        case .given: request.given != nil
        case .extending: request.given?.before != nil || request.given?.after != nil
        case .decodingGiven:
            [request.given?.before, request.given?.after, request.given?.source].contains { clip in
                clip?.parts.contains { $0.kind == .latents } ?? false
            }
        case .windowed: !request.windows.isEmpty
        case .interpolated: request.interpolate > 1
        case .upscaled: request.upscale > 1
        case .upscaledTwice: request.upscale > 2
        }
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
