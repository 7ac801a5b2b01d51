import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct ClipRequestTests {
    static let model = ModelInfo(
        id: "mini", sha256: String(repeating: "0", count: 64), created: 0, license: "Apache-2.0", defaultWidth: 128, defaultHeight: 128,
        defaultNumFrames: 17, fps: 16, sizeMultiple: 16, frameMultiple: 4, maxWidth: 256, maxHeight: 192, maxNumFrames: 81,
        maxPixels: 256 * 192 * 41, defaultNumInferenceSteps: 20, defaultGuidanceScale: 4, defaultFlowShift: 3)

    private func parameters(_ change: (inout ClipRequest) -> Void) -> ClipRequest {
        var parameters = ClipRequest()
        parameters.prompt = "a red ball rolls left"
        change(&parameters)
        return parameters
    }

    @Test func whatIsNotSaidIsTheModels() throws {
        let expected = ClipPlan(
            model: "mini", prompt: "a red ball rolls left", negativePrompt: "", width: 128, height: 128, numFrames: 17, fps: 16,
            seed: 77, numInferenceSteps: 20, guidanceScale: 4, flowShift: 3)
        let plan = try parameters { _ in }.plan(for: Self.model, randomSeed: 77)
        #expect(plan == expected && plan.durationSeconds == 1.0625)
    }

    @Test(arguments: [
        (1.0, 16, 17), (2.0, 16, 33), (1.0625, 16, 17), (1.07, 16, 21), (0.05, 16, 1), (1.1, 10, 13), (4.0, 16, 65), (1.7, 10, 17),
    ])
    func secondsBecomeFramesRoundedUp(seconds: Double, fps: Int, frames: Int) throws {
        let small = parameters {
            $0.seconds = seconds; $0.fps = fps; $0.width = 64; $0.height = 64
        }
        #expect(try small.plan(for: Self.model, randomSeed: 0).numFrames == frames)
    }

    @Test func framesAreRoundedUpToo() throws {
        let plan = try parameters { $0.numFrames = 18 }.plan(for: Self.model, randomSeed: 0)
        #expect(plan.numFrames == 21 && plan.durationSeconds == 1.3125)
    }

    /// Seconds, frames, frames a second; the frames that are made, or nil for a contradiction. The last ones are what an answer said.
    @Test(
        arguments: [
            (2.0, 33, 16, 33), (2.0, 32, 16, 33), (2.0, 30, 16, 33), (2.0, 18, 16, nil), (2.0, 34, 16, 37), (2.0, 42, 16, nil),
            (0.5, 17, 16, nil), (1.0, 9, 8, 9), (1.1, 13, 10, 13), (1.0, 17, 16, 17), (1.0, 5, 8, 5), (1.0, 1, 8, 1), (1.0, 21, 16, 21),
            (1.3125, 21, 16, 21), (4, 65, 16, 65),
        ] as [(Double, Int, Int, Int?)])
    func secondsAndFramesMayNotContradict(seconds: Double, numFrames: Int, fps: Int, frames: Int?) {
        let asked = parameters {
            $0.seconds = seconds; $0.numFrames = numFrames; $0.fps = fps; $0.width = 64; $0.height = 64
        }
        do throws(SoradError) {
            #expect(try asked.plan(for: Self.model, randomSeed: 0).numFrames == frames)
        } catch {
            #expect(frames == nil && error.param == "seconds" && error.message.contains("send one of them"), "\(error)")
        }
    }

    @Test(arguments: [(4.125, "4"), (2.125, "2"), (1.0625, "1"), (1.5, "2"), (0.0625, "1"), (0.5, "1"), (10.4, "10"), (3600, "3600")])
    func lengthsAreWholeSecondsForHostedClients(duration: Double, seconds: String) {
        #expect(ClipPlan.wholeSeconds(duration) == seconds)
    }

    @Test func aNegativePromptWithoutGuidanceIsNamed() throws {
        func ignored(_ guidance: Double, _ negative: String?) throws -> [String] {
            try parameters {
                $0.guidanceScale = guidance; $0.negativePrompt = negative; $0.ignored = ["quality"]
            }.plan(for: Self.model, randomSeed: 0).notes.ignored
        }
        #expect(try ignored(1, "dull") == ["quality", "negative_prompt"])
        #expect(try ignored(1, "") == ["quality"] && ignored(1, nil) == ["quality"] && ignored(2, "dull") == ["quality"])
    }

    @Test func aScheduleMayBeNamed() throws {
        let levels = try parameters { $0.sigmas = [1, 0.9, 0.5] }.plan(for: Self.model, randomSeed: 0)
        #expect(levels.sigmas == [1, 0.9, 0.5] && levels.numInferenceSteps == 3 && levels.stepsToRun == 3)
        #expect(try ClipPlan(json: levels.json) == levels)
        let timesteps = try parameters {
            $0.timesteps = [1000, 757, 522]; $0.numInferenceSteps = 3; $0.flowShift = 4
        }.plan(for: Self.model, randomSeed: 0)
        #expect(timesteps.sigmas == [1, 0.757, 0.522] && timesteps.notes.ignored == ["flow_shift"])
        #expect(VideoDetails(plan: timesteps).sigmas == [1, 0.757, 0.522] && VideoDetails(plan: timesteps).flowShift == nil)
        let plain = try parameters { _ in }.plan(for: Self.model, randomSeed: 0)
        #expect(plain.json["sigmas"] == nil && VideoDetails(plan: plain).sigmas == nil)
        for (change, field, sentence) in [
            ({ $0.sigmas = [1, 0.5, 0.5] }, "sigmas", "sigmas must fall, and 0.5 is followed by 0.5"),
            ({ $0.timesteps = [500, 1000] }, "timesteps", "timesteps must fall, and 500 is followed by 1000"),
            (
                {
                    $0.sigmas = [1]; $0.timesteps = [1000]
                }, "timesteps",
                "timesteps and sigmas say the same twice; send one of them"
            ),
            (
                {
                    $0.sigmas = [1, 0.5]; $0.numInferenceSteps = 3
                }, "num_inference_steps",
                "num_inference_steps is 3, and sigmas has 2 values; leave num_inference_steps out"
            ),
        ] as [((inout ClipRequest) -> Void, String, String)] {
            let error = #expect(throws: SoradError.self) { try parameters(change).plan(for: Self.model, randomSeed: 0) }
            #expect(error?.param == field && error?.message == sentence)
        }
    }

    @Test func passesMayBeLeftOut() throws {
        var model = Self.model
        model.hasExperts = true
        let plan = try parameters {
            $0.cache = 0.05; $0.guidanceInterval = [0.5, 0.9]; $0.secondGuidanceScale = 2
        }.plan(for: model, randomSeed: 0)
        #expect(plan.cache == 0.05 && plan.guidanceInterval == 0.5...0.9 && plan.secondGuidanceScale == 2 && plan.notes.ignored.isEmpty)
        #expect(try ClipPlan(json: plan.json) == plan)
        #expect(throws: Never.self) { try model.check(plan) }
        #expect(throws: SoradError.self) { try Self.model.check(plan) }
        let details = VideoDetails(plan: plan)
        #expect(details.cache == 0.05 && details.guidanceInterval == 0.5...0.9 && details.secondGuidanceScale == 2)
        let plain = try parameters { _ in }.plan(for: model, randomSeed: 0)
        #expect(["cache", "guidanceInterval", "guidanceScale2"].allSatisfy { plain.json[$0] == nil } && plain.cache == nil)
        #expect(Set([plan, plain].map(\.timeShape)).count == 2)
        // Nothing to guide, and too few steps.
        let few = try parameters {
            $0.guidanceScale = 1; $0.cache = 0.05; $0.guidanceInterval = [0.5, 0.9]; $0.secondGuidanceScale = 2; $0.numInferenceSteps = 19
        }.plan(for: model, randomSeed: 0)
        #expect(few.notes.ignored == ["guidance_scale_2", "guidance_interval", "cache"])
        #expect(few.cache == nil && few.guidanceInterval == nil && few.secondGuidanceScale == nil)
        for (change, field) in [
            ({ $0.guidanceInterval = [0.9, 0.5] }, "guidance_interval"), ({ $0.guidanceInterval = [0.5] }, "guidance_interval"),
            ({ $0.secondGuidanceScale = 2 }, "guidance_scale_2"),
        ] as [((inout ClipRequest) -> Void, String)] {
            let error = #expect(throws: SoradError.self) { try parameters(change).plan(for: Self.model, randomSeed: 0) }
            #expect(error?.param == field)
        }
    }

    /// What a stored or damaged plan says of the passes is judged again.
    @Test func aPlanWithImpossiblePassesIsRefused() throws {
        let plan = try parameters { _ in }.plan(for: Self.model, randomSeed: 0)
        for change in [
            { $0.cache = 2 }, { $0.cache = .nan }, { $0.guidanceInterval = -1...0.5 }, { $0.guidanceInterval = 0.5...2 },
            { $0.secondGuidanceScale = 2 },
            {
                $0.cache = 0.1; $0.numInferenceSteps = 4
            },
        ] as [(inout ClipPlan) -> Void] {
            var changed = plan
            change(&changed)
            #expect(throws: SoradError.self) { try Self.model.check(changed) }
        }
    }

    /// As many as there will be, which an estimate counts.
    @Test func guidedStepsAreCounted() throws {
        var plan = try parameters { _ in }.plan(for: Self.model, randomSeed: 0)
        #expect(plan.passesPerWindow == 40)
        plan.guidanceInterval = 0...1
        #expect(plan.passesPerWindow == 40)
        plan.sigmas = (0..<20).map { 1 - Double($0) / 32 }
        plan.guidanceInterval = 0.5...0.75
        #expect(plan.passesPerWindow == 20 + 9)
        plan.guidanceScale = 1
        #expect(plan.passesPerWindow == 20)
        let time = ModelTime(
            textPass: 0, perTextToken: 0, textLength: 16, pass: 0, perToken: 1, perPair: 0, perPixel: 0, perEncodedPixel: 0,
            spatialScale: 16,
            timeScale: 4, tokenPixels: 1)
        func seconds(_ change: (inout ClipPlan) -> Void) -> Double {
            var plan = plan
            plan.guidanceScale = 4
            change(&plan)
            return time.seconds(for: plan)[JobPhase.denoising.rawValue] ?? 0
        }
        #expect(abs(seconds { _ in } / seconds { $0.guidanceInterval = nil } - 29.0 / 40) < 1e-9)
    }

    /// What a stored or damaged plan says is judged again where it is made.
    @Test(arguments: [[1, 0.5, 0.5], [0.5, 1], [2, 1], [1, 0], [1, .nan]] as [[Double]]) func aPlanWithAnImpossibleScheduleIsRefused(
        sigmas: [Double]
    ) throws {
        var plan = try parameters { _ in }.plan(for: Self.model, randomSeed: 0)
        plan.sigmas = sigmas
        plan.numInferenceSteps = sigmas.count
        #expect(throws: SoradError.self) { try Self.model.check(plan) }
        plan.sigmas = [1, 0.5, 0.25]
        plan.numInferenceSteps = 4
        #expect(throws: SoradError.self) { try Self.model.check(plan) }
        plan.numInferenceSteps = 3
        #expect(throws: Never.self) { try Self.model.check(plan) }
    }

    @Test(arguments: [
        "0x0", "-1x128", "17x9999", "abc", "128", "128x", "x128", "128x128x128", "128X128", " 128x128", "1e2x128",
        "99999999999999999999x16", "272x128", "128x208", "120x128",
    ])
    func sizesThatAreNotPossibleAreRefusedWithWhatIs(size: String) {
        let error = #expect(throws: SoradError.self) { try parameters { $0.size = size }.plan(for: Self.model, randomSeed: 0) }
        #expect(error?.kind == .badInput)
        #expect(error?.param == "size")
        #expect(error?.message.contains("128x128") == true)
    }

    @Test func sizeAndWidthMustAgree() throws {
        #expect(
            try parameters {
                $0.size = "256x64"; $0.width = 256
            }.plan(for: Self.model, randomSeed: 0).height == 64)
        let error = #expect(throws: SoradError.self) {
            try parameters {
                $0.size = "256x64"; $0.width = 128
            }.plan(for: Self.model, randomSeed: 0)
        }
        #expect(error?.message == "the size 256x64 contradicts width and height; send one of them")
    }

    @Test func tooManyFramesAreRefusedWithTheMostThatGo() throws {
        let long = #expect(throws: SoradError.self) { try parameters { $0.seconds = 12 }.plan(for: Self.model, randomSeed: 0) }
        #expect(long?.param == "seconds")
        #expect(long?.message.contains("at most 81 frames, which are 5.063 seconds") == true)
        let large = #expect(throws: SoradError.self) {
            try parameters {
                $0.size = "256x192"; $0.numFrames = 45
            }.plan(for: Self.model, randomSeed: 0)
        }
        #expect(large?.param == "num_frames")
        #expect(large?.message.contains("at most 41 frames") == true)
        #expect(
            try parameters {
                $0.size = "256x192"; $0.numFrames = 41
            }.plan(for: Self.model, randomSeed: 0).numFrames == 41)
    }

    @Test func promptsAreNeitherEmptyNorEndless() throws {
        for prompt in ["", "   \n\t"] {
            let error = #expect(throws: SoradError.self) { try parameters { $0.prompt = prompt }.plan(for: Self.model, randomSeed: 0) }
            #expect(error?.param == "prompt")
        }
        #expect(throws: Never.self) {
            try parameters { $0.prompt = String(repeating: "球", count: 4000) }.plan(for: Self.model, randomSeed: 0)
        }
        for prompt in [String(repeating: "a", count: 4001), String(repeating: "a", count: 100_000)] {
            let error = #expect(throws: SoradError.self) { try parameters { $0.prompt = prompt }.plan(for: Self.model, randomSeed: 0) }
            #expect(error?.message == "the prompt is too long; at most 4000 characters are allowed")
        }
    }
}
