// Owns when previews of a clip are made: seldom enough that they cost less than a hundredth of its time.
import SoradAPI
import SoradMedia
import SoradModel
package import SoradSystem
import SoradTensor

/// When the next preview is due: not before `interval` has passed since the last one, nor before a hundred times as long as that one took.
package struct PreviewPacing: Sendable {
    private let interval: Duration
    private var last: MonotonicTime
    private var cost = Duration.zero

    package init(interval: Duration, start: MonotonicTime) {
        self.interval = interval
        last = start
    }

    package func isDue(at now: MonotonicTime) -> Bool { now - last >= max(interval, cost * 100) }

    package mutating func made(from began: MonotonicTime, to ended: MonotonicTime) {
        cost = ended - began
        last = ended
    }
}

/// Makes the previews of one clip.
struct PreviewMaker {
    let preview: LatentPreview
    let provenance: Provenance
    let time: TimeSource
    /// What they took so far.
    private(set) var spent: Duration
    private var pacing: PreviewPacing

    /// - Parameter spent: what the preparation took.
    init(_ preview: LatentPreview, _ provenance: Provenance, interval: Duration, spent: Duration, time: TimeSource) {
        self.preview = preview
        self.provenance = provenance
        self.spent = spent
        self.time = time
        pacing = PreviewPacing(interval: interval, start: time.monotonic())
    }

    /// The clip's middle as it would be if the last step had gone on to the end; nil while it is too early for another picture.
    mutating func picture(_ denoiser: Denoiser, _ latent: Tensor, afterStep step: Int) -> JobPreview? {
        let began = time.monotonic()
        guard pacing.isDue(at: began) else { return nil }
        let picture = preview.picture(
            of: denoiser.predictedFrame(denoiser.size.frames / 2, of: latent, afterStep: step), provenance: provenance)
        let ended = time.monotonic()
        pacing.made(from: began, to: ended)
        spent = spent + (ended - began)
        return picture
    }
}
