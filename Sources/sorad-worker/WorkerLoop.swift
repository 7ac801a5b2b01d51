// Owns the conversation with the daemon. This thread only listens, so that a cancel arrives while a clip is made; the clip is made on a
// thread of its own.
// Invariant: at most one job at a time, and each `generate` is answered by exactly one `finished` or `failed`. The job is taken off the
// record before its answer is sent, since the daemon may send the next one as soon as it has the answer.
import Glibc
import SoradAPI
import SoradPipeline
import SoradSystem
import Synchronization

final class WorkerLoop: Sendable {
    private let channel: FrameChannel
    private let maker: ClipMaker
    /// What computes clips, and why.
    private let backend: String
    private let current = Mutex<CurrentJob?>(nil)

    private struct CurrentJob {
        let id: String
        let stop: StopFlag
    }

    /// How long the daemon may leave an event unread.
    private static let sendLimit = Duration.seconds(30)
    /// Seconds that a running job gets to stop in order when the daemon is gone.
    private static let lastSeconds: UInt32 = 3

    init(channel: FrameChannel, pipeline: ClipPipeline, backend: String) {
        self.channel = channel
        self.backend = backend
        self.maker = ClipMaker(pipeline)
    }

    /// Serves commands until the daemon closes the socket.
    /// - Throws: `.internalFault` when the daemon breaks the protocol.
    func run() throws(SoradError) {
        send(.ready(model: maker.info))
        send(.backend(backend))
        var worker: SystemThread?
        while let command = try nextCommand() {
            switch command {
            case .generate(let job, let plan, let directory, let expected, let embeddings):
                guard let stop = begin(job) else { continue }
                // The thread of the job before has nothing left to do but to end.
                if let previous = worker.take() { previous.join() }
                worker = start(job, plan, directory, expected, embeddings, stop)
            case .cancel(let job):
                current.withLock { if $0?.id == job { $0?.stop.stop() } }
            }
        }
        current.withLock { $0?.stop.stop() }
        alarm(WorkerLoop.lastSeconds)
        if let last = worker.take() { last.join() }
    }

    /// Puts a job on the record; nil, with an answer, if there is one already.
    private func begin(_ job: String) -> StopFlag? {
        let stop = StopFlag()
        let isFree = current.withLock { current in
            guard current == nil else { return false }
            current = CurrentJob(id: job, stop: stop)
            return true
        }
        if isFree { return stop }
        send(.failed(job: job, error: JobError(code: "internal_error", message: "the worker is still busy with another job")))
        return nil
    }

    /// nil, with an answer, when the machine has no thread for the job.
    private func start(
        _ job: String, _ plan: ClipPlan, _ directory: String, _ expected: [String: Double], _ embeddings: String?, _ stop: StopFlag
    ) -> SystemThread? {
        do throws(Errno) {
            return try SystemThread(name: "clip", stackSize: 8 << 20) { [self] in
                let heartbeat = Heartbeat { [self] in send(.alive) }
                let check: StopCheck = { () throws(SoradError) in
                    try stop.check()
                    heartbeat.beat()
                }
                let answer = maker.make(job, plan, directory, expected, embeddings, check) { [self] in
                    send(.progress(job: job, progress: $0))
                }
                current.withLock { $0 = nil }
                send(answer)
            }
        } catch {
            current.withLock { $0 = nil }
            send(.failed(job: job, error: JobError(SoradError(.unavailable, "cannot start a thread for the job: \(error.reason)"))))
            return nil
        }
    }

    /// The next command, or nil when the daemon has closed the socket.
    private func nextCommand() throws(SoradError) -> WorkerCommand? {
        let frame: [UInt8]
        do throws(FrameChannel.Failure) {
            guard case .frame(let bytes) = try channel.receive() else { return nil }
            frame = bytes
        } catch { throw SoradError(.internalFault, "lost the daemon: \(error)") }
        do throws(JSONError) {
            return try WorkerCommand(json: JSONValue(parsing: frame))
        } catch { throw SoradError(.internalFault, "the daemon sent something that is not a command: \(error)") }
    }

    /// A daemon that does not read, or is gone, is noticed by the listening thread; the job has nobody to report to.
    private func send(_ event: WorkerEvent) {
        do throws(FrameChannel.Failure) {
            try channel.send(event.json.bytes(), timeout: WorkerLoop.sendLimit)
        } catch {
            current.withLock { $0?.stop.stop() }
            channel.shutDown()
        }
    }
}

/// Carries the pipeline over to the thread of a job. Unchecked: the pipeline has no locks, and needs none because the loop lets one job
/// run at a time and joins its thread before it starts the next.
private final class ClipMaker: @unchecked Sendable {
    let info: ModelInfo
    private let pipeline: ClipPipeline

    init(_ pipeline: ClipPipeline) {
        self.pipeline = pipeline
        info = pipeline.info
    }

    func make(
        _ job: String, _ plan: ClipPlan, _ directory: String, _ expected: [String: Double], _ embeddings: String?,
        _ stop: @escaping StopCheck,
        progress: @escaping (JobProgress) -> Void
    ) -> WorkerEvent {
        do throws(JobError) {
            return .finished(
                job: job,
                result: try pipeline.makeClip(
                    plan, into: directory, identifier: job, expectedSeconds: expected, embeddings: embeddings, stop: stop,
                    progress: progress))
        } catch { return .failed(job: job, error: error) }
    }
}
