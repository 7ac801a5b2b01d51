// Owns the arithmetic of progress: how much of a clip's time each phase takes, and so the percentage and the remaining time.
// Invariant: the percentage never falls, and 100 is said by nobody but `finished`; no remaining time is told before something was
// measured that it follows from: clips like this one, or the first steps of this one. Pure: time comes in as values.
package import SoradAPI
package import SoradSystem

/// Seconds that this machine needs for a unit of each phase; learnt from the clips that this process has made. Of another size they
/// are good for the weights of the phases, and not for a remaining time.
package struct ClipRates: Sendable, Equatable {
    /// Per prompt.
    package var encodingText = 0.05
    /// Per pixel and given frame.
    package var encodingFrames = 2e-6
    /// Per latent token, step and forward.
    package var denoising = 1.5e-4
    /// Per pixel and frame.
    package var decoding = 2e-6
    /// Per clip, after its last frame.
    package var writing = 0.2

    package init() {}
}

/// How much there is to do for one clip.
package struct ClipWork: Sendable, Equatable {
    /// Denoise steps.
    package var steps: Int
    /// Latent tokens × forwards a step.
    package var tokensPerStep: Int
    package var frames: Int
    /// width × height.
    package var pixelsPerFrame: Int
    /// Given frames that go through the encoder.
    package var encodedFrames: Int

    package init(steps: Int, tokensPerStep: Int, frames: Int, pixelsPerFrame: Int, encodedFrames: Int = 0) {
        self.steps = steps
        self.tokensPerStep = tokensPerStep
        self.frames = frames
        self.pixelsPerFrame = pixelsPerFrame
        self.encodedFrames = encodedFrames
    }

    /// Expected seconds by phase, in the order of the phases.
    package func seconds(_ rates: ClipRates) -> [(phase: JobPhase, seconds: Double)] {
        [
            (.encodingText, rates.encodingText),
            (.encodingFrames, rates.encodingFrames * Double(encodedFrames) * Double(pixelsPerFrame)),
            (.denoising, rates.denoising * Double(steps) * Double(tokensPerStep)),
            (.decoding, rates.decoding * Double(frames) * Double(pixelsPerFrame)), (.writing, rates.writing),
        ]
    }

    /// The rates that the measured `timings` (seconds by phase name) mean; phases that took no time keep theirs.
    package func rates(from timings: [String: Double], before: ClipRates) -> ClipRates {
        var rates = before
        func measured(_ phase: JobPhase) -> Double? { timings[phase.rawValue].flatMap { $0 > 0 ? $0 : nil } }
        if let seconds = measured(.encodingText) { rates.encodingText = seconds }
        if let seconds = measured(.encodingFrames), encodedFrames > 0 {
            rates.encodingFrames = seconds / (Double(encodedFrames) * Double(pixelsPerFrame))
        }
        if let seconds = measured(.denoising) { rates.denoising = seconds / (Double(steps) * Double(tokensPerStep)) }
        if let seconds = measured(.decoding) { rates.decoding = seconds / (Double(frames) * Double(pixelsPerFrame)) }
        if let seconds = measured(.writing) { rates.writing = seconds }
        return rates
    }
}

package struct ProgressMeter {
    private let plan: [(phase: JobPhase, seconds: Double)]
    /// The plan was measured with clips like this one.
    private let isMeasured: Bool
    private let steps: Int
    private let start: MonotonicTime
    private var percent = 0
    private var step = 0
    /// Expected seconds of work that was done before `start`.
    private var skipped = 0.0
    private var skippedSteps = 0
    private var ownSteps = 0

    /// The first step alone may have waited for pages of the model.
    private static let stepsBeforeGuess = 2

    /// - Parameter expected: seconds by phase name that clips like this one took; empty when none is known.
    package init(_ work: ClipWork, rates: ClipRates, expected: [String: Double] = [:], start: MonotonicTime) {
        isMeasured = (expected[JobPhase.denoising.rawValue] ?? 0) > 0
        let isMeasured = isMeasured
        plan = work.seconds(rates).map { phase, seconds in
            (phase, isMeasured ? max(0, expected[phase.rawValue] ?? 0) : seconds)
        }
        steps = work.steps
        self.start = start
    }

    /// `done` of `total` units of `phase` were finished in an earlier life of the job.
    package mutating func skip(_ phase: JobPhase, _ done: Int, of total: Int) {
        precondition(total > 0 && (0...total).contains(done), "\(done) of \(total)")
        skipped += (plan.first { $0.phase == phase }?.seconds ?? 0) * Double(done) / Double(total)
        if phase == .denoising { skippedSteps += done }
    }

    /// Progress when `done` of `total` units of `phase` are finished and everything before it is.
    package mutating func reached(_ phase: JobPhase, _ done: Int, of total: Int, at now: MonotonicTime) -> JobProgress {
        precondition(total > 0 && (0...total).contains(done), "\(done) of \(total)")
        switch phase {
        case .loading, .encodingText, .encodingFrames: step = 0
        case .denoising: step = done
        case .decoding, .writing: step = steps
        }
        ownSteps = step - skippedSteps
        let expected = plan.reduce(0) { $0 + $1.seconds }
        let before = plan.prefix { $0.phase != phase }.reduce(0) { $0 + $1.seconds }
        let current = plan.first { $0.phase == phase }?.seconds ?? 0
        let finished = phase == .loading ? 0 : before + current * Double(done) / Double(total)
        percent = max(percent, min(99, Int(100 * finished / expected)))
        return JobProgress(
            phase: phase, step: step, steps: steps, frame: phase == .decoding ? done : 0, percent: percent,
            etaSeconds: remaining(finished: finished, expected: expected, elapsed: (now - start).inSeconds))
    }

    /// What is left, at the pace so far; before a twentieth of the work is done, at the measured pace of clips like this one. nil
    /// without such clips, until two steps are done.
    private func remaining(finished: Double, expected: Double, elapsed: Double) -> Double? {
        let own = finished - skipped
        if own > expected / 20, isMeasured || ownSteps >= ProgressMeter.stepsBeforeGuess {
            return max(0, (expected - finished) * elapsed / own)
        }
        return isMeasured ? max(0, expected - finished) : nil
    }
}
