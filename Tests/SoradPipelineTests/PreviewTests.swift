// The tiny pictures that go with the progress.
import SoradAPI
import SoradCPU
import SoradMedia
import SoradPipeline
import SoradSystem
import SoradTensor
import Testing

@Suite struct PreviewTests {
    @Test func eachStepHasAPictureAndTheClipIsTheSame() throws {
        let request = PipelineFixture.request(steps: 3)
        let plain = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).makeClip(
            request, into: PipelineFixture.scratch("plain"))
        var previews: [(step: Int, picture: JobPreview)] = []
        // A clock that stands still: a picture takes no time, so the next one is always due.
        let time = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1) }, unixMilliseconds: { 0 })
        let pipeline = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: time, previewInterval: .zero)
        let seen = try pipeline.makeClip(request, into: PipelineFixture.scratch("seen")) { progress in
            if let picture = progress.preview { previews.append((progress.step, picture)) }
        }
        #expect(seen.sha256 == plain.sha256)
        #expect(previews.map(\.step) == [1, 2, 3])
        for (_, picture) in previews {
            let bytes = try #require(base64Decoded(picture.png.utf8))
            let size = try PictureHeader(bytes, format: .png)
            #expect(size.width == picture.width && size.height == picture.height)
            // 64 pixels of the clip, divided or not.
            #expect(picture.width == picture.height && picture.width <= 64 && picture.width >= 8)
            #expect(try JobPreview(json: picture.json) == picture)
        }
        #expect(Set(previews.map(\.picture.png)).count == 3)
    }

    @Test func withoutAnIntervalThereAreNone() throws {
        var count = 0
        _ = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).makeClip(
            PipelineFixture.request(), into: PipelineFixture.scratch("none")
        ) { if $0.preview != nil { count += 1 } }
        #expect(count == 0)
    }

    @Test func picturesTakeAHundredthOfTheTimeAtMost() {
        let start = MonotonicTime(nanoseconds: 0)
        var pacing = Pacing(interval: .milliseconds(400), share: 100, start: start)
        #expect(!pacing.isDue(at: start + .milliseconds(399)))
        #expect(pacing.isDue(at: start + .milliseconds(400)))
        pacing.done(from: start + .milliseconds(400), to: start + .milliseconds(420))
        #expect(!pacing.isDue(at: start + .milliseconds(2_419)))
        #expect(pacing.isDue(at: start + .milliseconds(2_420)))
    }

    @Test(arguments: [(0, 8), (129, 8), (8, -1)]) func aPreviewBeyondTheLimitsIsRefused(width: Int, height: Int) {
        let json: JSONValue = ["width": .integer(width), "height": .integer(height), "png": "AAAA"]
        #expect(throws: JSONError.self) { try JobPreview(json: json) }
    }
}
