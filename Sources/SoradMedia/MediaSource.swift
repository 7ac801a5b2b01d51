// A given file as its own bytes describe it: which parts of ffmpeg read it, how it is turned, and the memory that this may take.
// Invariant: the demultiplexer and the decoder are named from here and nothing is probed; a file beyond the limits has no source.
import Glibc
import SoradAPI
package import SoradSystem

struct MediaSource: Sendable, Equatable {
    var path: String
    var format: MediaFacts.Format
    var isPicture: Bool
    /// Of ffmpeg.
    var demultiplexer: String
    var decoder: String
    /// The picture track's number among those of the file.
    var track = 0
    /// Pixels as they are stored.
    var width: Int
    var height: Int
    var orientation: Orientation
    /// Of a picture.
    var colors = PictureColors()
    /// `PictureHeader.end`.
    var end: Int?
    /// Bytes that ffmpeg takes to decode, beyond its own.
    var decodeBytes: Int

    /// Reads the head of the file, and all of a picture.
    /// - Throws: `.badInput` with one sentence about the file, `.notFound`, `.unavailable`.
    init(_ path: String) throws(SoradError) {
        do {
            let file = try FileDescriptor(openingForReading: path)
            let reader = MediaReader(size: try file.regularFileSize()) { offset, count throws(SoradError) in
                do throws(Errno) { return try file.read(at: offset, count: count) } catch { throw MediaSource.unreadable(error) }
            }
            try self.init(path, reader)
        } catch let error as Errno {
            throw MediaSource.unreadable(error)
        } catch let error as SoradError {
            throw error
        } catch { preconditionFailure("\(error)") }
    }

    /// As above, of the bytes that `file` reads.
    init(_ path: String, _ file: MediaReader) throws(SoradError) {
        let format = try mediaFormat(of: Array(file.bytes(0, 64).bytes))
        let limit = format.isMovie ? MediaLimits.clipBytes : MediaLimits.pictureBytes
        guard file.size <= limit else {
            throw SoradError(.badInput, "the file has \(file.size) bytes, and \(limit) are accepted at most")
        }
        if format.isMovie {
            let header = try format == .matroska ? MovieHeader(matroska: file) : MovieHeader(movie: file, name: format.name)
            self = try MediaSource(path, format, header, bytes: file.size)
        } else {
            let bytes = try Array(file.bytes(0, file.size).bytes)
            self = MediaSource(path, format, try PictureHeader(bytes, format: format), bytes: file.size)
        }
        guard decodeBytes <= MediaLimits.decodeBytes else {
            throw SoradError(
                .badInput,
                "the \(format.name) \(isPicture ? "picture" : "clip") has \(width)×\(height) pixels, and to decode it takes "
                    + "\(decodeBytes >> 20) MiB of memory, where \(MediaLimits.decodeBytes >> 20) are allowed; make it smaller")
        }
    }

    private static func unreadable(_ error: Errno) -> SoradError {
        SoradError(error.isNoSuchFile ? .notFound : .unavailable, "cannot read the given file: \(error.reason)")
    }

    private init(_ path: String, _ format: MediaFacts.Format, _ header: PictureHeader, bytes: Int) {
        let (demultiplexer, decoder, perPixel) =
            switch format {
            case .png: ("png_pipe", "png", 20)
            case .jpeg: ("jpeg_pipe", "mjpeg", 14)
            case .webp: ("webp_pipe", "webp", 16)
            case .gif: ("gif", "gif", 20)
            case .bmp: ("bmp_pipe", "bmp", 12)
            case .tiff: ("tiff_pipe", "tiff", 24)
            case .jpegXL: ("jpegxl_pipe", "libjxl", 64)
            case .avif: ("mov", "libdav1d", 20)
            case .mp4, .quickTime, .matroska: preconditionFailure("a clip is no picture")
            }
        self.init(
            path: path, format: format, isPicture: header.frames == 1, demultiplexer: demultiplexer, decoder: decoder, width: header.width,
            height: header.height, orientation: header.orientation,
            decodeBytes: header.width * header.height * perPixel + 4 * bytes + MediaSource.fixedBytes)
        colors = header.colors
        end = header.end
    }

    private init(_ path: String, _ format: MediaFacts.Format, _ header: MovieHeader, bytes: Int) throws(SoradError) {
        guard header.width > 0, header.height > 0, header.width <= MediaLimits.side, header.height <= MediaLimits.side,
            header.width * header.height <= MediaLimits.pixels
        else {
            throw SoradError(
                .badInput,
                "the \(format.name) clip has frames of \(header.width)×\(header.height) pixels; at most \(MediaLimits.side) along a side and "
                    + "\(MediaLimits.pixels) in all are accepted")
        }
        let profile = header.profile ?? VideoProfile(most: header.codec)
        // Decoders pad frames to whole blocks of up to 64 pixels; besides the references there are the frames on their way through filters.
        let pixels = Double((header.width + 127) / 64 * 64 * ((header.height + 127) / 64 * 64))
        let frames = Double(profile.references + MediaSource.framesInFlight)
        let decoder = header.hasAlpha ? "libvpx" + (header.codec == .vp9 ? "-vp9" : "") : header.codec.decoder
        self.init(
            path: path, format: format, isPicture: false, demultiplexer: format == .matroska ? "matroska" : "mov", decoder: decoder,
            track: header.track, width: header.width, height: header.height, orientation: header.orientation,
            decodeBytes: Int(pixels * profile.bytesPerPixel * frames) + Int(pixels) * 4 + MediaSource.fixedBytes + min(bytes, 32 << 20))
    }

    private init(
        path: String, format: MediaFacts.Format, isPicture: Bool, demultiplexer: String, decoder: String, track: Int = 0, width: Int,
        height: Int, orientation: Orientation, decodeBytes: Int
    ) {
        self.path = path
        self.format = format
        self.isPicture = isPicture
        self.demultiplexer = demultiplexer
        self.decoder = decoder
        self.track = track
        self.width = width
        self.height = height
        self.orientation = orientation
        self.decodeBytes = decodeBytes
    }

    /// Buffers that do not grow with the frame.
    private static let fixedBytes = 24 << 20
    private static let framesInFlight = 6

    /// `MediaFacts.heldPixels`.
    var heldPixels: Int { (decodeBytes + FrameReader.bytesPerHeldPixel - 1) / FrameReader.bytesPerHeldPixel }

    var damaged: SoradError {
        SoradError(.badInput, "the \(format.name) \(isPicture ? "picture" : "clip") is damaged; it cannot be decoded")
    }
}

/// Reads all that is read of a given file before ffmpeg sees it: for a fuzzer, which has no files.
/// - Throws: `.badInput` with one sentence for anything that cannot be used.
package func readHeaders(of bytes: [UInt8]) throws(SoradError) {
    let file = MediaReader(size: bytes.count) { offset, count in Array(bytes[offset..<offset + count]) }
    let format = try mediaFormat(of: Array(bytes.prefix(64)))
    _ = try MediaSource("", file)
    if format == .mp4 || format == .quickTime { _ = try ProvenanceReader(size: file.size, read: file.read).mark() }
}
