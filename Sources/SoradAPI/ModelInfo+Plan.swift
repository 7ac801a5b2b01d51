// Whether a plan can be made: the one check, for the daemon that takes a request and for the worker that is handed its plan. So no
// request is accepted that then fails for a reason that was known at the door.
public import SoradSystem

extension ModelInfo {
    /// Latent frames of a clip: the first frame alone, and each group of the others.
    public func latentFrames(_ numFrames: Int) -> Int { 1 + (numFrames - 1) / frameMultiple }

    /// - Throws: `.badInput` with one sentence and the field at fault.
    public func check(_ plan: ClipPlan) throws(SoradError) {
        try sizes.check(width: plan.width, height: plan.height, numFrames: plan.numFrames, fps: plan.fps)
        try check(plan.numInferenceSteps, in: ClipPlan.numInferenceStepsRange, "num_inference_steps")
        try check(plan.guidanceScale, in: ClipPlan.guidanceScaleRange, "guidance_scale")
        try check(plan.flowShift, in: ClipPlan.flowShiftRange, "flow_shift")
        try checkPasses(plan)
        try ClipPlan.check(sigmas: plan.sigmas, steps: plan.numInferenceSteps)
        try checkCascade(plan)
        try checkStages(plan)
        try checkWindows(plan)
        try checkPictures(plan.given)
        try checkControl(plan)
        guard let given = plan.given else { return }
        try check(given, plan)
    }

    /// A model that was trained to start from pictures makes nothing else.
    func checkPictures(_ given: ReferenceMedia?) throws(SoradError) {
        guard picturesNeeded > 0 else { return }
        guard given?.before == nil, given?.after == nil, given?.source == nil else {
            throw SoradError(
                .badInput, "the model \(id) starts from pictures alone; it makes no clip longer and changes none", param: "video")
        }
        guard given?.hasFirstFrame == true else {
            throw SoradError(
                .badInput, "the model \(id) starts from a picture; send it with an input_reference", param: "input_reference")
        }
        guard picturesNeeded < 2 || given?.hasLastFrame == true else {
            throw SoradError(
                .badInput, "the model \(id) goes from one picture to another; send an end_image too", param: "end_image")
        }
    }

    /// Masks that move, reference pictures and their like are for models that follow a clip.
    private func checkControl(_ plan: ClipPlan) throws(SoradError) {
        let given = plan.given ?? ReferenceMedia()
        guard takesControl else {
            guard given.references.isEmpty, !given.maskIsClip, given.conditioningScale == nil else {
                throw SoradError(
                    .badInput, "the model \(id) follows no clip, and takes no reference pictures and no masks that move",
                    param: given.maskIsClip ? "mask" : given.references.isEmpty ? "conditioning_scale" : "reference_images")
            }
            return
        }
        guard given.before == nil, given.after == nil, plan.windows.isEmpty else {
            throw SoradError(.badInput, "the model \(id) follows clips and makes none longer", param: "video")
        }
        try check(given.conditioningScale ?? 1, in: ClipRequest.conditioningScaleRange, "conditioning_scale")
        guard given.hasMask || !given.maskIsClip else {
            throw SoradError(.badInput, "a mask that moves is no mask", param: "mask")
        }
        let pictures = given.references.count
        guard pictures > 0 else { return }
        // Each is denoised as a latent frame.
        let together = plan.numFrames + pictures * frameMultiple
        let (pixels, overflow) = (plan.width * plan.height).multipliedReportingOverflow(by: together)
        guard pictures <= ReferenceFile.references.count, given.strength == nil, together <= maxNumFrames, !overflow, pixels <= maxPixels
        else {
            throw SoradError(
                .badInput,
                "the clip and its \(pictures) reference pictures are too large together, each picture counting for \(frameMultiple) frames; "
                    + "ask for fewer frames", param: "reference_images")
        }
    }

    private func checkPasses(_ plan: ClipPlan) throws(SoradError) {
        if let second = plan.secondGuidanceScale {
            try check(second, in: ClipPlan.guidanceScaleRange, "guidance_scale_2")
            guard hasExperts else {
                throw SoradError(
                    .badInput, "the model \(id) has no second expert; leave guidance_scale_2 out", param: "guidance_scale_2")
            }
        }
        if let interval = plan.guidanceInterval {
            try check(interval.lowerBound, in: ClipPlan.guidanceIntervalRange, "guidance_interval")
            try check(interval.upperBound, in: ClipPlan.guidanceIntervalRange, "guidance_interval")
        }
        if let tolerance = plan.cache {
            try check(tolerance, in: ClipPlan.cacheRange, "cache")
            guard plan.numInferenceSteps >= ClipPlan.cacheSteps else {
                throw SoradError(
                    .badInput,
                    "steps are left out of schedules of \(ClipPlan.cacheSteps) and more, and this one has \(plan.numInferenceSteps)",
                    param: "cache")
            }
        }
    }

    /// The plan decides: one that waited while the model's file was replaced is still made as it was accepted.
    private func checkCascade(_ plan: ClipPlan) throws(SoradError) {
        guard let cascade = plan.cascade else { return }
        guard plan.cascade(of: self) == nil || cascade.refineStep >= plan.numInferenceSteps else { return }
        throw SoradError(.badInput, "the model \(id) makes no clip of \(plan.width)x\(plan.height) in these two sizes", param: "size")
    }

    private func checkStages(_ plan: ClipPlan) throws(SoradError) {
        for (field, factor, factors, isOffered, network) in [
            ("upscale", plan.upscale, ClipPlan.upscaleFactors, upscales, "upscaler"),
            ("interpolate", plan.interpolate, ClipPlan.interpolateFactors, interpolates, "interpolator"),
        ] where factor != 1 {
            guard isOffered else {
                throw SoradError(.badInput, "the model \(id) has no \(network); leave \(field) out", param: field)
            }
            guard factors.contains(factor) else {
                let said = factors.map { "\($0)" }.joined(separator: " or ")
                throw SoradError(.badInput, "\(field) is \(factor), not \(said)", param: field)
            }
        }
        guard plan.shownWidth <= 4096, plan.shownHeight <= 4096 else {
            throw SoradError(
                .badInput, "the clip would have \(plan.shownWidth)x\(plan.shownHeight) pixels, and 4096 are the limit of a side",
                param: "upscale")
        }
        guard plan.shownFrames <= 10_000 else {
            throw SoradError(
                .badInput, "the clip would have \(plan.shownFrames) frames, and 10000 are the limit", param: "interpolate")
        }
    }

    private func checkWindows(_ plan: ClipPlan) throws(SoradError) {
        let longest = plan.windows.map(\.count).max().map { 1 + ($0 - 1) * frameMultiple } ?? plan.numFrames
        let (pixels, overflow) = (plan.width * plan.height).multipliedReportingOverflow(by: longest)
        guard plan.hasWholeWindows(latentFrames(plan.numFrames)), plan.windows.isEmpty || takesConditioningFrames, !overflow,
            pixels <= maxPixels,
            plan.scenes.isEmpty || plan.scenes.reduce(0, { $0 + $1.numFrames }) == plan.newFrames.count
        else {
            throw SoradError(
                .badInput, "a clip of \(plan.numFrames) frames cannot be made in \(plan.windows.count) windows of these sizes",
                param: "num_frames")
        }
    }

    private func check(_ given: ReferenceMedia, _ plan: ClipPlan) throws(SoradError) {
        let total = latentFrames(plan.numFrames)
        // Pictures may be all that there is; a clip that is made longer has at least one new frame.
        let before = given.before.map { 1 + ($0.contextFrames - 1) / frameMultiple } ?? 0
        let after = given.after.map { ($0.contextFrames - 1) / frameMultiple } ?? 0
        let known = before + after + (given.hasFirstFrame ? 1 : 0) + (given.hasLastFrame ? 1 : 0)
        let isWhole =
            given.before.map { ($0.contextFrames - 1) % frameMultiple == 0 } ?? true
            && given.after.map { $0.contextFrames > 1 && ($0.contextFrames - 1) % frameMultiple == 0 } ?? true
            && given.source.map { $0.contextFrames == plan.numFrames } ?? true
            && (given.before == nil || !given.hasFirstFrame) && (given.after == nil || !given.hasLastFrame)
        guard isWhole, known <= total, known < total || before + after == 0, !plan.newFrames.isEmpty else {
            throw SoradError(
                .badInput, "the given frames leave no place for new ones in a clip of \(plan.numFrames) frames; ask for more",
                param: "num_frames")
        }
        guard known == 0 || takesConditioningFrames else {
            throw SoradError(.badInput, "the model \(id) cannot start from given frames", param: "input_reference")
        }
        guard !given.hasMask || given.source != nil else {
            throw SoradError(.badInput, "a mask says which part of a clip changes, and there is no clip", param: "mask")
        }
        if let strength = given.strength, !(strength > 0 && strength <= 1) {
            throw SoradError(.badInput, "strength is \(strength), not above 0 and at most 1", param: "strength")
        }
    }

    private func check<Value: Comparable>(_ value: Value, in range: ClosedRange<Value>, _ field: String) throws(SoradError) {
        guard range.contains(value) else {
            throw SoradError(.badInput, "\(field) is \(value), not \(range.lowerBound) to \(range.upperBound)", param: field)
        }
    }
}

extension ClipPlan {
    /// Refuses noise levels that are no way from noise to a clip.
    /// - Parameter steps: as many as there must be, where there are any.
    static func check(sigmas: [Double], steps: Int) throws(SoradError) {
        guard !sigmas.isEmpty else { return }
        guard sigmas.count == steps else {
            throw SoradError(
                .badInput, "there are \(sigmas.count) noise levels for \(steps) steps", param: "sigmas")
        }
        guard sigmas.allSatisfy(sigmaRange.contains), zip(sigmas, sigmas.dropFirst()).allSatisfy({ $0 > $1 }) else {
            throw SoradError(
                .badInput, "the noise levels must fall, from at most 1 to at least \(sigmaRange.lowerBound)", param: "sigmas")
        }
    }
}
