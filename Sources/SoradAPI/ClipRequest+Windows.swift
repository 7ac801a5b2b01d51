// The way from a request to the windows in which its clip is denoised, and to the scenes of a storyboard. Pure.
import SoradSystem

extension ClipRequest {
    /// The scenes with their lengths in whole groups of frames: each ends where the sum of the lengths up to it does, rounded up.
    /// - Parameter alone: frames before the first group: 1, or 0 where the new frames continue others.
    func plannedScenes(_ model: ModelInfo, fps: Int, alone: Int) throws(SoradError) -> [ClipScene] {
        guard !storyboard.isEmpty else { return [] }
        guard storyboard.count <= ClipRequest.sceneLimit else {
            throw refused("storyboard", "the storyboard has \(storyboard.count) scenes; \(ClipRequest.sceneLimit) are the limit")
        }
        guard seconds == nil, numFrames == nil else {
            throw refused(
                numFrames == nil ? "seconds" : "num_frames",
                "the scenes of the storyboard have lengths of their own, which are the clip's; leave this one out")
        }
        guard model.takesConditioningFrames, model.picturesNeeded == 0, !model.takesControl else {
            throw refused(
                "storyboard",
                "the model \(model.id) cannot continue a scene with the next one, and a storyboard needs that; send one prompt")
        }
        var scenes: [ClipScene] = []
        var (asked, planned) = (0.0, 0)
        for (index, scene) in storyboard.enumerated() {
            try check(prompt + " " + scene.prompt, "storyboard[\(index)].prompt")
            if isBlank(scene.prompt) {
                throw refused("storyboard[\(index)].prompt", "the scene's prompt is empty; describe what happens in it")
            }
            asked += scene.numFrames.map { Double($0) } ?? (scene.seconds ?? 0) * Double(fps)
            let group = model.frameMultiple
            let least = planned == 0 ? alone : planned + group
            let groups = (max(Int((asked - 1e-6).rounded(.up)), least) - alone + group - 1) / group
            let end = max(alone + groups * group, alone == 0 ? group : 1)
            scenes.append(ClipScene(prompt: isBlank(prompt) ? scene.prompt : prompt + " " + scene.prompt, numFrames: end - planned))
            planned = end
        }
        return scenes
    }

    /// Divides `plan` into windows where it is longer than one or has several scenes; its given frames are known by now.
    func windowed(_ plan: ClipPlan, _ scenes: [ClipScene], _ model: ModelInfo) -> ClipPlan {
        var plan = plan
        if !scenes.isEmpty {
            plan.scenes = scenes
            if isBlank(plan.prompt) { plan.prompt = storyboard.map(\.prompt).joined(separator: " / ") }
        }
        let length = model.windowFrames ?? (scenes.isEmpty ? nil : model.defaultNumFrames)
        guard let length, model.takesConditioningFrames else { return plan }
        let group = model.frameMultiple
        let total = model.latentFrames(plan.numFrames)
        let given = plan.given
        let before = given?.before.map { model.latentFrames($0.contextFrames) } ?? (given?.hasFirstFrame == true ? 1 : 0)
        let after = given?.after.map { ($0.contextFrames - 1) / group } ?? (given?.hasLastFrame == true ? 1 : 0)
        guard before + after < total else { return plan }
        var ends: [Int] = []
        var frames = given?.before?.contextFrames ?? 0
        for scene in plan.scenes.dropLast() {
            frames += scene.numFrames
            ends.append(model.latentFrames(frames))
        }
        plan.windows = ClipWindow.cover(
            total: total, length: model.latentFrames(length), before: before, after: after, sceneEnds: ends + [total])
        return plan
    }

    func isBlank(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { $0.properties.isWhitespace || $0.properties.generalCategory == .control }
    }
}
