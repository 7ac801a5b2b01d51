// How a request names pictures and clips: a file of the form, a `data:` URL, or a finished job. The daemon fetches nothing.
import SoradAPI
import SoradHTTP
import SoradSystem

/// A clip that a request names.
enum VideoReference {
    case upload(Upload)
    case job(String)
}

extension Fields {
    private static let pictureLimit = 32 << 20
    private static let urlLimit = 48 << 20

    /// A picture under `name`: a file, or `{"image_url": "data:…"}`, or the URL alone. nil when there is none.
    func picture(_ name: String) throws(APIError) -> Upload? {
        guard has(name) else { return nil }
        if isFile(name) { return try limited(file(name), name) }
        if let object = try? object(name) {
            guard !object.has("file_id") else {
                throw invalid(
                    name, "has a file_id, and sorad keeps no files; send the picture itself or a data: URL", code: "unsupported_parameter")
            }
            guard let url = try object.text("image_url", maxBytes: Fields.urlLimit) else { throw object.missing("image_url") }
            return try limited(picture(url: url, name), name)
        }
        if let url = try? text(name, maxBytes: Fields.urlLimit) { return try limited(picture(url: url, name), name) }
        let elements = try list(name)
        guard elements.count == 1, elements[0].isFile("value") else { throw invalid(name, "must be one picture", code: "invalid_type") }
        return try limited(elements[0].file("value"), name)
    }

    /// A clip under `name`: a file, or `{"id": "video_…"}`, or the id alone. nil when there is none.
    func video(_ name: String) throws(APIError) -> VideoReference? {
        guard has(name) else { return nil }
        if isFile(name), let upload = try file(name) { return .upload(upload) }
        if let id = try? text(name, maxBytes: 1024) { return .job(id) }
        guard let object = try object(name) else { return nil }
        return .job(try object.requiredText("id", maxBytes: 1024))
    }

    private func picture(url: String, _ name: String) throws(APIError) -> Upload {
        if let bytes = dataURLContent(url) { return Upload(bytes: bytes) }
        let head = url.prefix(8).lowercased()
        if head.hasPrefix("http:") || head.hasPrefix("https:") {
            throw invalid(
                name, "is a web address, and sorad makes no outgoing connections; send the picture itself or a data: URL",
                code: "unsupported_parameter")
        }
        throw invalid(name, "must be a picture, or a URL of the form data:image/png;base64,…")
    }

    private func limited(_ upload: Upload?, _ name: String) throws(APIError) -> Upload {
        guard let upload, upload.size > 0 else { throw invalid(name, "is empty; give a PNG, JPEG or WebP picture") }
        guard upload.size <= Fields.pictureLimit else {
            throw APIError(
                .contentTooLarge, "the field \"\(name)\" has \(upload.size) bytes, and a picture may have \(Fields.pictureLimit)",
                param: name, code: "file_too_large")
        }
        return upload
    }
}
