// TCP sockets that listen: addresses as operators write them, and the listener with the address that it has.
import CSoradLinux
import Glibc

/// A numeric address and a port: "127.0.0.1:8080", "[::1]:8080".
public struct NetworkAddress: Sendable, Equatable, CustomStringConvertible {
    /// Without brackets.
    public let host: String
    public let port: UInt16
    /// Reached from this machine alone.
    public let isLoopback: Bool

    /// nil for text of another form; names are not looked up.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    init?(host: String, port: UInt16) {
        let kind = unsafe sorad_linux_address_kind(host)
        guard kind != 0 else { return nil }
        self.host = host
        self.port = port
        isLoopback = kind == 1
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A listening socket with a name to print; closed with its last reference.
public final class ListeningSocket: Sendable {
    public let descriptor: FileDescriptor
    /// nil for a Unix socket.
    public let address: NetworkAddress?

    /// A listening Unix socket.
    public init(unix descriptor: consuming FileDescriptor) {
        self.descriptor = descriptor
        address = nil
    }

    /// A listening TCP socket.
    /// - Throws: EINVAL for another descriptor.
    public init(network descriptor: consuming FileDescriptor) throws(Errno) {
        let socket = descriptor.rawValue
        var host = [CChar](repeating: 0, count: 64)
        var port: UInt16 = 0
        try systemCall("getsockname") { unsafe sorad_linux_tcp_listener(socket, &host, host.count, &port) }
        let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let address = NetworkAddress(host: name, port: port) else { throw Errno(code: EINVAL, call: "getsockname") }
        self.address = address
        self.descriptor = descriptor
    }

    /// Listens at `address`; port 0 is a free one, and `address` then says which.
    public convenience init(listeningAt address: NetworkAddress, backlog: Int32 = 1024) throws(SoradError) {
        do throws(Errno) {
            try self.init(
                network: FileDescriptor(
                    owning: try systemCall("listen") { unsafe sorad_linux_tcp_listen(address.host, address.port, backlog) }))
        } catch {
            let isTaken = error.code == EADDRINUSE
            throw SoradError(
                .unavailable, "cannot listen on \(address): \(isTaken ? "another program listens there" : error.reason)",
                hint: isTaken ? "stop it, or choose another port" : nil)
        }
    }
}
