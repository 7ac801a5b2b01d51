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

    @Test func onlySizesThatTheModelDeclaresAreAdvised() throws {
        let bench = try Bench(available: 120_999_999, most: 200_000_000)
        bench.model.declaredSizes = ["64x64", "96x96", "128x128"].compactMap { PictureSize($0) }
        let error = try #require(bench.refusal(Self.request(128, 128, 81)))
        #expect(error.message.hasSuffix("try again later, or ask for at most 77 frames, or for 96x96"), "\(error.message)")
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

    // MARK: what the answer says before

    /// A pass of prompts costs 2 s and 0.1 s a token; a step of a pass 1 s and 1 ms a token; a pixel 1 µs.
    private static let time = ModelTime(
        textPass: 2, perTextToken: 0.1, textLength: 16, pass: 1, perToken: 0.001, perPair: 0, perPixel: 1e-6, perEncodedPixel: 2e-6,
        spatialScale: 16, timeScale: 4, tokenPixels: 4)

    @Test func weightsAreWantedAndNotNeeded() throws {
        var large = memory
        large.stages[2].weights = 5_000_000_000
        large.stages[0].weights = 4_000_000_000
        let request = Self.request(128, 128, 17)
        #expect(large.bytes(for: request) == memory.bytes(for: request) && memory.wantedBytes(for: request) == memory.bytes(for: request))
        #expect(large.wantedBytes(for: request) == 5_000_000_000 + 100_000_000 + 5_000_000)
        #expect(try ModelMemory(json: JSONValue(parsing: large.json.bytes())) == large && large.isPlausible)
        large.stages[0].weights = -1
        #expect(!large.isPlausible)
        // A machine with less than the weights takes it, and says so.
        large.stages[0].weights = 0
        for (available, isShort) in [(1_000_000_000, true), (6_000_000_000, false)] {
            let bench = try Bench(available: available, most: 8_000_000_000)
            bench.model.memory = large
            let job = try bench.service.submit(owner: 1, request, model: bench.model)
            let estimate = try #require(job.plan.notes.estimate)
            #expect(
                estimate.isMemoryShort == isShort && estimate.wantedMemory == 5_105_000_000 && estimate.memory == large.bytes(for: request))
            #expect(estimate.seconds == nil && estimate.basis == nil)
        }
    }

    @Test func timeFollowsFromTheSize() throws {
        // 5 latent frames of 8×8 are 80 tokens.
        let plain = Self.time.seconds(for: Self.request(128, 128, 17))
        #expect(abs(plain["encoding_text"]! - 2.3) < 1e-9 && abs(plain["denoising"]! - 20 * 1.08) < 1e-9)
        #expect(abs(plain["decoding"]! - 128 * 128 * 17 * 1e-6) < 1e-9 && plain["encoding_frames"] == nil)
        let guided = Self.time.seconds(for: Self.request(128, 128, 17, guidance: 4))
        #expect(abs(guided["encoding_text"]! - 2.4) < 1e-9 && abs(guided["denoising"]! - 20 * 1.16) < 1e-9)
        var windowed = Self.request(128, 128, 33)
        windowed.windows = [ClipWindow(start: 0, end: 5), ClipWindow(start: 4, end: 9)]
        #expect(abs(Self.time.seconds(for: windowed)["denoising"]! - 20 * 2.16) < 1e-9)
        var pairs = Self.time
        pairs.perPair = 0.001
        #expect(abs(pairs.seconds(for: Self.request(128, 128, 17))["denoising"]! - 20 * (1.08 + 6.4)) < 1e-9)
        #expect(try ModelTime(json: JSONValue(parsing: Self.time.json.bytes())) == Self.time && Self.time.isPlausible)
        pairs.perToken = .nan
        #expect(!pairs.isPlausible)
        var info = ClipRequestTests.model
        info.time = Self.time
        #expect(try ModelInfo(json: info.json) == info)
    }

    /// The weights of the text encoder are read once for both prompts, and for the scenes of a storyboard as often as their tokens need.
    @Test func promptsShareAPass() {
        func seconds(_ change: (inout ClipPlan) -> Void) -> Double {
            var plan = Self.request(128, 128, 17, guidance: 4)
            change(&plan)
            return Self.time.seconds(for: plan)["encoding_text"]!
        }
        let long = String(repeating: "a red ball ", count: 100)
        // "" is the end mark; a prompt is cut at 16 tokens.
        #expect(abs(seconds { $0.prompt = long } - (2 + 0.1 * 17)) < 1e-9)
        #expect(abs(seconds { ($0.prompt, $0.negativePrompt) = (long, long + "!") } - (2 + 0.1 * 32)) < 1e-9)
        // The same text is encoded once.
        #expect(abs(seconds { ($0.prompt, $0.negativePrompt) = (long, long) } - (2 + 0.1 * 16)) < 1e-9)
        #expect(
            abs(seconds { plan in plan.scenes = ["1", "2", "1"].map { ClipScene(prompt: long + $0, numFrames: 5) } } - (4 + 3.3)) < 1e-9)
    }

    /// Given pictures are encoded, and read by an image encoder; models that start from a picture encode a clip around it, and those that
    /// follow a clip two, or one where nothing is given.
    @Test func whatIsGivenTakesTime() throws {
        let frame = 128.0 * 128 * 2e-6
        var pictures = Self.request(128, 128, 17)
        pictures.given = ReferenceMedia()
        pictures.given?.hasFirstFrame = true
        #expect(abs(Self.time.seconds(for: pictures)["encoding_frames"]! - frame) < 1e-9)
        pictures.given?.hasLastFrame = true
        #expect(abs(Self.time.seconds(for: pictures)["encoding_frames"]! - 10 * frame) < 1e-9)
        var time = Self.time
        (time.clipsEncoded, time.perPicture, time.picturesRead) = (1, 3, 1)
        #expect(abs(time.seconds(for: pictures)["encoding_frames"]! - (17 * frame + 3)) < 1e-9)
        time.picturesRead = 2
        #expect(abs(time.seconds(for: pictures)["encoding_frames"]! - (17 * frame + 6)) < 1e-9)
        (time.clipsEncoded, time.picturesRead) = (2, 0)
        pictures.given?.references = [PictureSize(width: 8, height: 8)]
        #expect(abs(time.seconds(for: pictures)["encoding_frames"]! - 35 * frame) < 1e-9)
        let alone = time.seconds(for: Self.request(128, 128, 17))
        #expect(abs(alone["encoding_text"]! - (2.3 + 17 * frame)) < 1e-9 && alone["encoding_frames"] == nil)
        #expect(try ModelTime(json: JSONValue(parsing: time.json.bytes())) == time && time.isPlausible)
        time.clipsEncoded = 3
        #expect(!time.isPlausible)
    }

    /// Before any clip was made, by what was measured of the model; the job waits with that time, and keeps it over a restart.
    @Test func anEstimateIsToldAtOnce() throws {
        let bench = try Bench(available: 1 << 34, most: 1 << 34)
        bench.model.time = Self.time
        // Nothing is begun, and so nothing estimated, while the models are being looked at.
        bench.service.deliver(.released(.models))
        let request = Self.request(128, 128, 17)
        let job = try bench.service.submit(owner: 1, request, model: bench.model)
        let estimate = try #require(job.plan.notes.estimate)
        let seconds = Self.time.seconds(for: request).values.reduce(0, +)
        #expect(estimate.basis == .arithmetic && abs(estimate.seconds! - seconds) < 1e-9)
        let shown = try Video(json: JSONValue(parsing: job.video.json.bytes()))
        #expect(shown.details.notes.estimate == estimate)
        #expect(try bench.service.job(job.id, viewer: Viewer(user: 1))?.plan.notes.estimate == estimate)
        // The first has begun; another waits behind it.
        let second = try bench.service.submit(owner: 1, request, model: bench.model)
        #expect(abs(try #require(second.etaSeconds) - 2 * seconds) < 1e-9)
    }
}
