// Requests that need more memory than there is are refused with numbers and the largest that fits.
import SoradAPI
import SoradJobs
import SoradSystem
import Synchronization
import Testing

/// 100 MB whatever the clip; a megabyte for every 64 latent pixels; a kilobyte for a pixel of one frame.
private let memory = ModelMemory(
    base: 100_000_000, spatialScale: 16, timeScale: 4,
    stages: [
        .init(.encodingText, [.init(.worker, .framePixels, fixed: 0, perUnit: 0)]),
        .init(
            .encodingFrames,
            [
                .init(.worker, when: .given, .framePixels, fixed: 0, perUnit: 2_000),
                .init(.worker, when: .given, .contextPixels, fixed: 0, perUnit: 3),
                .init(.ffmpeg, when: .given, .referencePixels, fixed: 2_000_000, perUnit: 3),
            ]),
        .init(
            .denoising,
            [
                .init(.worker, when: .unguided, .latentPixels, fixed: 0, perUnit: 15_625),
                .init(.worker, when: .guided, .latentPixels, fixed: 0, perUnit: 31_250),
            ]),
        .init(
            .decoding,
            [.init(.worker, .framePixels, fixed: 0, perUnit: 1_000), .init(.ffmpeg, .writerPixels, fixed: 1_000_000, perUnit: 1)]),
        .init(
            .decoding,
            [
                .init(.ffmpeg, when: .extending, .referencePixels, fixed: 2_000_000, perUnit: 3),
                .init(.ffmpeg, when: .extending, .writerPixels, fixed: 1_000_000, perUnit: 1),
            ]),
        .init(.writing, [.init(.worker, .clipPixels, fixed: 0, perUnit: 1)]),
    ])

@Suite struct MemoryTests {
    private static func request(_ width: Int, _ height: Int, _ frames: Int, guidance: Double = 1) -> ClipPlan {
        ClipPlan(
            model: "mini", prompt: "a red ball", negativePrompt: "", width: width, height: height, numFrames: frames, fps: 16, seed: 1,
            numInferenceSteps: 20, guidanceScale: guidance, flowShift: 3)
    }

    @Test func theHighestStageCounts() {
        // 5 latent frames of 8×8 are 5 MB, twice that with guidance; decoding is 16.4 MB and the writer 2.2.
        #expect(memory.bytes(for: Self.request(128, 128, 17)) == 100_000_000 + 16_384_000 + 1_000_000 + 16_384 * (25 + 48))
        // 21 latent frames are 21 MB.
        #expect(memory.bytes(for: Self.request(128, 128, 81)) == 121_000_000)
        #expect(memory.bytes(for: Self.request(128, 128, 81, guidance: 4)) == 142_000_000)
        #expect(memory.workerBytes(for: Self.request(128, 128, 17)) == 116_384_000)
        // A clip that is continued: five of its frames are held, its decoder runs.
        var given = Self.request(128, 128, 17)
        given.given = ReferenceMedia()
        given.given?.before = ReferenceClip(numFrames: 20, contextFrames: 5)
        #expect(
            memory.bytes(for: given, referencePixels: 1_000_000) == 100_000_000 + 32_768_000 + 3 * 6 * 16_384 + 2_000_000 + 3_000_000)
    }

    @Test func sizesThatCannotBeCountedFitNowhere() {
        let huge = Self.request(1 << 32, 1 << 32, 1 << 62)
        #expect(memory.bytes(for: huge) == .max)
    }

    @Test func coefficientsSurviveTheirJSON() throws {
        #expect(try ModelMemory(json: JSONValue(parsing: memory.json.bytes())) == memory)
        var info = ClipRequestTests.model
        info.memory = memory
        #expect(try ModelInfo(json: info.json) == info)
        #expect(memory.isPlausible)
        var wrong = memory
        wrong.stages[3].parts[0].perUnit = -1
        #expect(!wrong.isPlausible)
        wrong = memory
        wrong.spatialScale = 0
        #expect(!wrong.isPlausible)
    }

    private final class Bench {
        let directory: TemporaryDirectory
        let service: JobService
        var model = ClipRequestTests.model

        init(available: Int, most: Int, limit: Int? = nil) throws {
            directory = try TemporaryDirectory()
            var settings = JobService.Settings()
            settings.memory.headroom = { MemoryHeadroom(available: available, most: most) }
            settings.memory.limit = limit
            service = try JobService(
                directory: directory.path, settings: settings, time: .system, wake: try EventCounter(.signal),
                log: Log(program: "test", level: .error, environment: [:]))
            model.memory = memory
        }

        func refusal(_ request: ClipPlan, referencePixels: Int = 0) -> SoradError? {
            var plan = request
            plan.referencePixels = referencePixels
            do throws(SoradError) {
                _ = try service.submit(owner: 1, plan, model: model)
                return nil
            } catch { return error }
        }
    }

    @Test func whatFitsIsTaken() throws {
        let bench = try Bench(available: 121_000_000, most: 200_000_000)
        #expect(bench.refusal(Self.request(128, 128, 81)) == nil)
        #expect(bench.service.summary.queued == 1)
    }

    @Test func whatDoesNotFitNowMayComeAgain() throws {
        let bench = try Bench(available: 120_999_999, most: 200_000_000)
        let error = try #require(bench.refusal(Self.request(128, 128, 81)))
        #expect(error.kind == .unavailable && error.code == "insufficient_memory" && error.retryAfter == 30 && error.param == "num_frames")
        #expect(
            error.message
                == "this clip needs 121.0 MB of memory, and 121.0 MB are free now; try again later, or ask for at most 77 frames, or for 112x112"
        )
        #expect(bench.service.summary.queued == 0)
        #expect(bench.service.metricsText().contains("sorad_jobs_refused_total{reason=\"insufficient_memory\"} 1"))
        #expect(bench.refusal(Self.request(128, 128, 77)) == nil)
        #expect(bench.refusal(Self.request(112, 112, 81)) == nil)
    }

    @Test func whatCanNeverFitIsRefusedForGood() throws {
        let bench = try Bench(available: 50_000_000, most: 115_000_000)
        let error = try #require(bench.refusal(Self.request(128, 128, 17)))
        #expect(error.kind == .badInput && error.code == "insufficient_memory" && error.retryAfter == nil && error.param == "size")
        #expect(
            error.message
                == "this clip needs 118.6 MB of memory, and sorad can use 115.0 MB here at most; ask for 112x112")
        // Fewer frames would not help, since the highest stage is that of one frame.
        #expect(bench.refusal(Self.request(112, 112, 17))?.kind == .unavailable)
    }

    @Test func aModelThatIsTooLargeSaysSo() throws {
        let error = try #require(try Bench(available: 1, most: 90_000_000).refusal(Self.request(128, 128, 17)))
        #expect(error.kind == .badInput && error.message.hasSuffix("at most; no clip of this model fits into that"))
    }

    @Test func theSettingIsACap() throws {
        let bench = try Bench(available: 1 << 40, most: 1 << 41, limit: 110_000_000)
        #expect(bench.refusal(Self.request(128, 128, 17))?.kind == .badInput)
        #expect(bench.refusal(Self.request(64, 64, 17)) == nil)
    }

    @Test func aLargeReferenceFileCounts() throws {
        let bench = try Bench(available: 1 << 30, most: 1 << 30, limit: 140_000_000)
        var request = Self.request(128, 128, 17)
        request.given = ReferenceMedia()
        request.given?.hasFirstFrame = true
        #expect(bench.refusal(request, referencePixels: 50_000_000)?.kind == .badInput)
        #expect(bench.refusal(request, referencePixels: 100_000) == nil)
    }
}
