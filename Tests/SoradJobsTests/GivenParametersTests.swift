// How long a clip becomes that is made from pictures or clips, and what is refused.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct GivenParametersTests {
    private static var model: ModelInfo {
        var model = ClipParametersTests.model
        model.takesKnownFrames = true
        return model
    }

    private func parameters(_ change: (inout ClipParameters) -> Void = { _ in }) -> ClipParameters {
        var parameters = ClipParameters()
        parameters.prompt = "a red ball rolls left"
        change(&parameters)
        return parameters
    }

    private func clip(_ frames: Int) -> SourceClip {
        SourceClip(MediaFacts(format: .mp4, width: 99, height: 77, numFrames: frames, fps: 8))
    }

    /// Source frames, wanted, and then: context, frames that the model makes, frames of the clip.
    @Test(arguments: [(17, 8, 5, 13, 25), (17, 1, 5, 9, 21), (17, 9, 5, 17, 29), (5, 4, 5, 9, 9), (4, 4, 1, 5, 8), (1, 4, 1, 5, 5)])
    func forwards(source: Int, wanted: Int, context: Int, made: Int, total: Int) throws {
        let request = try parameters { $0.numFrames = wanted }.extending(clip(source), .forwards, for: Self.model, randomSeed: 1).request
        #expect(request.given?.before == GivenClip(numFrames: source, contextFrames: context))
        #expect(request.numFrames == made && request.clipFrames == total && request.newFrames == context..<made && request.fps == 8)
    }

    @Test(arguments: [(17, 8, 8, 17, 26), (17, 1, 8, 9, 18), (17, 2, 8, 13, 22), (7, 5, 4, 9, 12), (4, 1, 4, 5, 5)])
    func backwards(source: Int, wanted: Int, context: Int, made: Int, total: Int) throws {
        let request = try parameters { $0.numFrames = wanted }.extending(clip(source), .backwards, for: Self.model, randomSeed: 1).request
        #expect(request.given?.after == GivenClip(numFrames: source, contextFrames: context))
        #expect(request.numFrames == made && request.clipFrames == total && request.newFrames == 0..<made - context)
    }

    @Test func loopsAndJoins() throws {
        let loop = try parameters { $0.seconds = 1 }.extending(clip(17), .loop, for: Self.model, randomSeed: 1)
        #expect(loop.request.numFrames == 21 && loop.request.clipFrames == 25 && loop.seconds == "3.125")
        let join = try parameters { $0.seconds = 1 }.extending(clip(17), .join(clip(9)), for: Self.model, randomSeed: 1)
        #expect(join.request.numFrames == 21 && join.request.clipFrames == 17 + 8 + 9 && join.seconds == "4.25")
    }

    @Test func whatAnExtensionCannotBe() throws {
        func refusal(_ model: ModelInfo, _ source: Int, _ how: ClipParameters.Extension, _ change: (inout ClipParameters) -> Void)
            -> String?
        {
            do throws(SoradError) {
                _ = try parameters(change).extending(clip(source), how, for: model, randomSeed: 1)
                return "accepted"
            } catch { return error.param }
        }
        #expect(refusal(ClipParametersTests.model, 17, .forwards) { $0.seconds = 1 } == "video")
        #expect(refusal(Self.model, 3, .backwards) { $0.seconds = 1 } == "video")
        #expect(refusal(Self.model, 17, .join(clip(2))) { $0.seconds = 1 } == "end_video")
        #expect(refusal(Self.model, 17, .forwards) { $0.seconds = 100 } == "seconds")
        #expect(refusal(Self.model, 17, .forwards) { $0.numFrames = 1_000 } == "num_frames")
        #expect(refusal(Self.model, 2_999, .forwards) { $0.seconds = 1 } == "video")
        #expect(
            refusal(Self.model, 17, .forwards) {
                $0.seconds = 1; $0.prompt = ""
            } == "prompt")
    }

    @Test func aRemakeIsAsLongAsWholeGroupsAllow() throws {
        let all = try parameters().remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: false)
        #expect(all.request.numFrames == 17 && all.request.clipFrames == 17 && all.seconds == "2.125")
        #expect(all.request.given?.source == GivenClip(numFrames: 20, contextFrames: 17))
        #expect(all.request.given?.strength == ClipParameters.defaultStrength && all.request.given?.isRemix == false)
        let part = try parameters { $0.seconds = 1 }.remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: true)
        #expect(part.request.numFrames == 9 && part.request.given?.isRemix == true)
        #expect(throws: SoradError.self) {
            try parameters { $0.numFrames = 21 }.remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: false)
        }
    }

    @Test(arguments: [(4, 0.5, 2), (4, 1, 0), (4, 0.01, 3), (10, 0.9, 1), (10, 0.7, 3), (1, 0.01, 0), (200, 0.01, 198)])
    func strengthBecomesTheFirstStep(steps: Int, strength: Double, first: Int) throws {
        let request = try parameters {
            $0.numInferenceSteps = steps; $0.strength = strength
        }
        .effective(for: Self.model, randomSeed: 1, hasFirstFrame: true, hasLastFrame: false).request
        #expect(request.firstStep == first && request.stepsToRun == steps - first)
    }

    @Test func givenFramesComeBackFromTheStore() throws {
        var request = try parameters { $0.seconds = 1 }.extending(clip(17), .join(clip(9)), for: Self.model, randomSeed: 1).request
        request.given?.strength = 0.1
        request.given?.videoID = "video_1"
        #expect(try GenerationRequest(json: JSONValue(parsing: Array(request.json.text().utf8))) == request)
        for bad in [
            #"{"numFrames":0,"contextFrames":0}"#, #"{"numFrames":9,"contextFrames":10}"#, #"{"numFrames":9,"contextFrames":-1}"#,
            #"{"numFrames":9223372036854775807,"contextFrames":1}"#,
        ] {
            #expect(throws: JSONError.self) { try GivenClip(json: JSONValue(parsing: Array(bad.utf8))) }
        }
    }
}
