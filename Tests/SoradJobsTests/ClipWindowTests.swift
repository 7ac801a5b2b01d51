// How a clip is divided into windows and scenes, and what is refused at the door.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct ClipWindowTests {
    private static var model: ModelInfo {
        var model = ClipRequestTests.model
        model.takesConditioningFrames = true
        model.windowFrames = 17
        model.maxNumFrames = 961
        return model
    }

    private func request(_ change: (inout ClipRequest) -> Void = { _ in }) -> ClipRequest {
        var request = ClipRequest()
        request.prompt = "a red ball"
        change(&request)
        return request
    }

    private func clip(_ frames: Int) -> SourceClip {
        SourceClip(MediaFacts(format: .mp4, width: 99, height: 77, numFrames: frames, fps: 16))
    }

    /// Whatever the lengths: no gap, a context, something new, and the frames that are led up to together with a new one.
    @Test func windowsCoverEveryClip() {
        for length in [2, 5, 21] {
            let context = ClipWindow.context(of: length)
            for (before, after) in [(0, 0), (1, 0), (2, 0), (2, 2), (0, 1), (2, 1)] {
                for total in before + after + 1...60 {
                    for scenes in [[total], [before + 1, total - after], [total / 2, total]] {
                        let ends = scenes.last == total ? scenes : scenes.dropLast() + [total]
                        guard zip([before] + ends, ends).allSatisfy({ $0 < $1 }), ends.dropLast().allSatisfy({ $0 < total - after }) else {
                            continue
                        }
                        let windows = ClipWindow.cover(total: total, length: length, before: before, after: after, sceneEnds: ends)
                        var plan = ClipPlan(
                            model: "m", prompt: "p", negativePrompt: "", width: 16, height: 16, numFrames: 1, fps: 8, seed: 1,
                            numInferenceSteps: 1, guidanceScale: 1, flowShift: 1)
                        plan.windows = windows
                        plan.scenes = ends.count > 1 ? ends.map { _ in ClipScene(prompt: "x", numFrames: 1) } : []
                        guard !windows.isEmpty else {
                            #expect(total <= length && ends.count == 1)
                            continue
                        }
                        let what = "\(length), \(before)+\(after) of \(total), \(ends): \(windows)"
                        #expect(plan.hasWholeWindows(total), "\(what)")
                        #expect(
                            windows[0].end > before && windows.allSatisfy { $0.count <= max(length, context + 1 + after + before) },
                            "\(what)")
                        for (earlier, later) in zip(windows, windows.dropFirst()) {
                            #expect(earlier.end - later.start >= min(context, earlier.end), "\(what)")
                        }
                        let last = windows.count > 1 ? windows[windows.count - 2].end : before
                        #expect(last < total - after, "\(what)")
                        for (scene, end) in ends.enumerated() {
                            #expect(windows.contains { $0.scene == scene && $0.end == end }, "\(what)")
                        }
                    }
                }
            }
        }
    }

    @Test func aMinuteIsOneRequest() throws {
        let plan = try request { $0.seconds = 60 }.plan(for: Self.model, randomSeed: 1)
        #expect(plan.numFrames == 961 && plan.clipFrames == 961 && plan.windows.count == 80)
        #expect(ClipPlan.wholeSeconds(plan.durationSeconds) == "60")
        #expect(plan.stepsToRun == 80 * plan.numInferenceSteps && plan.stages.first { $0.phase == .denoising }?.units == plan.stepsToRun)
        #expect(try ClipPlan(json: JSONValue(parsing: Array(plan.json.text().utf8))).windows == plan.windows)
        try Self.model.check(plan)
        #expect(try request().plan(for: Self.model, randomSeed: 1).windows.isEmpty)
        let error = #expect(throws: SoradError.self) { try request { $0.seconds = 61 }.plan(for: Self.model, randomSeed: 1) }
        #expect(error?.param == "seconds")
        var still = Self.model
        still.takesConditioningFrames = false
        still.windowFrames = nil
        still.maxNumFrames = 81
        #expect(throws: SoradError.self) { try request { $0.seconds = 60 }.plan(for: still, randomSeed: 1) }
    }

    @Test func aStoryboardHasItsPromptsAndLengths() throws {
        let asked = request {
            $0.storyboard = [
                .init(prompt: "rolls left", seconds: 1), .init(prompt: "bounces", seconds: 0.6), .init(prompt: "stops", numFrames: 20),
            ]
        }
        let plan = try asked.plan(for: Self.model, randomSeed: 1)
        // Ends at 16, 25.6 and 45.6 frames, rounded up to 1 plus a multiple of 4.
        #expect(plan.scenes.map(\.numFrames) == [17, 12, 20] && plan.numFrames == 49)
        #expect(
            plan.scenes.map(\.prompt) == ["a red ball rolls left", "a red ball bounces", "a red ball stops"] && plan.prompt == "a red ball")
        try Self.model.check(plan)
        for (scene, end) in [(0, 5), (1, 8), (2, 13)] { #expect(plan.windows.last { $0.scene == scene }?.end == end) }
        let bare = try request {
            $0.prompt = ""
            $0.storyboard = [.init(prompt: "a", seconds: 1), .init(prompt: "b", seconds: 1)]
        }.plan(for: Self.model, randomSeed: 1)
        #expect(bare.prompt == "a / b" && bare.scenes.map(\.prompt) == ["a", "b"])
        let longer = try request { $0.storyboard = [.init(prompt: "x", seconds: 0.5), .init(prompt: "y", seconds: 0.5)] }
            .extending(clip(17), .forwards, for: Self.model, randomSeed: 1)
        #expect(longer.scenes.map(\.numFrames) == [8, 8] && longer.clipFrames == 33)
        try Self.model.check(longer)
        for (change, param) in [
            ({ $0.seconds = 1 }, "seconds"), ({ $0.numFrames = 5 }, "num_frames"),
            ({ $0.storyboard[1].prompt = " " }, "storyboard[1].prompt"),
            ({ $0.storyboard = [ClipRequest.Scene](repeating: $0.storyboard[0], count: 101) }, "storyboard"),
        ] as [((inout ClipRequest) -> Void, String)] {
            var bad = asked
            change(&bad)
            let error = #expect(throws: SoradError.self) { try bad.plan(for: Self.model, randomSeed: 1) }
            #expect(error?.param == param)
        }
    }

    @Test func longExtensionsLoopsAndJoinsSlideToo() throws {
        for how in [ClipRequest.Extension.forwards, .backwards, .loop, .join(clip(9))] {
            let plan = try request { $0.seconds = 10 }.extending(clip(17), how, for: Self.model, randomSeed: 1)
            #expect(plan.windows.count > 10 && plan.windows.allSatisfy { $0.count <= 5 })
            try Self.model.check(plan)
        }
    }

    /// What the worker would refuse is refused before it is accepted.
    @Test func firstAndLastPictureOfEveryLength() throws {
        for frames in [5, 9, 17, 81] {
            let plan = try request { $0.numFrames = frames }.plan(for: Self.model, randomSeed: 1, hasFirstFrame: true, hasLastFrame: true)
            #expect(plan.numFrames == frames)
            try Self.model.check(plan)
        }
        #expect(throws: SoradError.self) {
            try request { $0.numFrames = 1 }.plan(for: Self.model, randomSeed: 1, hasFirstFrame: true, hasLastFrame: true)
        }
    }

    @Test func onlyDeclaredSizesAreOffered() throws {
        var model = Self.model
        model.declaredSizes = [PictureSize(width: 128, height: 128), PictureSize(width: 192, height: 128)]
        #expect(try request { $0.size = "192x128" }.plan(for: model, randomSeed: 1).width == 192)
        let error = #expect(throws: SoradError.self) { try request { $0.size = "128x192" }.plan(for: model, randomSeed: 1) }
        #expect(error?.param == "size" && error?.message.contains("128x128, 192x128") == true)
        #expect(model.sizes.nearest(width: 720, height: 1280) == (128, 128) && model.sizes.nearest(width: 1280, height: 720) == (192, 128))
        #expect(model.sizes.mostFrames(width: 128, height: 128) == model.maxNumFrames)
        #expect(try ModelInfo(json: JSONValue(parsing: Array(model.json.text().utf8))) == model)
        for text in ["128", "0x16", "128x", "x128", "128x-1", "128x128x3", "123456x1", " 1x1"] { #expect(PictureSize(text) == nil) }
    }

    /// An extension of an extension lists the files of both.
    @Test func partsAreThoseOfTheSourceAndTheNewOnes() throws {
        var plan = try request { $0.seconds = 0.5 }.extending(clip(17), .forwards, for: Self.model, randomSeed: 1)
        #expect(plan.parts.map(\.part) == [ClipPart(.mp4, first: 0, count: 17), ClipPart(.latents, first: 5, count: 8)])
        #expect(plan.parts.map(\.file) == ["given-before", "latents"])
        plan.given?.before?.parts = [ClipPart(.latents, first: 0, count: 17)]
        #expect(plan.parts.map(\.file) == ["given-before-0", "latents"])
        #expect(try ClipPlan(json: JSONValue(parsing: Array(plan.json.text().utf8))).given == plan.given)
        var backwards = try request { $0.seconds = 0.5 }.extending(clip(17), .backwards, for: Self.model, randomSeed: 1)
        backwards.given?.after?.parts = [ClipPart(.latents, first: 0, count: 9), ClipPart(.latents, first: 5, count: 8)]
        #expect(backwards.parts.map(\.file) == ["latents", "given-after-0", "given-after-1"])
        #expect(backwards.parts.reduce(0) { $0 + $1.part.count } == backwards.clipFrames)
        for bad in [
            #"{"numFrames":9,"contextFrames":5,"parts":[{"kind":"latents","first":0,"count":8}]}"#,
            #"{"numFrames":9,"contextFrames":5,"parts":[{"kind":"file","first":0,"count":9}]}"#,
            #"{"numFrames":9,"contextFrames":5,"parts":[{"kind":"mp4","first":-1,"count":9}]}"#,
        ] {
            #expect(throws: JSONError.self) { try ReferenceClip(json: JSONValue(parsing: Array(bad.utf8))) }
        }
    }
}
