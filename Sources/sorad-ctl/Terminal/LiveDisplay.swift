// Owns the place in the terminal where a job is watched: a picture of what it is at, and the line of progress below it.
// Invariant: everything that is drawn lies in cells that were reserved by line feeds, so nothing scrolls while a picture is replaced; and a
// terminal that changes its size gets a place of its own again.
import SoradSystem

struct LiveDisplay {
    private var progress: ProgressDisplay
    private let form: PictureForm?
    private var preview: JobPreviewPicture?
    /// Lines above the bar that belong to the picture.
    private var rows = 0
    private var size: (columns: Int, rows: Int)?
    private var hasPainted = false

    init(progress: ProgressDisplay, form: PictureForm?) {
        self.progress = progress
        self.form = form
    }

    var showsPictures: Bool { form != nil }

    /// The text for standard error now; nil when there is nothing new.
    mutating func update(_ snapshot: ProgressSnapshot, preview news: JobPreviewPicture?, _ terminal: TerminalSize) -> String? {
        var text = ""
        let isResized = size.map { $0 != (terminal.columns, terminal.rows) } ?? false
        if isResized, rows > 0 {
            // What the old place became is the terminal's affair; it is left behind, and a new one begins below.
            text += "\n"
            rows = 0
            hasPainted = false
        }
        size = (terminal.columns, terminal.rows)
        let isNew = news != nil && news != preview
        preview = news ?? preview
        if let form, let preview, isNew || isResized, let picture = preview.image {
            text += paint(preview, picture, form, terminal)
        }
        if let bar = progress.update(snapshot, width: terminal.columns) { text += bar }
        return text.isEmpty ? nil : text
    }

    private mutating func paint(_ preview: JobPreviewPicture, _ picture: PixelImage, _ form: PictureForm, _ terminal: TerminalSize)
        -> String
    {
        let fitting = pictureCells(
            width: picture.width, height: picture.height, maxColumns: min(terminal.columns - 1, 48), maxRows: min(terminal.rows - 3, 20),
            cell: terminal.cell)
        guard let cells = fitting else { return "" }
        var text = ""
        if rows == 0 {
            rows = cells.rows
            text += "\r\u{1B}[K" + String(repeating: "\n", count: rows)
        }
        guard cells.rows <= rows else { return text }
        hasPainted = true
        // Save the cursor, go to the top of the place, paint, come back.
        text += "\u{1B}7\r\u{1B}[\(rows)A"
        text += form.painted(picture, png: preview.png, columns: cells.columns, rows: cells.rows, cell: terminal.cell)
        return text + "\u{1B}8"
    }

    /// Ends the place, so that the next output starts below it. The last picture stays.
    mutating func end() -> String? {
        rows = 0
        preview = nil
        return progress.end()
    }
}

/// A preview as it came.
struct JobPreviewPicture: Sendable, Equatable {
    let png: [UInt8]

    /// nil when it is no picture that this program reads.
    var image: PixelImage? { PixelImage(png: png) }

    /// From `image_url` of a preview event.
    init?(dataURL: String) {
        guard let bytes = dataURLContent(dataURL) else { return nil }
        png = bytes
    }

    init(png: [UInt8]) { self.png = png }
}

extension DaemonConnection {
    /// A frame of a finished clip, read by ffmpeg; nil where that cannot be done: it is an extra.
    func thumbnail(of id: String) -> JobPreviewPicture? {
        var webp: [UInt8] = []
        try? content(id, variant: "thumbnail") { bytes in
            webp += bytes
            return webp.count <= 4 << 20
        }
        guard !webp.isEmpty, let ffmpeg = ChildProcess.executablePath(of: "ffmpeg"), let input = try? FileDescriptor.inMemory(webp) else {
            return nil
        }
        let words = ["-nostdin", "-v", "error", "-i", "/proc/self/fd/3", "-frames:v", "1", "-pix_fmt", "rgb24", "-c:v", "png"]
        let command = ChildProcess.Command(ffmpeg, words + ["-f", "image2pipe", "-"], descriptors: [3: input.rawValue])
        guard let output = try? captureOutput(of: command, timeout: .seconds(5), limit: 8 << 20), output.ending == .exited(0) else {
            return nil
        }
        return JobPreviewPicture(png: output.standardOutput)
    }
}

struct TerminalSize: Sendable {
    var columns: Int
    var rows: Int
    /// Pixels of a character cell.
    var cell: (width: Int, height: Int)

    /// Of the terminal at standard error, now.
    static var current: TerminalSize {
        let stream = StandardStream.errors
        return TerminalSize(columns: stream.columns ?? 80, rows: stream.rows ?? 24, cell: stream.cell ?? (10, 20))
    }
}
