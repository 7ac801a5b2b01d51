// What is done about a size or a length that the model does not make. Pure.
import SoradSystem

public enum SizePolicy: String, Sendable, CaseIterable {
    /// Say what can be made.
    case refuse
    /// Make the nearest that can be made, and say so in the answer. For applications that were written for another service's sizes.
    case nearest

    func size(_ asked: (width: Int, height: Int), _ model: ModelInfo, _ notes: inout RequestNotes) -> (width: Int, height: Int) {
        guard self == .nearest else { return asked }
        let made = model.sizes.nearest(width: asked.width, height: asked.height)
        if made != asked { notes.requestedSize = "\(asked.width)x\(asked.height)" }
        return made
    }

    /// - Parameter asked: already rounded up to whole groups.
    func frames(
        _ asked: Int, _ fps: Int, _ size: (width: Int, height: Int), _ model: ModelInfo, _ notes: inout RequestNotes
    ) -> Int {
        guard self == .nearest else { return asked }
        let most = model.sizes.mostFrames(width: size.width, height: size.height)
        if asked > most { notes.requestedSeconds = ClipPlan.duration(ofFrames: asked, fps: fps) }
        return min(asked, most)
    }
}
