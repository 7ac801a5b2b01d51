import Glibc
import SoradSystem
import Testing

@Suite struct FileIdentityTests {
    @Test func everyChangeOfAFileIsSeen() throws {
        let directory = "/tmp/sorad-identity-" + randomBytes(8).map { String($0, radix: 16) }.joined()
        try makeDirectories(directory)
        defer { try? removeDirectory(directory) }
        let path = directory + "/file"
        try writeDurably([1, 2, 3], named: "file", in: directory)
        let first = try FileIdentity(path)
        #expect(try FileIdentity(path) == first)
        // A new file in its place, of the same size.
        try writeDurably([1, 2, 4], named: "file", in: directory)
        let second = try FileIdentity(path)
        #expect(second != first)
        // Rewritten in place, and the time of modification put back.
        usleep(20_000)
        do { try FileDescriptor(opening: path, flags: O_WRONLY).write([1, 2, 5]) }
        var times = [timespec(tv_sec: Int(second.modified / 1_000_000_000), tv_nsec: Int(second.modified % 1_000_000_000))]
        times.append(times[0])
        #expect(unsafe utimensat(AT_FDCWD, path, times, 0) == 0)
        let third = try FileIdentity(path)
        #expect(third.modified == second.modified && third.size == second.size && third.inode == second.inode)
        #expect(third != second)
        #expect(throws: Errno.self) { try FileIdentity(directory + "/missing") }
    }

    @Test func aFileIsSettledTwoSecondsAfterItsLastChange() throws {
        let identity = try FileIdentity("/")
        let changed = max(identity.modified, identity.changed) / 1_000_000
        #expect(!identity.isSettled(unixMilliseconds: changed))
        #expect(!identity.isSettled(unixMilliseconds: changed + 1_999))
        #expect(identity.isSettled(unixMilliseconds: changed + 2_000))
        #expect(!identity.isSettled(unixMilliseconds: changed - 1_000_000))
    }
}
