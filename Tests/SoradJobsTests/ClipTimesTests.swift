// The history of what clips took, and what is expected of the next one.
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct ClipTimesTests {
    private func completed(_ request: ClipPlan, _ timings: [String: Double], resumedStep: Int = 0) -> Job {
        let id = JobIdentifier(milliseconds: 1, random: [UInt8](repeating: 0, count: 10))
        var job = Job(id: id, owner: 1, plan: request, createdAt: 1)
        job.status = .completed
        job.result = ClipResult(
            sha256: "", video: "v", thumbnail: "t", spritesheet: "s", timings: timings, resumedStep: resumedStep)
        return job
    }

    @Test func nothingIsExpectedOfAShapeThatWasNeverMade() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        #expect(try store.expectedSeconds(for: .sample()).isEmpty)
        try store.remember(completed(.sample(), ["denoising": 10, "decoding": 2]))
        for change in [\ClipPlan.width, \.height, \.numFrames] {
            var other = ClipPlan.sample()
            other[keyPath: change] *= 2
            #expect(try store.expectedSeconds(for: other).isEmpty)
        }
        var single = ClipPlan.sample()
        single.guidanceScale = single.guidanceScale == 1 ? 4 : 1
        #expect(try store.expectedSeconds(for: single).isEmpty)
        var model = ClipPlan.sample()
        model.model = "another"
        #expect(try store.expectedSeconds(for: model).isEmpty)
    }

    @Test func stepsScaleAndTheOtherPhasesDoNot() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        var request = ClipPlan.sample()
        request.numInferenceSteps = 10
        try store.remember(completed(request, ["encoding_text": 0.5, "denoising": 20, "decoding": 4, "writing": 1]))
        request.numInferenceSteps = 30
        request.seed += 1
        #expect(try store.expectedSeconds(for: request) == ["encoding_text": 0.5, "denoising": 60, "decoding": 4, "writing": 1])
    }

    @Test func ofAClipThatWasTakenUpAgainTheStepsThatWereRunHereCount() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        var request = ClipPlan.sample()
        request.numInferenceSteps = 10
        try store.remember(completed(request, ["denoising": 8], resumedStep: 6))
        #expect(try store.expectedSeconds(for: request) == ["denoising": 20])
        // All steps were done before: nothing is known of them.
        try store.remember(completed(request, ["denoising": 0.001, "decoding": 3], resumedStep: 10))
        #expect(try store.expectedSeconds(for: request) == ["denoising": 20, "decoding": 3])
    }

    @Test func oneSlowClipDoesNotSpoilTheEstimateAndOldOnesAreForgotten() throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        for seconds in [1.0, 1, 50, 1, 1] { try store.remember(completed(.sample(), ["decoding": seconds])) }
        #expect(try store.expectedSeconds(for: .sample())["decoding"] == 1)
        for _ in 0..<7 { try store.remember(completed(.sample(), ["decoding": 3])) }
        #expect(try store.expectedSeconds(for: .sample())["decoding"] == 3)
    }

    @Test(arguments: [["dancing": 1.0], ["decoding": -1], ["decoding": 1e300], [:]] as [[String: Double]])
    func whatIsNoTimeIsNotRecorded(timings: [String: Double]) throws {
        let directory = try TemporaryDirectory()
        let store = try JobStore(path: directory.path + "/jobs.sqlite")
        try store.remember(completed(.sample(), timings))
        #expect(try store.expectedSeconds(for: .sample()).isEmpty)
    }

    @Test func theServiceTellsWhatTheLastClipTook() throws {
        let directory = try TemporaryDirectory()
        let service = try JobService(
            directory: directory.path, settings: JobService.Settings(), time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
        service.deliver(.released(.models))
        let job = try service.submit(owner: 1, .sample())
        service.deliver(.workerReady(.first, model: ClipPlan.sample().model))
        let path = try service.prepareDirectory(of: job.id)
        for name in ["v", "t", "s"] { try writeDurably([1], named: name, in: path) }
        let result = ClipResult(sha256: "", video: "v", thumbnail: "t", spritesheet: "s", timings: ["decoding": 2.5])
        service.deliver(.finished(.first, job.id, result))
        #expect(try service.job(job.id, viewer: 1)?.status == .completed)
        #expect(service.expectedSeconds(for: .sample()) == ["decoding": 2.5])
    }
}
