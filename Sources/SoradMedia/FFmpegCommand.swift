// Owns the ffmpeg command line. Pure, and the only place that knows ffmpeg's options.
// Invariant: the same frames give the same bytes: bit-exact flags, one encoder thread, no time stamps, no library versions in containers.
// Nothing is ever passed through a shell, every input and output has an explicit format and protocol, and ffmpeg reads frames only:
// no container, no codec and no file name from outside ever reaches one of its parsers.

struct FFmpegCommand: Sendable, Equatable {
    var format: ClipFormat
    var comment: String
    /// The JSON of `AIGCLabel`; nil for none.
    var aigc: String?
    /// Where the three outputs go.
    var outputs: ClipFiles

    /// Arguments after the program's name. Frames come in on standard input, once, and are split inside ffmpeg: a clip that is decoded
    /// frame group by frame group never has to lie in memory.
    var arguments: [String] {
        ["-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-filter_threads", "1", "-filter_complex_threads", "1"]
            + input + ["-filter_complex", filters] + video + thumbnail + sheet
    }

    private var input: [String] {
        [
            "-protocol_whitelist", "pipe", "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", "\(format.width)x\(format.height)",
            "-framerate", "\(format.fps)", "-i", "pipe:0",
        ]
    }

    /// BT.709 in limited range, said both to the converter and in the stream, so that players agree on the colors.
    private var filters: String {
        let sheet = format.sheet
        let side = ClipFormat.tileSide
        let tile = "scale=w='min(iw,\(side))':h='min(ih,\(side))':force_original_aspect_ratio=decrease:force_divisible_by=2"
        return "[0:v]split=3[a][b][c];"
            + "[a]scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact,format=yuv420p[video];"
            + "[b]select='eq(n,\(format.thumbnailFrame))'[thumbnail];"
            + "[c]select='not(mod(n,\(sheet.stride)))',\(tile),tile=\(sheet.columns)x\(sheet.rows)[sheet]"
    }

    private var video: [String] {
        [
            "-map", "[video]", "-c:v", "libx264", "-preset", "medium", "-crf", "18", "-threads", "1", "-pix_fmt", "yuv420p",
            "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv", "-metadata",
            "comment=\(comment)",
        ] + (aigc.map { ["-metadata", "AIGC=\($0)"] } ?? []) + bitExact
            // A key of another name than iTunes's needs the list of keys, and all others then stand in it too.
            + ["-movflags", aigc == nil ? "+faststart" : "+faststart+use_metadata_tags", "-f", "mp4", "-y", "file:\(outputs.video)"]
    }

    private var thumbnail: [String] {
        ["-map", "[thumbnail]", "-frames:v", "1", "-c:v", "libwebp", "-quality", "85", "-threads", "1"] + bitExact
            + ["-f", "image2pipe", "-y", "file:\(outputs.thumbnail)"]
    }

    private var sheet: [String] {
        ["-map", "[sheet]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", "-threads", "1"] + bitExact
            + ["-f", "image2pipe", "-y", "file:\(outputs.spritesheet)"]
    }

    private var bitExact: [String] { ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"] }
}
