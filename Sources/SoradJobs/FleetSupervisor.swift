// Lets a pool of machines make the clips of one slot: a connection of sorad-fleet stands for the worker process. Lives in the daemon's loop.
// Invariant: the end of the connection is no end of the pool's job. The job waits here like any other that lost its worker, and is given
// again under the same id, by which sorad-fleet finds it in the pool. So only a job that nobody wants any more is cancelled; a daemon that
// stops just closes the connection.
import SoradAPI
public import SoradSystem

public final class FleetSupervisor: SlotSupervisor {
    private enum Place {
        case none
        /// A connection is wanted until then.
        case wanted(model: String, until: MonotonicTime)
        case open(FrameChannel, model: String)
    }

    /// From the wish for a connection to the word that none is there. The fleet comes back within a second after it was restarted.
    private static let connectionWait = Duration.seconds(5)
    /// Longest wait for a fleet that does not read its socket.
    private static let sendTimeout = Duration.milliseconds(500)

    private let slot: WorkerSlot
    private let door: FleetDoor
    private let service: JobService
    private let models: ModelCatalog
    private let arguments: [String]
    private let markingCommand: String
    private let log: Log
    private var place = Place.none

    /// - Parameters:
    ///   - arguments: of every worker, wherever it runs.
    ///   - markingCommand: marks each clip on this machine; "" for none.
    public init(
        _ slot: WorkerSlot, door: FleetDoor, service: JobService, models: ModelCatalog, arguments: [String], markingCommand: String,
        log: Log
    ) {
        self.slot = slot
        self.door = door
        self.service = service
        self.models = models
        self.arguments = arguments
        self.markingCommand = markingCommand
        self.log = log
    }

    public var pollEntries: [PollEntry] {
        if case .open(let channel, _) = place { [PollEntry(reading: channel.rawDescriptor)] } else { [] }
    }

    public var deadline: MonotonicTime? {
        if case .wanted(_, let until) = place { until } else { nil }
    }

    public func work() {
        repeat {
            listen()
            service.takeEffects(of: slot).forEach(perform)
            connect()
        } while hasNews
    }

    private var hasNews: Bool {
        var entries = pollEntries
        return !entries.isEmpty && (try? poll(&entries, timeout: .zero)) ?? false
    }

    // MARK: to the place

    private func perform(_ action: JobMachine.Action) {
        switch action {
        case .startWorker(_, let model): place = .wanted(model: model, until: MonotonicTime.now() + FleetSupervisor.connectionWait)
        case .generate(_, let id, let plan):
            do throws(SoradError) {
                send(
                    .make(
                        job: id.text, plan: plan, directory: try service.prepareDirectory(of: id), memory: plan.memory, disk: plan.diskNeed)
                )
            } catch { service.deliver(.failed(slot, id, JobError(error))) }
        case .cancel(_, let id): if !service.isWanted(id) { send(.cancel(job: id.text)) }
        case .closeWorker, .killWorker: end("was disconnected")
        case .store, .erase, .removeFiles: preconditionFailure("\(action) is the service's own")
        }
    }

    /// Takes a waiting connection for the model that is wanted.
    private func connect() {
        guard case .wanted(let model, let until) = place else { return }
        guard let entry = models.entry(model) else { return end("was not started, because the model \(model) is not installed") }
        guard let channel = door.take() else {
            guard MonotonicTime.now() >= until else { return }
            return end("has no pool: sorad-fleet is not connected (systemctl status sorad-fleet says why)")
        }
        place = .open(channel, model: model)
        send(.open(model: model, sha256: entry.info.sha256, arguments: arguments, markingCommand: markingCommand))
    }

    private func send(_ command: PlaceCommand) {
        guard case .open(let channel, _) = place else { return }
        do throws(FrameChannel.Failure) {
            try channel.send(command.json.bytes(), timeout: FleetSupervisor.sendTimeout)
        } catch { end("was lost: \(error)") }
    }

    private func end(_ how: String) {
        if case .none = place { return }
        if case .open(let channel, _) = place {
            channel.shutDown()
            door.giveBack()
        }
        place = .none
        service.deliver(.workerEnded(slot, how: how))
    }

    // MARK: from the place

    private func listen() {
        while case .open(let channel, let model) = place {
            do {
                switch try channel.receive(timeout: .zero) {
                case .timedOut: return
                case .endOfStream: end("was disconnected: sorad-fleet has ended")
                case .frame(let bytes): try deliver(PlaceEvent(json: JSONValue(parsing: bytes)))
                }
            } catch {
                log.error("sorad-fleet broke the protocol: \(error)", LogFields(model: model))
                end("broke the protocol: \(error)")
            }
        }
    }

    private func deliver(_ event: PlaceEvent) throws(JSONError) {
        switch event {
        case .opened(let model): service.deliver(.workerReady(slot, model: model))
        case .pool(let state): door.status.set(state)
        // It came too late for the door; the next place that waits says it again.
        case .kept: break
        case .placed(let job, let place): service.deliver(.placed(slot, try identifier(job), place))
        case .worker(.ready), .worker(.alive), .worker(.backend): service.deliver(.workerAlive(slot))
        case .worker(.progress(let job, let progress)): service.deliver(.progressed(slot, try identifier(job), progress))
        case .worker(.finished(let job, let result)):
            let id = try identifier(job)
            service.deliver(.finished(slot, id, result))
            // While the store cannot be written, the job has not ended.
            if !service.isWanted(id) { send(.recorded(job: job)) }
        case .worker(.failed(let job, let error)): service.deliver(.failed(slot, try identifier(job), error))
        }
    }

    private func identifier(_ text: String) throws(JSONError) -> JobIdentifier {
        guard let id = JobIdentifier(text) else { throw JSONError("it named a job \"\(text.prefix(64))\"") }
        return id
    }
}
