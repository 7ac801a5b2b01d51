// Which clips are made in two sizes, in how many steps, and what an estimate makes of that.
import SoradAPI
import SoradSystem
import Testing

@Suite struct CascadePlanTests {
    private static let model: ModelInfo = {
        var model = ClipRequestTests.model
        model.cascade = ModelCascade(refineFrom: 0.75, baseFlowShift: 2, leastSide: 64)
        return model
    }()

    private func plan(_ width: Int, _ height: Int, _ change: (inout ClipRequest) -> Void = { _ in }) throws -> ClipPlan {
        var request = ClipRequest()
        request.prompt = "a red ball"
        (request.width, request.height, request.numInferenceSteps, request.flowShift) = (width, height, 16, 3)
        change(&request)
        return try request.plan(for: Self.model, randomSeed: 0)
    }

    @Test func halfTheSidesMustBeASizeThatTheModelMakes() throws {
        #expect(Self.model.sizeMultiple == 16)
        for (width, height, isCascaded) in [(128, 128, true), (192, 128, true), (112, 128, false), (144, 128, false), (128, 144, false)] {
            let plan = try plan(width, height)
            #expect((plan.cascade != nil) == isCascaded, "\(width)x\(height)")
            #expect(plan.stepsPerWindow == (isCascaded ? 24 : 16))
            #expect(try ClipPlan(json: plan.json) == plan)
            try Self.model.check(plan)
        }
        #expect(try ModelInfo(json: Self.model.json).cascade == Self.model.cascade)
    }

    /// At shift 3, the level 0.75 stands before the ninth of 16 steps.
    @Test func theWholeSizeBeginsAtItsLevel() throws {
        #expect(try plan(128, 128).cascade == CascadePlan(baseFlowShift: 2, refineStep: 8))
        #expect(try plan(128, 128) { $0.numInferenceSteps = 4 }.cascade?.refineStep == 2)
        // One step is the whole size's, and it begins with noise.
        let one = try plan(128, 128) { $0.numInferenceSteps = 1 }
        #expect(one.stepsPerWindow == 1 && one.baseSteps == 0)
        let named = try plan(128, 128) {
            $0.sigmas = [1, 0.9, 0.7, 0.4]; $0.numInferenceSteps = nil; $0.flowShift = nil
        }
        #expect(named.cascade?.refineStep == 2 && named.stepsPerWindow == 6)
        let high = try plan(128, 128) {
            $0.sigmas = [1, 0.9, 0.8]; $0.numInferenceSteps = nil; $0.flowShift = nil
        }
        #expect(high.cascade?.refineStep == 2 && high.stepsPerWindow == 4)
    }

    @Test func passesAreCountedAtBothSizes() throws {
        var plan = try plan(128, 128) { $0.guidanceScale = 3 }
        #expect(plan.basePasses == 32 && plan.wholePasses == 16)
        // Of shift 2: 1, 0.968 and 0.933 lie above. None of the whole size does.
        plan.guidanceInterval = 0.9...1
        #expect(plan.basePasses == 16 + 3 && plan.wholePasses == 8)
        plan.guidanceScale = 1
        #expect(plan.basePasses == 16 && plan.wholePasses == 8)
        let time = ModelTime(
            textPass: 0, perTextToken: 0, textLength: 16, pass: 0, perToken: 1, perPair: 0, perPixel: 0, perEncodedPixel: 0,
            spatialScale: 8, timeScale: 4, tokenPixels: 4)
        let tokens = Double((1 + (plan.numFrames - 1) / 4) * 8 * 8)
        #expect(time.seconds(for: plan)["denoising"] == tokens * (8 + 16 / 4))
    }

    @Test func aPlanThatDoesNotFitIsRefused() throws {
        let good = try plan(128, 128)
        var none = Self.model
        none.cascade = nil
        #expect(throws: SoradError.self) { try none.check(good) }
        for change in [
            { $0.cascade?.refineStep = 16 }, { $0.width = 112 }, { $0.height = 144 },
        ] as [(inout ClipPlan) -> Void] {
            var changed = good
            change(&changed)
            #expect(throws: SoradError.self) { try Self.model.check(changed) }
        }
        for text in [#"{"baseFlowShift":0,"refineStep":2}"#, #"{"baseFlowShift":2,"refineStep":-1}"#, #"{"refineStep":2}"#, "3"] {
            let json = try JSONValue(parsing: Array(text.utf8))
            #expect(throws: JSONError.self) { try CascadePlan(json: json) }
        }
        // One from before the file had a cascade is made at one size.
        var earlier = good
        earlier.cascade = nil
        try Self.model.check(earlier)
        #expect(earlier.stepsPerWindow == 16)
    }
}
