// The client's socket: sends and receives with deadlines, and explains failures in plain words.
import Glibc
package import SoradSystem

package struct ClientConnection: ~Copyable {
    private let socket: FileDescriptor
    private let path: String
    private var scratch = [UInt8](repeating: 0, count: 64 << 10)
    /// Answers have come over it before, so that its end may only mean that the server tired of waiting.
    var isReused = false

    init(path: String, timeout: Duration) throws(SoradError) {
        self.path = path
        do throws(Errno) { socket = try FileDescriptor(connectedTo: path, timeout: timeout) } catch {
            throw ClientConnection.cannotConnect(path, error, timeout)
        }
    }

    /// The operator's explanation of a failed connect(2).
    package static func cannotConnect(_ path: String, _ error: Errno, _ timeout: Duration) -> SoradError {
        let message = { (reason: String) in "cannot connect to \(path): \(reason)" }
        switch error.code {
        case ENOENT: return SoradError(.unavailable, message("no such socket"), hint: "start the daemon: sudo systemctl start sorad.socket")
        case EACCES:
            return SoradError(.permission, message("permission denied"), hint: wayIn(to: path))
        case ECONNREFUSED:
            return SoradError(
                .unavailable, message("connection refused, nothing listens there"),
                hint: "start the daemon: sudo systemctl restart sorad.socket")
        case EAGAIN: return SoradError(.timedOut, message("the daemon took no new connection for \(timeout)"), hint: "try again later")
        case ENAMETOOLONG: return SoradError(.usage, message("a socket's path may have at most 107 bytes"))
        default: return SoradError(.unavailable, message(error.reason.lowercased()))
        }
    }

    /// How a user comes to be let in: by the group that the socket itself has.
    private static func wayIn(to path: String) -> String {
        guard let socket = FilePlace(path, followingLinks: true) else { return "ask who may enter the folder: namei -l \(path)" }
        // Nobody joins root's group for a socket.
        if socket.mode & 0o020 != 0, socket.group != 0, let group = groupName(socket.group) {
            return "sudo usermod -aG \(group) $USER, then log in again"
        }
        return "it is for the user \(userName(socket.owner) ?? "\(socket.owner)") alone"
    }

    /// Sends all of `bytes`. False when the server has closed its end: it may have answered early.
    mutating func send(_ bytes: [UInt8], within timeout: Duration) throws(SoradError) -> Bool {
        var sent = 0
        do throws(Errno) {
            while sent < bytes.count {
                if let count = try socket.send(bytes, from: sent) {
                    sent += count
                } else if try !waitUntilReady(PollEntry(writing: socket.rawValue), timeout: timeout) {
                    throw Errno(code: ETIMEDOUT, call: "send")
                }
            }
            return true
        } catch {
            if error.code == ETIMEDOUT { throw timedOut(timeout) }
            if error.code == EPIPE || error.code == ECONNRESET { return false }
            throw broken(error.reason)
        }
    }

    /// The bytes that have arrived; nil at the end of the connection.
    mutating func receive(within timeout: Duration?) throws(SoradError) -> ArraySlice<UInt8>? {
        do throws(Errno) {
            while true {
                if let count = try socket.receive(into: &scratch) { return count == 0 ? nil : scratch[..<count] }
                guard try waitUntilReady(PollEntry(reading: socket.rawValue), timeout: timeout) else {
                    throw Errno(code: ETIMEDOUT, call: "receive")
                }
            }
        } catch {
            if error.code == ETIMEDOUT { throw timedOut(timeout ?? .zero) }
            if error.code == ECONNRESET { return nil }
            throw broken(error.reason)
        }
    }

    private func timedOut(_ timeout: Duration) -> SoradError {
        SoradError(.timedOut, "\(path): the daemon did not answer within \(timeout)")
    }

    private func broken(_ reason: String) -> SoradError {
        SoradError(.unavailable, "\(path): the connection broke: \(reason.lowercased())")
    }
}
