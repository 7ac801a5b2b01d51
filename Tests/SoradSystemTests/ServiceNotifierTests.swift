import Glibc
import SoradSystem
import Testing

@Suite struct ServiceNotifierTests {
    /// The kernel keeps some ten datagrams for a socket and then lets its senders wait.
    @Test func aManagerThatDoesNotReadHoldsNobodyForLong() throws {
        var template = Array("/tmp/sorad-notifier-XXXXXX".utf8CString)
        try #require(unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil })
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = folder + "/notify"
        defer {
            removeFile(path)
            unsafe rmdir(folder)
        }
        let manager = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try #require(manager >= 0)
        defer { close(manager) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(manager, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        let limit = try FileDescriptor(openingForReading: "/proc/sys/net/unix/max_dgram_qlen").read(upTo: 32)
        let fitting = try #require(Int(String(decoding: limit, as: UTF8.self).filter(\.isNumber)))
        let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": path])
        // The last ones find no room and are given up.
        for _ in 0..<(fitting + 2) { notifier.send("WATCHDOG=1") }
        var received = 0
        var buffer = [UInt8](repeating: 0, count: 64)
        while unsafe recv(manager, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0 { received += 1 }
        #expect((fitting...fitting + 1).contains(received))
    }
}
