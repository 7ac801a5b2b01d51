// The server's life: start on a listening socket, serve, stop. The work is in ServerLoop (one I/O thread) and HandlerThreads.
public import SoradSystem
import Synchronization

/// What the server tells about its work, for the journal. Called on the server's threads: be quick.
public enum ServerNotice: Sendable {
    /// One answered request; `bytes` of body sent.
    case answered(id: String, peer: Peer, method: String, path: String, status: Int, bytes: Int, duration: Duration)
    /// A fault of the server's own, e.g. accept(2) failing.
    case fault(String)
}

public final class HTTPServer: Sendable {
    public typealias Observer = @Sendable (ServerNotice) -> Void

    /// Starts serving `routes` on `listener` (listening, non-blocking; from systemd or `FileDescriptor(listeningAt:)`).
    public init(
        listener: consuming FileDescriptor, routes: Routes, settings: ServerSettings = ServerSettings(), clock: TimeSource = .system,
        observer: @escaping Observer = { _ in }
    ) throws(SoradError) {
        fatalError()
    }

    /// Connections open now.
    public var connectionCount: Int { fatalError() }

    /// Stops accepting, lets requests in flight finish for at most `grace`, closes everything and ends the threads. Blocks; call once.
    public func stop(grace: Duration = .seconds(5)) {
        fatalError()
    }
}
