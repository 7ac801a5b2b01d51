// Owns the arithmetic of progress: from the share of a clip's time that each stage takes to the percentage and the remaining time.
// Invariant: the percentage never falls, and only `finished` reports 100. A remaining time always follows from a measurement: of clips
// like this one, or of the first steps of this one. Pure: time comes in as values.
package import SoradAPI
package import SoradSystem

package struct ProgressMeter {
    /// Expected seconds by reported phase, in the order of the phases.
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
        var plan: [(phase: JobPhase, seconds: Double)] = []
        for stage in work.stages {
            let seconds = isMeasured ? max(0, expected[stage.phase.rawValue] ?? 0) : rates[stage.phase] * stage.amount
            if plan.last?.phase == stage.reported {
                plan[plan.count - 1].seconds += seconds
            } else {
                plan.append((stage.reported, seconds))
            }
        }
        self.plan = plan
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
        let place = plan.firstIndex { $0.phase == phase }
        let denoising = plan.firstIndex { $0.phase == .denoising }
        step = place == denoising ? done : (place ?? -1) < (denoising ?? 0) ? 0 : steps
        ownSteps = step - skippedSteps
        let expected = plan.reduce(0) { $0 + $1.seconds }
        let before = plan.prefix(place ?? 0).reduce(0) { $0 + $1.seconds }
        let finished = place.map { before + plan[$0].seconds * Double(done) / Double(total) } ?? 0
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
