// Owns how much there is to do for a clip, stage by stage, and the time that this machine takes for it.
package import SoradAPI

/// Seconds for a unit of each stage's work, learned from the clips that this process has made. For clips of another size they are good
/// for the weights of the stages, and not for a remaining time.
package struct ClipRates: Sendable, Equatable {
    private var seconds: [JobPhase: Double] = [
        .encodingText: 0.05, .encodingFrames: 2e-6, .denoising: 1.5e-4, .decoding: 2e-6, .writing: 0.2,
    ]

    package init() {}

    /// With the first guesses of frame stages.
    init(_ stages: [any FrameStageKind]) { for stage in stages { seconds[stage.phase] = stage.secondsPerPixel } }

    package subscript(phase: JobPhase) -> Double {
        get { seconds[phase] ?? 0 }
        set { seconds[phase] = newValue }
    }
}

/// The work of one stage.
package struct StageWork: Sendable, Equatable {
    package let phase: JobPhase
    /// In the unit that its time grows with; 0 for a stage that the clip does not need.
    package let amount: Double
    /// The phase that is reported while it runs: frame stages run while frames are decoded.
    package let reported: JobPhase

    package init(_ phase: JobPhase, _ amount: Double, during reported: JobPhase? = nil) {
        self.phase = phase
        self.amount = amount
        self.reported = reported ?? phase
    }
}

/// The work of one clip.
package struct ClipWork: Sendable, Equatable {
    /// Denoise steps.
    package let steps: Int
    /// In their order.
    package var stages: [StageWork]

    /// - Parameters:
    ///   - tokensPerStep: latent tokens × forwards a step.
    ///   - pixelsPerFrame: width × height.
    ///   - encodedFrames: given frames that go through the encoder.
    package init(steps: Int, tokensPerStep: Int, frames: Int, pixelsPerFrame: Int, encodedFrames: Int = 0) {
        self.steps = steps
        stages = [
            StageWork(.encodingText, 1),
            StageWork(.encodingFrames, Double(encodedFrames) * Double(pixelsPerFrame)),
            StageWork(.denoising, Double(steps) * Double(tokensPerStep)),
            StageWork(.decoding, Double(frames) * Double(pixelsPerFrame)),
            StageWork(.writing, 1),
        ]
    }

    /// With more stages behind one of them.
    func with(_ more: [StageWork], after phase: JobPhase) -> ClipWork {
        var work = self
        let place = stages.firstIndex { $0.phase == phase }.map { $0 + 1 } ?? stages.count
        work.stages.insert(contentsOf: more, at: place)
        return work
    }

    /// The rates that the measured `timings` (seconds by phase name) mean; stages that took no time keep theirs.
    package func rates(from timings: [String: Double], before: ClipRates) -> ClipRates {
        var rates = before
        for stage in stages where stage.amount > 0 {
            if let seconds = timings[stage.phase.rawValue], seconds > 0 { rates[stage.phase] = seconds / stage.amount }
        }
        return rates
    }
}
