// Two connected descriptors: a socket pair (both ways) or a pipe (one way). Both ends are close-on-exec; a child process gets an end
// only by being handed it.
import CSoradLinux
import Glibc

/// Two connected AF_UNIX stream sockets.
@frozen public struct SocketPair: ~Copyable {
    public var first: FileDescriptor
    public var second: FileDescriptor

    public init() throws(Errno) {
        var ends: [Int32] = [-1, -1]
        try systemCall("socketpair") { unsafe sorad_linux_socketpair(&ends) }
        first = FileDescriptor(owning: ends[0])
        second = FileDescriptor(owning: ends[1])
    }
}

/// Bytes written to `writeEnd` can be read from `readEnd`.
@frozen public struct Pipe: ~Copyable {
    public var readEnd: FileDescriptor
    public var writeEnd: FileDescriptor

    public init() throws(Errno) {
        var ends: [Int32] = [-1, -1]
        try systemCall("pipe") { unsafe sorad_linux_pipe(&ends) }
        readEnd = FileDescriptor(owning: ends[0])
        writeEnd = FileDescriptor(owning: ends[1])
    }
}
