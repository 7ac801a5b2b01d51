// Owns the stream of a job's events: a thread reads it, and the thread that shows the progress takes the newest state from here, so that
// a signal and a deadline are noticed whatever the daemon does.
// Invariant: the state that is taken is never older than one taken before.
import SoradAPI
import SoradHTTP
import SoradSystem
import Synchronization

final class JobFollower: Sendable {
    /// The news to take.
    enum News: Sendable {
        case nothing
        case video(Video)
        /// The stream has ended, for whatever reason: ask the daemon.
        case ended
    }

    private struct State {
        var video: Video
        var isNew = false
        var preview: JobPreviewPicture?
        var hasEnded = false
    }

    private let state: Mutex<State>
    /// Signalled when there is something to take.
    let counter: EventCounter

    /// Starts to read the events of `video`.
    /// - Throws: `.internalFault` when the system gives no thread.
    init(_ video: Video, socket: String) throws(SoradError) {
        state = Mutex(State(video: video))
        do throws(Errno) {
            counter = try EventCounter(.signal)
            // Not joined: it ends with the stream, or with the process.
            _ = try SystemThread(name: "events") { [self] in read(socket, "/v1/videos/\(percentEncoded(video.id))/events") }
        } catch { throw SoradError(.internalFault, "cannot follow the job: \(error)") }
    }

    /// The newest preview that was not taken yet.
    func takePreview() -> JobPreviewPicture? {
        state.withLock { state in
            defer { state.preview = nil }
            return state.preview
        }
    }

    func take() -> News {
        counter.take()
        return state.withLock { state in
            if state.isNew {
                state.isNew = false
                // One signal may have stood for the state and the end that came right behind it.
                if state.hasEnded { counter.add() }
                return .video(state.video)
            }
            return state.hasEnded ? .ended : .nothing
        }
    }

    private func read(_ socket: String, _ target: String) {
        var parser = ServerSentEventParser()
        // Why it ended does not matter: the daemon is asked next, and says it.
        _ = try? HTTPClient(socketPath: socket).stream(ClientRequest(.get, target)) { bytes in
            guard let events = try? parser.append(bytes) else { return false }
            for event in events { take(event) }
            return true
        }
        state.withLock { $0.hasEnded = true }
        counter.add()
    }

    private func take(_ event: ServerSentEvent) {
        guard let json = try? JSONValue(parsing: Array(event.data.utf8)) else { return }
        let isNew = state.withLock { state in
            switch event.event {
            case "video", "done":
                guard let video = try? Video(json: json) else { return false }
                state.video = video
            case "progress": state.video.update(json)
            case "preview":
                state.preview = json["image_url"]?.string.flatMap(JobPreviewPicture.init(dataURL:))
            default: return false
            }
            state.isNew = true
            return true
        }
        if isNew { counter.add() }
    }
}

extension Video {
    /// Takes over the members of a progress event.
    fileprivate mutating func update(_ json: JSONValue) {
        progress = json["progress"]?.integer ?? progress
        details.phase = json["phase"]?.string.flatMap(JobPhase.init(rawValue:))
        details.step = json["step"]?.integer
        details.steps = json["steps"]?.integer
        details.frame = json["frame"]?.integer
        details.etaSeconds = json["eta_seconds"]?.double
    }
}
