// A disk that is full or fails: the daemon stays, and so does every accepted job.
// - A full disk refuses new jobs and holds the queue; records that must be written take the reserve's space. Work continues when there is
//   free space again.
// - A disk that fails ends the use of the database as it is known here: the worker is killed, nothing is answered, and from time to time
//   the file is reopened, as at a start. It holds every acknowledged record, and jobs continue from their checkpoints.
import SoradAPI
public import SoradSystem
import Synchronization

/// A store that cannot be used.
struct StoreOutage {
    /// SQLite's words.
    let reason: String
    let isFull: Bool
    /// Slots whose earlier workers have not ended yet; the jobs begin again without them.
    var workers: Set<WorkerSlot>
    var retryAt: MonotonicTime
    /// To the attempt after the next.
    var wait = Duration.seconds(1)

    static let longestWait = Duration.seconds(30)

    var refusal: SoradError {
        SoradError(
            isFull ? .storageFull : .unavailable,
            "the job store cannot be written (\(reason)); accepted jobs are kept and continue when it can; try again later")
    }
}

/// Why jobs are not accepted or done, and the one thing to do about it.
public struct Trouble: Sendable, Equatable {
    /// What is concerned, in one word, e.g. "disk".
    public let check: String
    /// One sentence: lower case, no full stop.
    public let text: String
    public let remedy: String

    public init(_ check: String, _ text: String, remedy: String) {
        self.check = check
        self.text = text
        self.remedy = remedy
    }

    static let freeSpace = "sorad-ctl delete --all --older-than 7d, or free other space there"
}

extension JobService.State {
    var trouble: Trouble? {
        if outage != nil {
            return Trouble(
                "store", "the job store cannot be written; accepted jobs wait",
                remedy: "mend the disk or the file system that holds the jobs; sorad-ctl logs has its words")
        }
        if machine.holds.contains(.disk) { return Trouble("disk", "the disk is full; jobs wait", remedy: Trouble.freeSpace) }
        return machine.startTrouble.map {
            Trouble("workers", $0, remedy: "mend what sorad-ctl logs says of the worker; the jobs then continue")
        }
    }
}

extension JobService {
    static let diskInterval = Duration.seconds(5)

    // MARK: a disk that is full

    /// Refuses `plan` when the disk has no space for its clip and those of the waiting jobs. nil: not known yet, it may be small.
    func checkDisk(_ plan: ClipPlan?, _ model: ModelInfo?, _ state: inout State) throws(SoradError) {
        if state.machine.holds.contains(.disk) { releaseDisk(&state) }
        guard let space = try? DiskSpace(at: directory) else { return }
        let own = plan?.diskNeed ?? 0
        let others = state.machine.jobs.values.reduce(0) { $0 + $1.plan.diskNeed }
        let reserve = state.reserve.isFilled ? 0 : DiskReserve.size
        let needed = own + others + reserve + settings.minimumFree
        guard space.free < needed else { return }
        let largest = plan?.largestFrames(model) { space.free >= needed - own + $0.diskNeed }
        let smaller = largest.map { ", or ask for at most \($0) frames" } ?? ""
        let parts = [(own, "for this clip"), (others, "for the jobs that wait"), (reserve + settings.minimumFree, "that stay free")]
        throw SoradError(
            .storageFull,
            "the disk that holds the clips has \(megabytes(space.free)) free, and \(megabytes(needed)) are needed: "
                + parts.filter { $0.0 > 0 }.map { "\(megabytes($0.0)) \($0.1)" }.joined(separator: ", ")
                + "; free some space or delete finished clips\(smaller), and send the request again")
    }

    /// Set when no clip of any size is accepted, because it would take what must stay free.
    public var diskShortage: Trouble? {
        let needed = settings.minimumFree + DiskNeed.least
        guard let space = try? DiskSpace(at: directory), space.free < needed else { return nil }
        return Trouble(
            "disk",
            "the disk that holds the jobs has \(megabytes(space.free)) free, and the setting min-free keeps \(megabytes(settings.minimumFree)) "
                + "of that free, so no clip is accepted", remedy: Trouble.freeSpace + ", or lower min-free")
    }

    /// Refuses a file of `bytes` that would take what must stay free.
    public func checkSpace(for bytes: Int) throws(SoradError) {
        guard bytes > 0, let space = try? DiskSpace(at: directory), space.free - settings.minimumFree < bytes else { return }
        throw SoradError(
            .storageFull, "the disk has no space for the file above what must stay free; free some space and send the request again")
    }

    /// After anything that may have met a full disk.
    func noteFullDisk(_ state: inout State) {
        if state.metFullDisk {
            state.metFullDisk = false
            _ = state.machine.handle(.held(.disk), now: time.monotonic(), unixSeconds: time.unixSeconds())
        }
        guard state.machine.holds.contains(.disk), state.diskCheck == nil else { return }
        state.diskCheck = time.monotonic() + JobService.diskInterval
        metrics.add("sorad_disk_full_total")
        log.error("the disk is full: no jobs are accepted or begun until there is free space", LogFields(.diskFull))
        wake.add()
    }

    /// Lets work begin again if there is free space for the first job that waits.
    private func releaseDisk(_ state: inout State) {
        state.diskCheck = time.monotonic() + JobService.diskInterval
        let first = state.machine.queue.first.flatMap { state.machine.jobs[$0]?.plan.diskNeed } ?? 0
        guard let space = try? DiskSpace(at: directory),
            space.free >= first + settings.minimumFree + (state.reserve.isFilled ? 0 : DiskReserve.size)
        else { return }
        state.reserve.fill()
        guard state.reserve.isFilled else { return }
        state.diskCheck = nil
        log.notice("there is free space on the disk again", LogFields(.diskFree))
        try? handle(.released(.disk), &state)
    }

    // MARK: a store that fails

    func beginOutage(_ error: DatabaseError, _ state: inout State) {
        guard state.outage == nil else { return }
        log.error("the job store failed; accepted jobs wait until it can be used again: \(error)", LogFields(.storeFailed))
        metrics.add("sorad_store_outages_total")
        let workers = state.machine.slotsWithWorker
        state.outage = StoreOutage(
            reason: error.description, isFull: error.isFull, workers: workers, retryAt: time.monotonic() + .seconds(1))
        // Their work since the last checkpoints is unknown.
        state.effects += workers.sorted().map { .killWorker($0) }
        wake.add()
    }

    /// Runs the tasks that are due.
    func tend() {
        state.withLock { state in
            guard !state.isStopping else { return }
            let now = time.monotonic()
            if let outage = state.outage, outage.workers.isEmpty, now >= outage.retryAt { endOutage(outage, &state) }
            if state.outage == nil, let due = state.diskCheck, now >= due { releaseDisk(&state) }
            if state.outage == nil, let due = state.collectAt, now >= due { collect(&state, thoroughly: true) }
        }
    }

    private func endOutage(_ outage: StoreOutage, _ state: inout State) {
        do throws(DatabaseError) {
            try state.store.recover()
            var unfinished = try state.store.unfinished()
            for index in unfinished.indices {
                // A percentage that a client saw never falls.
                unfinished[index].percent = max(unfinished[index].percent, state.machine.jobs[unfinished[index].id]?.percent ?? 0)
            }
            state.machine = machine(jobs: unfinished, holds: state.machine.holds)
            state.outage = nil
            log.notice("the job store can be used again; \(unfinished.count) unfinished jobs continue", LogFields(.storeMended))
        } catch {
            var outage = outage
            outage.retryAt = time.monotonic() + outage.wait
            outage.wait = min(StoreOutage.longestWait, outage.wait * 2)
            state.outage = outage
            log.error("the job store still cannot be used: \(error)")
        }
    }
}

extension ClipPlan {
    var diskNeed: Int { DiskNeed.bytes(width: shownWidth, height: shownHeight, frames: shownFrames) }
}
