// Carries TCP connections of this machine to the daemon's Unix socket, byte by byte, in a thread of its own.
// Invariant: every connection first gives up the identity that the kernel would tell of it, so whoever reaches the port has no rights
// without a key; Host and Origin are checked by the daemon as on its own port.
import SoradSystem

final class Forwarder {
    private let thread: SystemThread

    /// Carries until the process ends.
    init(from listener: ListeningSocket, to path: String) throws(SoradError) {
        do throws(Errno) {
            thread = try SystemThread(name: "forwarder") { ForwarderLoop(listener, path).run() }
        } catch { throw SoradError(.internalFault, "cannot start a thread: \(error.reason)") }
    }
}

private final class ForwarderLoop {
    private static let mostConnections = 64

    private let listener: ListeningSocket
    private let path: String
    private var connections: [CarriedConnection] = []
    private var scratch = [UInt8](repeating: 0, count: 64 << 10)

    init(_ listener: ListeningSocket, _ path: String) {
        self.listener = listener
        self.path = path
    }

    func run() {
        while true {
            var entries = connections.flatMap(\.pollEntries)
            if connections.count < ForwarderLoop.mostConnections { entries.append(PollEntry(reading: listener.descriptor.rawValue)) }
            do throws(Errno) { try poll(&entries, timeout: nil) } catch { preconditionFailure("poll: \(error)") }
            for connection in connections { connection.carry(&scratch) }
            connections.removeAll(where: \.isOver)
            // One that could not be accepted leaves its client with a closed connection.
            do throws(Errno) { try acceptConnections() } catch {}
        }
    }

    private func acceptConnections() throws(Errno) {
        while connections.count < ForwarderLoop.mostConnections {
            guard let client = try listener.descriptor.acceptConnection() else { return }
            if let connection = CarriedConnection(client, path) { connections.append(connection) }
        }
    }
}

private final class CarriedConnection {
    /// Bytes on their way in one direction.
    private struct Direction {
        var bytes: [UInt8] = []
        var sent = 0
        var inputEnded = false
        var isOver = false
    }

    private let client, daemon: FileDescriptor
    private var toDaemon = Direction()
    private var toClient = Direction()
    private(set) var isOver = false

    private static let surrender = Array(
        "POST /v1/browser_sessions/surrender HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".utf8)

    /// nil when the daemon cannot be reached or does not take the identity away.
    init?(_ client: consuming FileDescriptor, _ path: String) {
        do throws(Errno) {
            let daemon = try FileDescriptor(connectedTo: path, timeout: .seconds(5))
            guard try CarriedConnection.isSurrendered(daemon) else { return nil }
            self.daemon = daemon
            self.client = client
        } catch { return nil }
    }

    private static func isSurrendered(_ daemon: borrowing FileDescriptor) throws(Errno) -> Bool {
        guard try daemon.send(surrender, from: 0) == surrender.count else { return false }
        var answer: [UInt8] = []
        var scratch = [UInt8](repeating: 0, count: 4096)
        let end = Array("\r\n\r\n".utf8)
        while !answer.suffix(4).elementsEqual(end) {
            guard answer.count < 4096, try waitUntilReady(PollEntry(reading: daemon.rawValue), timeout: .seconds(5)) else { return false }
            guard let count = try daemon.receive(into: &scratch) else { continue }
            guard count > 0 else { return false }
            answer += scratch[..<count]
        }
        return answer.starts(with: "HTTP/1.1 204 ".utf8)
    }

    var pollEntries: [PollEntry] {
        var entries: [PollEntry] = []
        for (direction, source, target) in [
            (toDaemon, client.rawValue, daemon.rawValue), (toClient, daemon.rawValue, client.rawValue),
        ] {
            if direction.sent < direction.bytes.count {
                entries.append(PollEntry(writing: target))
            } else if !direction.inputEnded {
                entries.append(PollEntry(reading: source))
            }
        }
        return entries
    }

    /// Moves what can be moved now.
    func carry(_ scratch: inout [UInt8]) {
        do throws(Errno) {
            try CarriedConnection.move(&toDaemon, from: client, to: daemon, &scratch)
            try CarriedConnection.move(&toClient, from: daemon, to: client, &scratch)
            // The daemon speaks last: after its end nobody waits for anything.
            isOver = toClient.isOver
        } catch { isOver = true }
    }

    private static func move(
        _ direction: inout Direction, from source: borrowing FileDescriptor, to target: borrowing FileDescriptor, _ scratch: inout [UInt8]
    ) throws(Errno) {
        while !direction.isOver {
            while direction.sent < direction.bytes.count {
                guard let count = try target.send(direction.bytes, from: direction.sent) else { return }
                direction.sent += count
            }
            direction.bytes = []
            direction.sent = 0
            if direction.inputEnded {
                target.finishSending()
                direction.isOver = true
                return
            }
            guard let count = try source.receive(into: &scratch) else { return }
            if count == 0 { direction.inputEnded = true } else { direction.bytes = Array(scratch[..<count]) }
        }
    }
}
