// The server's life: start on a listening socket, serve, stop. The work is in ServerLoop (one I/O thread) and HandlerThreads.
public import SoradSystem
import Synchronization

/// Reports of the server about its work, for the journal. Called on the server's threads: be quick.
public enum ServerNotice: Sendable {
    /// One answered request; `bytes` of body sent.
    case answered(id: String, peer: Peer, method: String, path: String, status: Int, bytes: Int, duration: Duration)
    /// A fault of the server's own, e.g. accept(2) failing.
    case fault(String)
}

public final class HTTPServer: Sendable {
    public typealias Observer = @Sendable (ServerNotice) -> Void

    private let inbox: ServerInbox
    private let handlers, largeBodyHandlers: HandlerThreads
    private let thread: SystemThread
    private let clock: TimeSource

    /// Starts serving `routes` on one Unix socket (listening; from systemd or `FileDescriptor(listeningAt:)`).
    public convenience init(
        listener: consuming FileDescriptor, routes: Routes, settings: ServerSettings = ServerSettings(), clock: TimeSource = .system,
        observer: @escaping Observer = { _ in }
    ) throws(SoradError) {
        let socket = ListeningSocket(unix: listener)
        try self.init(
            listeners: [(socket, Door())], surrendered: Door(), routes: routes, settings: settings, clock: clock, observer: observer)
    }

    /// Starts serving `routes` on all `listeners`, each with the rules of its door. Removes from the upload directory what an earlier run
    /// left there.
    /// - Parameter surrendered: the door of connections that have given up their identity.
    public init(
        listeners: [(socket: ListeningSocket, door: Door)], surrendered: Door, routes: Routes, settings: ServerSettings,
        clock: TimeSource = .system, observer: @escaping Observer = { _ in }
    ) throws(SoradError) {
        do throws(Errno) {
            if let directory = settings.uploadDirectory { try TemporaryFile.removeAll(in: directory) }
            for listener in listeners { try listener.socket.descriptor.stopBlocking() }
            inbox = try ServerInbox(instance: String(UInt64.random(in: 0...UInt64.max), radix: 36))
            handlers = try HandlerThreads(count: settings.handlerThreads, limit: settings.queuedRequests)
            largeBodyHandlers = try HandlerThreads(count: settings.largeBodyThreads, limit: settings.queuedLargeBodies)
            let environment = ServerConnection.Environment(
                routes: routes, settings: settings, clock: clock, memory: BodyMemory(limit: settings.bodyMemory), handlers: handlers,
                largeBodyHandlers: largeBodyHandlers, inbox: inbox, surrendered: surrendered, observer: observer)
            thread = try SystemThread(name: "http") {
                do throws(Errno) {
                    try ServerLoop(listeners: listeners, environment: environment).run()
                } catch { observer(.fault("the HTTP server could not start: \(error)")) }
            }
        } catch {
            throw SoradError(.unavailable, "the HTTP server could not start: \(error)")
        }
        self.clock = clock
    }

    /// Connections open now.
    public var connectionCount: Int { inbox.connections.load(ordering: .relaxed) }

    /// Ends every connection whose request under way came with the key `name`.
    public func endConnections(ofKey name: String) { inbox.post(.revoked(key: name)) }

    /// Stops accepting, lets requests in flight finish for at most `grace`, closes everything and ends the threads. Blocks; call once.
    public func stop(grace: Duration = .seconds(5)) {
        inbox.post(.stop(by: clock.monotonic() + grace))
        thread.join()
        handlers.stop()
        largeBodyHandlers.stop()
        for case .answer(_, _, let response) in inbox.takeAll() { ServerConnection.abandon(response) }
    }
}
