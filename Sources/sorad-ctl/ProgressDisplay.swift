// Owns how progress looks: one line redrawn in place on a terminal, at most one line per 5 % anywhere else. Pure: text in, text out.
import SoradAPI
import SoradSystem

/// The state of a running job at one moment.
struct ProgressSnapshot: Sendable, Equatable {
    var status: Video.Status
    var percent: Int
    var phase: JobPhase?
    var step: Int?
    var steps: Int?
    var frame: Int?
    var frames: Int?
    var etaSeconds: Double?
    var isCancelled = false
    /// Why the job waits, where it does not wait for its turn alone.
    var note: String?
    /// The machine of a pool that makes it.
    var box: String?

    init(_ video: Video) {
        status = video.status
        percent = min(max(video.progress, 0), 100)
        phase = video.details.phase
        step = video.details.step
        steps = video.details.steps
        frame = video.details.frame
        frames = video.details.numFrames
        etaSeconds = video.details.etaSeconds
        isCancelled = video.error?.code == "cancelled"
        note = video.details.note
        box = video.details.box
    }

    /// E.g. "denoising 7/16, 3 s left".
    var words: String {
        switch status {
        case .queued: return note.map { "waiting: \(printable($0))" } ?? "waiting in the queue"
        case .completed: return "done"
        case .failed: return isCancelled ? "cancelled" : "failed"
        case .inProgress: break
        }
        if let note { return "waiting: \(printable(note))" }
        var words = phaseWords + (box.map { " on \(printable($0))" } ?? "")
        if let etaSeconds, etaSeconds.isFinite, etaSeconds >= 0.5 { words += ", \(duration(etaSeconds)) left" }
        return words
    }

    private var phaseWords: String {
        switch phase {
        case nil: "working"
        case JobPhase.loading?: "loading the model"
        case JobPhase.encodingText?: "reading the prompt"
        case JobPhase.encodingFrames?: "reading the pictures"
        case JobPhase.denoising?: steps.map { "denoising \(step ?? 0)/\($0)" } ?? "denoising"
        case JobPhase.decoding?: frame.flatMap { frame in frames.map { "decoding \(frame)/\($0)" } } ?? "decoding frames"
        case JobPhase.writing?: "writing the file"
        // A stage that this program knows nothing about.
        case let other?: String(other.rawValue.map { $0 == "_" ? " " : $0 })
        }
    }
}

struct ProgressDisplay {
    enum Style: Sendable, Equatable {
        case silent
        case lines
        case bar
    }

    private let style: Style
    private var last: ProgressSnapshot?
    private var lastWidth = 0
    /// Columns of the bar that was drawn last.
    private var lastLength = 1

    init(style: Style) { self.style = style }

    /// The text for standard error now; nil when there is nothing new.
    /// - Parameter width: columns of the terminal now.
    mutating func update(_ snapshot: ProgressSnapshot, width: Int) -> String? {
        defer { (last, lastWidth) = (snapshot, width) }
        switch style {
        case .silent: return nil
        case .bar:
            guard snapshot != last || width != lastWidth else { return nil }
            // A terminal that became narrower has wrapped the old bar onto further lines: up to its first, and all of it away.
            let rows = width < lastWidth ? (lastLength - 1) / max(width, 1) : 0
            let text = bar(snapshot, width: width)
            lastLength = text.count
            return "\r" + (rows > 0 ? "\u{1B}[\(rows)A\u{1B}[J" : "") + text + "\u{1B}[K"
        case .lines:
            if let last, last.percent / 5 == snapshot.percent / 5, last.status == snapshot.status { return nil }
            return "\(snapshot.percent)% \(snapshot.words)\n"
        }
    }

    /// Ends the line that is being redrawn, so that the next output starts a new one.
    mutating func end() -> String? {
        guard case .bar = style, last != nil else { return nil }
        last = nil
        return "\n"
    }

    private func bar(_ snapshot: ProgressSnapshot, width: Int) -> String {
        let text = " " + padded("\(snapshot.percent)%", to: 4) + " " + snapshot.words
        let cells = min(max(width - 1 - text.count, 0), 30)
        guard cells >= 5 else { return String(text.dropFirst().prefix(max(width - 1, 0))) }
        let full = cells * snapshot.percent / 100
        return String(repeating: "█", count: full) + String(repeating: "░", count: cells - full) + text
    }
}

/// Seconds for people: "3 s", "2 min 5 s", "1 h 2 min".
func duration(_ seconds: Double) -> String {
    let whole = Int(min(max(seconds, 0), 1e9).rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
}
