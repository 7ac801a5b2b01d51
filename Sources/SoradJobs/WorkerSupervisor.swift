// Runs the worker process of one slot: starts it, talks to it, watches for its end. Lives in one thread, the daemon's loop.
// Invariant: after the worker's process has ended, everything it sent before is delivered before the news of its end, and its standard
// error is read before that too: its last sentence is the reason that a failed job gives.
import Glibc
import SoradAPI
public import SoradSystem

public final class WorkerSupervisor: SlotSupervisor {
    /// One worker from its start until its end has been told. A class, since a descriptor has one owner.
    private final class Running {
        let process: ChildProcess
        let channel: FrameChannel
        /// Its standard error.
        let errors: FileDescriptor
        var captured = CapturedStderr()
        var errorsEnded = false
        /// Its socket is closed or broken; only its end is awaited.
        var isSilent = false
        /// It has opened its model, or shall leave before that: its end is no failed start.
        var isReady = false
        let model: String
        /// The job that it was given last.
        var job: String?

        init(_ process: ChildProcess, _ channel: FrameChannel, errors: consuming FileDescriptor, model: String) {
            self.model = model
            self.process = process
            self.channel = channel
            self.errors = errors
        }
    }

    /// Longest wait for a worker that does not read its socket.
    private static let sendTimeout: Duration = .milliseconds(500)
    /// Bytes of a worker's standard error that are read at a time, so that one that never stops talking does not hold up the loop.
    private static let errorPiece = 65_536

    private let slot: WorkerSlot
    private let service: JobService
    private let models: ModelCatalog
    private let log: Log
    private let program: String
    private let threads: @Sendable () -> Int?
    private let arguments: [String]
    private var running: Running?

    /// - Parameters:
    ///   - program: path of sorad-worker.
    ///   - threads: that a worker started now computes with; nil leaves the choice to it.
    ///   - arguments: further ones of its workers.
    public init(
        _ slot: WorkerSlot, service: JobService, models: ModelCatalog, program: String, threads: @escaping @Sendable () -> Int?,
        arguments: [String] = [], log: Log
    ) {
        self.arguments = arguments
        self.slot = slot
        self.threads = threads
        self.service = service
        self.models = models
        self.program = program
        self.log = log
    }

    /// The descriptors to poll.
    public var pollEntries: [PollEntry] {
        guard let running else { return [] }
        return newsEntries(running) + (running.errorsEnded ? [] : [PollEntry(reading: running.errors.rawValue)])
    }

    public var deadline: MonotonicTime? { nil }

    private func newsEntries(_ worker: Running) -> [PollEntry] {
        let end = PollEntry(reading: worker.process.endDescriptor)
        return worker.isSilent ? [end] : [PollEntry(reading: worker.channel.rawDescriptor), end]
    }

    /// Reads the worker's messages, notices its end and performs the service's actions, until nothing is left to do now.
    public func work() {
        repeat {
            if running != nil { listen() }
            service.takeEffects(of: slot).forEach(perform)
        } while running.map(hasNews) ?? false
    }

    private func hasNews(_ worker: Running) -> Bool {
        var entries = newsEntries(worker)
        return (try? poll(&entries, timeout: .zero)) ?? false
    }

    // MARK: to the worker

    private func perform(_ action: JobMachine.Action) {
        switch action {
        case .startWorker(_, let model): start(model)
        case .generate(_, let id, let plan):
            // Its words about an earlier job explain nothing about this one.
            running?.captured.forget()
            running?.job = id.text
            do throws(SoradError) {
                var expected = service.expectedSeconds(for: plan)
                if expected.isEmpty, let time = models.entry(plan.model)?.info.time { expected = time.seconds(for: plan) }
                send(
                    .generate(
                        job: id.text, plan: plan, directory: try service.prepareDirectory(of: id), expectedSeconds: expected,
                        embeddings: service.embeddingsDirectory(of: id)))
            } catch { service.deliver(.failed(slot, id, JobError(error))) }
        case .cancel(_, let id): send(.cancel(job: id.text))
        case .closeWorker:
            running?.isReady = true
            running?.channel.shutDown()
        case .killWorker: running?.process.kill(SIGKILL)
        case .store, .erase, .removeFiles: preconditionFailure("\(action) is the service's own")
        }
    }

    private func start(_ model: String) {
        precondition(running == nil, "a second worker")
        guard let entry = models.entry(model) else {
            return couldNotStart("was not started, because the model \(model) is not installed", model)
        }
        do throws(Errno) {
            let pair = try SocketPair()
            let pipe = try Pipe()
            let errors = pipe.readEnd
            let errorWriter = pipe.writeEnd
            let own = pair.first
            let childs = pair.second
            let process = try ChildProcess(
                .init(
                    program,
                    ["--model", entry.path] + (entry.verified.map { ["--verified", $0.text] } ?? []) + arguments
                        + (threads().map { ["--threads", "\($0)"] } ?? []),
                    descriptors: [2: errorWriter.rawValue, workerSocketDescriptor: childs.rawValue],
                    diesWithParent: true))
            running = Running(process, FrameChannel(owning: own, limit: workerFrameLimit), errors: errors, model: model)
            service.processes[slot] = process.pid
            service.metrics.add("sorad_worker_starts_total", ["model": model])
            log.info("worker \(process.pid) started for \(model)", LogFields(.workerStarted, model: model))
        } catch { couldNotStart("could not be started: \(error.reason)", model) }
    }

    /// The file or the program may have been replaced: the models are looked at again before the next attempt.
    private func couldNotStart(_ how: String, _ model: String) {
        log.warning("a worker for \(model) \(how)", LogFields(.workerNotStarted, model: model))
        service.metrics.add("sorad_worker_start_faults_total", ["model": model])
        models.lookAgain()
        service.deliver(.workerEnded(slot, how: how))
    }

    private func send(_ command: WorkerCommand) {
        guard let running else { return }
        do throws(FrameChannel.Failure) {
            try running.channel.send(command.json.bytes(), timeout: WorkerSupervisor.sendTimeout)
        } catch {
            // Its end will tell more, if it has ended.
            if error != .peerClosed { misbehaved("does not take commands: \(error)") }
        }
    }

    // MARK: from the worker

    private func listen() {
        guard let worker = running else { return }
        // First whether it has ended: all its messages have then arrived.
        let ending = worker.process.wait(timeout: .zero)
        readErrors(worker, hasEnded: ending != nil)
        while running?.isSilent == false, let event = nextEvent(worker.channel) { deliver(event) }
        guard let ending else { return }
        running = nil
        service.processes[slot] = nil
        log.info("worker \(worker.process.pid) \(ending)", LogFields(.workerEnded, job: worker.job, model: worker.model))
        var how = "\(ending)"
        if let sentence = worker.captured.sentence {
            how += ", saying: \(sentence)"
        } else if ending == .killed(signal: SIGKILL) {
            how += ", perhaps for lack of memory"
        }
        if !worker.isReady {
            service.metrics.add("sorad_worker_start_faults_total", ["model": worker.model])
            models.lookAgain()
        }
        service.deliver(.workerEnded(slot, how: how))
    }

    /// Copies the worker's standard error to the log.
    private func readErrors(_ worker: Running, hasEnded: Bool) {
        var lines: [String] = []
        do throws(Errno) {
            if !worker.errorsEnded, try waitUntilReady(PollEntry(reading: worker.errors.rawValue), timeout: .zero) {
                let bytes = try worker.errors.read(upTo: WorkerSupervisor.errorPiece)
                worker.errorsEnded = bytes.isEmpty
                lines = worker.captured.append(bytes)
            }
        } catch { worker.errorsEnded = true }
        if hasEnded { lines += worker.captured.finish() }
        for line in lines { log.warning("worker \(worker.process.pid): \(line)", LogFields(job: worker.job, model: worker.model)) }
    }

    /// The next message that has arrived whole; nil when there is none, or will be none.
    private func nextEvent(_ channel: FrameChannel) -> WorkerEvent? {
        do {
            switch try channel.receive(timeout: .zero) {
            case .timedOut: return nil
            case .endOfStream: hungUp()
            case .frame(let bytes): return try WorkerEvent(json: try JSONValue(parsing: bytes))
            }
        } catch let failure as FrameChannel.Failure where failure == .endInsideFrame {
            hungUp()
        } catch {
            misbehaved("broke the protocol: \(error)")
        }
        return nil
    }

    private func deliver(_ event: WorkerEvent) {
        switch event {
        case .ready(let model):
            running?.isReady = true
            service.deliver(.workerReady(slot, model: model.id))
        case .alive: service.deliver(.workerAlive(slot))
        case .backend(let sentence):
            if let model = running?.model { service.note(backend: sentence, of: model) }
        case .progress(let job, let progress): withIdentifier(job) { service.deliver(.progressed(slot, $0, progress)) }
        case .finished(let job, let result): withIdentifier(job) { service.deliver(.finished(slot, $0, result)) }
        case .failed(let job, let error): withIdentifier(job) { service.deliver(.failed(slot, $0, error)) }
        }
    }

    private func withIdentifier(_ text: String, _ body: (JobIdentifier) -> Void) {
        if let id = JobIdentifier(text) { body(id) } else { misbehaved("named a job \"\(text.prefix(64))\"") }
    }

    /// Usually because it has ended, and the news of that comes next.
    private func hungUp() {
        running?.isSilent = true
        service.deliver(.workerHungUp(slot))
    }

    private func misbehaved(_ what: String) {
        log.error("worker \(running?.process.pid ?? 0) \(what)", LogFields(job: running?.job, model: running?.model))
        running?.isSilent = true
        service.deliver(.workerMisbehaved(slot, what))
    }
}

extension WorkerSupervisor {
    /// Divides `threads` among `slots`: each has its share and at least one.
    public static func shares(of threads: Int, slots: Int) -> [Int] {
        (0..<slots).map { max(1, threads / slots + ($0 < threads % slots ? 1 : 0)) }
    }
}
