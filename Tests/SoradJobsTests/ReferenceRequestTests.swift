// How long a clip becomes that is made from pictures or clips, and what is refused.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct ReferenceRequestTests {
    private static var model: ModelInfo {
        var model = ClipRequestTests.model
        model.takesConditioningFrames = true
        return model
    }

    private func parameters(_ change: (inout ClipRequest) -> Void = { _ in }) -> ClipRequest {
        var parameters = ClipRequest()
        parameters.prompt = "a red ball rolls left"
        change(&parameters)
        return parameters
    }

    private func clip(_ frames: Int) -> SourceClip {
        SourceClip(MediaFacts(format: .mp4, width: 99, height: 77, numFrames: frames, fps: 8))
    }

    /// A model that starts from pictures refuses whatever comes without them, at the door and in the worker.
    @Test func modelsThatNeedPictures() throws {
        var model = Self.model
        func refusal(_ make: () throws -> ClipPlan) -> String? {
            do {
                try model.check(make())
                return nil
            } catch { return (error as? SoradError)?.param ?? "\(error)" }
        }
        let asked = parameters { $0.numFrames = 9 }
        let text = { try asked.plan(for: model, randomSeed: 1) }
        func pictures(_ first: Bool, _ last: Bool) -> String? {
            refusal { try asked.plan(for: model, randomSeed: 1, hasFirstFrame: first, hasLastFrame: last) }
        }
        #expect(refusal(text) == nil && pictures(false, true) == nil)
        let fromText = try text()
        model.picturesNeeded = 1
        #expect(refusal(text) == "input_reference" && refusal { fromText } == "input_reference")
        #expect(pictures(false, true) == "input_reference" && pictures(true, false) == nil && pictures(true, true) == nil)
        #expect(refusal { try asked.extending(clip(17), .forwards, for: model, randomSeed: 1) } == "video")
        #expect(refusal { try asked.remake(of: clip(17), for: model, randomSeed: 1, isRemix: true) } == "video")
        model.picturesNeeded = 2
        #expect(pictures(true, false) == "end_image" && pictures(true, true) == nil)
        #expect(try ModelInfo(json: model.json).picturesNeeded == 2)
    }

    /// A model that follows clips takes a source without noise, reference pictures, a mask that moves; no other model does.
    @Test func modelsThatFollowClips() throws {
        let plain = Self.model
        var model = Self.model
        model.takesControl = true
        func refusal(_ model: ModelInfo, _ make: (ModelInfo) throws -> ClipPlan) -> String? {
            do {
                try model.check(make(model))
                return nil
            } catch { return (error as? SoradError)?.param ?? "\(error)" }
        }
        let asked = parameters { $0.numFrames = 9 }
        let scaled = parameters { $0.conditioningScale = 0.5 }
        let text = { (model: ModelInfo) in try asked.plan(for: model, randomSeed: 1) }
        let edit = { (model: ModelInfo) in try asked.remake(of: self.clip(17), for: model, randomSeed: 1, isRemix: false, hasMask: true) }
        #expect(refusal(plain, text) == nil && refusal(model, text) == nil && refusal(plain, edit) == nil && refusal(model, edit) == nil)
        // Grey frames are followed too, so there is something to encode.
        #expect(try text(plain).given == nil && text(model).given == ReferenceMedia())
        let (mixed, followed) = try (edit(plain), edit(model))
        #expect(mixed.given?.strength == 0.7 && mixed.firstStep > 0 && followed.given?.strength == nil && followed.firstStep == 0)
        #expect(refusal(plain) { try scaled.plan(for: $0, randomSeed: 1) } == "conditioning_scale")
        #expect(try scaled.plan(for: model, randomSeed: 1).given?.conditioningScale == 0.5)
        #expect(refusal(model) { try asked.extending(self.clip(17), .forwards, for: $0, randomSeed: 1) } == "video")
        let scenes = parameters { $0.storyboard = [ClipRequest.Scene(prompt: "a", numFrames: 9)] }
        #expect(refusal(model) { try scenes.plan(for: $0, randomSeed: 1) } == "storyboard")

        func references(_ count: Int, strength: Double? = nil) -> (ModelInfo) throws -> ClipPlan {
            { model in
                let asked = self.parameters {
                    $0.numFrames = 9
                    $0.strength = strength
                }
                var plan = try asked.plan(
                    for: model, randomSeed: 1, hasFirstFrame: strength != nil, hasLastFrame: false, references: count)
                plan.given?.references = [PictureSize](repeating: PictureSize(width: 40, height: 30), count: count)
                return plan
            }
        }
        #expect(refusal(plain, references(1)) == "reference_images" && refusal(model, references(2)) == nil)
        #expect(refusal(model, references(5)) == "reference_images")
        #expect(refusal(model, references(1, strength: 0.5)) == "strength" && refusal(model, references(0, strength: 0.5)) == nil)
        let two = try references(2)(model)
        #expect(two.given?.fieldNames == ["reference_images"] && two.timeShape.contains("references=2"))
        #expect(refusal(plain) { _ in two } == "reference_images")
        // Each counts for a group of frames.
        model.maxPixels = two.width * two.height * (two.numFrames + model.frameMultiple)
        #expect(refusal(model, references(1)) == nil && refusal(model, references(2)) == "reference_images")

        var moving = followed
        let mask = MediaFacts(format: .mp4, width: 9, height: 9, numFrames: moving.numFrames, fps: moving.fps)
        try moving.setMask(mask)
        #expect(refusal(model) { _ in moving } == nil && refusal(plain) { _ in moving } == "mask")
        #expect(throws: SoradError.self) {
            var moving = followed
            try moving.setMask(MediaFacts(format: .mp4, width: 9, height: 9, numFrames: moving.numFrames - 1, fps: moving.fps))
        }
        for plan in [two, moving] { #expect(try ClipPlan(json: plan.json) == plan) }
        #expect(try ModelInfo(json: model.json).takesControl)
    }

    /// Source frames, wanted, and then: context, frames that the model makes, frames of the clip.
    @Test(arguments: [(17, 8, 5, 13, 25), (17, 1, 5, 9, 21), (17, 9, 5, 17, 29), (5, 4, 5, 9, 9), (4, 4, 1, 5, 8), (1, 4, 1, 5, 5)])
    func forwards(source: Int, wanted: Int, context: Int, made: Int, total: Int) throws {
        let plan = try parameters { $0.numFrames = wanted }.extending(clip(source), .forwards, for: Self.model, randomSeed: 1)
        #expect(plan.given?.before == ReferenceClip(numFrames: source, contextFrames: context))
        #expect(plan.numFrames == made && plan.clipFrames == total && plan.newFrames == context..<made && plan.fps == 8)
    }

    @Test(arguments: [(17, 8, 9, 17, 25), (17, 1, 9, 13, 21), (17, 5, 9, 17, 25), (8, 5, 5, 13, 16), (5, 1, 5, 9, 9)])
    func backwards(source: Int, wanted: Int, context: Int, made: Int, total: Int) throws {
        let plan = try parameters { $0.numFrames = wanted }.extending(clip(source), .backwards, for: Self.model, randomSeed: 1)
        #expect(plan.given?.after == ReferenceClip(numFrames: source, contextFrames: context))
        #expect(plan.numFrames == made && plan.clipFrames == total && plan.newFrames == 0..<made - context)
    }

    @Test func loopsAndJoins() throws {
        let loop = try parameters { $0.seconds = 1 }.extending(clip(17), .loop, for: Self.model, randomSeed: 1)
        #expect(loop.numFrames == 25 && loop.clipFrames == 17 + 11 && loop.durationSeconds == 3.5)
        let join = try parameters { $0.seconds = 1 }.extending(clip(17), .join(clip(9)), for: Self.model, randomSeed: 1)
        #expect(join.numFrames == 25 && join.clipFrames == 17 + 11 + 9 && join.durationSeconds == 4.625)
    }

    /// A file of 2.4 seconds and 24 a second: frames that are taken at the rate that is asked for.
    @Test(arguments: [(nil, 24, 58), (24, 24, 58), (8, 8, 19), (60, 60, 144), (1, 1, 2)] as [(Int?, Int, Int)])
    func playingTimeIsKeptAtAnyRate(asked: Int?, rate: Int, frames: Int) throws {
        let file = SourceClip(MediaFacts(format: .matroska, width: 99, height: 77, numFrames: 58, fps: 24, microseconds: 2_400_000))
        let plan = try parameters {
            $0.numFrames = 8
            $0.fps = asked
        }.extending(file, .forwards, for: Self.model, randomSeed: 1)
        #expect(plan.fps == rate && plan.given?.before?.numFrames == frames)
        guard rate > 1 else { return }
        let joined = try parameters {
            $0.numFrames = 4
            $0.fps = asked
        }.extending(clip(17), .join(file), for: Self.model, randomSeed: 1)
        // Without a rate that of the first clip is taken, 8 a second.
        #expect(joined.given?.after?.numFrames == (asked == nil ? 19 : frames))
    }

    @Test func aClipThatIsTooLongAtItsRateNamesOneThatFits() throws {
        let file = SourceClip(MediaFacts(format: .mp4, width: 9, height: 7, numFrames: 7_200, fps: 60, microseconds: 120_000_000))
        let error = #expect(throws: SoradError.self) { try parameters().remake(of: file, for: Self.model, randomSeed: 1, isRemix: false) }
        #expect(error?.param == "video" && error?.message.contains("7200 frames at 60 a second") == true)
        #expect(error?.message.contains("fps with 25 at most") == true)
        var slower = parameters { $0.fps = 25 }
        slower.numFrames = 17
        #expect(try slower.remake(of: file, for: Self.model, randomSeed: 1, isRemix: false).given?.source?.numFrames == 3_000)
        let day = SourceClip(MediaFacts(format: .mp4, width: 9, height: 7, numFrames: 9, fps: 1, microseconds: MediaFacts.longest))
        let endless = #expect(throws: SoradError.self) {
            try parameters { $0.fps = 8 }.remake(of: day, for: Self.model, randomSeed: 1, isRemix: false)
        }
        #expect(endless?.message.hasSuffix("cut it first") == true)
    }

    @Test func whatAnExtensionCannotBe() throws {
        func refusal(_ model: ModelInfo, _ source: Int, _ how: ClipRequest.Extension, _ change: (inout ClipRequest) -> Void)
            -> String?
        {
            do throws(SoradError) {
                _ = try parameters(change).extending(clip(source), how, for: model, randomSeed: 1)
                return "accepted"
            } catch { return error.param }
        }
        #expect(refusal(ClipRequestTests.model, 17, .forwards) { $0.seconds = 1 } == "video")
        #expect(refusal(Self.model, 3, .backwards) { $0.seconds = 1 } == "video")
        #expect(refusal(Self.model, 17, .join(clip(2))) { $0.seconds = 1 } == "end_video")
        #expect(refusal(Self.model, 17, .forwards) { $0.seconds = 100 } == "seconds")
        #expect(refusal(Self.model, 17, .forwards) { $0.numFrames = 1_000 } == "num_frames")
        #expect(refusal(Self.model, 2_999, .forwards) { $0.seconds = 1 } == "video")
        #expect(
            refusal(Self.model, 17, .forwards) {
                $0.seconds = 1; $0.numFrames = 40
            } == "seconds")
        #expect(
            refusal(Self.model, 17, .forwards) {
                $0.seconds = 1; $0.numFrames = 7
            } == "accepted")
        #expect(
            refusal(Self.model, 17, .forwards) {
                $0.seconds = 1; $0.prompt = ""
            } == "prompt")
    }

    @Test func aRemakeIsAsLongAsWholeGroupsAllow() throws {
        let all = try parameters().remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: false)
        #expect(all.numFrames == 17 && all.clipFrames == 17 && all.durationSeconds == 2.125)
        #expect(all.given?.source == ReferenceClip(numFrames: 20, contextFrames: 17))
        #expect(all.given?.strength == ClipRequest.defaultStrength && all.given?.isRemix == false)
        let part = try parameters { $0.seconds = 1 }.remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: true)
        #expect(part.numFrames == 9 && part.given?.isRemix == true)
        #expect(throws: SoradError.self) {
            try parameters { $0.numFrames = 21 }.remake(of: clip(20), for: Self.model, randomSeed: 1, isRemix: false)
        }
    }

    @Test(arguments: [(4, 0.5, 2), (4, 1, 0), (4, 0.01, 3), (10, 0.9, 1), (10, 0.7, 3), (1, 0.01, 0), (200, 0.01, 198)])
    func strengthBecomesTheFirstStep(steps: Int, strength: Double, first: Int) throws {
        let plan = try parameters {
            $0.numInferenceSteps = steps; $0.strength = strength
        }
        .plan(for: Self.model, randomSeed: 1, hasFirstFrame: true, hasLastFrame: false)
        #expect(plan.firstStep == first && plan.stepsToRun == steps - first)
    }

    @Test func referenceMediaComeBackFromTheStore() throws {
        var plan = try parameters { $0.seconds = 1 }.extending(clip(17), .join(clip(9)), for: Self.model, randomSeed: 1)
        plan.given?.strength = 0.1
        plan.given?.videoID = "video_1"
        #expect(try ClipPlan(json: JSONValue(parsing: Array(plan.json.text().utf8))) == plan)
        for bad in [
            #"{"numFrames":0,"contextFrames":0}"#, #"{"numFrames":9,"contextFrames":10}"#, #"{"numFrames":9,"contextFrames":-1}"#,
            #"{"numFrames":9223372036854775807,"contextFrames":1}"#,
        ] {
            #expect(throws: JSONError.self) { try ReferenceClip(json: JSONValue(parsing: Array(bad.utf8))) }
        }
    }
}
