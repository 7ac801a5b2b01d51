// Bytes to requests: RFC 9112 as a state machine without I/O. `append` bytes, then call `next` until it gives nil.
// Invariant: the events depend on the bytes alone, not on how they were cut; after an error nothing more comes.

/// The head of a request whose framing is sound.
package struct RequestHead: Sendable, Equatable {
    /// nil: a well-formed method that is not known here (501).
    package var method: Method?
    /// As it was sent.
    package var methodName: String
    package var target: RequestTarget
    package var minorVersion: Int
    package var headers: Headers
    package var framing: BodyFraming
    /// May the connection serve another request afterwards, as far as the client is concerned.
    package var keepAlive: Bool
    package var expectation: Expectation

    package enum Expectation: Sendable, Equatable {
        case none, `continue`, unknown
    }
}

package struct RequestParser {
    package enum Event: Equatable {
        case head(RequestHead)
        case body([UInt8])
        case end
    }

    private enum State {
        case startLine(emptyLineSeen: Bool)
        case headers(StartLine, HeaderSection)
        case body(BodyDecoder)
        case failed(WireError)
    }

    private struct StartLine {
        var methodName: String
        var target: RequestTarget
        var minorVersion: Int
    }

    private var queue = ByteQueue()
    private var state = State.startLine(emptyLineSeen: false)
    private let settings: ServerSettings

    package init(settings: ServerSettings) { self.settings = settings }

    package mutating func append(_ bytes: ArraySlice<UInt8>) { queue.append(bytes) }

    /// Bytes wait to be parsed.
    package var hasInput: Bool { !queue.isEmpty }

    package mutating func next() throws(WireError) -> Event? {
        do throws(WireError) { return try step() } catch {
            state = .failed(error)
            throw error
        }
    }

    private mutating func step() throws(WireError) -> Event? {
        while true {
            switch state {
            case .failed(let error): throw error
            case .startLine(let emptyLineSeen):
                guard
                    let line = try queue.line(
                        limit: settings.requestLine,
                        tooLong: WireError("its first line is longer than \(settings.requestLine) bytes", status: .uriTooLong))
                else { return nil }
                if line.isEmpty {
                    // RFC 9112 section 2.2 asks to skip one.
                    guard !emptyLineSeen else { throw WireError("it begins with more than one empty line") }
                    state = .startLine(emptyLineSeen: true)
                    continue
                }
                let limits = HeaderSection.Limits(line: settings.headerLine, fields: settings.headerFields, bytes: settings.headerBytes)
                state = .headers(try RequestParser.startLine(line), HeaderSection(limits: limits))
            case .headers(let startLine, var section):
                guard try section.read(from: &queue) else {
                    state = .headers(startLine, section)
                    return nil
                }
                let head = try RequestParser.head(startLine, section.headers)
                state = .body(BodyDecoder(head.framing))
                return .head(head)
            case .body(var decoder):
                let event = try decoder.next(from: &queue)
                state = .body(decoder)
                switch event {
                case nil: return nil
                case .bytes(let bytes): return .body(bytes)
                case .end:
                    state = .startLine(emptyLineSeen: false)
                    return .end
                }
            }
        }
    }

    /// `method SP target SP HTTP-version`.
    private static func startLine(_ line: [UInt8]) throws(WireError) -> StartLine {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isTokenByte), !parts[1].isEmpty else {
            throw WireError("its first line is not \"METHOD target HTTP/1.1\"")
        }
        let version = Array(parts[2])
        let isDigit = { (byte: UInt8) in byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
        guard version.count == 8, version.prefix(5).elementsEqual("HTTP/".utf8), isDigit(version[5]), version[6] == UInt8(ascii: "."),
            isDigit(version[7])
        else { throw WireError("its first line does not end in an HTTP version") }
        guard version[5] == UInt8(ascii: "1") else { throw WireError("only HTTP/1.1 is spoken here", status: .versionNotSupported) }
        let methodName = String(decoding: parts[0], as: UTF8.self)
        // The targets of methods not known here (OPTIONS *, CONNECT host:port) need not make sense: the method is refused.
        let target = Method(rawValue: methodName) == nil ? (try? RequestTarget(parts[1])) ?? .root : try RequestTarget(parts[1])
        return StartLine(
            methodName: methodName, target: target,
            minorVersion: Int(version[7] - UInt8(ascii: "0")))
    }

    private static func head(_ startLine: StartLine, _ headers: Headers) throws(WireError) -> RequestHead {
        let hosts = headers.all("host")
        guard hosts.count <= 1 else { throw WireError("it has more than one Host") }
        guard hosts.count == 1 || startLine.minorVersion == 0 else { throw WireError("it has no Host") }
        guard hosts.allSatisfy({ Authority.isValid(Array($0.utf8)[...]) }) else { throw WireError("its Host is not a host") }
        let framing = try BodyFraming(headers: headers, minorVersion: startLine.minorVersion) ?? .none
        let connection = headers.tokens("connection")
        let expectations = headers.tokens("expect")
        // RFC 9110 section 10.1.1: HTTP/1.0 has no expectations.
        let expectation: RequestHead.Expectation =
            expectations.isEmpty || startLine.minorVersion == 0 ? .none : expectations == ["100-continue"] ? .continue : .unknown
        return RequestHead(
            method: Method(rawValue: startLine.methodName), methodName: startLine.methodName, target: startLine.target,
            minorVersion: startLine.minorVersion, headers: headers, framing: framing,
            keepAlive: startLine.minorVersion >= 1 && !connection.contains("close"), expectation: expectation)
    }
}
