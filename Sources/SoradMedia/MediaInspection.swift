// Inspects a given file before its job is accepted: its own bytes, its index, and a trial decoding of the first frames. What is inspected
// here is what will be run: the same reading, the same decoder, the same limits.
// Invariant: the time does not grow with the length of a clip: the index is read without decoding, and few frames are decoded.
public import SoradAPI
public import SoradSystem

/// Kind, size and length of the picture or clip at `path`.
/// - Throws: `.badInput` with one sentence for anything that cannot be used, `.notFound`, `.unavailable` when the machine does not let an
///   ffmpeg finish, or has none.
public func inspectMedia(at path: String, program: String = "ffmpeg") throws(SoradError) -> MediaFacts {
    let source = try MediaSource(path)
    let times = source.isPicture ? nil : try packetTimes(of: source, program: program)
    let trialFrames = times.map { max(1, min($0.count, trialPixels / (source.width * source.height))) } ?? 1
    let first = try describeFrame(of: source, decoding: trialFrames, program: program)
    let aspect = source.isPicture ? (width: 1, height: 1) : first.aspect
    let (width, height) = (max(1, (first.width * aspect.width + aspect.height / 2) / aspect.height), first.height)
    let (shownWidth, shownHeight) = source.orientation.isSideways ? (height, width) : (width, height)
    guard let times else {
        return MediaFacts(
            format: source.format, width: shownWidth, height: shownHeight, numFrames: 1, fps: 0, heldPixels: source.heldPixels)
    }
    let fps = times.framesPerSecond
    return MediaFacts(
        format: source.format, width: shownWidth, height: shownHeight,
        numFrames: frameCount(microseconds: times.microseconds, fps: fps), fps: fps, microseconds: times.microseconds,
        heldPixels: source.heldPixels)
}

/// Pixels that are decoded for a trial: all of a short clip, a few frames of a large one.
private let trialPixels = 100_000_000

/// What the decoder says of the first frame.
func describeFrame(of source: MediaSource, decoding count: Int = 1, program: String) throws(SoradError) -> FrameDescription {
    let output = try runDecoder(DecodeCommand(source).trial(count: count), for: source, program: program)
    guard output.ending?.isSuccess == true else { throw refusal(output, source) }
    guard let first = FrameDescription(showinfo: output.standardError) else { throw source.damaged }
    return first
}

private func packetTimes(of source: MediaSource, program: String) throws(SoradError) -> PacketTimes {
    let output = try runDecoder(
        DecodeCommand(source).packets(count: MediaLimits.storedFrames + 1), for: source, program: program, limit: 4 << 20)
    guard output.ending?.isSuccess == true else { throw refusal(output, source) }
    guard let times = PacketTimes(framecrc: output.standardOutput) else { throw source.damaged }
    guard times.count <= MediaLimits.storedFrames else {
        throw SoradError(.badInput, "the clip has more than \(MediaLimits.storedFrames) frames; cut it first")
    }
    guard times.microseconds <= MediaFacts.longest else { throw SoradError(.badInput, "the clip says that it plays longer than a day") }
    return times
}

/// The file's own fault, or a decoder that this ffmpeg was built without.
private func refusal(_ output: CapturedOutput, _ source: MediaSource) -> SoradError {
    let text = String(decoding: output.standardError, as: UTF8.self)
    guard text.contains("Unknown decoder") || text.contains("Unknown input format") else { return source.damaged }
    return SoradError(
        .badInput,
        "the \(source.format.name) \(source.isPicture ? "picture" : "clip") needs the decoder \(source.decoder), which the ffmpeg of this machine lacks; "
            + (source.isPicture ? "save it as PNG" : "save it as MP4 with H.264 video"))
}

/// The times of a clip's frames.
struct PacketTimes: Sendable, Equatable {
    var count: Int
    /// From the first frame's beginning to the last one's end, above 0.
    var microseconds: Int
    /// On average, or of the quicker quarter where frames are unevenly spaced; rounded, as far as clips are made.
    var framesPerSecond: Int

    /// Reads ffmpeg's framecrc text: "#tb 0: 1/8", then "stream, decode time, time, duration, size, sum[, F=flags]" for each frame. nil if
    /// that is not what it is.
    init?(framecrc text: [UInt8]) {
        var unit = 0.0
        var frames: [(time: Int, duration: Int)] = []
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            if line.hasPrefix("#tb 0:"), let parts = line.split(separator: " ").last?.split(separator: "/"), parts.count == 2,
                let numerator = Double(parts[0]), let denominator = Double(parts[1]), numerator > 0, denominator > 0
            {
                unit = numerator / denominator
            }
            guard !line.hasPrefix("#") else { continue }
            let words = line.split(separator: ",").map { $0.drop { $0 == " " } }
            guard words.count >= 6, let time = Int(words[2]), let duration = Int(words[3]), time.magnitude < 1 << 60 else { return nil }
            // Frames that an edit list cuts off are there for the decoder alone.
            let flags = words.dropFirst(6).first { $0.hasPrefix("F=0x") }.flatMap { Int($0.dropFirst(4), radix: 16) } ?? 1
            if flags & 4 == 0 { frames.append((time, min(max(duration, 0), 1 << 60))) }
        }
        guard let first = frames.map(\.time).min(), unit > 0 else { return nil }
        frames.sort { $0.time < $1.time }
        var lengths = zip(frames, frames.dropFirst()).map { Double($1.time) - Double($0.time) }
        // A last frame without a duration is shown as long as the one before.
        lengths.append(frames.last.flatMap { $0.duration > 0 ? Double($0.duration) : nil } ?? lengths.last ?? 0.04 / unit)
        let ticks = max(Double(frames[frames.count - 1].time) - Double(first) + lengths[lengths.count - 1], 1e-9)
        count = frames.count
        microseconds = Int((ticks * unit * 1e6).rounded().clamped(1, 1e15))
        lengths.sort()
        let (mean, quick) = (ticks / Double(count), lengths[(count - 1) / 4])
        framesPerSecond = Int((1 / (unit * (quick > 0 && quick < 0.6 * mean ? quick : mean))).rounded().clamped(1, 60))
    }
}

extension Double {
    fileprivate func clamped(_ low: Double, _ high: Double) -> Double { isNaN ? low : Swift.min(Swift.max(self, low), high) }
}
