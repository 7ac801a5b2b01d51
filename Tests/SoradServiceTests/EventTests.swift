// GET /v1/videos/{id}/events as a client meets it: the real daemon, a worker without an engine.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct EventTests {
    /// The events of a job until the stream ends or `until` says so.
    private func events(
        _ daemon: DaemonUnderTest, _ id: String, lastEventID: String? = nil, until: (ServerSentEvent) -> Bool = { _ in false }
    ) throws -> [ServerSentEvent] {
        var parser = ServerSentEventParser()
        var events: [ServerSentEvent] = []
        var headers = Headers()
        if let lastEventID { headers["last-event-id"] = lastEventID }
        let response = try HTTPClient(socketPath: daemon.socket).stream(
            ClientRequest(.get, "/v1/videos/\(id)/events", headers: headers)
        ) { bytes in
            for event in (try? parser.append(bytes)) ?? [] {
                events.append(event)
                if until(event) { return false }
            }
            return true
        }
        #expect(response.headers["content-type"] == "text/event-stream" && response.headers["cache-control"] == "no-store")
        return events
    }

    private func json(_ event: ServerSentEvent) throws -> JSONValue { try JSONValue(parsing: Array(event.data.utf8)) }

    @Test func aJobIsToldFromItsBeginningToItsEnd() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x steps=5 pause=0.1 preview=400").id
        let events = try events(daemon, id)
        #expect(events.first?.event == "video" && events.last?.event == "done")
        let last = try Video(json: json(try #require(events.last)))
        var shown = try daemon.video(id)
        // Every watcher of a job hears the same; whose it is, is no news.
        shown.details.owner = nil
        #expect(last.status == .completed && last.progress == 100 && last == shown)
        let percents = try events.filter { $0.event != "preview" }.compactMap { try json($0)["progress"]?.integer }
        #expect(percents == percents.sorted() && Set(percents).count >= 5)
        let numbers = events.compactMap(\.id)
        #expect(Set(numbers).count == numbers.count && numbers.last == "over")
        let progress = try events.filter { $0.event == "progress" }.map(json)
        #expect(progress.allSatisfy { $0["status"] == "in_progress" && $0["phase"] == "denoising" && $0["steps"] == 5 })
        let pictures = try events.filter { $0.event == "preview" }.map(json)
        #expect(pictures.count >= 4)
        #expect(pictures.allSatisfy { $0["image_url"]?.string == "data:image/png;base64," + String(repeating: "A", count: 400) })
        // A client that comes again with the last id learns that there is nothing more, any other one the end.
        let again = try daemon.send(.get, "/v1/videos/\(id)/events", headers: ["last-event-id": "over"])
        #expect(again.status == 204 && again.body.isEmpty)
        #expect(try self.events(daemon, id, lastEventID: numbers[0]).map(\.event) == ["done"])
        #expect(try self.events(daemon, id).map(\.event) == ["done"])
    }

    @Test func oneWhoComesBackIsToldWhatIsNewAlone() throws {
        let daemon = try DaemonUnderTest(["--event-heartbeat", "1"])
        let running = try daemon.create("x hang").id
        let waiting = try daemon.create("y").id
        let first = try events(daemon, waiting) { _ in true }
        #expect(first.map(\.event) == ["video"])
        let id = try #require(first[0].id)
        // Nothing has changed: the first that comes is the end.
        _ = try daemon.send(.post, "/v1/videos/\(waiting)/cancel")
        let second = try events(daemon, waiting, lastEventID: id)
        #expect(second.map(\.event) == ["done"])
        #expect(try Video(json: json(second[0])).error?.code == "cancelled")
        // Another run of the daemon counts from the start.
        #expect(try events(daemon, running, lastEventID: "other-1") { _ in true }.map(\.event) == ["video"])
    }

    @Test func aDeletedJobEndsItsStream() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x hang").id
        var sent = false
        let events = try events(daemon, id) { _ in
            if !sent {
                sent = true
                _ = try? daemon.send(.delete, "/v1/videos/\(id)")
            }
            return false
        }
        #expect(events.last?.event == "deleted")
        #expect(try json(try #require(events.last)) == DeletedVideo(id: id).json)
        #expect(try daemon.send(.get, "/v1/videos/\(id)/events").status == 404)
        #expect(try daemon.send(.get, "/v1/videos/video_0/events").status == 404)
        #expect(try daemon.send(.post, "/v1/videos/\(id)/events").status == 405)
    }

    @Test func silenceIsBrokenByAComment() throws {
        let daemon = try DaemonUnderTest(["--event-heartbeat", "1"])
        let id = try daemon.create("x hang").id
        var text = ""
        try HTTPClient(socketPath: daemon.socket).stream(ClientRequest(.get, "/v1/videos/\(id)/events")) { bytes in
            text += String(decoding: bytes, as: UTF8.self)
            return !text.hasSuffix("\n:\n:\n")
        }
        #expect(text.hasPrefix("retry: 1000\nevent: video\n"))
    }

    /// Nobody reads these streams, and the pictures are large: the job, its other watcher and everybody else continue.
    @Test func slowReadersHoldNobodyUp() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x steps=60 pause=0.02 preview=60000").id
        let request = Array("GET /v1/videos/\(id)/events HTTP/1.1\r\nhost: x\r\n\r\n".utf8)
        var sleepers: [Sleeper] = []
        for _ in 0..<20 { sleepers.append(try Sleeper(daemon.socket, request)) }
        let events = try events(daemon, id)
        #expect(events.last?.event == "done" && events.filter { $0.event == "preview" }.count >= 10)
        #expect(try daemon.finished(id).status == .completed)
        // Memory was not given to those who sleep: 60 pictures for each would be 70 MB.
        let resident = daemon.text(of: "/proc/\(daemon.process.pid)/status").split(separator: "\n").first { $0.hasPrefix("VmRSS") }
        let kilobytes = try #require(resident?.split(separator: " ").dropLast().last.flatMap { Int($0) })
        #expect(kilobytes < 40_000, "\(kilobytes) kB")
        // What was said last is still there for one who wakes up.
        let rest = try sleepers[0].readAll()
        #expect(rest.contains("event: done"))
    }

    @Test func streamsEndWhenTheDaemonStops() throws {
        let daemon = try DaemonUnderTest()
        let id = try daemon.create("x hang").id
        var told = false
        let events = try events(daemon, id) { _ in
            if !told {
                told = true
                daemon.process.kill(SIGTERM)
            }
            return false
        }
        #expect(!events.contains { $0.event == "done" || $0.event == "deleted" })
        #expect(daemon.process.wait(timeout: .seconds(15)) == .exited(0))
    }
}

/// A client that sends a request and reads nothing until it shall.
private final class Sleeper {
    private let socket: FileDescriptor

    init(_ path: String, _ request: [UInt8]) throws {
        socket = try FileDescriptor(connectedTo: path, timeout: .seconds(5))
        _ = try socket.send(request, from: 0)
    }

    func readAll() throws -> String {
        var text: [UInt8] = []
        var scratch = [UInt8](repeating: 0, count: 65_536)
        while try waitUntilReady(PollEntry(reading: socket.rawValue), timeout: .seconds(5)) {
            guard let count = try socket.receive(into: &scratch) else { continue }
            if count == 0 { break }
            text += scratch[..<count]
            if String(decoding: text.suffix(4000), as: UTF8.self).contains("event: done") { break }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
