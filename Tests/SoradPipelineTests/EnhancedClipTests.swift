// Clips that pass through a model's own upscaler and interpolator: sizes, numbers, hashes, and what continues after a kill.
import SoradAPI
import SoradCPU
import SoradConverter
import SoradMedia
import SoradPipeline
import SoradSystem
import Synchronization
import Testing

@Suite struct EnhancedClipTests {
    /// The small random checkpoint with both networks.
    private static let model: String = {
        let folder = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/models"
        let path = PipelineFixture.scratch("enhanced") + "/tiny.gguf"
        var options = ConversionOptions()
        options.enhancers = folder + "/enhancers"
        do throws(SoradError) { _ = try Converter.convert(folder + "/tiny", to: path, options: options) } catch {
            fatalError("the fixture cannot be converted: \(error)")
        }
        return path
    }()

    /// Writing a checkpoint takes no time on this clock, so every group is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })

    private func pipeline(threads: Int = 1) throws -> ClipPipeline {
        try ClipPipeline(modelPath: Self.model, backend: .cpu(threads: threads), time: Self.frozen, checkpointInterval: .zero)
    }

    private func request(upscale: Int, interpolate: Int, frames: Int = 13) -> ClipPlan {
        var request = PipelineFixture.request(steps: 1)
        request.numFrames = frames
        request.upscale = upscale
        request.interpolate = interpolate
        return request
    }

    @Test(arguments: [(1, 2), (2, 1), (4, 1), (2, 2)]) func sizesNumbersAndHashes(upscale: Int, interpolate: Int) throws {
        let request = request(upscale: upscale, interpolate: interpolate, frames: 5)
        let directory = PipelineFixture.scratch("clip")
        let clip = try pipeline().makeClip(request, into: directory)
        let facts = try inspectMedia(at: directory + "/" + clip.video)
        #expect(facts.width == 64 * upscale && facts.height == 64 * upscale)
        #expect(facts.numFrames == 5 * interpolate && facts.fps == 8 * interpolate)
        #expect(request.durationSeconds == 0.625 && request.shownFrames == facts.numFrames)
        #expect(
            clip.timings.keys.contains("upscaling") == (upscale > 1) && clip.timings.keys.contains("interpolating") == (interpolate > 1))
        #expect(try pipeline(threads: 2).makeClip(request, into: PipelineFixture.scratch("two")).sha256 == clip.sha256)
        #expect(
            try pipeline().makeClip(self.request(upscale: 1, interpolate: 1, frames: 5), into: PipelineFixture.scratch("plain")).sha256
                != clip.sha256)
    }

    @Test func killedAtAnyFrameTheClipIsTheSame() throws {
        let pipeline = try pipeline()
        let request = request(upscale: 2, interpolate: 2)
        let whole = try pipeline.makeClip(request, into: PipelineFixture.scratch("whole"))
        for frames in stride(from: 1, through: 26, by: 5) {
            let directory = PipelineFixture.scratch("killed")
            let stop = StopFlag()
            _ = #expect(throws: JobError.self) {
                try pipeline.makeClip(request, into: directory, stop: stop.check) { progress in
                    if progress.phase == .decoding, progress.frame >= frames { stop.stop() }
                }
            }
            let again = try pipeline.makeClip(request, into: directory)
            #expect(again.sha256 == whole.sha256, "killed after \(frames) frames")
            #expect(frames < 11 || again.resumedFrames > 0, "killed after \(frames) frames")
        }
    }

    @Test func whatTheModelLacksIsRefused() throws {
        let plain = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        #expect(!plain.info.upscales && !plain.info.interpolates)
        let info = try pipeline().info
        #expect(info.upscales && info.interpolates)
        for (info, upscale, interpolate, field) in [
            (plain.info, 2, 1, "upscale"), (plain.info, 1, 2, "interpolate"), (info, 3, 1, "upscale"), (info, 8, 1, "upscale"),
            (info, 1, 3, "interpolate"), (info, 0, 1, "upscale"),
        ] {
            let error = #expect(throws: SoradError.self) { try info.check(request(upscale: upscale, interpolate: interpolate)) }
            #expect(error?.param == field && error?.kind == .badInput)
        }
        try info.check(request(upscale: 4, interpolate: 2))
        #expect(try ModelInfo(json: JSONValue(parsing: Array(info.json.text().utf8))) == info)
        let plan = request(upscale: 4, interpolate: 2)
        #expect(try ClipPlan(json: JSONValue(parsing: Array(plan.json.text().utf8))) == plan)
    }

    @Test func theirMemoryCounts() throws {
        let memory = try #require(ClipPipeline.describe(modelPath: Self.model, backend: .cpu()).memory)
        let bytes = [1, 2, 4].map { memory.bytes(for: request(upscale: $0, interpolate: 1)) }
        #expect(bytes[0] < bytes[1] && bytes[1] < bytes[2])
        #expect(
            memory.workerBytes(for: request(upscale: 1, interpolate: 2)) >= memory.workerBytes(for: request(upscale: 1, interpolate: 1)))
    }
}
