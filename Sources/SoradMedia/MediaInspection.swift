// Inspects a given file before its job is accepted: first its bytes, then by a trial decoding with ffmpeg. So a file that cannot be decoded
// is refused at once.
import Glibc
public import SoradAPI
public import SoradSystem

/// Kind, size and length of the picture or clip at `path`.
/// - Throws: `.badInput` with one sentence for anything that cannot be used, `.notFound`, `.unavailable` when the machine does not let an
///   ffmpeg finish, or has none.
public func inspectMedia(at path: String, program: String = "ffmpeg") throws(SoradError) -> MediaFacts {
    let format = try checkedFormat(of: path)
    let command = DecodeCommand(path: path, format: format)
    let count = format == .mp4 ? MediaLimits.clipFrames + 1 : 1
    let output = try runDecoder(command.description(count: count), program: program)
    guard output.ending?.isSuccess == true, let facts = MediaFacts(framecrc: output.standardOutput, format: format) else {
        throw command.damaged
    }
    guard facts.numFrames <= MediaLimits.clipFrames else {
        throw SoradError(.badInput, "the clip has more than \(MediaLimits.clipFrames) frames; cut it first")
    }
    return facts
}

/// The kind of the file, which is within the limits; a picture is whole as far as its structure tells.
func checkedFormat(of path: String) throws(SoradError) -> MediaFacts.Format {
    let bytes: [UInt8]
    let format: MediaFacts.Format
    do {
        let file = try FileDescriptor(openingForReading: path)
        let size = try file.regularFileSize()
        format = try mediaFormat(of: try file.read(at: 0, count: 64))
        let limit = format == .mp4 ? MediaLimits.clipBytes : MediaLimits.pictureBytes
        guard size <= limit else { throw SoradError(.badInput, "the file has \(size) bytes, and \(limit) are accepted at most") }
        if format == .mp4 { return format }
        bytes = try file.read(at: 0, count: size)
    } catch let error as Errno {
        throw SoradError(error.isNoSuchFile ? .notFound : .unavailable, "cannot read the given file: \(error.reason)")
    } catch let error as SoradError {
        throw error
    } catch { preconditionFailure("\(error)") }
    _ = try pictureSize(of: bytes, format: format)
    return format
}

extension MediaFacts {
    /// Reads ffmpeg's framecrc text: "#tb 0: 1/8", "#dimensions 0: 128x128", then one line per frame. nil if that is not what it is.
    init?(framecrc text: [UInt8], format: Format) {
        var width = 0
        var height = 0
        var fps = 0
        var frames = 0
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("#tb 0:"), let parts = words.last?.split(separator: "/"), parts.count == 2, let numerator = Double(parts[0]),
                let denominator = Double(parts[1]), numerator > 0, denominator > 0
            {
                fps = Int(min(max((denominator / numerator).rounded(), 1), 60))
            } else if line.hasPrefix("#dimensions 0:"), let sizes = words.last?.split(separator: "x"), sizes.count == 2 {
                width = Int(sizes[0]) ?? 0
                height = Int(sizes[1]) ?? 0
            } else if !line.hasPrefix("#") {
                frames += 1
            }
        }
        guard width > 0, height > 0, frames > 0, format != .mp4 || fps > 0 else { return nil }
        self.init(format: format, width: width, height: height, numFrames: frames, fps: format == .mp4 ? fps : 0)
    }
}
