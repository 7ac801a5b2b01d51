// One connection to the daemon: waits for a model, then makes one job after the other in the pool, as a worker would. Lives in a thread of
// its own, in which every command of HTCondor runs to its end.
// Invariant: while one place waits, no other does; the one that is taken starts the next.
import SoradAPI
import SoradMedia
import SoradSystem

final class Place {
    private let fleet: Fleet
    private var work: PlaceJob?

    private static let retry = Duration.seconds(1)
    /// How often a place that waits looks whether the pool has changed.
    private static let idleLook = Duration.seconds(2)
    /// How often the log and the output of a job are read.
    private static let jobLook = Duration.milliseconds(200)
    /// How long the daemon may leave a message unread.
    private static let sendLimit = Duration.seconds(30)

    /// The daemon has gone, or does not keep to the protocol.
    private struct Gone: Error { let why: String }

    init(_ fleet: Fleet) { self.fleet = fleet }

    func run() {
        var hasComplained = false
        while true {
            do throws(Gone) {
                let channel = try connect()
                let opening = try waitForOpening(channel)
                // Whatever becomes of this one: the daemon may want more.
                do throws(Errno) { try fleet.startPlace() } catch { throw Gone(why: "cannot start a thread: \(error.reason)") }
                serve(channel, opening)
                return
            } catch {
                if !hasComplained { fleet.log.notice("waits for the daemon at \(fleet.settings.socket): \(error.why)") }
                hasComplained = true
                pause(Place.retry)
            }
        }
    }

    private typealias Opening = (model: String, sha256: String, arguments: [String], markingCommand: String)

    private func connect() throws(Gone) -> FrameChannel {
        do throws(Errno) {
            return FrameChannel(
                owning: try FileDescriptor(connectedTo: fleet.settings.socket, timeout: .seconds(1)), limit: workerFrameLimit)
        } catch { throw Gone(why: error.reason) }
    }

    private func waitForOpening(_ channel: FrameChannel) throws(Gone) -> Opening {
        var known: PoolState?
        var kept: [String] = []
        while true {
            let (pool, jobs) = (fleet.poolState, fleet.kept)
            if pool != known { try send(.pool(pool), channel) }
            if jobs != kept, !jobs.isEmpty { try send(.kept(jobs: jobs), channel) }
            (known, kept) = (pool, jobs)
            switch try receive(channel, Place.idleLook) {
            case nil: continue
            case .recorded(let job): fleet.discard(job)
            case .open(let model, let sha256, let arguments, let markingCommand):
                guard isDigest(sha256) else { throw Gone(why: "it gave a digest that is none") }
                return (model, sha256, arguments, markingCommand)
            default: throw Gone(why: "it gave a job before a model")
            }
        }
    }

    private func serve(_ channel: FrameChannel, _ opening: Opening) {
        defer { drop() }
        do throws(Gone) {
            try send(.opened(model: opening.model), channel)
            while true {
                if let command = try receive(channel, work == nil ? nil : Place.jobLook) { take(command, opening) }
                for event in work?.look(MonotonicTime.now()) ?? [] { try send(event, channel) }
                if work?.isOver == true { drop() }
            }
        } catch { fleet.log.debug("a place has ended: \(error.why)") }
    }

    private func take(_ command: PlaceCommand, _ opening: Opening) {
        switch command {
        case .open: break
        case .make(let job, let plan, let directory, let memory, let disk):
            drop()
            // It becomes part of paths and of conditions.
            guard TarArchive.isName(job) else { return fleet.log.error("the daemon gave a job with a name that is none") }
            fleet.care(for: job)
            let program = opening.markingCommand
            let marking = program.isEmpty ? nil : MarkingCommand(program: program, job: job, model: opening.model)
            work = PlaceJob(
                JobFolder(job, in: fleet.folder), plan, directory: directory,
                need: .init(model: opening.sha256, arguments: opening.arguments, marking: marking, memory: memory, disk: disk),
                fleet: fleet)
        case .cancel(let job): if work?.job == job { work?.cancel() }
        case .recorded(let job):
            guard TarArchive.isName(job) else { return }
            try? JobFolder(job, in: fleet.folder).remove()
        }
    }

    private func drop() {
        work?.abandon()
        if let job = work?.job { fleet.leave(job) }
        work = nil
    }

    // MARK: messages

    /// nil when none has come in time.
    private func receive(_ channel: FrameChannel, _ timeout: Duration?) throws(Gone) -> PlaceCommand? {
        do {
            switch try channel.receive(timeout: timeout) {
            case .timedOut: return nil
            case .endOfStream: throw Gone(why: "it closed the connection")
            case .frame(let bytes): return try PlaceCommand(json: JSONValue(parsing: bytes))
            }
        } catch let gone as Gone { throw gone } catch { throw Gone(why: "\(error)") }
    }

    private func send(_ event: PlaceEvent, _ channel: FrameChannel) throws(Gone) {
        do throws(FrameChannel.Failure) { try channel.send(event.json.bytes(), timeout: Place.sendLimit) } catch {
            throw Gone(why: "\(error)")
        }
    }
}
