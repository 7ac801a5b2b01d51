// `sorad-ctl generate`, `remix` and `extend`: create the job, watch it, save the clip. An interrupted wait cancels the job that it created.
import Glibc
import SoradAPI
import SoradSystem

/// Bytes of a prompt read from standard input; the daemon has its own, smaller limit and says so.
private let promptLimit = 1 << 20

func generate(_ invocation: Invocation) throws(SoradError) {
    try makeClip(invocation, prompt: invocation.arguments[0]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        for (flag, name) in [("--image", "input_reference"), ("--end-image", "end_image")] {
            if let path = invocation[flag] { fields[name] = ["image_url": .string(try dataURL(of: path))] }
        }
        return try daemon.create(fields)
    }
}

func remix(_ invocation: Invocation) throws(SoradError) {
    try makeClip(invocation, prompt: invocation.arguments[1]) { (fields, daemon) throws(SoradError) in
        try daemon.remix(invocation.arguments[0], fields)
    }
}

func extend(_ invocation: Invocation) throws(SoradError) {
    guard invocation.has("--seconds") || invocation.has("--frames") else {
        throw SoradError(.usage, "extend needs --seconds S or --frames N: how much is to be added", hint: "sorad-ctl help extend")
    }
    try makeClip(invocation, prompt: invocation.arguments[1]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        fields["video"] = ["id": .string(invocation.arguments[0])]
        if invocation.has("--backwards") { fields["direction"] = "backwards" }
        if invocation.has("--loop") { fields["loop"] = true }
        fields["end_video"] = invocation["--join"].map { ["id": .string($0)] }
        return try daemon.extend(fields)
    }
}

/// Sends one request with `send`, waits for its clip and saves it.
private func makeClip(
    _ invocation: Invocation, prompt: String, _ send: (JSONObject, DaemonConnection) throws(SoradError) -> Video
) throws(SoradError) {
    let output = invocation["--output"]
    if output == "-", invocation.has("--json") {
        throw SoradError(.usage, "the clip and --json cannot both go to standard output", hint: "Name a file with -o FILE.")
    }
    if output == "-", StandardStream.output.isTerminal {
        throw SoradError(.usage, "standard output is a terminal, which cannot show a clip", hint: "Name a file with -o FILE.")
    }
    var prompt = prompt
    if prompt == "-" { prompt = try Console.readInput(limit: promptLimit) }
    let daemon = try DaemonConnection(invocation)
    // From here on an interrupt is noticed by the wait, so that no job is left behind that nobody knows of.
    let interrupt = try Interrupt()
    let created = try send(requestFields(prompt: prompt, flags: invocation), daemon)
    if invocation.has("--no-wait") {
        try Console.print(invocation.has("--json") ? jobJSON(created).text() : created.id)
        return
    }
    let finished = try JobWatch(daemon, invocation, interrupt).wait(for: created)
    let path = output ?? created.id + ".mp4"
    let size = try daemon.save(finished.id, variant: "video", to: path)
    try tell(finished, savedAt: path, size: size, invocation)
}

private func tell(_ video: Video, savedAt path: String, size: Int, _ invocation: Invocation) throws(SoradError) {
    if invocation.has("--json") {
        var object: JSONObject = ["schema": "sorad.clip/1", "file": .string(path), "bytes": .integer(size)]
        object["video"] = video.json
        try Console.print(JSONValue.object(object).text())
    } else if path == "-" {
        Console.note("sorad-ctl: wrote \(size) bytes of \(video.id)\n")
    } else {
        try Console.print(path)
        if StandardStream.errors.isTerminal || !invocation.has("--quiet") { Console.note("\(summary(video))\n") }
    }
}

/// E.g. "video_…: 128x128, 17 frames, seed 7".
private func summary(_ video: Video) -> String {
    var parts = [video.size]
    if let frames = video.details.numFrames { parts.append("\(frames) frames") }
    if let seed = video.details.seed { parts.append("seed \(seed)") }
    return "\(video.id): " + parts.joined(separator: ", ")
}
