// Owns the ffmpeg command lines that read given files. Pure.
// Invariant: the demultiplexer and the decoder are named from the file's own first bytes, no other may be used, and nothing is probed; only
// local files can be opened, and a container's references to other files are not followed. With file size limited to 0 the child can
// write nothing, and its memory is limited to what is planned.
import Glibc
import SoradAPI
import SoradSystem

struct DecodeCommand: Sendable, Equatable {
    var source: MediaSource

    init(_ source: MediaSource) { self.source = source }

    /// Frames of one size on standard output, at a constant rate for a clip, raw in the layout of `frame`.
    func frames(_ frame: FrameLayout, width: Int, height: Int, count: Int, fps: Int) -> [String] {
        var filters: [String] = []
        if !source.isPicture {
            // By the timestamps: each time shows the frame that is nearest. Rounding may leave one frame less than the inspection counted.
            filters += ["fps=fps=\(fps)", "tpad=stop=2:stop_mode=clone"]
        }
        filters += frame.filters(width: width, height: height, orientation: source.orientation)
        return input(["-loglevel", "error"]) + stream + [
            "-vf", filters.joined(separator: ","), "-frames:v", "\(count)", "-fps_mode", "passthrough", "-pix_fmt",
            frame.pixels.rawValue, "-f", "rawvideo", "pipe:1",
        ]
    }

    /// One line per stored frame on standard output, as text; nothing is decoded.
    func packets(count: Int) -> [String] {
        input(["-loglevel", "error"]) + stream + ["-c:v", "copy", "-frames:v", "\(count)", "-f", "framecrc", "pipe:1"]
    }

    /// Decodes the first `count` frames; a description of the first one on standard error, as text.
    func trial(count: Int) -> [String] {
        input(["-nostats", "-loglevel", "info"]) + stream + ["-vf", "trim=end_frame=1,sidedata=mode=delete,showinfo", "-f", "null", "-"]
            + stream + ["-frames:v", "\(count)", "-fps_mode", "passthrough", "-f", "null", "-"]
    }

    private func input(_ log: [String]) -> [String] {
        // A decoder pads the frame before it compares.
        let pixels = ((source.width + 127) / 64 * 64) * ((source.height + 127) / 64 * 64)
        var options = [
            "-nostdin", "-hide_banner", "-xerror", "-filter_threads", "1", "-protocol_whitelist",
            source.end == nil ? "file" : "file,subfile", "-format_whitelist",
            source.demultiplexer == "mov"
                ? "mov,mp4,m4a,3gp,3g2,mj2" : source.demultiplexer == "matroska" ? "matroska,webm" : source.demultiplexer,
            "-codec_whitelist", source.decoder, "-max_pixels", "\(pixels)", "-threads", "1", "-noautorotate",
        ]
        // Exactly the part of the frame that the stream says is shown, wherever it begins.
        if !source.isPicture { options += ["-flags", "unaligned"] }
        switch source.format {
        // The checksums are our own matter: with them right, a chunk that cannot be read is left out.
        case .png: options += ["-err_detect", "crccheck"]
        // A broken part of these makes a gray or torn picture, not an error.
        case .jpeg, .mp4, .quickTime, .matroska: options += ["-err_detect", "crccheck+explode"]
        case .webp, .gif, .bmp, .tiff, .jpegXL, .avif: break
        }
        return log + options + ["-f", source.demultiplexer, "-c:v", source.decoder, "-an", "-sn", "-dn", "-i", place]
    }

    /// The file, or the part of it that is the picture.
    private var place: String { source.end.map { "subfile,,start,0,end,\($0),,:\(source.path)" } ?? "file:\(source.path)" }

    private var stream: [String] { ["-map", "0:v:\(source.track)", "-an", "-sn", "-dn"] }

    /// What ffmpeg may use; the files are anybody's.
    var limits: [(resource: Int32, value: UInt64)] {
        [
            (Int32(RLIMIT_FSIZE.rawValue), 0), (Int32(RLIMIT_DATA.rawValue), UInt64(DecodeCommand.ownBytes + source.decodeBytes)),
            (Int32(RLIMIT_AS.rawValue), 8 << 30), (Int32(RLIMIT_CPU.rawValue), 120), (Int32(RLIMIT_CORE.rawValue), 0),
            (Int32(RLIMIT_NOFILE.rawValue), 32),
        ]
    }

    /// What ffmpeg may read: its program and libraries, and the file. Nothing of any user, and none of the service's other files.
    func readable(_ executable: String) -> [String] {
        let environment = ChildProcess.currentEnvironment()
        let folders = (environment["LD_LIBRARY_PATH"] ?? "").split(separator: ":").map { String($0) }
        let own = executable.lastIndex(of: "/").map { String(executable[..<$0]) } ?? "."
        return [
            "/usr", "/lib", "/lib64", "/bin", "/opt", "/nix/store", "/gnu/store", "/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/null",
            "/dev/urandom", "/proc/cpuinfo", "/sys/devices/system/cpu", own.isEmpty ? "/" : own, source.path,
        ] + folders
    }

    /// The whole command.
    func command(_ executable: String, _ arguments: [String]) -> ChildProcess.Command {
        ChildProcess.Command(
            executable, arguments, environment: FFmpegProcess.environment(), limits: limits, diesWithParent: true,
            readable: readable(executable))
    }

    /// Private memory of an ffmpeg that decodes nothing: its libraries' data.
    static let ownBytes = 64 << 20
}
