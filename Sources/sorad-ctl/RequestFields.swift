// Owns the translation of `generate`'s flags into the fields of POST /v1/videos. Pure. Only what the user said is sent: defaults belong
// to the daemon, and so does the judgement of values.
import SoradAPI
import SoradSystem

/// The JSON body of a request for `prompt`.
func requestFields(prompt: String, flags: Invocation) -> JSONObject {
    var fields: JSONObject = ["prompt": .string(prompt)]
    fields["model"] = flags["--model"].map { .string($0) }
    fields["size"] = flags["--size"].map { .string($0) }
    fields["seconds"] = flags["--seconds"].map { .string($0) }
    fields["num_frames"] = flags["--frames"].map(wholeNumber)
    fields["fps"] = flags["--fps"].map(wholeNumber)
    fields["seed"] = flags["--seed"].map(wholeNumber)
    fields["num_inference_steps"] = flags["--steps"].map(wholeNumber)
    fields["guidance_scale"] = flags["--guidance"].map(number)
    fields["flow_shift"] = flags["--flow-shift"].map(number)
    fields["negative_prompt"] = flags["--negative"].map { .string($0) }
    return fields
}

private func wholeNumber(_ text: String) -> JSONValue {
    if let value = UInt64(text) { return .unsigned(value) }
    guard let value = Int(text) else { preconditionFailure("the parser let \"\(text)\" pass as a whole number") }
    return .integer(value)
}

private func number(_ text: String) -> JSONValue {
    guard let value = Double(text), value.isFinite else { preconditionFailure("the parser let \"\(text)\" pass as a number") }
    return .double(value)
}
