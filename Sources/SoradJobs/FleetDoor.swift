// The socket at which sorad-fleet comes to the daemon, and the connections that wait there for a slot. Lives in the daemon's loop.
// Invariant: only this daemon's own user comes in. The fleet keeps one connection waiting at all times, so that the daemon alone decides
// how many places there are: it takes the waiting one when a slot needs a place, and the fleet opens the next.
import SoradAPI
public import SoradSystem

public final class FleetDoor {
    public let status = FleetStatus()
    private let listener: FileDescriptor
    private let user: UInt32
    private let log: Log
    private var waiting: [FrameChannel] = []
    /// Connections that slots have.
    private var taken = 0

    /// One is enough; more come while the daemon is busy.
    private static let mostWaiting = 8
    /// Longest wait for a fleet that does not read its socket.
    private static let sendTimeout = Duration.milliseconds(500)

    /// - Parameter user: whose connections are taken.
    public init(listener: consuming FileDescriptor, user: UInt32, log: Log) {
        self.listener = listener
        self.user = user
        self.log = log
    }

    public var pollEntries: [PollEntry] {
        [PollEntry(reading: listener.rawValue)] + waiting.map { PollEntry(reading: $0.rawDescriptor) }
    }

    /// Takes new connections in, and reads what the waiting ones say.
    public func work(for service: JobService) {
        while let connection = next() { admit(connection) }
        waiting = waiting.filter { listen($0, service) }
        status.set(isConnected: !waiting.isEmpty || taken > 0)
    }

    /// A connection for a slot; nil while none waits.
    func take() -> FrameChannel? {
        guard !waiting.isEmpty else { return nil }
        taken += 1
        return waiting.removeFirst()
    }

    /// A connection that was taken has ended.
    func giveBack() { taken -= 1 }

    private func next() -> FileDescriptor? {
        do throws(Errno) { return try listener.acceptConnection() } catch { return nil }
    }

    private func admit(_ connection: consuming FileDescriptor) {
        let peer = try? connection.peer()
        guard peer?.userID == user else {
            log.warning("uid \(peer.map { "\($0.userID)" } ?? "?") is turned away from the fleet's socket, which is for uid \(user) alone")
            return
        }
        guard waiting.count < FleetDoor.mostWaiting else { return }
        waiting.append(FrameChannel(owning: connection, limit: workerFrameLimit))
    }

    /// False when the connection is of no more use.
    private func listen(_ channel: FrameChannel, _ service: JobService) -> Bool {
        do {
            while true {
                switch try channel.receive(timeout: .zero) {
                case .timedOut: return true
                case .endOfStream: return false
                case .frame(let bytes):
                    switch try PlaceEvent(json: JSONValue(parsing: bytes)) {
                    case .pool(let state): status.set(state)
                    case .kept(let jobs):
                        for id in jobs.compactMap({ JobIdentifier($0) }) where !service.isWanted(id) {
                            try channel.send(PlaceCommand.recorded(job: id.text).json.bytes(), timeout: FleetDoor.sendTimeout)
                        }
                    default: throw JSONError("it is not about the pool")
                    }
                }
            }
        } catch {
            log.error("sorad-fleet sent something that cannot be used: \(error)")
            return false
        }
    }
}
