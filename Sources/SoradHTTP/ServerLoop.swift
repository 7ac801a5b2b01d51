// The I/O thread: one epoll set with the listener, the wake-up and every connection. Never waits for anything but that set, and sleeps
// without limit when nothing has a deadline.
// Invariant: `earliest` is never later than any connection's deadline, so that connections are searched only when one may be due.
import SoradSystem
import Synchronization

final class ServerLoop {
    private static let listenerToken: UInt64 = 0
    private static let wakeToken: UInt64 = 1
    /// Connections that leave memory behind which is worth giving back.
    private static let rush = 256

    private let listener: FileDescriptor
    private let environment: ServerConnection.Environment
    private var poller: EventPoller
    private var connections: [UInt64: ServerConnection] = [:]
    private var registered: [UInt64: Interest] = [:]
    private var perUser: [UInt32: Int] = [:]
    private var nextID: UInt64 = 2
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

    init(listener: consuming FileDescriptor, environment: ServerConnection.Environment) throws(Errno) {
        self.listener = listener
        self.environment = environment
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
        case ServerLoop.listenerToken: try acceptConnections()
        case ServerLoop.wakeToken: try readInbox()
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
        if wanted {
            try poller.add(listener.rawValue, token: ServerLoop.listenerToken, reading: true, writing: false)
        } else {
            try poller.remove(listener.rawValue)
        }
        isListening = wanted
    }

    private func acceptConnections() throws(Errno) {
        // A bounded number at a time, so that a flood of clients does not keep the others waiting.
        for _ in 0..<64 where connections.count < connectionLimit {
            do throws(Errno) {
                guard let socket = try listener.acceptConnection() else { return }
                let peer = try socket.peer()
                try open(socket, peer)
            } catch {
                environment.observer(.fault("a connection could not be accepted: \(error)"))
                acceptAgain = now + .milliseconds(100)
                return
            }
        }
    }

    private func open(_ socket: consuming FileDescriptor, _ peer: Peer) throws(Errno) {
        let ofUser = perUser[peer.userID, default: 0]
        // One user's surplus must not use up the places that are kept for refusals; that client sees its connection end.
        guard ofUser < settings.connectionsPerUser + max(1, settings.shedConnections / 2) else { return }
        let isShed = connections.count >= settings.connections || ofUser >= settings.connectionsPerUser
        let id = nextID
        nextID += 1
        try poller.add(socket.rawValue, token: id, reading: true, writing: false)
        let connection = ServerConnection(id: id, socket: socket, peer: peer, isShed: isShed, environment: environment)
        connections[id] = connection
        peak = max(peak, connections.count)
        registered[id] = Interest(reading: true, writing: false)
        perUser[peer.userID] = ofUser + 1
        environment.inbox.connections.wrappingAdd(1, ordering: .relaxed)
        noteDeadline(of: connection)
    }

    /// After anything happened to a connection: watch for its next event, or let it go.
    private func update(_ connection: ServerConnection) throws(Errno) {
        if connection.isClosed {
            try poller.remove(connection.socket.rawValue)
            connections[connection.id] = nil
            registered[connection.id] = nil
            let left = perUser[connection.peer.userID, default: 1] - 1
            perUser[connection.peer.userID] = left == 0 ? nil : left
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
