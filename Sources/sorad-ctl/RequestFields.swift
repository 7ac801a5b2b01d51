// Owns the translation of flags into the fields of POST /v1/videos and its like. Only given values are sent: defaults belong
// to the daemon, and so does the judgement of values.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

/// The JSON body of a request for `prompt`.
func requestFields(prompt: String, flags: Arguments) -> JSONObject {
    var fields: JSONObject = ["prompt": .string(prompt)]
    fields["model"] = flags["model"].map { .string($0) }
    fields["size"] = flags["size"].map { .string($0) }
    fields["seconds"] = flags["seconds"].map { .string($0) }
    fields["num_frames"] = flags["frames"].map(wholeNumber)
    fields["fps"] = flags["fps"].map(wholeNumber)
    fields["seed"] = flags["seed"].map(wholeNumber)
    fields["num_inference_steps"] = flags["steps"].map(wholeNumber)
    fields["guidance_scale"] = flags["guidance"].map(number)
    fields["guidance_scale_2"] = flags["guidance-2"].map(number)
    fields["guidance_interval"] = flags["guidance-interval"].map { .string($0) }
    fields["cache"] = flags["cache"].map { .string($0) }
    fields["flow_shift"] = flags["flow-shift"].map(number)
    fields["sigmas"] = flags["sigmas"].map { .string($0) }
    fields["timesteps"] = flags["timesteps"].map { .string($0) }
    fields["upscale"] = flags["upscale"].map(wholeNumber)
    fields["interpolate"] = flags["interpolate"].map(wholeNumber)
    fields["negative_prompt"] = flags["negative"].map { .string($0) }
    let scenes = flags.all("scene").map(scene)
    if !scenes.isEmpty { fields["storyboard"] = .array(scenes) }
    if flags.has("reuse") { fields["reuse"] = true }
    fields["priority"] = flags["priority"].map(wholeNumber)
    fields["strength"] = flags["strength"].map(number)
    fields["conditioning_scale"] = flags["conditioning-scale"].map(number)
    return fields
}

/// The pictures that each --reference names.
func addReferences(to fields: inout JSONObject, _ flags: Arguments) throws(SoradError) {
    // Texts, which a form can list too.
    let pictures = try flags.all("reference").map { path throws(SoradError) in JSONValue.string(try dataURL(of: path)) }
    if !pictures.isEmpty { fields["reference_images"] = .array(pictures) }
}

/// "SECONDS:PROMPT"; the daemon judges both.
private func scene(_ text: String) -> JSONValue {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map { trimmed($0) }
    guard parts.count == 2 else { return ["prompt": .string(text)] }
    return ["seconds": .string(parts[0]), "prompt": .string(parts[1])]
}

private func trimmed(_ text: Substring) -> String {
    var text = text
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
}

/// The picture at `path`, which may be a pipe, as a `data:` URL; the daemon judges the file.
func dataURL(of path: String) throws(SoradError) -> String {
    var bytes: [UInt8] = []
    do throws(Errno) {
        let file = try FileDescriptor(opening: path, flags: O_RDONLY)
        while bytes.count <= pictureLimit {
            let more = try file.read(upTo: 1 << 20)
            guard !more.isEmpty else { break }
            bytes += more
        }
    } catch { throw SoradError(.notFound, "cannot read \(path): \(error.reason)") }
    guard bytes.count <= pictureLimit else {
        throw SoradError(.badInput, "\(path) has more bytes than the \(pictureLimit) of a picture", hint: "make it smaller first")
    }
    return "data:application/octet-stream;base64," + base64Encoded(bytes)
}

/// Bytes that still fit the body of one request as base64.
private let pictureLimit = 16 << 20

private func wholeNumber(_ text: String) -> JSONValue {
    if let value = UInt64(text) { return .unsigned(value) }
    guard let value = Int(text) else { preconditionFailure("the parser let \"\(text)\" pass as a whole number") }
    return .integer(value)
}

private func number(_ text: String) -> JSONValue {
    guard let value = Double(text), value.isFinite else { preconditionFailure("the parser let \"\(text)\" pass as a number") }
    return .double(value)
}
