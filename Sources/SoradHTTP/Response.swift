// An answer: status, header fields and a body that is bytes, part of a file, or a stream that is still being written.
// The server adds date, content-length or transfer-encoding, x-request-id and connection; nobody else sets those.
public import SoradSystem

public struct Response: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        case file(FileRegion)
        case stream(BodyStream)
    }

    public var status: Status
    public var headers: Headers
    public var body: Body
    /// From the next request on, the connection is one that needs keys: it gives up what the kernel says of its client.
    public var surrendersIdentity = false

    public init(_ status: Status = .ok, headers: Headers = Headers(), body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    public static func json(_ value: some JSONRepresentable, status: Status = .ok, headers: Headers = Headers()) -> Response {
        var response = Response(status, headers: headers, body: .bytes(value.json.bytes()))
        response.headers["content-type"] = "application/json"
        return response
    }

    public static func text(_ text: String, status: Status = .ok, contentType: String = "text/plain; charset=utf-8") -> Response {
        Response(status, headers: ["content-type": contentType], body: .bytes(Array(text.utf8)))
    }

    /// Server-sent events: the caller keeps the stream and writes `ServerSentEvent`s to it.
    public static func events(_ stream: BodyStream) -> Response {
        Response(headers: ["content-type": "text/event-stream", "cache-control": "no-store"], body: .stream(stream))
    }
}

/// An open regular file that answers may share.
public final class OpenFile: Sendable {
    let descriptor: FileDescriptor
    /// Bytes at the time of opening.
    public let size: Int

    /// Opens the regular file at `path` for reading; never follows a symbolic link in the last component.
    /// Throws `.notFound` when there is none, `.internalFault` otherwise.
    public init(path: String) throws(SoradError) {
        do throws(Errno) {
            descriptor = try FileDescriptor(openingForReading: path)
            size = try descriptor.regularFileSize()
        } catch {
            throw SoradError(error.isNoSuchFile ? .notFound : .internalFault, "cannot read \(path): \(error.reason)")
        }
    }
}

/// Bytes `offset ..< offset + length` of a file.
public struct FileRegion: Sendable {
    public let file: OpenFile
    public let offset: Int
    public let length: Int

    public init(_ file: OpenFile, offset: Int, length: Int) {
        precondition(
            offset >= 0 && length >= 0 && offset <= file.size && length <= file.size - offset, "\(offset)+\(length) of \(file.size)")
        self.file = file
        self.offset = offset
        self.length = length
    }
}

extension Response {
    /// The answer to a handler's error.
    init(failure error: any Error) { self = APIError(anything: error).response }
}
