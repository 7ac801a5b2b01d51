// `sorad-ctl generate`, `remix` and `extend`: create the job, watch it, save the clip. An interrupted wait cancels the job that it created.
import Glibc
import SoradAPI
import SoradSystem

/// Bytes of a prompt read from standard input; the daemon has its own, smaller limit and says so.
private let promptLimit = 1 << 20

func generate(_ arguments: Arguments) throws(SoradError) {
    try makeClip(arguments, prompt: arguments.words[0]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        for (flag, name) in [("image", "input_reference"), ("end-image", "end_image")] {
            if let path = arguments[flag] { fields[name] = ["image_url": .string(try dataURL(of: path))] }
        }
        return try daemon.create(fields)
    }
}

func remix(_ arguments: Arguments) throws(SoradError) {
    try makeClip(arguments, prompt: arguments.words[1]) { (fields, daemon) throws(SoradError) in
        try daemon.remix(arguments.words[0], fields)
    }
}

func extend(_ arguments: Arguments) throws(SoradError) {
    guard arguments.has("seconds") || arguments.has("frames") else {
        throw SoradError(.usage, "extend needs the length to add: --seconds S or --frames N", hint: "sorad-ctl help extend")
    }
    try makeClip(arguments, prompt: arguments.words[1]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        fields["video"] = ["id": .string(arguments.words[0])]
        if arguments.has("backwards") { fields["direction"] = "backwards" }
        if arguments.has("loop") { fields["loop"] = true }
        fields["end_video"] = arguments["join"].map { ["id": .string($0)] }
        return try daemon.extend(fields)
    }
}

/// Sends one request with `send`, waits for its clip and saves it.
private func makeClip(
    _ arguments: Arguments, prompt: String, _ send: (JSONObject, DaemonConnection) throws(SoradError) -> Video
) throws(SoradError) {
    let output = arguments["output"]
    if output == "-", arguments.has("json") {
        throw SoradError(.usage, "the clip and --json cannot both go to standard output", hint: "name a file with -o FILE")
    }
    if output == "-", StandardStream.output.isTerminal {
        throw SoradError(.usage, "standard output is a terminal, which cannot show a clip", hint: "name a file with -o FILE")
    }
    var prompt = prompt
    if prompt == "-" { prompt = try Console.readInput(limit: promptLimit) }
    let daemon = try DaemonConnection(arguments)
    // From here on an interrupt is noticed by the wait, so that no job is left behind that nobody knows of.
    let interrupt = try Interrupt()
    let created = try send(requestFields(prompt: prompt, flags: arguments), daemon)
    if arguments.has("no-wait") {
        try Console.print(arguments.has("json") ? jobJSON(created).text() : created.id)
        return
    }
    let finished = try JobWatch(daemon, arguments, interrupt).wait(for: created)
    let path = output ?? created.id + ".mp4"
    let size = try daemon.save(finished.id, variant: "video", to: path)
    try tell(finished, savedAt: path, size: size, arguments)
}

private func tell(_ video: Video, savedAt path: String, size: Int, _ arguments: Arguments) throws(SoradError) {
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.clip/1", "file": .string(path), "bytes": .integer(size)]
        object["video"] = video.json
        try Console.print(JSONValue.object(object).text())
    } else if path == "-" {
        Console.note("sorad-ctl: wrote \(size) bytes of \(video.id)\n")
    } else {
        try Console.print(path)
        if StandardStream.errors.isTerminal || !arguments.has("quiet") { Console.note("\(summary(video))\n") }
    }
}

/// E.g. "video_…: 128x128, 17 frames, seed 7".
private func summary(_ video: Video) -> String {
    var parts = [video.size]
    if let frames = video.details.numFrames { parts.append("\(frames) frames") }
    if let seed = video.details.seed { parts.append("seed \(seed)") }
    return "\(video.id): " + parts.joined(separator: ", ")
}
