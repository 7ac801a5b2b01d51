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

    /// Carries a listener into the thread: a closure cannot consume its captures.
    private final class Carrier: Sendable {
        private let descriptor: Mutex<Int32?>
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = Mutex(descriptor.take()) }

        func take() -> FileDescriptor {
            let value = descriptor.withLock { $0.take() }
            guard let value else { preconditionFailure("the listener was taken twice") }
            return FileDescriptor(owning: value)
        }
    }

    /// Starts serving `routes` on `listener` (listening; from systemd or `FileDescriptor(listeningAt:)`). Removes from the upload
    /// directory what an earlier run left there.
    public init(
        listener: consuming FileDescriptor, routes: Routes, settings: ServerSettings = ServerSettings(), clock: TimeSource = .system,
        observer: @escaping Observer = { _ in }
    ) throws(SoradError) {
        do throws(Errno) {
            if let directory = settings.uploadDirectory { try TemporaryFile.removeAll(in: directory) }
            try listener.stopBlocking()
            inbox = try ServerInbox(instance: String(UInt64.random(in: 0...UInt64.max), radix: 36))
            handlers = try HandlerThreads(count: settings.handlerThreads, limit: settings.queuedRequests)
            largeBodyHandlers = try HandlerThreads(count: settings.largeBodyThreads, limit: settings.queuedLargeBodies)
            let environment = ServerConnection.Environment(
                routes: routes, settings: settings, clock: clock, memory: BodyMemory(limit: settings.bodyMemory), handlers: handlers,
                largeBodyHandlers: largeBodyHandlers, inbox: inbox, observer: observer)
            let carrier = Carrier(listener)
            thread = try SystemThread(name: "http") {
                do throws(Errno) {
                    try ServerLoop(listener: carrier.take(), environment: environment).run()
                } catch { observer(.fault("the HTTP server could not start: \(error)")) }
            }
        } catch {
            throw SoradError(.unavailable, "the HTTP server could not start: \(error)")
        }
        self.clock = clock
    }

    /// Connections open now.
    public var connectionCount: Int { inbox.connections.load(ordering: .relaxed) }

    /// Stops accepting, lets requests in flight finish for at most `grace`, closes everything and ends the threads. Blocks; call once.
    public func stop(grace: Duration = .seconds(5)) {
        inbox.post(.stop(by: clock.monotonic() + grace))
        thread.join()
        handlers.stop()
        largeBodyHandlers.stop()
        for case .answer(_, _, let response) in inbox.takeAll() { ServerConnection.abandon(response) }
    }
}
