// The one funnel for system calls that return -1 and set errno: EINTR is retried here and nowhere else.
import Glibc

/// An errno value with the call that gave it.
public struct Errno: Error, Sendable, Equatable, CustomStringConvertible {
    public let code: Int32
    public let call: String

    public init(code: Int32, call: String) {
        self.code = code
        self.call = call
    }

    /// The C library's own words for the code, e.g. "Permission denied".
    public var reason: String { unsafe String(cString: strerror(code)) }
    public var description: String { "\(call): \(reason)" }
}

/// Runs `body` until it is not interrupted. Throws `Errno` when it returns -1.
@discardableResult
public func systemCall<Result: BinaryInteger>(_ name: String, _ body: () -> Result) throws(Errno) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code == EINTR { continue }
        precondition(code != EBADF, "\(name) on a closed descriptor")
        throw Errno(code: code, call: name)
    }
}
