// Fixtures and temporary directories for the tests.
import Glibc
import SoradHTTP
import SoradSystem

/// A file under Tests/Fixtures.
func fixture(_ name: String, from source: String = #filePath) throws -> [UInt8] {
    let tests = source.split(separator: "/").dropLast(2).joined(separator: "/")
    let file = try FileDescriptor(openingForReading: "/\(tests)/Fixtures/\(name)")
    return try file.read(at: 0, count: try file.regularFileSize())
}

/// An empty directory that is removed afterwards, with the files in it.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = "/tmp/sorad-http-\(processIdentifier())-\(UInt64.random(in: 0...UInt64.max))"
    try systemCall("mkdir") { unsafe mkdir(directory, 0o700) }
    defer {
        for name in (try? fileNames(in: directory)) ?? [] { removeFile("\(directory)/\(name)") }
        _ = unsafe rmdir(directory)
    }
    return try body(directory)
}

/// Writes a new file.
func write(_ bytes: [UInt8], to path: String) throws {
    let file = try FileDescriptor(creating: path)
    try file.write(bytes)
}

/// Sleeps; for waiting on another thread, never for measuring.
func pause(_ duration: Duration) {
    _ = usleep(UInt32(duration.nanoseconds / 1000))
}

let openForWritingAndTruncate = O_WRONLY | O_TRUNC

func userIdentifier() -> UInt32 { Glibc.getuid() }

/// What the client says on EACCES, which the superuser never gets from the kernel.
func permissionDenied(path: String) -> SoradError {
    ClientConnection.cannotConnect(path, Errno(code: EACCES, call: "connect"), .seconds(1))
}
