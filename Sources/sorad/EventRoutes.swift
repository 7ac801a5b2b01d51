// GET /v1/videos/{id}/events: a job's changes as server-sent events, from its present state to its end.
import SoradAPI
import SoradHTTP
import SoradJobs
import SoradSystem
import Synchronization

extension ClientRoutes {
    @Sendable func events(_ request: Request) throws -> Response {
        let id = try identifier(request)
        let feed = service.feed
        let writer = JobEventWriter(run: feed.run, lastEventID: request.headers["last-event-id"])
        let subscription = try service.watch(id, viewer: access.viewer(request.peer)) { writer.take($0) }
        guard let subscription else { throw unknown(id.text) }
        // A browser asks again for ever unless the answer is 204.
        if writer.hasNothingToSay { return Response(.noContent) }
        writer.stream.onClose { feed.remove(subscription) }
        return .events(writer.stream)
    }
}

/// Writes the changes of one job as events to one client.
/// Invariant: never waits. A client that reads slowly gets fewer events, but always the end; one that does not read at all loses the
/// connection.
final class JobEventWriter: Sendable {
    let stream = BodyStream()
    private let run: String
    private let lastEventID: String?
    private let state = Mutex(State())

    private struct State {
        var hasBegun = false
        var status: Video.Status?
        var hasNothingToSay = false
    }

    /// The id of the last event of every job.
    private static let lastID = "over"
    /// Bytes that may wait for the client before it gets changes of state only.
    private static let backlog = 64 << 10
    /// Milliseconds after which a client that lost the connection comes back.
    private static let retry = Array("retry: 1000\n".utf8)
    /// A comment without the empty line after it: the official SDK takes that for an event without data.
    private static let heartbeat = Array(":\n".utf8)

    init(run: String, lastEventID: String?) {
        self.run = run
        self.lastEventID = lastEventID
    }

    /// The client has seen the end already.
    var hasNothingToSay: Bool { state.withLock { $0.hasNothingToSay } }

    /// False when there is nothing more to write.
    func take(_ news: JobNews) -> Bool {
        switch news {
        case .changed(let job, let number, let text): return state.withLock { changed(job, number, text, &$0) }
        case .preview(let job, let picture, let text):
            return stream.pendingBytes > JobEventWriter.backlog ? true : write("preview", nil, text) { job.previewJSON(picture) }
        case .deleted(let id):
            write("deleted", JobEventWriter.lastID, SharedText()) { DeletedVideo(id: id.text).json }
            stream.finish()
            return false
        case .quiet: return stream.write(JobEventWriter.heartbeat)
        case .ended:
            stream.finish()
            return false
        }
    }

    private func changed(_ job: Job, _ number: UInt64, _ text: SharedText, _ state: inout State) -> Bool {
        defer {
            state.hasBegun = true
            state.status = job.status
        }
        let id = job.isOver ? JobEventWriter.lastID : "\(run)-\(number)"
        if !state.hasBegun {
            if lastEventID == id {
                state.hasNothingToSay = job.isOver
                return !job.isOver && stream.write(JobEventWriter.heartbeat)
            }
            // A line of the event that follows.
            stream.write(JobEventWriter.retry)
        }
        if job.isOver {
            write("done", id, text) { job.video.json }
            stream.finish()
            return false
        }
        if !state.hasBegun || job.status != state.status { return write("video", id, text) { job.video.json } }
        return stream.pendingBytes > JobEventWriter.backlog ? true : write("progress", id, text) { job.progressJSON }
    }

    @discardableResult
    private func write(_ event: String, _ id: String?, _ text: SharedText, _ data: () -> JSONValue) -> Bool {
        stream.write(text.bytes(event) { ServerSentEvent(event: event, id: id, data: data().text()).bytes })
    }
}

extension Job {
    /// Those members of the Video object that change while it runs.
    fileprivate var progressJSON: JSONValue {
        let video = video.json
        var object = JSONObject()
        let changing = ["id", "status", "progress", "phase", "step", "steps", "frame", "eta_seconds", "note", "box"]
        for name in changing { object[name] = video[name] }
        return .object(object)
    }

    fileprivate func previewJSON(_ picture: JobPreview) -> JSONValue {
        [
            "id": .string(id.text), "step": .integer(progress?.step ?? 0), "steps": .integer(progress?.steps ?? 0),
            "width": .integer(picture.width), "height": .integer(picture.height), "image_url": .string(picture.dataURL),
        ]
    }
}
