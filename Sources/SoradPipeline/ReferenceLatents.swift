// Encodes given pictures and clips to latents: the conditioning frames, and the latents that the noise is mixed into.
// Invariant: everything after the decoded RGB is the engine's own arithmetic, so the same decoded frames give the same bits everywhere.
//
// Alignment: the first latent frame of a clip is its first frame alone, each other one is a group of `g` frames (the model's time scale).
// What is continued is encoded from the first of its context frames on. So is what is led up to, and its first latent is dropped: each known
// latent stands for a whole group and was encoded behind the frame that is before it, as in training. A last picture is taken as the end of
// a still clip; where no group lies between it and the first one, as the end of a dissolve.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

struct ReferenceLatents {
    /// By latent frame of the clip, the latents [C, T, h, w] and which of their frames is given.
    var known: [Int: (latents: Tensor, frame: Int)] = [:]
    /// What is given as a clip next to the latents, for models that take it so.
    var clip: ConditioningClip?
    /// What the network follows, for models that follow a clip.
    var control: ControlClip?
    /// Clean latents that the noise is mixed into, of all latent frames.
    var source: LatentFile?
    /// [h · w]: the latent pixels of `source` that stay; nil for none.
    var kept: [Bool]?
}

/// Encodes what `request` gives, which was checked against the model. Used by one thread.
struct ReferenceEncoder {
    let model: VideoModel
    /// SHA-256 of the model file.
    let modelSHA256: String
    let request: ClipPlan
    /// The job's own, where the given files lie.
    let directory: String
    let digest: [UInt8]
    let ffmpeg: String
    let stop: StopCheck

    /// Groups of a still clip before the one that stands for the last picture: the encoder looks back one frame per block, and then
    /// sees nothing but the picture.
    private static let stillGroups = 2

    private var group: Int { model.configuration.frameMultiple }

    var shouldStop: () -> Bool { { (try? stop()) == nil } }

    /// - Parameter size: of all latents of the clip.
    /// - Throws: `.badInput` when the given frames do not fit the clip, `.cancelled`, and with the code `media_failed` when a file cannot
    ///   be read.
    func encode(_ size: LatentSize) throws(SoradError) -> ReferenceLatents {
        let follows = model.configuration.takesControl
        guard let given = request.given ?? (follows ? ReferenceMedia() : nil) else { return ReferenceLatents() }
        var result = ReferenceLatents()
        if follows { result.control = try controlClip(given, size) }
        if given.hasFirstFrame {
            let picture = try picture(.firstFrame)
            if follows {
                // It is a part of what is followed.
            } else if model.configuration.takesConditioningClip {
                result.clip = try conditioningClip(from: picture, to: given.hasLastFrame ? self.picture(.lastFrame) : nil)
            } else {
                result.known[0] = (try latents([picture]), 0)
            }
            if request.firstStep > 0 {
                result.source = try sourceFile(size) { (take) throws(SoradError) in
                    for _ in 0..<request.numFrames { try take(picture) }
                }
            }
        }
        if let before = given.before {
            let latents = try latents(contextFrames(before))
            for frame in 0..<latents.shape[1] { result.known[frame] = (latents, frame) }
        }
        if let after = given.after {
            let latents = try latents(frames(.after, after, after.contextFrames))
            let groups = latents.shape[1] - 1
            for frame in 0..<groups { result.known[size.frames - groups + frame] = (latents, frame + 1) }
        }
        if given.hasLastFrame, result.clip == nil, !follows {
            let picture = try picture(.lastFrame)
            let isDissolve = given.hasFirstFrame && size.frames == 2
            let frames =
                isDissolve
                ? dissolve(try self.picture(.firstFrame), picture) : [[UInt8]](repeating: picture, count: 1 + Self.stillGroups * group)
            let latents = try latents(frames)
            result.known[size.frames - 1] = (latents, latents.shape[1] - 1)
        }
        // A source that is followed is mixed into noise only where a strength says so.
        if let source = given.source, !follows || request.firstStep > 0 {
            let own = try ownLatents(source)
            result.source = if let own { own } else { try encodedSource(source, size) }
            if given.hasMask, !follows { result.kept = try keptPixels(size) }
        }
        try model.backend.finish()
        return result
    }

    // MARK: frames of given clips

    /// Hands over every frame of a given clip, in order: from the latents of what was made here, from the file of what was not.
    func forEachFrame(
        _ role: ReferenceFile, _ clip: ReferenceClip, _ count: Int, _ body: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        var left = count
        for (index, part) in clip.allParts.enumerated() where left > 0 {
            var wanted = part
            wanted.count = min(part.count, left)
            left -= wanted.count
            try forEachFrame(of: wanted, clip.fileName(index, as: role), body)
        }
        guard left == 0 else { throw tooFew(count) }
    }

    /// Hands over the frames of one part.
    /// - Parameter name: of its file.
    func forEachFrame(of part: ClipPart, _ name: String, _ body: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
        let (path, range) = ("\(directory)/\(name)", part.first..<part.first + part.count)
        switch part.kind {
        case .mp4: try forEachFrame(ofFile: path, range, body)
        case .latents: try forEachFrame(ofLatents: path, range, body)
        }
    }

    private func forEachFrame(
        ofFile path: String, _ range: Range<Int>, _ body: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        let reader = try FrameReader(
            path, width: request.width, height: request.height, count: range.upperBound, fps: request.fps, program: ffmpeg,
            shouldStop: shouldStop)
        for index in 0..<range.upperBound {
            guard let frame = try reader.next() else { throw tooFew(range.upperBound) }
            if range.contains(index) { try body(frame) }
        }
    }

    private func forEachFrame(
        ofLatents path: String, _ range: Range<Int>, _ body: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        let file = try LatentFile(reading: path, model: modelSHA256)
        let scale = model.configuration.spatialScale
        guard file.channels == model.configuration.latentChannels, file.width * scale == request.width,
            file.height * scale == request.height, 1 + (file.frames - 1) * group >= range.upperBound
        else {
            throw SoradError(
                .internalFault, "the latents of a given clip are of another size than the clip", code: JobError.mediaFailed)
        }
        let decoder = model.decoder(total: file.frames, latentHeight: file.height, latentWidth: file.width)
        while decoder.isUnfinished, decoder.frames < range.upperBound {
            let latent = model.backend.resident(try file.read(decoder.groups))
            try decoder.next(latent, stop: stop) { (index, frame) throws(SoradError) in
                if range.contains(index) { try body(frame) }
            }
        }
    }

    func tooFew(_ count: Int) -> SoradError {
        SoradError(
            .internalFault, "a given clip gave fewer frames than the \(count) that it was accepted with", code: JobError.mediaFailed)
    }

    private func frames(_ role: ReferenceFile, _ clip: ReferenceClip, _ count: Int) throws(SoradError) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        try forEachFrame(role, clip, count) { frame in frames.append(frame) }
        return frames
    }

    /// The last frames of the clip that is continued.
    private func contextFrames(_ clip: ReferenceClip) throws(SoradError) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var index = 0
        try forEachFrame(.before, clip, clip.numFrames) { frame in
            if index >= clip.numFrames - clip.contextFrames { frames.append(frame) }
            index += 1
        }
        return frames
    }

    func picture(_ role: ReferenceFile) throws(SoradError) -> [UInt8] {
        let reader = try FrameReader(
            "\(directory)/\(role.rawValue)", width: request.width, height: request.height, count: 1, fps: request.fps, program: ffmpeg,
            shouldStop: shouldStop)
        guard let frame = try reader.next() else { throw tooFew(1) }
        return frame
    }

    /// From one picture to another in one group of frames.
    private func dissolve(_ first: [UInt8], _ last: [UInt8]) -> [[UInt8]] {
        (0...group).map { step in
            zip(first, last).map { UInt8((Int($0) * (group - step) + Int($1) * step + group / 2) / group) }
        }
    }

    // MARK: latents

    /// A clip that begins with a picture, and ends on one where there is one, and is grey between (diffusers WanImageToVideoPipeline,
    /// prepare_latents).
    private func conditioningClip(from first: [UInt8], to last: [UInt8]?) throws(SoradError) -> ConditioningClip {
        let (width, height, count) = (request.width, request.height, request.numFrames)
        let seen = Array(([first] + (last.map { [$0] } ?? [])).prefix(model.configuration.picturesEncoded))
        let pictures = try model.encodePictures(seen, width: width, height: height, stop: stop)
        let encoder = try model.latentEncoder(numFrames: count, width: width, height: height)
        var isGiven = [Bool](repeating: false, count: count)
        for index in 0..<count {
            try stop()
            let picture = index == 0 ? first : index == count - 1 ? last : nil
            isGiven[index] = picture != nil
            if let picture { encoder.append(picture) } else { encoder.appendGrey() }
        }
        return ConditioningClip(latents: encoder.finish(), isGiven: isGiven, pictures: pictures)
    }

    /// The latents that a source was decoded from, where it is nothing else.
    private func ownLatents(_ clip: ReferenceClip) throws(SoradError) -> LatentFile? {
        guard clip.parts.count == 1, clip.parts[0].kind == .latents, clip.parts[0].first == 0 else { return nil }
        let file = try LatentFile(reading: "\(directory)/\(clip.fileName(0, as: .source))", model: modelSHA256)
        let scale = model.configuration.spatialScale
        let fits =
            file.channels == model.configuration.latentChannels && file.width * scale == request.width
            && file.height * scale == request.height && 1 + (file.frames - 1) * group >= request.numFrames
        return fits ? file : nil
    }

    private func encodedSource(_ clip: ReferenceClip, _ size: LatentSize) throws(SoradError) -> LatentFile {
        try sourceFile(size) { (take) throws(SoradError) in try forEachFrame(.source, clip, request.numFrames, take) }
    }

    /// Encodes frames into a file, frame by frame. What an earlier worker has encoded is not encoded again.
    private func sourceFile(
        _ size: LatentSize, _ forEach: (_ take: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) -> Void
    ) throws(SoradError) -> LatentFile {
        let file = try LatentFile(
            making: "\(directory)/\(CheckpointName.source)", digest: digest, model: modelSHA256,
            Shape(size.channels, size.frames, size.height, size.width))
        guard !file.holds(size.frames) else { return file }
        let encoder = try model.latentEncoder(numFrames: request.numFrames, width: request.width, height: request.height)
        var failure: SoradError?
        encoder.emit { index, latent in
            guard failure == nil else { return }
            do throws(SoradError) { try file.write(latent, frame: 0, at: index) } catch { failure = error }
        }
        try forEach { (frame) throws(SoradError) in
            try stop()
            encoder.append(frame)
            if let failure { throw failure }
        }
        if let failure { throw failure }
        return file
    }

    func latents(_ frames: [[UInt8]]) throws(SoradError) -> Tensor {
        let encoder = try model.latentEncoder(numFrames: frames.count, width: request.width, height: request.height)
        for frame in frames {
            try stop()
            encoder.append(frame)
        }
        return encoder.finish()
    }

    /// The latent pixels none of whose pixels is white in the mask.
    private func keptPixels(_ size: LatentSize) throws(SoradError) -> [Bool] {
        let scale = model.configuration.spatialScale
        var kept = [Bool](repeating: true, count: size.height * size.width)
        let isWhite = whitePixels(try picture(.mask))
        for row in 0..<request.height {
            for column in 0..<request.width where isWhite[row * request.width + column] {
                kept[row / scale * size.width + column / scale] = false
            }
        }
        guard kept.contains(false) else { throw Self.noWhite }
        return kept
    }

    static let noWhite = SoradError(
        .badInput, "the mask has no white part, so nothing would change; paint white what is to change", param: "mask")

    /// [H · W] of a frame of the clip's size.
    func whitePixels(_ mask: [UInt8]) -> [Bool] {
        (0..<request.width * request.height).map { pixel -> Bool in
            let sum = (0..<3).reduce(0) { $0 + Int(mask[3 * pixel + $1]) }
            return sum >= 3 * 128
        }
    }
}
