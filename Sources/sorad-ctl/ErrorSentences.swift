// Owns how an error is said: in the words of the command line, where the daemon speaks of fields of its API; and as JSON for programs.
import SoradSystem

/// The options and arguments that become fields of requests.
let flagsOfFields = [
    "prompt": "PROMPT", "model": "--model", "size": "--size", "seconds": "--seconds", "num_frames": "--frames", "fps": "--fps",
    "seed": "--seed", "num_inference_steps": "--steps", "guidance_scale": "--guidance", "flow_shift": "--flow-shift",
    "guidance_scale_2": "--guidance-2", "guidance_interval": "--guidance-interval", "cache": "--cache", "sigmas": "--sigmas",
    "timesteps": "--timesteps",
    "negative_prompt": "--negative", "reuse": "--reuse", "priority": "--priority", "strength": "--strength", "input_reference": "--image",
    "end_image": "--end-image", "end_video": "--join", "direction": "--backwards", "loop": "--loop", "storyboard": "--scene",
    "reference_images": "--reference", "conditioning_scale": "--conditioning-scale", "mask": "--mask", "upscale": "--upscale",
    "interpolate": "--interpolate", "video": "FILE or ID", "file": "FILE",
]

/// What to do about refusals whose sentence does not say it, by their code.
private let hintsOfCodes = [
    "no_model": "sorad-ctl models lists what is installed; sudo sorad-ctl models import FILE adds a model",
    "draining": "wait, or ask an administrator for: sudo sorad-ctl resume",
]

extension SoradError {
    /// The same with the options that the user typed in place of the fields that they became.
    var inFlags: SoradError {
        let said = inFlags(message)
        let sentence = flag.map { said.range(of: $0) == nil ? "\($0): \(said)" : said } ?? said
        return SoradError(
            kind, sentence, hint: code.flatMap { hintsOfCodes[$0] } ?? hint.map { inFlags($0) }, param: param, code: code,
            retryAfter: retryAfter)
    }

    /// The option at fault.
    var flag: String? {
        guard let name = param?.split(separator: "[").first.map(String.init) else { return nil }
        return flagsOfFields[name]
    }

    /// Names in quotes after "the field" always mean fields; bare ones only where they could be nothing else.
    private func inFlags(_ text: String) -> String {
        var words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        var index = 0
        while index < words.count {
            let (before, name, after) = SoradError.parts(words[index])
            if let flag = flagsOfFields[name] {
                let isNamed = index >= 2 && words[index - 2] == "the" && words[index - 1] == "field" && before == "\""
                if isNamed {
                    words.replaceSubrange(index - 2...index, with: [flag + after.drop { $0 == "\"" }])
                    index -= 2
                } else if name.contains("_") {
                    let isQuoted = before.hasSuffix("\"") && after.hasPrefix("\"")
                    words[index] = isQuoted ? before.dropLast() + flag + after.dropFirst() : before + flag + after
                }
            }
            index += 1
        }
        return words.joined(separator: " ")
    }

    /// A word without the punctuation around it.
    private static func parts(_ word: String) -> (before: String, name: String, after: String) {
        func isOfName(_ character: Character) -> Bool { character.isLetter || character == "_" }
        let before = word.prefix { !isOfName($0) }
        let name = word.dropFirst(before.count).prefix(while: isOfName)
        return (String(before), String(name), String(word.dropFirst(before.count + name.count)))
    }

    /// Says an error that does not end the command: as JSON where data are JSON.
    func note(_ arguments: Arguments) {
        if arguments.has("json") { return Console.note(json.text() + "\n") }
        Console.note("sorad-ctl: \(printable(message))\n" + (hint.map { "hint: \(printable($0))\n" } ?? ""))
    }

    /// `--json` has errors as one line on standard error.
    var json: JSONValue {
        var error: JSONObject = ["kind": .string(kind.rawValue), "message": .string(message), "exit_status": .integer(Int(exitCode))]
        error["hint"] = hint.map { .string($0) }
        error["code"] = code.map { .string($0) }
        error["field"] = param.map { .string($0) }
        error["flag"] = flag.map { .string($0) }
        error["retry_after"] = retryAfter.map { .integer($0) }
        return ["schema": "sorad.error/1", "error": .object(error)]
    }
}
