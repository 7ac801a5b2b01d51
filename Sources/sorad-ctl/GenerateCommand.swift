// `sorad-ctl generate`, `remix` and `extend`: create the job, watch it, save the clip. An interrupted wait cancels the job that it created.
// Invariant: the place for the clip is open before the job is made, and the job's id is printed as soon as there is one.
import Glibc
import SoradAPI
import SoradSystem

/// Bytes of a prompt read from standard input; the daemon has its own, smaller limit and says so.
let promptLimit = 1 << 20

func generate(_ arguments: Arguments) throws(SoradError) {
    if arguments.has("batch") || arguments.has("count") { return try generateMany(arguments) }
    guard let prompt = arguments.words.first else {
        throw SoradError(.usage, "generate needs PROMPT, or --batch FILE", hint: "sorad-ctl help generate")
    }
    try makeClip(arguments, prompt: prompt) { (fields, daemon) throws(SoradError) in
        var fields = fields
        try addPictures(to: &fields, arguments)
        return try daemon.create(fields)
    }
}

private func generateMany(_ arguments: Arguments) throws(SoradError) {
    guard arguments.words.isEmpty == arguments.has("batch") else {
        throw SoradError(
            .usage, arguments.has("batch") ? "PROMPT and --batch exclude each other" : "generate needs PROMPT, or --batch FILE",
            hint: "sorad-ctl help generate")
    }
    try checkNoWait(arguments)
    var base = requestFields(prompt: arguments.words.first ?? "", flags: arguments)
    if arguments.words.first == "-" { base["prompt"] = .string(try Console.readInput(limit: promptLimit)) }
    try addPictures(to: &base, arguments)
    let items = try ClipBatch.items(arguments, base: base, isOutputNeeded: !arguments.has("no-wait"))
    var batch = try ClipBatch(arguments)
    try batch.run(items)
}

/// The pictures that --image, --end-image and --reference name.
private func addPictures(to fields: inout JSONObject, _ arguments: Arguments) throws(SoradError) {
    for (flag, name) in [("image", "input_reference"), ("end-image", "end_image")] {
        if let path = arguments[flag] { fields[name] = ["image_url": .string(try dataURL(of: path))] }
    }
    try addReferences(to: &fields, arguments)
}

func remix(_ arguments: Arguments) throws(SoradError) {
    try makeClip(arguments, prompt: arguments.words[1]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        if let path = arguments["mask"] { fields["mask"] = ["image_url": .string(try dataURL(of: path))] }
        try addReferences(to: &fields, arguments)
        return try daemon.remix(try daemon.identifier(arguments.words[0]), fields)
    }
}

func extend(_ arguments: Arguments) throws(SoradError) {
    guard arguments.has("seconds") || arguments.has("frames") || arguments.has("scene") else {
        throw SoradError(
            .usage, "extend needs the length to add: --seconds S, --frames N or --scene SECONDS:PROMPT", hint: "sorad-ctl help extend")
    }
    try makeClip(arguments, prompt: arguments.words[1]) { (fields, daemon) throws(SoradError) in
        var fields = fields
        fields["video"] = ["id": .string(try daemon.identifier(arguments.words[0]))]
        if arguments.has("backwards") { fields["direction"] = "backwards" }
        if arguments.has("loop") { fields["loop"] = true }
        if let join = arguments["join"] { fields["end_video"] = ["id": .string(try daemon.identifier(join))] }
        return try daemon.extend(fields)
    }
}

/// Sends one request with `send`, waits for its clip and saves it.
func makeClip(
    _ arguments: Arguments, prompt: String, _ send: (JSONObject, DaemonConnection) throws(SoradError) -> Video
) throws(SoradError) {
    try checkNoWait(arguments)
    let output = try OutputFile.named(arguments)
    var prompt = prompt
    if prompt == "-" { prompt = try Console.readInput(limit: promptLimit) }
    let daemon = try DaemonConnection(arguments)
    // From here on an interrupt is noticed by the wait, so that no job is left behind that nobody knows of.
    let interrupt = try Interrupt()
    try daemon.waitForModels(interrupt)
    let created: Video
    do throws(SoradError) { created = try send(requestFields(prompt: prompt, flags: arguments), daemon) } catch {
        // A connection that could not be made is said so; one that broke, without an answer, may have carried the request.
        let mayBeMade = error.code == nil && (error.kind == .unavailable || error.kind == .timedOut) && error.hint == nil
        throw mayBeMade
            ? SoradError(error.kind, error.message, hint: "sorad-ctl jobs shows whether the job was made") : error.inFlags
    }
    if arguments.has("no-wait") {
        try Console.print(arguments.has("json") ? jobJSON(created).text() : created.id)
        return
    }
    // With --json the first line of progress has it.
    if !arguments.has("json") || arguments.has("quiet") { Console.note("sorad-ctl: the job is \(created.id)\n") }
    for remark in remarks(created) where !arguments.has("json") { Console.note("sorad-ctl: \(remark)\n") }
    let finished = try JobWatch(daemon, arguments, interrupt).wait(for: created)
    let saved = if let output { output } else { try OutputFile(created.id + ".mp4") }
    let path = saved.path
    let size = try daemon.save(finished.id, variant: "video", to: saved)
    try tell(finished, savedAt: path, size: size, arguments)
}

/// - Throws: `.usage` for options that wait together with the one that does not.
private func checkNoWait(_ arguments: Arguments) throws(SoradError) {
    guard arguments.has("no-wait") else { return }
    for option in ["output", "timeout"] where arguments.has(option) {
        throw SoradError(
            .usage, "--no-wait does not wait for a clip, so --\(option) has no effect; leave one out", hint: "sorad-ctl get ID -o FILE")
    }
}

/// Seconds from which on a clip's time is worth a remark.
private let longClip = 60.0

/// What the daemon noticed in the request, in sentences.
func remarks(_ video: Video) -> [String] {
    var remarks: [String] = []
    let notes = video.details.notes
    let scenes = notes.scenes.enumerated().map { ("the prompt of scene \($0 + 1)", $1) }
    for (name, prompt) in scenes + (notes.prompt.map { [("the prompt", $0)] } ?? []) where prompt.isTruncated {
        remarks.append("\(name) has \(prompt.tokens) tokens, and the model reads only its beginning")
    }
    var unknown: [String] = []
    for word in (notes.scenes + (notes.prompt.map { [$0] } ?? [])).flatMap(\.unknownWords) where !unknown.contains(word) {
        unknown.append(word)
    }
    if !unknown.isEmpty {
        remarks.append("the model does not know these words: \(unknown.map { printable($0) }.joined(separator: ", "))")
    }
    if notes.negativePrompt?.isTruncated == true { remarks.append("the model reads only the beginning of the negative prompt") }
    if let estimate = notes.estimate, estimate.seconds ?? 0 >= longClip, let words = estimate.timeWords {
        remarks.append("the clip takes \(words); fewer --steps or --frames, or a smaller --size, take less")
    }
    if let estimate = notes.estimate, estimate.isMemoryShort {
        remarks.append(
            "\(byteWords(estimate.wantedMemory)) of memory would keep the model's weights there, and fewer are free: the clip takes longer")
    }
    if !notes.ignored.isEmpty { remarks.append("without effect here: \(notes.ignored.map { printable($0) }.joined(separator: ", "))") }
    return remarks
}

func tell(_ video: Video, savedAt path: String, size: Int, _ arguments: Arguments) throws(SoradError) {
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
