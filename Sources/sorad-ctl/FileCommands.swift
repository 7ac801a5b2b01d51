// The commands that send a file of one's own: edit, check. Small files go in JSON, large ones as a form.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

/// `sorad-ctl edit FILE|ID PROMPT`
func editClip(_ arguments: Arguments) throws(SoradError) {
    let source = arguments.words[0]
    let file = FilePlace(source, followingLinks: true).map { $0.kind != .directory } == true ? try clipFile(source) : nil
    try makeClip(arguments, prompt: arguments.words[1]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        if let path = arguments["mask"] { fields["mask"] = ["image_url": .string(try dataURL(of: path))] }
        try addReferences(to: &fields, arguments)
        guard let file else {
            fields["video"] = ["id": .string(try daemon.identifier(source))]
            return try daemon.edit(fields)
        }
        return try daemon.edit(fields, file: file)
    }
}

/// `sorad-ctl check FILE`: where a clip comes from, as far as it says so.
func checkFile(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let file = try clipFile(arguments.words[0])
    let answer: JSONValue
    do throws(SoradError) { answer = try daemon.checkProvenance(file) } catch { throw error.inFlags }
    let result = answer["results"]?.array?.first ?? .null
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.check/1", "file": .string(arguments.words[0])]
        for member in result.object?.members ?? [] { object[member.key] = member.value }
        return try Console.print(JSONValue.object(object).text())
    }
    let issuer = result["issuer"]?.string ?? "another program"
    let sentence: Span =
        switch result["origin"]?.string {
        case "this_sorad"?: Span("This very file was made by this sorad.", .green)
        case "another_sorad"?: Span("It says that \(issuer) made it; it is not known here, or was changed since.", .yellow)
        case "another_program"?: Span("It says that \(issuer) generated it.", .yellow)
        case "unknown"?: Span("It has a mark of its origin that cannot be read.", .yellow)
        default: Span("It does not say where it comes from.")
        }
    var rows: [(String, String)] = []
    for key in ["model", "generated_at", "video_id"] {
        if let value = result[key]?.string { rows.append((spaced(key), value)) }
    }
    if let producer = result["aigc"]?["content_producer"]?.string { rows.append(("producer", producer)) }
    if let id = result["aigc"]?["produce_id"]?.string { rows.append(("produce id", id)) }
    let evidence = result["evidence"]?.array?.compactMap(\.string) ?? []
    if !evidence.isEmpty { rows.append(("evidence", evidence.map { evidenceWords[$0] ?? $0 }.joined(separator: ", "))) }
    try Console.print([[sentence]] + facts(rows), arguments)
}

private let evidenceWords = [
    "xmp": "XMP (IPTC digital source type)", "comment": "comment", "c2pa": "C2PA manifest (signatures not checked)",
    "aigc": "AIGC label (GB 45438)",
]

/// A file to send, whole in memory.
struct ClipFile {
    let name: String
    let bytes: [UInt8]
}

/// Bytes that the daemon takes.
private let fileLimit = 256 << 20

private func clipFile(_ path: String) throws(SoradError) -> ClipFile {
    let size: Int
    let bytes: [UInt8]
    do throws(Errno) {
        let file = try FileDescriptor(opening: path, flags: O_RDONLY)
        size = try file.regularFileSize()
        bytes = try file.read(at: 0, count: min(size, fileLimit))
    } catch { throw SoradError(.notFound, "cannot read \(path): \(error.reason)") }
    guard size <= fileLimit else { throw SoradError(.badInput, "\(path) has \(size) bytes, and a clip may have \(fileLimit)") }
    return ClipFile(name: path, bytes: bytes)
}

extension DaemonConnection {
    fileprivate func edit(_ fields: JSONObject) throws(SoradError) -> Video {
        try client.fetch(ClientRequest(.post, "/v1/videos/edits", body: .json(.object(fields))))
    }

    fileprivate func edit(_ fields: JSONObject, file: ClipFile) throws(SoradError) -> Video {
        try client.fetch(ClientRequest(.post, "/v1/videos/edits", body: try form(fields, file, named: "video")))
    }

    fileprivate func checkProvenance(_ file: ClipFile) throws(SoradError) -> JSONValue {
        try client.fetch(ClientRequest(.post, "/v1/content_provenance_checks", body: try form([:], file, named: "file")))
    }

    /// multipart/form-data (RFC 7578); a field that is no text or number is written as a form writes it: name[member], name[].
    func form(_ fields: JSONObject, _ file: ClipFile, named name: String) throws(SoradError) -> ClientRequest.Body {
        let boundary = "sorad-\(randomBytes(16).map { String($0, radix: 16) }.joined())"
        var body: [UInt8] = []
        for (name, value) in fields.members.flatMap({ flat($0.key, $0.value) }) {
            body += "--\(boundary)\r\ncontent-disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8
        }
        let head = "content-disposition: form-data; name=\"\(name)\"; filename=\"clip\"\r\ncontent-type: application/octet-stream"
        body += "--\(boundary)\r\n\(head)\r\n\r\n".utf8
        body += file.bytes
        body += "\r\n--\(boundary)--\r\n".utf8
        return .bytes(body, contentType: "multipart/form-data; boundary=\(boundary)")
    }

    private func flat(_ name: String, _ value: JSONValue) -> [(String, String)] {
        switch value {
        case .object(let object): object.members.flatMap { flat("\(name)[\($0.key)]", $0.value) }
        case .array(let elements): elements.flatMap { flat("\(name)[]", $0) }
        case .string(let text): [(name, text)]
        default: [(name, value.text())]
        }
    }
}
