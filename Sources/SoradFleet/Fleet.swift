// What all places share: the settings, the pool, and who cares for which job. Its own duty is the rest: jobs and folders that nobody wants.
// Invariant: a job is wanted as long as its directory is in the daemon's spool. The daemon removes that when a job is cancelled, deleted or
// given up, whether sorad-fleet listens at that moment or not; so after any crash of either, what is left over is found by looking.
import SoradAPI
package import SoradSystem
import Synchronization

package final class Fleet: Sendable {
    package struct Settings: Sendable {
        /// The daemon's socket for the fleet.
        package var socket = ""
        /// The daemon's; jobs of the pool are in `fleet/` there, next to `spool/`.
        package var stateDirectory = ""
        /// The folder of HTCondor's commands; "" looks them up in PATH.
        package var commands = ""
        package var rules = PoolRules()

        package init() {}
    }

    private struct State {
        /// Jobs that a place has, and how many places: an old one may still be at its last command when a new one begins.
        var inCare: [String: Int] = [:]
        var pool = PoolState()
    }

    let settings: Settings
    let pool: Pool
    let log: Log
    private let state = Mutex(State())

    var folder: String { "\(settings.stateDirectory)/fleet" }
    private var spool: String { "\(settings.stateDirectory)/spool" }

    /// - Throws: `.configuration` for a state directory that is not a daemon's, or whose name HTCondor would need in quotes.
    package init(_ settings: Settings, log: Log) throws(SoradError) {
        var settings = settings
        do throws(Errno) { settings.stateDirectory = try resolvedPath(settings.stateDirectory) } catch {
            throw SoradError(
                .configuration, "cannot use the state directory \(settings.stateDirectory): \(error.reason)",
                hint: "give the --state-dir of the daemon")
        }
        guard SubmitDescription.isPlain(settings.stateDirectory), SubmitDescription.isPlain(settings.rules.worker) else {
            throw SoradError(
                .configuration, "the state directory and the worker need paths of letters, digits and ./_-+ alone",
                hint: "HTCondor gives other characters meanings of its own")
        }
        settings.rules.head = settings.stateDirectory
        self.settings = settings
        self.log = log
        pool = Pool(commands: settings.commands, rules: settings.rules)
        do throws(Errno) { try makeDirectories("\(settings.stateDirectory)/fleet") } catch {
            throw SoradError(.unavailable, "cannot make the folder of the pool's jobs: \(error.reason)")
        }
    }

    /// Serves for ever. Killing it at any moment loses nothing.
    package func run() throws(SoradError) {
        do throws(Errno) { try startPlace() } catch { throw SoradError(.unavailable, "cannot start a thread: \(error.reason)") }
        var nextSweep = MonotonicTime.now()
        while true {
            if MonotonicTime.now() >= nextSweep {
                look()
                sweep()
                nextSweep = MonotonicTime.now() + Fleet.sweepInterval
            }
            removeOrphans()
            pause(Fleet.orphanInterval)
        }
    }

    private static let orphanInterval = Duration.seconds(2)
    private static let sweepInterval = Duration.seconds(30)

    /// Opens one more connection to the daemon, on a thread of its own.
    func startPlace() throws(Errno) {
        try SystemThread(name: "place", stackSize: 2 << 20) { [self] in Place(self).run() }.detach()
    }

    // MARK: who cares for a job

    func care(for job: String) { state.withLock { $0.inCare[job, default: 0] += 1 } }
    func leave(_ job: String) {
        state.withLock { state in
            let left = (state.inCare[job] ?? 1) - 1
            state.inCare[job] = left == 0 ? nil : left
        }
    }
    private func isInCare(_ job: String) -> Bool { state.withLock { $0.inCare[job] != nil } }

    // MARK: the pool as it is

    var poolState: PoolState { state.withLock { $0.pool } }

    private func look() {
        var fresh = PoolState()
        do throws(SoradError) { fresh.boxes = try pool.boxes() } catch { fresh.trouble = "\(error.message)" }
        let state = fresh
        let before: PoolState = self.state.withLock { old in
            defer { old.pool = state }
            return old.pool
        }
        if let trouble = state.trouble, before.trouble == nil { log.warning("the pool does not answer: \(trouble)") }
        if state.trouble == nil, before.trouble != nil { log.notice("the pool answers again") }
    }

    // MARK: what nobody wants

    private func isWanted(_ job: String) -> Bool { isInCare(job) || directoryExists("\(spool)/\(job)") }

    /// Removes the jobs and folders whose directory has gone from the spool.
    private func removeOrphans() {
        // Without a spool nothing can be said.
        guard directoryExists(spool), let names = try? directoryEntries(folder) else { return }
        for name in names where TarArchive.isName(name) && !isWanted(name) { removeAll(of: name) }
    }

    /// Jobs of which there is a folder although no place has them.
    var kept: [String] {
        let names = ((try? directoryEntries(folder)) ?? []).filter { TarArchive.isName($0) && !isInCare($0) }
        return Array(names.sorted().prefix(PoolState.boxLimit))
    }

    /// The daemon says that the job has ended.
    func discard(_ job: String) {
        if TarArchive.isName(job), !isInCare(job) { removeAll(of: job) }
    }

    private func removeAll(of job: String) {
        do throws(SoradError) {
            try pool.remove(job)
            try JobFolder(job, in: folder).remove()
            log.info("\(job) is wanted no more and was removed from the pool", LogFields(job: job))
        } catch { log.warning("\(job) could not be removed from the pool: \(error.message)", LogFields(job: job)) }
    }

    /// Removes jobs of the queue that have no folder either, and all but the first of several for one attempt.
    private func sweep() {
        guard directoryExists(spool) else { return }
        do throws(SoradError) {
            var seen: Set<String> = []
            for entry in try pool.queue().sorted(by: { $0.cluster < $1.cluster }) where !entry.isLeaving {
                let isFirst = seen.insert("\(entry.job) \(entry.attempt)").inserted
                if isFirst, isWanted(entry.job) { continue }
                try pool.remove(cluster: entry.cluster)
                log.warning("\(entry.cluster) of the pool, for \(entry.job), was removed: nobody wants it", LogFields(job: entry.job))
            }
        } catch { log.debug("the queue could not be looked through: \(error.message)") }
    }
}

/// Lets time pass.
func pause(_ duration: Duration) {
    var nothing: [PollEntry] = []
    _ = try? poll(&nothing, timeout: duration)
}
