// `generate` with --count or --batch: many clips, a few of them with the daemon at a time, each saved when it is done.
// Invariants: every place is looked at before the first job is made; a clip that fails does not stop the others; an interrupt cancels
// what is under way.
import SoradAPI
import SoradSystem

/// One clip of a batch.
struct BatchItem {
    var fields: JSONObject
    /// nil: the job's id in this folder.
    var output: String?
}

/// Jobs that wait with the daemon at a time: enough to keep it busy, few enough to leave the queue to others.
private let window = 4
private let batchLimit = 16 << 20

struct ClipBatch {
    let arguments: Arguments
    private let daemon: DaemonConnection
    private let interrupt: Interrupt
    private var waiting: [(number: Int, video: Video)] = []
    private var failures: [SoradError] = []

    init(_ arguments: Arguments) throws(SoradError) {
        self.arguments = arguments
        daemon = try DaemonConnection(arguments)
        interrupt = try Interrupt()
    }

    /// The clips that --batch and --count ask for.
    /// - Parameter base: the fields of every clip.
    static func items(_ arguments: Arguments, base: JSONObject, isOutputNeeded: Bool) throws(SoradError) -> [BatchItem] {
        var items: [BatchItem] = []
        if let path = arguments["batch"] {
            for (number, line) in try lines(of: path).enumerated() {
                if let item = try item(line, number + 1, base) { items.append(item) }
            }
            guard !items.isEmpty else { throw SoradError(.badInput, "\(path == "-" ? "standard input" : path) has no prompts") }
        } else {
            items = [BatchItem(fields: base)]
        }
        guard let count = Int(arguments["count"] ?? "1"), (1...10_000).contains(count) else {
            throw SoradError(.usage, "--count must be a whole number from 1 to 10000", hint: "sorad-ctl help generate")
        }
        items = items.flatMap { item in
            (0..<count).map { number in
                var item = item
                // The same seed would make the same clip again.
                if let seed = item.fields["seed"]?.unsigned { item.fields["seed"] = .unsigned(seed &+ UInt64(number)) }
                if count > 1 { item.output = item.output.map { numbered($0, number + 1, of: count) } }
                return item
            }
        }
        if let path = arguments["output"], isOutputNeeded {
            guard path != "-" else {
                throw SoradError(
                    .usage, "several clips cannot all go to standard output", hint: "name a file: -o clip.mp4 makes clip-1.mp4, …")
            }
            for index in items.indices where items[index].output == nil { items[index].output = numbered(path, index + 1, of: items.count) }
        }
        return items
    }

    private static func lines(of path: String) throws(SoradError) -> [Substring] {
        let text: String
        if path == "-" {
            text = try Console.readInput(limit: batchLimit)
        } else {
            do throws(Errno) { text = try textFile(path) } catch { throw SoradError(.notFound, "cannot read \(path): \(error.reason)") }
        }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// A prompt, or an object of request fields with `output` for the file; nil for an empty line and a comment.
    private static func item(_ line: Substring, _ number: Int, _ base: JSONObject) throws(SoradError) -> BatchItem? {
        let text = String(line.drop { $0 == " " || $0 == "\t" })
        guard let first = text.first, first != "#", first != "\r" else { return nil }
        var item = BatchItem(fields: base)
        guard first == "{" else {
            item.fields["prompt"] = .string(text.last == "\r" ? String(text.dropLast()) : text)
            return item
        }
        guard let object = (try? JSONValue(parsing: Array(text.utf8)))?.object else {
            throw SoradError(
                .badInput, "line \(number) of the batch begins like JSON and is none", hint: "one prompt or one JSON object a line")
        }
        for member in object.members {
            if member.key == "output" { item.output = member.value.string } else { item.fields[member.key] = member.value }
        }
        guard item.fields["prompt"]?.string?.isEmpty == false else {
            throw SoradError(.badInput, "line \(number) of the batch has no prompt")
        }
        return item
    }

    /// "ball-07.mp4" of "ball.mp4".
    private static func numbered(_ path: String, _ number: Int, of count: Int) -> String {
        guard count > 1 else { return path }
        let digits = "\(number)"
        let padding = String(repeating: "0", count: "\(count)".count - digits.count)
        let name = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "\(path)-\(padding)\(digits)" }
        return path[..<dot] + "-\(padding)\(digits)" + path[dot...]
    }

    /// Makes all of them.
    /// - Throws: the first failure, when it is all over.
    mutating func run(_ items: [BatchItem]) throws(SoradError) {
        if !arguments.has("no-wait") { for item in items { try ClipBatch.check(item.output) } }
        try daemon.waitForModels(interrupt)
        for (index, item) in items.enumerated() {
            if arguments.has("no-wait") {
                let video = try create(item, waits: false)
                try Console.print(arguments.has("json") ? jobJSON(video).text() : video.id)
                continue
            }
            if waiting.count == window { try finishFirst(items) }
            do throws(SoradError) {
                let video = try create(item, waits: true, items)
                if !arguments.has("json") { Console.note("sorad-ctl: \(index + 1) of \(items.count): the job is \(video.id)\n") }
                waiting.append((index, video))
            } catch { try note(error) }
        }
        while !waiting.isEmpty { try finishFirst(items) }
        guard let first = failures.first else { return }
        if items.count == 1 || failures.count == items.count { throw first }
        throw SoradError(.jobFailed, "\(failures.count) of \(items.count) clips were not made; the first: \(first.message)")
    }

    private static func check(_ path: String?) throws(SoradError) { _ = try OutputFile(path ?? "sorad-\(processIdentifier()).mp4") }

    /// Waits where the daemon says that there is no place just now.
    private mutating func create(_ item: BatchItem, waits: Bool, _ items: [BatchItem] = []) throws(SoradError) -> Video {
        while true {
            do throws(SoradError) { return try daemon.create(item.fields) } catch {
                guard waits, error.kind == .busy, let seconds = error.retryAfter, seconds <= 600 else { throw error.inFlags }
                if !waiting.isEmpty {
                    try finishFirst(items)
                } else if interrupt.wait(timeout: .seconds(min(seconds, 30))) {
                    throw SoradError(.interrupted, "interrupted")
                }
            }
        }
    }

    /// Waits for the oldest job and saves its clip.
    private mutating func finishFirst(_ items: [BatchItem]) throws(SoradError) {
        let (index, video) = waiting.removeFirst()
        do throws(SoradError) {
            let finished = try JobWatch(daemon, arguments, interrupt).wait(for: video)
            let output = try OutputFile(items[index].output ?? finished.id + ".mp4")
            let path = output.path
            let size = try daemon.save(finished.id, variant: "video", to: output)
            try tell(finished, savedAt: path, size: size, arguments)
        } catch { try note(error) }
    }

    /// Keeps a failure for the end.
    /// - Throws: what ends the whole batch.
    private mutating func note(_ error: SoradError) throws(SoradError) {
        if error.kind == .interrupted || error.kind == .unavailable {
            for (_, video) in waiting { _ = try? daemon.cancel(video.id) }
            throw error
        }
        failures.append(error)
        error.note(arguments)
    }
}
