// `sorad-worker --once`: one job in a folder, without a daemon. Standard output has one JSON object a line, as the daemon would get them.
import Glibc
import SoradAPI
import SoradPipeline
import SoradSystem
import Synchronization

/// When a run puts its work down. The first SIGTERM or SIGINT lets the step that runs be finished; the second one ends it at once.
final class OnceControl: Sendable {
    private let isAsked = StopFlag()
    private let isEnded = StopFlag()
    private let interval: Duration?
    /// Counted from the first step of this start: on a slow machine it would else be over before that, and each start would do one step.
    private let end = Mutex<MonotonicTime?>(nil)
    /// Nothing is lost by stopping here at once: there is no step that could be finished.
    private let isBeforeSteps = Atomic<Bool>(true)

    /// - Parameter interval: of checkpoints; nil: only a signal ends the run.
    init(every interval: Duration?) { self.interval = interval }

    /// Listens for signals on a thread of its own; called before there are others.
    func listen() throws(SoradError) {
        do throws(Errno) {
            let signals = SignalBox(try SignalDescriptor([SIGTERM, SIGINT]))
            try SystemThread(name: "signals") { [self] in
                while true {
                    guard signals.waitForOne() else { return }
                    if isAsked.isStopped { isEnded.stop() }
                    isAsked.stop()
                }
            }.detach()
        } catch { throw SoradError(.unavailable, "cannot listen for signals: \(error.reason)") }
    }

    func reached(_ phase: JobPhase) {
        let hasSteps = phase == .denoising || phase == .decoding
        isBeforeSteps.store(!hasSteps, ordering: .relaxed)
        guard hasSteps, let interval else { return }
        end.withLock { if $0 == nil { $0 = MonotonicTime.now() + interval } }
    }

    /// Whether the work is to be put down at the next checkpoint.
    var isDue: Bool {
        if isAsked.isStopped { return true }
        guard let end = end.withLock({ $0 }) else { return false }
        return MonotonicTime.now() >= end
    }

    @Sendable func check() throws(SoradError) {
        if isEnded.isStopped || isAsked.isStopped && isBeforeSteps.load(ordering: .relaxed) {
            throw SoradError(.cancelled, "stopped by a signal", code: JobError.putDown)
        }
    }
}

/// A descriptor cannot be copied, and a closure that escapes would.
private final class SignalBox: Sendable {
    private let descriptor: SignalDescriptor

    init(_ descriptor: consuming SignalDescriptor) { self.descriptor = descriptor }

    /// False when signals can no longer be read.
    func waitForOne() -> Bool {
        while true {
            guard (try? waitUntilReady(PollEntry(reading: descriptor.rawDescriptor), timeout: nil)) == true else { return false }
            do throws(Errno) {
                if try descriptor.take() != nil { return true }
            } catch { return false }
        }
    }
}

enum OnceRun {
    /// The work is put down and continues when it is started again.
    static let putDownStatus: Int32 = 85
    /// Shortest time between two heartbeats. They travel to the head of a pool, perhaps over a weak link.
    private static let heartbeat = Duration.seconds(10)

    static func run(_ settings: WorkerSettings, in directory: String) throws(SoradError) {
        let control = OnceControl(every: settings.checkpointEvery.map { .seconds($0) })
        try control.listen()
        let heartbeat = Heartbeat(every: OnceRun.heartbeat) { try? tell(.alive) }
        let selection = BackendSelection(settings, report: { printError("sorad-worker: \($0)\n") }, meanwhile: heartbeat.beat)
        if selection.isNews { printError("sorad-worker: \(selection.sentence)\n") }
        let pipeline = try ClipPipeline(
            modelPath: settings.model, backend: selection.backend, fallback: selection.fallback,
            checkpointInterval: .milliseconds(settings.checkpointInterval), previewInterval: .seconds(1), marking: settings.marking,
            usesDevice: selection.usesDevice,
            report: { printError("sorad-worker: \($0)\n") }, meanwhile: heartbeat.beat)
        let job = try PortableJob(opening: directory, for: pipeline.info)
        if let result = try job.result() { return try tell(.finished(job: job.id, result: result)) }
        try tell(.ready(model: pipeline.info))
        do throws(JobError) {
            let result = try pipeline.makeClip(
                job.plan, into: directory, identifier: job.id,
                stop: { () throws(SoradError) in
                    try control.check()
                    heartbeat.beat()
                },
                progress: { progress in
                    control.reached(progress.phase)
                    // Nobody may be listening; the clip is what matters.
                    try? tell(.progress(job: job.id, progress: progress))
                }, putDown: { control.isDue })
            do throws(SoradError) { try job.finish(result) } catch { throw JobError(error) }
            try? tell(.finished(job: job.id, result: result))
        } catch {
            if error.code == JobError.putDown {
                try? put(["putDown": ["job": .string(job.id)]])
                exit(putDownStatus)
            }
            try? tell(.failed(job: job.id, error: error))
            throw SoradError(error.kind, error.message)
        }
    }

    private static func tell(_ event: WorkerEvent) throws(SoradError) { try put(event.json) }

    private static func put(_ json: JSONValue) throws(SoradError) {
        do throws(Errno) { try StandardStream.output.write(json.bytes() + Array("\n".utf8)) } catch {
            throw SoradError(.cannotWrite, "cannot write to standard output: \(error.reason)")
        }
    }
}

extension JobError {
    /// For the exit status: whether another start, perhaps on another machine, may do better.
    fileprivate var kind: SoradError.Kind {
        switch code {
        case JobError.invalidRequest: .badInput
        case JobError.modelInvalid, JobError.configuration: .configuration
        case JobError.insufficientStorage, JobError.mediaFailed: .cannotWrite
        case JobError.machineFault: .busy
        default: .internalFault
        }
    }
}
