// Turns raw frames into the three files of a finished clip: H.264 in MP4, a WebP thumbnail and a JPEG contact sheet.
// Invariant: a final file name stands for a whole, marked, durable file. ffmpeg writes under interim names; the results are read back,
// marked as generated, and only then published.
import Glibc
public import SoradAPI
public import SoradSystem

/// The files of a clip, as names or as paths.
public struct ClipFiles: Sendable, Equatable {
    public var video: String
    public var thumbnail: String
    public var spritesheet: String

    public init(video: String, thumbnail: String, spritesheet: String) {
        self.video = video
        self.thumbnail = thumbnail
        self.spritesheet = spritesheet
    }

    /// The names of the results in a job's directory.
    public static let standard = ClipFiles(video: "video.mp4", thumbnail: "thumbnail.webp", spritesheet: "spritesheet.jpg")

    var all: [String] { [video, thumbnail, spritesheet] }
}

/// One clip being written, by one thread. Released before `finish`, it stops ffmpeg and leaves no file.
public final class ClipEncoder {
    private let format: ClipFormat
    private let provenance: Provenance
    private let directory: String
    private let interim: ClipFiles
    private let limits: EncoderLimits
    private let label: VisibleLabel?
    private let command: MarkingCommand?
    private let shouldStop: () -> Bool
    private let ffmpeg: FFmpegProcess
    private var framesTaken = 0

    /// Checks, before any work is done, that clips can be written.
    /// - Parameter program: a name to look up in PATH, or a path.
    /// - Throws: `.configuration` naming what to install.
    public static func checkAvailable(_ program: String = "ffmpeg") throws(SoradError) { _ = try FFmpegProcess.find(program) }

    /// Starts ffmpeg.
    /// - Parameters:
    ///   - directory: exists; receives the files.
    ///   - marking: what the operator wants besides; its producer is that of `provenance`.
    ///   - job: its id, for the marking command.
    ///   - program: a name to look up in PATH, or a path.
    ///   - shouldStop: asked every 100 ms at least while waiting; true ends the work with `.cancelled`.
    /// - Throws: `.configuration` if ffmpeg is missing, `.unavailable` if it cannot be started.
    public init(
        _ format: ClipFormat, into directory: String, provenance: Provenance, marking: ClipMarking = ClipMarking(), job: String = "",
        limits: EncoderLimits = EncoderLimits(), program: String = "ffmpeg", shouldStop: @escaping () -> Bool = { false }
    ) throws(SoradError) {
        self.format = format
        self.provenance = provenance
        self.directory = directory
        self.limits = limits
        self.shouldStop = shouldStop
        label = marking.visibleLabel.map { VisibleLabel($0, width: format.width, height: format.height) }
        command = marking.command.map { MarkingCommand(program: $0, job: job, model: provenance.model, limits: limits) }
        let absolute = directory.hasPrefix("/") ? directory : "./" + directory
        interim = ClipFiles(
            video: absolute + "/.encoding.mp4", thumbnail: absolute + "/.encoding.webp", spritesheet: absolute + "/.encoding.jpg")
        let encoding = FFmpegCommand(format: format, comment: provenance.comment, aigc: provenance.aigc?.json, outputs: interim)
        ffmpeg = try FFmpegProcess(program, encoding.arguments, limits: limits, shouldStop: shouldStop)
    }

    /// Memory of ffmpeg while it writes a clip, per pixel that it holds: measured with ffmpeg 5.1 on frames of noise from
    /// 16×16 to 1280×704, 1 to 161 of them (61 to 245 MB). Most of it is its shared libraries.
    public static let memory = ModelMemory.Part(.ffmpeg, .writerPixels, fixed: 66_000_000, perUnit: 4)
    /// Memory to read the written files back and mark them, per pixel of the clip: the file, and the file with its mark, of at most half a
    /// byte for a pixel.
    public static let markingMemory = ModelMemory.Part(.worker, .clipPixels, fixed: 1 << 20, perUnit: 1)

    deinit {
        ffmpeg.stop()
        for path in interim.all { _ = unsafe unlink(path) }
    }

    /// Takes the next frames of the clip.
    /// - Parameter frames: [F, H, W, 3] bytes of whole frames, F ≥ 1, row by row from the top left, RGB.
    public func append(_ frames: [UInt8]) throws(SoradError) {
        let (count, rest) = frames.count.quotientAndRemainder(dividingBy: format.frameBytes)
        precondition(rest == 0 && count > 0, "\(frames.count) bytes are not whole frames of \(format.frameBytes)")
        framesTaken += count
        precondition(framesTaken <= format.numFrames, "\(framesTaken) frames for a clip of \(format.numFrames)")
        guard let label else { return try ffmpeg.write(frames) }
        var labeled = frames
        label.draw(on: &labeled, frameBytes: format.frameBytes)
        try ffmpeg.write(labeled)
    }

    /// Ends the clip and publishes its files; every frame must have been appended.
    /// - Returns: file names relative to the directory.
    public func finish() throws(SoradError) -> ClipFiles {
        precondition(framesTaken == format.numFrames, "\(framesTaken) of \(format.numFrames) frames")
        try ffmpeg.finish()
        let packet = provenance.xmpPacket
        let (width, height) = (format.width, format.height)
        var video = try markedMP4(read(interim.video), xmp: packet)
        if let command { video = try command.run(video, in: directory, shouldStop: shouldStop) }
        let thumbnail = try markedWebP(read(interim.thumbnail), width: width, height: height, xmp: packet)
        let spritesheet = try markedJPEG(read(interim.spritesheet), xmp: packet)
        let names = ClipFiles.standard
        do throws(SoradError) {
            for (name, bytes) in [(names.thumbnail, thumbnail), (names.spritesheet, spritesheet), (names.video, video)] {
                var file = try AtomicFile(directory + "/" + name)
                try file.write(bytes)
                try file.commit()
            }
        } catch { throw error.asMediaFailure() }
        return names
    }

    private func read(_ path: String) throws(SoradError) -> [UInt8] {
        do throws(Errno) {
            let file = try FileDescriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW)
            var bytes: [UInt8] = []
            while true {
                let piece = try file.read(upTo: 1 << 20)
                if piece.isEmpty { return bytes }
                bytes += piece
                guard bytes.count <= limits.fileBytes else { throw Errno(code: EFBIG, call: "read \(path)") }
            }
        } catch {
            throw SoradError.ffmpeg("cannot read what ffmpeg wrote: \(error)")
        }
    }
}

/// Adds the XMP box after the media data.
/// - Throws: `.internalFault` if `mp4` is not an MP4 with its index first.
func markedMP4(_ mp4: [UInt8], xmp packet: [UInt8]) throws(SoradError) -> [UInt8] {
    let types: [String]
    do throws(SoradError) { types = try MP4Box.topLevel(of: mp4).map(\.type) } catch {
        throw SoradError.ffmpeg("ffmpeg wrote a damaged file: \(error.message)")
    }
    guard types.first == "ftyp", let index = types.firstIndex(of: "moov"), let data = types.firstIndex(of: "mdat"), index < data else {
        throw SoradError.ffmpeg("ffmpeg wrote an MP4 file whose index does not come first: \(types.joined(separator: " "))")
    }
    return mp4 + MP4Box.xmp(packet)
}
