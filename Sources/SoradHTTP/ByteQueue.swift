// Bytes that have arrived and are not used yet, and how lines are cut from them.

/// Appended at one end, taken at the other. Empty, it holds no memory.
struct ByteQueue {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Bytes at the front already searched for a line end, so that slow arrival costs no more than fast.
    private var searched = 0

    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ new: ArraySlice<UInt8>) { bytes.append(contentsOf: new) }

    /// The first `count` bytes (at most all), taken away.
    mutating func take(_ count: Int) -> [UInt8] {
        let taken = Array(bytes[start..<start + min(count, self.count)])
        drop(taken.count)
        return taken
    }

    private mutating func drop(_ count: Int) {
        start += count
        searched = 0
        if start == bytes.count {
            bytes = []
            start = 0
        } else if start >= 4096 && start * 2 >= bytes.count {
            bytes.removeFirst(start)
            start = 0
        }
    }

    /// The next line without its CRLF; nil until it is whole. Lines longer than `limit` bytes throw `tooLong`; a line feed without a
    /// carriage return, a carriage return without a line feed and NUL throw 400.
    mutating func line(limit: Int, tooLong: @autoclosure () -> WireError) throws(WireError) -> [UInt8]? {
        let searchStart = start + searched
        guard let end = bytes[searchStart...].firstIndex(of: 0x0A) else {
            searched = count
            // One byte more than the limit may be the carriage return.
            if count > limit + 1 { throw tooLong() }
            return nil
        }
        guard end - start - 1 <= limit else { throw tooLong() }
        guard end > start, bytes[end - 1] == 0x0D else { throw WireError("a line ends in a bare line feed; it must end in CR LF") }
        let line = Array(bytes[start..<end - 1])
        guard !line.contains(0x0D) else { throw WireError("a line contains a bare carriage return") }
        guard !line.contains(0) else { throw WireError("a line contains a NUL byte") }
        drop(end + 1 - start)
        return line
    }
}

/// A fault in the bytes of a message; the connection ends after it.
package struct WireError: Error, Equatable {
    package let status: Status
    /// A clause without a full stop.
    package let problem: String

    init(_ problem: String, status: Status = .badRequest) {
        self.status = status
        self.problem = problem
    }

    var apiError: APIError {
        let code: String
        switch status {
        case .contentTooLarge: code = "content_too_large"
        case .uriTooLong: code = "uri_too_long"
        case .headerFieldsTooLarge: code = "headers_too_large"
        case .notImplemented: code = "not_implemented"
        case .versionNotSupported: code = "version_not_supported"
        default: code = "malformed_request"
        }
        return APIError(status, "the request was refused: \(problem)", code: code)
    }
}

/// Characters of RFC 9110 section 5.6.2 (`tchar`).
func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"), UInt8(ascii: "'"),
        UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "^"), UInt8(ascii: "_"),
        UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
        true
    default: false
    }
}

/// The value of a hexadecimal digit.
func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
