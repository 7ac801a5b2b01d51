// A bound datagram socket in a folder of its own: the journal, or the service manager, of a test.
import Glibc
import SoradSystem
import Testing

final class DatagramSocket {
    let path: String
    private let folder: String
    private let descriptor: Int32

    init() throws {
        folder = "/tmp/sorad-datagram-" + randomBytes(8).map { String($0, radix: 16) }.joined()
        try makeDirectories(folder)
        path = folder + "/socket"
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
    }

    deinit {
        close(descriptor)
        try? removeDirectory(folder)
    }

    /// One datagram that has arrived.
    struct Received {
        let bytes: [UInt8]
        /// Of a file that came with it.
        var fileBytes: [UInt8]?
        /// Whether nobody can write to that file any more.
        var isSealed = false
    }

    /// The next datagram; fails when none has arrived.
    func receive() throws -> Received {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // Room for one descriptor behind the head of a control message.
        var control = [UInt64](repeating: 0, count: 8)
        var (count, file) = (-1, Int32(-1))
        unsafe buffer.withUnsafeMutableBytes { bytes in
            var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            unsafe control.withUnsafeMutableBytes { control in
                unsafe withUnsafeMutablePointer(to: &part) { part in
                    var message = unsafe msghdr(
                        msg_name: nil, msg_namelen: 0, msg_iov: part, msg_iovlen: 1, msg_control: control.baseAddress,
                        msg_controllen: control.count, msg_flags: 0)
                    count = unsafe recvmsg(descriptor, &message, Int32(MSG_DONTWAIT))
                    let head = MemoryLayout<cmsghdr>.size
                    if unsafe message.msg_controllen >= head + 4 { file = unsafe control.load(fromByteOffset: head, as: Int32.self) }
                }
            }
        }
        try #require(count >= 0)
        var received = Received(bytes: Array(buffer.prefix(count)))
        guard file >= 0 else { return received }
        let sent = FileDescriptor(owning: file)
        received.fileBytes = try sent.read(at: 0, count: try sent.regularFileSize())
        do { try sent.write([1]) } catch { received.isSealed = true }
        return received
    }
}
