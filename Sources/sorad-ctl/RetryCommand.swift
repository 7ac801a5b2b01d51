// `sorad-ctl retry ID…`: the same request again. Everything that the daemon keeps of a request is in its Video; pictures and clips that were
// sent along are not, so a clip that was made from one is refused with the way to it.
import SoradAPI
import SoradSystem

/// The fields of a Video that are fields of a request too.
private let kept = [
    "prompt", "model", "num_frames", "fps", "seed", "negative_prompt", "num_inference_steps", "guidance_scale", "guidance_scale_2",
    "guidance_interval", "cache", "flow_shift", "sigmas", "conditioning_scale",
    "priority", "storyboard",
]

func retryJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let id = try daemon.identifier(arguments.words.first ?? "latest")
    let video = try daemon.video(id)
    try makeClip(arguments, prompt: video.prompt) { (flags, daemon) throws(SoradError) in
        var fields = requestFields(of: video)
        // What is said now counts more than what was said then; -1 is another seed.
        for member in flags.members { fields[member.key] = member.value }
        if arguments["seed"] == "-1" { fields["seed"] = nil }
        let given = video.details.given
        if let source = video.remixedFromVideoID, !given.contains("mask"), !given.contains("reference_images") {
            for name in ["model", "size", "num_frames", "fps"] { fields[name] = nil }
            fields["strength"] = video.details.strength.map { .double($0) }
            return try daemon.remix(source, fields)
        }
        guard given.isEmpty else {
            throw SoradError(
                .badInput, "\(id) was made from a picture or another clip, and the daemon does not keep how",
                hint: "give the command that made it again")
        }
        return try daemon.create(fields)
    }
}

private func requestFields(of video: Video) -> JSONObject {
    let json = video.json
    var fields = JSONObject()
    for name in kept {
        if let value = json[name], value != .null { fields[name] = value }
    }
    // Of a scene, what was asked; the rest is what became of it.
    if let scenes = fields["storyboard"]?.array {
        fields["storyboard"] = .array(
            scenes.map { scene in
                var asked = JSONObject()
                for name in ["prompt", "num_frames"] { asked[name] = scene[name] }
                return .object(asked)
            })
    }
    fields["size"] = .string(video.size)
    // Size, rate and frames of the Video are those behind these stages.
    let details = video.details
    if let factor = details.upscale, let width = details.width, let height = details.height {
        fields["upscale"] = .integer(factor)
        fields["size"] = .string("\(width / factor)x\(height / factor)")
    }
    if let factor = details.interpolate, let seconds = details.durationSeconds, let fps = details.fps {
        fields["interpolate"] = .integer(factor)
        fields["fps"] = .integer(fps / factor)
        fields["seconds"] = .double(seconds)
        fields["num_frames"] = nil
    }
    return fields
}
