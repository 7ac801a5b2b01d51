// Stream sockets: listen, connect, accept, and transfers that never block and never raise SIGPIPE.
import CSoradLinux
import Glibc

/// Who is at the other end of a Unix socket, as the kernel says (SO_PEERCRED): the credentials at the time of connect(2).
public struct Peer: Sendable, Equatable, Hashable {
    public let processID: Int32
    public let userID: UInt32
    public let groupID: UInt32
    public let supplementaryGroups: [UInt32]

    /// Nobody is known: a connection that came by TCP. No user has this id.
    public static let nobody = Peer(processID: 0, userID: .max, groupID: .max)

    /// A user of whom nothing else is known, no group either.
    public init(user: UInt32) { self.init(processID: 0, userID: user, groupID: .max) }

    public init(processID: Int32, userID: UInt32, groupID: UInt32, supplementaryGroups: [UInt32] = []) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
        self.supplementaryGroups = supplementaryGroups
    }
}

extension FileDescriptor {
    /// A listening, non-blocking socket at `path` with `mode`. A leading "@" names the abstract namespace. The path must not exist.
    public init(listeningAt path: String, mode: UInt32 = 0o660, backlog: Int32 = 1024) throws(Errno) {
        var path = path
        self.init(
            owning: try systemCall("listen") {
                path.withUTF8 { utf8 in
                    unsafe utf8.withMemoryRebound(to: CChar.self) {
                        unsafe sorad_linux_stream_listen($0.baseAddress, $0.count, mode, backlog)
                    }
                }
            })
    }

    /// A non-blocking socket connected to `path`. Throws EAGAIN when the listener's backlog stays full for `timeout`.
    public init(connectedTo path: String, timeout: Duration) throws(Errno) {
        var path = path
        let milliseconds = Int32(clamping: max(1, timeout.nanoseconds / 1_000_000))
        self.init(
            owning: try systemCall("connect") {
                path.withUTF8 { utf8 in
                    unsafe utf8.withMemoryRebound(to: CChar.self) {
                        unsafe sorad_linux_stream_connect($0.baseAddress, $0.count, milliseconds)
                    }
                }
            })
    }

    /// The next waiting connection of a listener, non-blocking; nil when none waits.
    public borrowing func acceptConnection() throws(Errno) -> FileDescriptor? {
        let listener = rawValue
        do throws(Errno) {
            return FileDescriptor(owning: try systemCall("accept") { sorad_linux_stream_accept(listener) })
        } catch {
            // ECONNABORTED: the client left while it waited; the next one may be there.
            if error.code == EAGAIN || error.code == ECONNABORTED { return nil }
            throw error
        }
    }

    /// The other end of a connected Unix socket.
    public borrowing func peer() throws(Errno) -> Peer {
        let socket = rawValue
        var process: pid_t = 0
        var user: uid_t = 0
        var group: gid_t = 0
        try systemCall("getsockopt") { unsafe sorad_linux_peer_credentials(socket, &process, &user, &group) }
        var groups = [gid_t](repeating: 0, count: 32)
        var count = try systemCall("getsockopt") { unsafe sorad_linux_peer_groups(socket, &groups, groups.count) }
        if count > groups.count {
            groups = [gid_t](repeating: 0, count: Int(count))
            count = try systemCall("getsockopt") { unsafe sorad_linux_peer_groups(socket, &groups, groups.count) }
        }
        return Peer(
            processID: process, userID: user, groupID: group, supplementaryGroups: groups.prefix(Int(count)).map { UInt32($0) })
    }

    /// Receives into `buffer[0 ..< result]`; 0 is the end of the stream, nil means that nothing is there yet.
    public borrowing func receive(into buffer: inout [UInt8]) throws(Errno) -> Int? {
        let socket = rawValue
        do throws(Errno) {
            return try systemCall("recv") {
                unsafe buffer.withUnsafeMutableBytes { unsafe sorad_linux_stream_receive(socket, $0.baseAddress, $0.count) }
            }
        } catch {
            if error.code == EAGAIN { return nil }
            throw error
        }
    }

    /// Sends as much of `bytes[offset...]` as fits now; nil when nothing does.
    public borrowing func send(_ bytes: [UInt8], from offset: Int) throws(Errno) -> Int? {
        precondition(offset >= 0 && offset <= bytes.count, "offset \(offset) of \(bytes.count)")
        let socket = rawValue
        do throws(Errno) {
            return try systemCall("send") {
                unsafe bytes.withUnsafeBytes { bytes in
                    guard let base = bytes.baseAddress else { return 0 }
                    return unsafe sorad_linux_stream_send(socket, base + offset, bytes.count - offset)
                }
            }
        } catch {
            if error.code == EAGAIN { return nil }
            throw error
        }
    }

    /// Sends up to `count` bytes of `file` from `offset` without copying them through here; nil when nothing fits now, 0 at the file's end.
    public borrowing func send(file: borrowing FileDescriptor, offset: Int, count: Int) throws(Errno) -> Int? {
        let (socket, source) = (rawValue, file.rawValue)
        var position = off_t(offset)
        do throws(Errno) {
            return try systemCall("sendfile") { unsafe sendfile(socket, source, &position, min(count, 1 << 20)) }
        } catch {
            if error.code == EAGAIN { return nil }
            throw error
        }
    }

    /// Makes reads, writes and accepts return at once; a socket from systemd may still block.
    public borrowing func stopBlocking() throws(Errno) {
        let descriptor = rawValue
        try systemCall("fcntl") { sorad_linux_stop_blocking(descriptor) }
    }

    /// Tells the peer that nothing more comes. A peer that has gone already is no error.
    public borrowing func finishSending() {
        _ = sorad_linux_stream_finish(rawValue)
    }
}
