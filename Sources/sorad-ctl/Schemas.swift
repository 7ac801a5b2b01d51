// Owns the JSON Schemas (draft 2020-12) of everything that `--json` prints, by name. Tests validate real output with them, and docs/CLI.md
// lists them. Members may be added within a version; a member that goes or changes its meaning makes a new one.
import SoradSystem

/// One schema: "sorad.jobs/1" and what has that name.
struct OutputSchema: Sendable {
    let name: String
    /// A clause: lower case, no full stop.
    let summary: String
    private let properties: [(String, JSONValue)]
    private let optional: Set<String>

    /// - Parameter properties: a name that ends in "?" may be absent.
    init(_ name: String, _ summary: String, _ properties: KeyValuePairs<String, JSONValue>) {
        self.name = name
        self.summary = summary
        self.properties = properties.map { ($0.key.hasSuffix("?") ? String($0.key.dropLast()) : $0.key, $0.value) }
        optional = Set(properties.map(\.key).filter { $0.hasSuffix("?") }.map { String($0.dropLast()) })
    }

    var json: JSONValue {
        var members: JSONObject = ["schema": ["const": .string(name)]]
        for (key, value) in properties { members[key] = value }
        let required = ["schema"] + properties.map(\.0).filter { !optional.contains($0) }
        return [
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": .string(name), "description": .string(summary),
            "type": "object", "required": .array(required.map { .string($0) }), "properties": .object(members),
        ]
    }

    static let all = clips + jobs + service + access + models + operators
}

func showSchema(_ arguments: Arguments) throws(SoradError) {
    guard let name = arguments.words.first else {
        let rows = OutputSchema.all.map { [Span($0.name, .bold), Span($0.summary)] }
        if arguments.has("json") {
            return try Console.print(JSONValue.array(OutputSchema.all.map { .string($0.name) }).text())
        }
        return try Console.print(Table(headings: ["SCHEMA", "MEANING"], rows: rows), arguments)
    }
    let names = OutputSchema.all.map(\.name)
    guard let schema = OutputSchema.all.first(where: { [name, "sorad.\(name)"].contains($0.name) || $0.name.hasPrefix("sorad.\(name)/") })
    else {
        let nearest = nearestName(to: name, among: names).map { ", did you mean \"\($0)\"?" } ?? ""
        throw SoradError(.notFound, "there is no schema \"\(name)\"\(nearest)", hint: "sorad-ctl schema lists them")
    }
    try Console.print(schema.json.text(pretty: true))
}

// MARK: words of the schemas

private let text: JSONValue = ["type": "string"]
private let number: JSONValue = ["type": "number"]
private let whole: JSONValue = ["type": "integer"]
private let truth: JSONValue = ["type": "boolean"]
private let textOrNull: JSONValue = ["type": ["string", "null"]]
private let wholeOrNull: JSONValue = ["type": ["integer", "null"]]
private let texts: JSONValue = list(of: ["type": "string"])
private func list(of element: JSONValue) -> JSONValue { ["type": "array", "items": element] }
private func oneOf(_ words: String...) -> JSONValue { ["enum": .array(words.map { .string($0) })] }
/// A name that ends in "?" may be absent.
private func object(_ properties: KeyValuePairs<String, JSONValue>) -> JSONValue {
    var members = JSONObject()
    var required: [JSONValue] = []
    for (key, value) in properties {
        let name = key.hasSuffix("?") ? String(key.dropLast()) : key
        members[name] = value
        if name == key { required.append(.string(name)) }
    }
    return ["type": "object", "required": .array(required), "properties": .object(members)]
}

private let failure: JSONValue = ["anyOf": [["type": "null"], object(["code": text, "message": text])]]
private let videoMembers: KeyValuePairs<String, JSONValue> = [
    "id": ["type": "string", "pattern": "^video_[0-9a-f]{32}$"], "object": ["const": "video"], "model": text,
    "status": oneOf("queued", "in_progress", "completed", "failed"), "progress": whole, "created_at": whole, "completed_at": wholeOrNull,
    "expires_at": wholeOrNull, "prompt": text, "size": text, "seconds": text, "remixed_from_video_id": textOrNull, "error": failure,
    "owner?": whole, "duration_seconds?": number, "width?": whole, "height?": whole, "num_frames?": whole, "fps?": whole, "seed?": whole,
    "negative_prompt?": text, "num_inference_steps?": whole, "guidance_scale?": number, "flow_shift?": number, "sigmas?": list(of: number),
    "guidance_scale_2?": number, "guidance_interval?": list(of: number), "cache?": number, "passes?": whole,
    "strength?": number, "conditioning_scale?": number,
    "upscale?": whole, "interpolate?": whole,
    "storyboard?": list(of: object(["prompt": text, "seconds": number, "num_frames": whole])), "source_video_id?": text, "given?": texts,
    "phase?": text, "step?": whole, "steps?": whole, "frame?": whole, "eta_seconds?": number,
    "priority?": whole, "note?": text, "box?": text, "estimate?": estimate, "sha256?": text,
    "timings?": ["type": "object", "additionalProperties": number],
]
private let estimate: JSONValue = object([
    "seconds?": number, "basis?": oneOf("history", "arithmetic"), "memory_bytes": whole, "wanted_memory_bytes": whole,
    "memory_is_short": truth,
])
private let video = object(videoMembers)
private let limits = object(["jobs": wholeOrNull, "seconds_per_day": wholeOrNull, "bytes": wholeOrNull])
private let troubles = list(of: object(["check": text, "text": text, "remedy": text]))
private let healthMembers: KeyValuePairs<String, JSONValue> = [
    "status": oneOf("starting", "ok", "degraded"), "trouble": textOrNull, "version": text, "intake": oneOf("open", "draining"),
    "processing": oneOf("running", "paused"), "queued": whole, "running": whole, "worker": truth, "workers": whole, "slots": whole,
    "disk_free_bytes": wholeOrNull, "models": whole, "default_model": textOrNull, "broken_models": texts,
    "backends": texts, "troubles": troubles,
]
private let modelMembers: KeyValuePairs<String, JSONValue> = [
    "id": text, "object": ["const": "model"], "created": whole, "owned_by": text, "sha256": text, "license": text, "default_width": whole,
    "default_height": whole, "default_num_frames": whole, "fps": whole, "max_width": whole, "max_height": whole, "max_num_frames": whole,
    "estimate?": estimate,
]

// MARK: the schemas

private let clips = [
    OutputSchema(
        "sorad.progress/1", "a job that is not finished, as it is now",
        [
            "id": text, "status": oneOf("queued", "in_progress"), "percent": whole, "phase?": text, "step?": whole, "steps?": whole,
            "frame?": whole, "eta_seconds?": number,
        ]),
    OutputSchema("sorad.clip/1", "a clip that was made and saved", ["file": text, "bytes": whole, "video": video]),
]
private let jobs = [
    OutputSchema("sorad.job/1", "everything about one job", videoMembers),
    OutputSchema("sorad.jobs/1", "jobs, the newest first", ["data": list(of: video), "has_more": truth]),
    OutputSchema(
        "sorad.file/1", "a file that was downloaded",
        ["id": text, "variant": oneOf("video", "thumbnail", "spritesheet"), "file": text, "bytes": whole]),
    OutputSchema("sorad.export/1", "a job that was written into a folder", ["id": text, "folder": text, "files": whole]),
    OutputSchema("sorad.deleted/1", "a job that was deleted", ["id": text, "deleted": ["const": true]]),
]
private let service = [
    OutputSchema("sorad.status/1", "the state of the daemon", healthWithSocket),
    OutputSchema(
        "sorad.top/1", "the state of the daemon and the jobs that wait or run", ["service": object(healthMembers), "jobs": list(of: video)]),
    OutputSchema(
        "sorad.usage/1", "your limits and what is used of them; null is no limit",
        ["limits": limits, "used": object(["jobs": whole, "seconds_per_day": number, "bytes": whole])]),
    OutputSchema(
        "sorad.quotas/1", "the limits of users by user id; null is no limit",
        ["default": limits, "users": ["type": "object", "additionalProperties": limits]]),
    OutputSchema(
        "sorad.admin/1", "the state after drain, pause or resume",
        [
            "version": text, "intake": oneOf("open", "draining"), "processing": oneOf("running", "paused"), "queued": whole,
            "running": whole, "worker": truth, "workers": whole, "trouble": textOrNull, "log_level": text,
        ]),
    OutputSchema(
        "sorad.reload/2", "a reload that has begun, and the settings that wait for a restart", ["reloading": truth, "waiting": texts]),
    OutputSchema(
        "sorad.fleet/1", "the pool that makes the clips; no places where this machine makes them",
        [
            "places": whole, "connected": truth, "trouble": textOrNull,
            "boxes": list(
                of: object([
                    "name": text, "architecture": text, "state": text, "version": textOrNull, "memory": whole, "trouble": textOrNull,
                ])),
            "jobs": list(of: object(["id": text, "owner": whole, "progress": whole, "box": textOrNull, "note": textOrNull])),
        ]),
    OutputSchema("sorad.log-level/1", "the least urgent level of the log", ["log_level": text]),
]
private let keyMembers: KeyValuePairs<String, JSONValue> = ["name": text, "user": whole, "user_name?": textOrNull, "created_at": whole]
private let access = [
    OutputSchema("sorad.key/1", "a key that was made, with the key itself, or removed", ["name": text, "user?": whole, "key?": text]),
    OutputSchema("sorad.keys/1", "the keys of clients by TCP", ["data": list(of: object(keyMembers))]),
    OutputSchema("sorad.open/1", "the address of the page, with a key for it", ["url": text]),
]
private let models = [
    OutputSchema("sorad.models/1", "the models that are installed", ["data": list(of: object(modelMembers))]),
    OutputSchema("sorad.model/1", "one model", modelMembers),
    OutputSchema(
        "sorad.model-check/1", "whether a model file is sound", ["id": text, "path": text, "sound": truth, "problem": textOrNull]),
    OutputSchema("sorad.model-import/1", "a model file that was installed", ["id": text, "path": text]),
    OutputSchema("sorad.model-removal/1", "a model file that was removed", ["id": text, "path": text]),
]
private let operators = [
    OutputSchema(
        "sorad.doctor/1", "what was found on this machine, with remedies",
        [
            "problems": whole,
            "findings": list(of: object(["check": text, "state": oneOf("ok", "note", "problem"), "text": text, "remedy?": text])),
        ]),
    OutputSchema(
        "sorad.config/1", "every setting and where it comes from",
        ["files": texts, "settings": list(of: object(["name": text, "values": texts, "origin": textOrNull]))]),
    OutputSchema("sorad.config-check/1", "what is wrong in the settings", ["right": truth, "problems": texts]),
    OutputSchema(
        "sorad.check/1", "where a clip comes from, as far as it says so",
        [
            "file": text, "type": text, "outcome": oneOf("detected", "not_detected"),
            "validation_state": oneOf("trusted", "valid", "invalid", "not_present"), "origin": text, "issuer": textOrNull,
            "model": textOrNull, "generated_at": textOrNull, "video_id?": textOrNull, "evidence?": texts,
            "aigc?": object(["content_producer": textOrNull, "produce_id": textOrNull]),
        ]),
    OutputSchema("sorad.version/1", "the version of the program", ["version": text]),
    OutputSchema(
        "sorad.error/1", "an error, on standard error",
        [
            "error": object([
                "kind": text, "message": text, "exit_status": whole, "hint?": text, "code?": text, "field?": text, "flag?": text,
                "retry_after?": whole,
            ])
        ]),
]

private let healthWithSocket: KeyValuePairs<String, JSONValue> = [
    "socket": text, "status": oneOf("starting", "ok", "degraded"), "trouble": textOrNull, "version": text,
    "intake": oneOf("open", "draining"), "processing": oneOf("running", "paused"), "queued": whole, "running": whole, "worker": truth,
    "workers": whole, "slots": whole, "disk_free_bytes": wholeOrNull, "models": whole, "default_model": textOrNull, "broken_models": texts,
    "backends": texts, "troubles": troubles,
]
