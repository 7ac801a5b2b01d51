// The I/O thread: one epoll set with the listeners, the wake-up and every connection. Never waits for anything but that set, and sleeps
// without limit when nothing has a deadline.
// Invariant: `earliest` is never later than any connection's deadline, so that connections are searched only when one may be due.
import SoradSystem
import Synchronization

final class ServerLoop {
    private static let wakeToken: UInt64 = 0
    /// The first listener's; those of connections come after all of them.
    private static let firstListener: UInt64 = 1
    /// Connections that leave memory behind which is worth giving back.
    private static let rush = 256

    private let listeners: [(socket: ListeningSocket, door: Door)]
    private let environment: ServerConnection.Environment
    private var poller: EventPoller
    private var connections: [UInt64: ServerConnection] = [:]
    private var registered: [UInt64: Interest] = [:]
    private let counts: ConnectionCounts
    private var nextID: UInt64
    /// Connections that came without an identity, the oldest first; those that have shown a key or ended are left out when they are met.
    private var anonymous: [UInt64] = []
    private var scratch = [UInt8](repeating: 0, count: 64 << 10)
    private var earliest: MonotonicTime?
    private var isListening = false
    /// The most connections since the memory of a rush was given back.
    private var peak = 0
    /// Set after accept(2) failed for want of descriptors or memory.
    private var acceptAgain: MonotonicTime?
    private var stopBy: MonotonicTime?

    private struct Interest: Equatable {
        var reading: Bool
        var writing: Bool
    }

    init(listeners: [(socket: ListeningSocket, door: Door)], environment: ServerConnection.Environment) throws(Errno) {
        self.listeners = listeners
        self.environment = environment
        counts = ConnectionCounts(limit: environment.settings.connectionsPerUser)
        nextID = ServerLoop.firstListener + UInt64(listeners.count)
        poller = try EventPoller()
        try poller.add(environment.inbox.wake.rawDescriptor, token: ServerLoop.wakeToken, reading: true, writing: false)
    }

    private var settings: ServerSettings { environment.settings }
    private var now: MonotonicTime { environment.clock.monotonic() }
    private var connectionLimit: Int { settings.connections + settings.shedConnections }

    /// Until stopped.
    func run() {
        do throws(Errno) {
            while stopBy == nil || !connections.isEmpty {
                try updateListening()
                let events = try poller.wait(timeout: timeUntilNextDeadline())
                for event in events { try handle(event) }
                try expireDueConnections()
            }
        } catch {
            environment.observer(.fault("the HTTP server cannot continue: \(error)"))
            preconditionFailure("HTTP server: \(error)")
        }
    }

    private func timeUntilNextDeadline() -> Duration? {
        let due = [earliest, acceptAgain, stopBy].compactMap { $0 }.min()
        return due.map { max(.zero, $0 - now) }
    }

    private func handle(_ event: EventPoller.Event) throws(Errno) {
        switch event.token {
        case ServerLoop.wakeToken: try readInbox()
        case ServerLoop.firstListener..<ServerLoop.firstListener + UInt64(listeners.count):
            try acceptConnections(listeners[Int(event.token - ServerLoop.firstListener)])
        default:
            guard let connection = connections[event.token] else { return }
            if event.isReadable && connection.wantsInput { connection.readable(&scratch) }
            if !connection.isClosed && event.isWritable { connection.writable() }
            // Both directions are over: whatever is under way has nobody to go to.
            if !connection.isClosed && event.isHungUp { connection.closeNow() }
            try update(connection)
        }
    }

    private func readInbox() throws(Errno) {
        environment.inbox.wake.take()
        for message in environment.inbox.takeAll() {
            switch message {
            case .answer(let id, let request, let response):
                guard let connection = connections[id] else {
                    ServerConnection.abandon(response)
                    continue
                }
                connection.answered(request, response)
                try update(connection)
            case .stream(let id):
                guard let connection = connections[id] else { continue }
                connection.streamHasBytes()
                try update(connection)
            case .revoked(let key):
                for connection in Array(connections.values) where connection.key == key {
                    connection.closeNow()
                    try update(connection)
                }
            case .stop(let time):
                stopBy = time
                for connection in Array(connections.values) {
                    connection.stop()
                    try update(connection)
                }
            }
        }
    }

    // MARK: connections

    private func updateListening() throws(Errno) {
        if let acceptAgain, acceptAgain <= now { self.acceptAgain = nil }
        let wanted = stopBy == nil && acceptAgain == nil && connections.count < connectionLimit
        guard wanted != isListening else { return }
        for (index, listener) in listeners.enumerated() {
            let descriptor = listener.socket.descriptor.rawValue
            if wanted {
                try poller.add(descriptor, token: ServerLoop.firstListener + UInt64(index), reading: true, writing: false)
            } else {
                try poller.remove(descriptor)
            }
        }
        isListening = wanted
    }

    private func acceptConnections(_ listener: (socket: ListeningSocket, door: Door)) throws(Errno) {
        // A bounded number at a time, so that a flood of clients does not keep the others waiting.
        for _ in 0..<64 where connections.count < connectionLimit {
            do throws(Errno) {
                guard let socket = try listener.socket.descriptor.acceptConnection() else { return }
                let peer = listener.socket.address == nil ? try socket.peer() : .nobody
                if peer == .nobody { try makeRoomForAnonymous() }
                try open(socket, peer, listener.door)
            } catch {
                environment.observer(.fault("a connection could not be accepted: \(error)"))
                acceptAgain = now + .milliseconds(100)
                return
            }
        }
    }

    /// Whoever has shown no key has few places, and no claim to keep one: a client with a key sends it at once.
    private func makeRoomForAnonymous() throws(Errno) {
        guard counts[.nobody] >= settings.anonymousConnections else { return }
        forgetKnown()
        guard let oldest = anonymous.first.flatMap({ connections[$0] }) else { return }
        oldest.closeNow()
        try update(oldest)
    }

    private func forgetKnown() { anonymous.removeAll { connections[$0]?.countedUser != Peer.nobody.userID } }

    private func open(_ socket: consuming FileDescriptor, _ peer: Peer, _ door: Door) throws(Errno) {
        let ofUser = counts[peer]
        // One user's surplus must not use up the places that are kept for refusals; that client sees its connection end.
        guard ofUser < settings.connectionsPerUser + max(1, settings.shedConnections / 2) else { return }
        let isShed = connections.count >= settings.connections || ofUser >= settings.connectionsPerUser
        let id = nextID
        nextID += 1
        try poller.add(socket.rawValue, token: id, reading: true, writing: false)
        let connection = ServerConnection(
            id: id, socket: socket, peer: peer, door: door, isShed: isShed, counts: counts, environment: environment)
        connections[id] = connection
        peak = max(peak, connections.count)
        registered[id] = Interest(reading: true, writing: false)
        counts.add(peer.userID)
        if peer == .nobody {
            if anonymous.count >= 2 * settings.anonymousConnections { forgetKnown() }
            anonymous.append(id)
        }
        environment.inbox.connections.wrappingAdd(1, ordering: .relaxed)
        noteDeadline(of: connection)
    }

    /// After anything happened to a connection: watch for its next event, or let it go.
    private func update(_ connection: ServerConnection) throws(Errno) {
        if connection.isClosed {
            try poller.remove(connection.socket.rawValue)
            connections[connection.id] = nil
            registered[connection.id] = nil
            counts.remove(connection.countedUser)
            environment.inbox.connections.wrappingSubtract(1, ordering: .relaxed)
            if peak >= ServerLoop.rush, connections.count <= peak / 4 {
                peak = connections.count
                MemoryHeadroom.trim()
            }
            return
        }
        let wanted = Interest(reading: connection.wantsInput, writing: connection.wantsOutput)
        if registered[connection.id] != wanted {
            try poller.modify(connection.socket.rawValue, token: connection.id, reading: wanted.reading, writing: wanted.writing)
            registered[connection.id] = wanted
        }
        noteDeadline(of: connection)
    }

    // MARK: deadlines

    private func noteDeadline(of connection: ServerConnection) {
        guard let deadline = connection.state.deadline else { return }
        earliest = earliest.map { min($0, deadline) } ?? deadline
    }

    private func expireDueConnections() throws(Errno) {
        let now = now
        if let stopBy, stopBy <= now {
            for connection in Array(connections.values) {
                connection.closeNow()
                try update(connection)
            }
            return
        }
        guard let earliest, earliest <= now else { return }
        self.earliest = nil
        for connection in Array(connections.values) {
            if let deadline = connection.state.deadline, deadline <= now { connection.expire() }
            try update(connection)
        }
    }
}
