// The bytes of an answer's head, and how its body is framed.
import SoradSystem

enum ResponseEncoder {
    struct Context {
        var requestID: String
        /// nil when the request could not be parsed.
        var method: Method?
        var minorVersion: Int
        var closes: Bool
        /// Seconds since 1970.
        var unixSeconds: Int
    }

    /// Whether the framing that `head` announces needs the connection to end after the body.
    static func needsClose(_ response: Response, _ context: Context) -> Bool {
        if case .stream = response.body { context.minorVersion == 0 } else { false }
    }

    /// Whether body bytes follow the head.
    static func sendsBody(_ response: Response, _ context: Context) -> Bool { context.method != .head && response.status.allowsBody }

    /// Status line and fields, ending with the empty line.
    static func head(_ response: Response, _ context: Context) -> [UInt8] {
        var text = "HTTP/1.1 \(response.status.code) \(response.status.reason)\r\n"
        let write = { (name: String, value: String) in
            precondition(name.utf8.allSatisfy(isTokenByte) && !name.isEmpty, "header name \(name)")
            precondition(value.utf8.allSatisfy { $0 == 9 || ($0 >= 0x20 && $0 != 0x7F) }, "a line end in header \(name)")
            text += "\(name): \(value)\r\n"
        }
        write("date", httpDate(context.unixSeconds))
        write("x-request-id", context.requestID)
        if context.closes { write("connection", "close") }
        if response.status.allowsBody {
            switch response.body {
            case .bytes(let bytes): write("content-length", String(bytes.count))
            case .file(let region): write("content-length", String(region.length))
            case .stream: if context.minorVersion >= 1 { write("transfer-encoding", "chunked") }
            }
        }
        let reserved: Set = ["date", "x-request-id", "connection", "content-length", "transfer-encoding"]
        for field in response.headers.fields {
            precondition(!reserved.contains(field.name), "the server alone sets \(field.name)")
            write(field.name, field.value)
        }
        text += "\r\n"
        return Array(text.utf8)
    }

    /// One chunk of a chunked body; `bytes` must not be empty, because an empty chunk ends the body.
    static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        precondition(!bytes.isEmpty, "an empty chunk")
        return Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A]
    }

    static let lastChunk: [UInt8] = Array("0\r\n\r\n".utf8)
    static let continueHead: [UInt8] = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
}

/// IMF-fixdate of RFC 9110 section 5.6.7, e.g. "Sun, 06 Nov 1994 08:49:37 GMT". `unixSeconds` ≥ 0.
package func httpDate(_ unixSeconds: Int) -> String {
    precondition(unixSeconds >= 0, "time \(unixSeconds)")
    let (days, second) = unixSeconds.quotientAndRemainder(dividingBy: 86_400)
    let (year, month, day) = civilDate(daysSince1970: days)
    let dayNames = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let two = { (value: Int) in value < 10 ? "0\(value)" : "\(value)" }
    return
        "\(dayNames[days % 7]), \(two(day)) \(monthNames[month - 1]) \(year) \(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) GMT"
}
