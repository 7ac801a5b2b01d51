// The engine in a process of its own: one model, one job at a time, commanded over a socket that it inherits. It may be killed at
// any moment; whoever started it starts it again. Standard output carries the answers of `--describe`, `--inspect`, `--origin` and
// `--once` alone.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor

@main
struct Program {
    static func main() {
        MappedFile.explainLostPages()
        MemoryHeadroom.returnFreedBlocks()
        runProgram("sorad-worker") { () throws(SoradError) in
            try WorkerSettings.command(run).main(Array(CommandLine.arguments.dropFirst()))
        }
    }

    @Sendable private static func run(_ settings: WorkerSettings) throws(SoradError) {
        if settings.isTrial {
            let folder = BackendSelection.folder(settings.cacheDirectory)
            let trial = BackendTrial.run(settings.choice, model: settings.model, threads: settings.threads, cacheFolder: folder)
            return try printJSON(trial.json)
        }
        if settings.checksBackends { return try put(BackendCheck.text(settings)) }
        if let file = settings.inspect { return try printJSON(try ClipPipeline.inspect(file).json) }
        if let file = settings.origin { return try printJSON(try ClipPipeline.origin(file).json) }
        if settings.describes {
            // Whatever SORAD_ISA says: the model is the same, and the worker that is to compute reports a wrong name there.
            let backend = BackendFactory.cpu(threads: settings.threads, instructionSet: .best)
            return try printJSON(try ClipPipeline.describe(modelPath: settings.model, backend: backend).json)
        }
        if settings.readsPrompts {
            let readings = try ClipPipeline.read(prompts: try promptsOnInput(), modelPath: settings.model)
            return try printJSON(.array(readings.map(\.json)))
        }
        if let folder = settings.once { return try OnceRun.run(settings, in: folder) }
        let channel = try inheritedChannel()
        lowerPriority()
        let loading = Heartbeat { try? channel.send(WorkerEvent.alive.json.bytes(), timeout: .seconds(30)) }
        let selection = BackendSelection(settings, report: tell, meanwhile: loading.beat)
        if selection.isNews { tell(selection.sentence) }
        var backend = selection.sentence
        var isReady = false
        let pipeline = try ClipPipeline(
            modelPath: settings.model, verified: settings.verified, backend: selection.backend, fallback: selection.fallback,
            checkpointInterval: .milliseconds(settings.checkpointInterval),
            previewInterval: .milliseconds(400), marking: settings.marking, usesDevice: selection.usesDevice,
            report: {
                tell($0)
                backend = "clips are made on the CPU: \($0)"
                // Who asks the daemon sees it too.
                if isReady { try? channel.send(WorkerEvent.backend(backend).json.bytes(), timeout: .seconds(30)) }
            }, meanwhile: loading.beat)
        isReady = true
        try WorkerLoop(channel: channel, pipeline: pipeline, backend: backend).run()
    }

    /// A line for the daemon's log.
    @Sendable private static func tell(_ sentence: String) { try? StandardStream.errors.write("sorad-worker: \(sentence)\n") }

    private static func printJSON(_ json: JSONValue) throws(SoradError) { try put(json.text(pretty: true) + "\n") }

    private static func put(_ text: String) throws(SoradError) {
        do throws(Errno) { try StandardStream.output.write(text) } catch {
            throw SoradError(.cannotWrite, "cannot write to standard output: \(error.reason)")
        }
    }

    /// Two prompts with every character escaped fit many times.
    private static let promptsLimit = 1 << 20

    private static func promptsOnInput() throws(SoradError) -> [String] {
        let bytes: [UInt8]?
        do throws(Errno) { bytes = try StandardStream.input.readAll(limit: promptsLimit) } catch {
            throw SoradError(.badInput, "cannot read standard input: \(error.reason)")
        }
        guard let bytes, let list = (try? JSONValue(parsing: bytes))?.array else {
            throw SoradError(.badInput, "standard input is not a JSON list of texts of at most \(promptsLimit) bytes")
        }
        return list.compactMap(\.string)
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

    /// Yields the CPU to the programs that people wait for, and is the first to go when memory runs out: the daemon can start another.
    /// Ctrl-C in a terminal is for the daemon, which then ends this process in order. None of it is worth failing for.
    private static func lowerPriority() {
        signal(SIGINT, SIG_IGN)
        let current = getpriority(Int32(PRIO_PROCESS.rawValue), 0)
        if current < 5 { _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, 5) }
        let score = try? FileDescriptor(opening: "/proc/self/oom_score_adj", flags: O_WRONLY)
        try? score?.write(Array("500".utf8))
    }
}
