// Makes the previews of one clip, seldom enough that they cost less than a hundredth of its time.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

struct PreviewMaker {
    let preview: LatentPreview
    let provenance: Provenance
    let time: TimeSource
    /// What they took so far.
    private(set) var spent: Duration
    private var pacing: Pacing

    /// - Parameter spent: what the preparation took.
    init(_ preview: LatentPreview, _ provenance: Provenance, interval: Duration, spent: Duration, time: TimeSource) {
        self.preview = preview
        self.provenance = provenance
        self.spent = spent
        self.time = time
        pacing = Pacing(interval: interval, share: 100, start: time.monotonic())
    }

    /// The clip's middle as it would be if the last step had gone on to the end; nil while it is too early for another picture.
    mutating func picture(_ denoiser: Denoiser, _ latent: Tensor, afterStep step: Int) -> JobPreview? {
        let began = time.monotonic()
        guard pacing.isDue(at: began) else { return nil }
        let picture = preview.picture(
            of: denoiser.predictedFrame(denoiser.middle, of: latent, afterStep: step), provenance: provenance)
        let ended = time.monotonic()
        pacing.done(from: began, to: ended)
        spent = spent + (ended - began)
        return picture
    }
}
