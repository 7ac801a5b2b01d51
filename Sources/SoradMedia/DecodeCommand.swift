// Owns the ffmpeg command lines that read given files. Pure.
// Invariant: the demultiplexer and the decoder are named from the file's own first bytes and nothing is probed; only local files can be
// opened, and a container's references to other files are not followed. With file size limited to 0 the child can write nothing.
import Glibc
import SoradAPI
import SoradSystem

struct DecodeCommand: Sendable, Equatable {
    var path: String
    var format: MediaFacts.Format

    /// RGB frames of one size on standard output: scaled to cover it, the middle kept.
    func frames(width: Int, height: Int, count: Int) -> [String] {
        let filter =
            "scale=\(width):\(height):force_original_aspect_ratio=increase:flags=bicubic+accurate_rnd+full_chroma_int+bitexact,"
            + "crop=\(width):\(height)"
        return input(count) + ["-vf", filter, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]
    }

    /// Size, time base and one line per frame on standard output, as text.
    func description(count: Int) -> [String] { input(count) + ["-pix_fmt", "rgb24", "-f", "framecrc", "pipe:1"] }

    private func input(_ count: Int) -> [String] {
        let (demultiplexer, decoder) =
            switch format {
            case .png: ("png_pipe", "png")
            case .jpeg: ("jpeg_pipe", "mjpeg")
            case .webp: ("webp_pipe", "webp")
            case .mp4: ("mov", "h264")
            }
        return [
            "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-filter_threads", "1", "-protocol_whitelist", "file",
            "-err_detect", "crccheck+explode", "-max_pixels", "\(MediaLimits.pixels)", "-threads", "1", "-f", demultiplexer, "-c:v",
            decoder, "-i", "file:\(path)", "-map", "0:v:0", "-an", "-sn", "-dn", "-frames:v", "\(count)", "-fps_mode", "passthrough",
        ]
    }

    /// What ffmpeg may use; the files are anybody's.
    static let limits: [(resource: Int32, value: UInt64)] = [
        (Int32(RLIMIT_FSIZE.rawValue), 0), (Int32(RLIMIT_AS.rawValue), 2 << 30), (Int32(RLIMIT_CPU.rawValue), 120),
        (Int32(RLIMIT_CORE.rawValue), 0), (Int32(RLIMIT_NOFILE.rawValue), 32),
    ]

    var damaged: SoradError {
        let what = format == .mp4 ? "MP4 clip is damaged or holds no H.264 video" : "\(format.rawValue.uppercased()) picture is damaged"
        return SoradError(.badInput, "the \(what); it cannot be decoded")
    }
}
