// Encodes given pictures and clips to latents: the conditioning frames, and the latents that the noise is mixed into.
// Invariant: everything after the decoded RGB is the engine's own arithmetic, so the same decoded frames give the same bits everywhere.
//
// Alignment: the first latent frame of a clip is its first frame alone, each other one is a group of `g` frames (the model's time scale).
// What is continued is encoded from the first of its context frames on; what is led up to is encoded behind a copy of its first frame,
// whose latent is dropped, so that each known latent stands for a whole group. A last picture is taken as the end of a still clip.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

struct ReferenceLatents {
    /// The latent frames that are given.
    var known: ConditioningFrames?
    /// Clean latents [C, T, h, w] that the noise is mixed into.
    var source: Tensor?
}

/// Encodes what `request` gives. Used by one thread.
struct ReferenceEncoder {
    let model: VideoModel
    let request: ClipPlan
    /// The job's own, where the given files lie.
    let directory: String
    let ffmpeg: String
    let shouldStop: () -> Bool

    /// Groups of a still clip before the one that stands for the last picture: the encoder looks back one frame per block, and then
    /// sees nothing but the picture.
    private static let stillGroups = 2

    private var group: Int { model.configuration.frameMultiple }

    /// - Throws: `.badInput` when the given frames do not fit the clip, `.cancelled`, and with the code `media_failed` when a file cannot
    ///   be read.
    func encode(_ size: LatentSize) throws(SoradError) -> ReferenceLatents {
        guard let given = request.given else { return ReferenceLatents() }
        try check(given, size)
        var known: [(index: Int, latents: Tensor, frame: Int)] = []
        var result = ReferenceLatents()
        if given.hasFirstFrame {
            let picture = try frames(.firstFrame, 1)[0]
            known.append((0, try latents([picture]), 0))
            if request.firstStep > 0 { result.source = try latents(of: picture, count: request.numFrames) }
        }
        if let before = given.before {
            let latents = try latents(lastFrames(before))
            for frame in 0..<latents.shape[1] { known.append((frame, latents, frame)) }
        }
        if let after = given.after {
            let frames = try frames(.after, after.contextFrames)
            let latents = try latents([frames[0]] + frames)
            let groups = latents.shape[1] - 1
            for frame in 0..<groups { known.append((size.frames - groups + frame, latents, frame + 1)) }
        }
        if given.hasLastFrame {
            let latents = try latents(of: frames(.lastFrame, 1)[0], count: 1 + Self.stillGroups * group)
            known.append((size.frames - 1, latents, latents.shape[1] - 1))
        }
        if !known.isEmpty { result.known = ConditioningFrames(known) }
        if given.source != nil { result.source = try sourceLatents() }
        try model.backend.finish()
        return result
    }

    /// Hands over every frame of a given clip, in order.
    func forEachFrame(_ file: ReferenceFile, _ count: Int, _ body: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
        let reader = try FrameReader(
            "\(directory)/\(file.rawValue)", width: request.width, height: request.height, count: count, fps: request.fps,
            program: ffmpeg, shouldStop: shouldStop)
        for _ in 0..<count {
            guard let frame = try reader.next() else {
                throw SoradError(
                    .internalFault, "a given clip gave fewer frames than the \(count) that it was accepted with",
                    code: JobError.mediaFailed)
            }
            try body(frame)
        }
    }

    /// The daemon has made sure of all this; a mistake there must not become a crash here.
    private func check(_ given: ReferenceMedia, _ size: LatentSize) throws(SoradError) {
        let clips = [given.before, given.after, given.source].compactMap { $0 }
        let prefix = given.hasFirstFrame ? 1 : given.before.map { 1 + ($0.contextFrames - 1) / group } ?? 0
        let suffix = given.hasLastFrame ? 1 : given.after.map { $0.contextFrames / group } ?? 0
        let isWhole =
            clips.allSatisfy { $0.numFrames <= MediaLimits.clipFrames }
            && given.before.map { ($0.contextFrames - 1) % group == 0 } ?? true
            && given.after.map { $0.contextFrames % group == 0 } ?? true
            && given.source.map { $0.contextFrames == request.numFrames } ?? true
            && (given.before == nil || !given.hasFirstFrame) && (given.after == nil || !given.hasLastFrame)
        guard isWhole, prefix + suffix < max(size.frames, 2), prefix + suffix <= size.frames else {
            throw SoradError(.badInput, "the given frames do not fit a clip of \(request.numFrames) frames", param: "num_frames")
        }
        if let strength = given.strength, !(strength > 0 && strength <= 1) {
            throw SoradError(.badInput, "strength is \(strength), not above 0 and at most 1", param: "strength")
        }
    }

    private func frames(_ file: ReferenceFile, _ count: Int) throws(SoradError) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        try forEachFrame(file, count) { frame in frames.append(frame) }
        return frames
    }

    private func lastFrames(_ clip: ReferenceClip) throws(SoradError) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var index = 0
        try forEachFrame(.before, clip.numFrames) { frame in
            if index >= clip.numFrames - clip.contextFrames { frames.append(frame) }
            index += 1
        }
        return frames
    }

    private func sourceLatents() throws(SoradError) -> Tensor {
        let encoder = try model.latentEncoder(numFrames: request.numFrames, width: request.width, height: request.height)
        try forEachFrame(.source, request.numFrames) { frame in encoder.append(frame) }
        return encoder.finish()
    }

    private func latents(_ frames: [[UInt8]]) throws(SoradError) -> Tensor {
        let encoder = try model.latentEncoder(numFrames: frames.count, width: request.width, height: request.height)
        for frame in frames {
            try checkStop()
            encoder.append(frame)
        }
        return encoder.finish()
    }

    private func latents(of picture: [UInt8], count: Int) throws(SoradError) -> Tensor {
        let encoder = try model.latentEncoder(numFrames: count, width: request.width, height: request.height)
        for _ in 0..<count {
            try checkStop()
            encoder.append(picture)
        }
        return encoder.finish()
    }

    private func checkStop() throws(SoradError) {
        if shouldStop() { throw SoradError(.cancelled, "the job was cancelled") }
    }
}
