// A clip in two sizes: its layout is denoised at half the sides, where a clip is a quarter of the tokens, then its detail at the whole
// (cascades: Ho et al. 2021, "Cascaded Diffusion Models for High Fidelity Image Generation"; a guess that is noised and denoised on:
// Meng et al. 2021, "SDEdit"). Each window of a clip goes through both.
public import SoradSystem

/// What a model says of its cascade.
public struct ModelCascade: Sendable, Equatable {
    /// The noise level σ at and below which a clip is denoised at the whole size.
    public var refineFrom: Double
    /// The `flow_shift` of the half size; the whole size has the request's.
    public var baseFlowShift: Double
    /// Pixels of the shortest side that the half size may have. A clip of which half would be smaller is made at one size.
    public var leastSide: Int

    public init(refineFrom: Double, baseFlowShift: Double, leastSide: Int) {
        self.refineFrom = refineFrom
        self.baseFlowShift = baseFlowShift
        self.leastSide = leastSide
    }

    /// What the arithmetic relies on.
    public var isPlausible: Bool {
        refineFrom > 0 && refineFrom < 1 && ClipPlan.flowShiftRange.contains(baseFlowShift) && (1...4096).contains(leastSide)
    }
}

/// The two sizes of one clip.
public struct CascadePlan: Sendable, Equatable {
    public var baseFlowShift: Double
    /// The step of the schedule with which the whole size begins; the half size runs through all of them.
    public var refineStep: Int

    public init(baseFlowShift: Double, refineStep: Int) {
        self.baseFlowShift = baseFlowShift
        self.refineStep = refineStep
    }
}

extension ClipPlan {
    /// The cascade of this clip; nil where it is made at one size.
    func cascade(of model: ModelInfo) -> CascadePlan? {
        guard let cascade = model.cascade, min(width, height) >= 2 * cascade.leastSide, width % (2 * model.sizeMultiple) == 0,
            height % (2 * model.sizeMultiple) == 0
        else { return nil }
        let levels = noiseLevels(shift: flowShift)
        // Levels of a request may all be above it: then the last step is the one that remains.
        let step = levels.firstIndex { $0 <= cascade.refineFrom + 1e-6 } ?? levels.count - 1
        return CascadePlan(baseFlowShift: cascade.baseFlowShift, refineStep: step)
    }

    /// The noise level before each step: those of the request, or equal steps, shifted. At an end of an interval a sampler's own may
    /// differ by a step.
    func noiseLevels(shift: Double) -> [Double] {
        guard sigmas.count != numInferenceSteps else { return sigmas }
        return (0..<numInferenceSteps).map { step in
            let level = 1 - Double(step) / Double(numInferenceSteps)
            return shift * level / (1 + (shift - 1) * level)
        }
    }

    /// Steps of a window at half the sides; 0 where it is made at one size, or where a noised source enters below that.
    public var baseSteps: Int {
        guard let cascade, firstStep < cascade.refineStep, cascade.refineStep < numInferenceSteps else { return 0 }
        return numInferenceSteps - firstStep
    }

    /// The step of the schedule with which the whole size begins.
    public var wholeFirstStep: Int { baseSteps > 0 ? cascade?.refineStep ?? firstStep : firstStep }

    /// Denoise steps of one window, of both sizes.
    public var stepsPerWindow: Int { baseSteps + numInferenceSteps - wholeFirstStep }

    /// Passes through the network of a window whose steps are all computed, at half the sides and at the whole.
    public var basePasses: Int { baseSteps == 0 ? 0 : passes(from: firstStep, shift: cascade?.baseFlowShift ?? flowShift) }
    public var wholePasses: Int { passes(from: wholeFirstStep, shift: flowShift) }
    public var passesPerWindow: Int { basePasses + wholePasses }

    private func passes(from first: Int, shift: Double) -> Int {
        let steps = max(0, numInferenceSteps - first)
        guard guidanceScale != 1, ClipPlan.numInferenceStepsRange.contains(numInferenceSteps) else { return steps }
        guard let guidanceInterval else { return 2 * steps }
        return steps + noiseLevels(shift: shift).dropFirst(first).count { guidanceInterval.contains($0) }
    }
}

extension ModelCascade: JSONRepresentable {
    public var json: JSONValue {
        ["refineFrom": .double(refineFrom), "baseFlowShift": .double(baseFlowShift), "leastSide": .integer(leastSide)]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "cascade")
        self.init(
            refineFrom: try members.double("refineFrom"), baseFlowShift: try members.double("baseFlowShift"),
            leastSide: try members.integer("leastSide"))
        guard isPlausible else { throw JSONError("the model has a cascade that is none") }
    }
}

extension CascadePlan: JSONRepresentable {
    public var json: JSONValue { ["baseFlowShift": .double(baseFlowShift), "refineStep": .integer(refineStep)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "cascade")
        self.init(baseFlowShift: try members.double("baseFlowShift"), refineStep: try members.integer("refineStep"))
        guard ClipPlan.flowShiftRange.contains(baseFlowShift), (0..<ClipPlan.numInferenceStepsRange.upperBound).contains(refineStep) else {
            throw JSONError("the request has a cascade that is none")
        }
    }
}
