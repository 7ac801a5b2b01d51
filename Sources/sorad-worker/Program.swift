// The engine in a process of its own: one model, one job at a time, told what to do over a socket that it inherits. It may be killed at
// any moment; whoever started it starts it again. Standard output is used by `--describe` alone.
import Glibc
import SoradAPI
import SoradPipeline
import SoradSystem

@main
struct Program {
    static func main() {
        MappedFile.explainLostPages()
        MemoryRoom.returnFreedBlocks()
        do throws(SoradError) {
            try run(try WorkerArguments(Array(CommandLine.arguments.dropFirst())))
        } catch {
            report(error)
            exit(error.exitCode)
        }
    }

    private static func run(_ arguments: WorkerArguments) throws(SoradError) {
        if let file = arguments.inspect { return try printJSON(try ClipPipeline.inspect(file).json) }
        if let file = arguments.origin { return try printJSON(try ClipPipeline.origin(file).json) }
        if arguments.describe { return try printJSON(try ClipPipeline.describe(modelPath: arguments.model).json) }
        let channel = try inheritedChannel()
        becomePolite()
        let loading = Heartbeat { try? channel.send(WorkerEvent.alive.json.bytes(), timeout: .seconds(30)) }
        let pipeline = try ClipPipeline(
            modelPath: arguments.model, threads: arguments.threads, checkpointInterval: arguments.checkpointInterval,
            previewInterval: .milliseconds(400), meanwhile: loading.beat)
        try WorkerLoop(channel: channel, pipeline: pipeline).run()
    }

    private static func printJSON(_ json: JSONValue) throws(SoradError) {
        do throws(Errno) { try StandardStream.output.write(json.text(pretty: true) + "\n") } catch {
            throw SoradError(.cannotWrite, "cannot write to standard output: \(error.reason)")
        }
    }

    /// - Throws: `.usage` when nobody passed a socket.
    private static func inheritedChannel() throws(SoradError) -> FrameChannel {
        var type: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let found = unsafe getsockopt(workerSocketDescriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0
        guard found else {
            throw SoradError(
                .usage, "there is no socket on descriptor \(workerSocketDescriptor)",
                hint: "sorad starts this program itself; to look at a model, use sorad-worker --model FILE --describe")
        }
        return FrameChannel(owning: FileDescriptor(owning: workerSocketDescriptor), limit: workerFrameLimit)
    }

    /// Steps back behind the programs that people wait for, and is the first to go when memory runs out: the daemon can start another.
    /// Ctrl-C in a terminal is for the daemon, which then ends this process in order. None of it is worth failing for.
    private static func becomePolite() {
        signal(SIGINT, SIG_IGN)
        let current = getpriority(Int32(PRIO_PROCESS.rawValue), 0)
        if current < 5 { _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, 5) }
        let score = try? FileDescriptor(opening: "/proc/self/oom_score_adj", flags: O_WRONLY)
        try? score?.write(Array("500".utf8))
    }
}

/// `sorad-worker --model FILE [--threads N] [--checkpoint-interval MILLISECONDS] [--describe]`, or `sorad-worker --inspect FILE`,
/// or `sorad-worker --origin FILE`
struct WorkerArguments {
    var model: String
    var threads: Int?
    /// Between two records of how far a clip is, at least.
    var checkpointInterval = Duration.zero
    var describe = false
    /// A picture or clip to look at; needs no model.
    var inspect: String?
    /// A clip whose mark is to be read; needs no model.
    var origin: String?

    init(_ words: [String]) throws(SoradError) {
        var model: String?
        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "--model":
                guard let value = rest.popFirst(), !value.isEmpty else { throw WorkerArguments.usage("--model needs a file") }
                model = value
            case "--threads":
                guard let value = rest.popFirst(), let count = Int(value), (1...1024).contains(count) else {
                    throw WorkerArguments.usage("--threads needs a number from 1 to 1024")
                }
                threads = count
            case "--checkpoint-interval":
                guard let value = rest.popFirst(), let milliseconds = Int(value), (0...3_600_000).contains(milliseconds) else {
                    throw WorkerArguments.usage("--checkpoint-interval needs a number of milliseconds from 0 to 3600000")
                }
                checkpointInterval = .milliseconds(milliseconds)
            case "--describe": describe = true
            case "--inspect":
                guard let value = rest.popFirst(), !value.isEmpty else { throw WorkerArguments.usage("--inspect needs a file") }
                inspect = value
            case "--origin":
                guard let value = rest.popFirst(), !value.isEmpty else { throw WorkerArguments.usage("--origin needs a file") }
                origin = value
            default: throw WorkerArguments.usage("unknown option \"\(word)\"")
            }
        }
        guard model != nil || inspect != nil || origin != nil else { throw WorkerArguments.usage("--model is missing") }
        self.model = model ?? ""
    }

    private static func usage(_ message: String) -> SoradError {
        SoradError(
            .usage, message,
            hint: "sorad-worker --model FILE [--threads N] [--checkpoint-interval MILLISECONDS] [--describe], "
                + "or sorad-worker --inspect FILE, or sorad-worker --origin FILE")
    }
}

/// One line, and one more for the hint.
func report(_ error: SoradError) {
    try? StandardStream.errors.write("sorad-worker: \(error.message)\n" + (error.hint.map { "hint: \($0)\n" } ?? ""))
}
