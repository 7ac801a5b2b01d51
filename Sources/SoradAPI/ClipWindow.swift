// How a clip is denoised: as one window, or as several that slide over it, each conditioned on the end of the one before.
// So a clip of any length takes the memory of one window. A storyboard changes the prompt from one window to another.
// Invariant: the windows of a plan follow each other without a gap, and every one brings at least one new latent frame.
public import SoradSystem

/// Latent frames that are denoised together.
public struct ClipWindow: Sendable, Equatable {
    /// Latent frames of the clip: the first that the window sees, and the one behind its last.
    public var start: Int
    public var end: Int
    /// Whose prompt it has; 0 without scenes.
    public var scene: Int

    public init(start: Int, end: Int, scene: Int = 0) {
        self.start = start
        self.end = end
        self.scene = scene
    }

    public var count: Int { end - start }
}

/// One part of a storyboard.
public struct ClipScene: Sendable, Equatable {
    public var prompt: String
    /// New frames of the clip.
    public var numFrames: Int

    static let frameLimit = 100_000

    public init(prompt: String, numFrames: Int) {
        self.prompt = prompt
        self.numFrames = numFrames
    }
}

extension ClipWindow {
    /// More than any clip has.
    public static let limit = 4_000

    /// Latent frames that a window of `length` sees of the one before: enough to show a motion, and few enough to get on.
    public static func context(of length: Int) -> Int { max(1, min(length - 1, max(2, length / 4))) }

    /// The windows of a clip; one that fits into a single window of one scene has none.
    /// - Parameters:
    ///   - total: latent frames in all.
    ///   - length: latent frames of a window. A window is longer where a given clip's frames leave no place for a new one.
    ///   - before, after: latent frames at the beginning and at the end that are given.
    ///   - sceneEnds: the latent frame behind each scene, rising; the last is `total`.
    public static func cover(total: Int, length: Int, before: Int, after: Int, sceneEnds: [Int]) -> [ClipWindow] {
        precondition(length > 0 && before + after < total && sceneEnds.last == total, "\(before), \(after) of \(total), \(sceneEnds)")
        if sceneEnds.count == 1, total <= length { return [] }
        let context = context(of: length)
        var windows: [ClipWindow] = []
        for (scene, sceneEnd) in sceneEnds.enumerated() {
            while true {
                let done = windows.last?.end ?? 0
                guard done < sceneEnd else { break }
                let most = windows.isEmpty ? max(length, before + 1) : max(1, length - context)
                var end = min(sceneEnd, done + most)
                // The frames that are led up to come with at least one new one before them.
                if scene == sceneEnds.count - 1, end < total, total - end < after + 1 {
                    end = total - after - 1 > max(done, before) ? total - after - 1 : total
                }
                windows.append(ClipWindow(start: windows.isEmpty ? 0 : max(0, min(end - length, done - context)), end: end, scene: scene))
            }
        }
        return windows
    }
}

extension ClipPlan {
    /// Passes from noise to latents.
    public var windowCount: Int { max(1, windows.count) }

    /// The prompt of a scene.
    public func prompt(ofScene scene: Int) -> String { scenes.isEmpty ? prompt : scenes[scene].prompt }

    /// Whether the windows cover `total` latent frames, as the type promises, and name scenes that there are.
    public func hasWholeWindows(_ total: Int) -> Bool {
        guard !windows.isEmpty else { return scenes.count <= 1 }
        var (done, scene) = (0, 0)
        for window in windows {
            guard window.start >= 0, window.start <= done, window.end > done, window.start < window.end, window.end <= total,
                done == 0 || window.start < done, window.scene >= scene, window.scene < max(1, scenes.count)
            else { return false }
            (done, scene) = (window.end, window.scene)
        }
        return done == total
    }
}

extension ClipWindow: JSONRepresentable {
    public var json: JSONValue { ["start": .integer(start), "end": .integer(end), "scene": .integer(scene)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "window")
        self.init(start: try members.integer("start"), end: try members.integer("end"), scene: try members.integer("scene"))
        guard (0..<ClipScene.frameLimit).contains(start), (0...ClipScene.frameLimit).contains(end), start < end else {
            throw JSONError("a window goes from \(start) to \(end)")
        }
    }
}

extension ClipScene: JSONRepresentable {
    public var json: JSONValue { ["prompt": .string(prompt), "numFrames": .integer(numFrames)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "scene")
        self.init(prompt: try members.string("prompt"), numFrames: try members.integer("numFrames"))
        guard (1...ClipScene.frameLimit).contains(numFrames) else { throw JSONError("a scene has \(numFrames) frames") }
    }
}
