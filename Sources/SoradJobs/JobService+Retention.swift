// Removes expired jobs and files without an owner, at the start and from time to time. An idle daemon with nothing to remove sleeps.
import SoradAPI
import SoradSystem
import Synchronization

extension JobService {
    /// Between two looks for files that no record names, and the longest sleep before an expiry: the wall clock may be moved.
    static let collectionInterval = Duration.seconds(3600)

    /// Once, before anything runs.
    func collectAtStart(_ state: inout State) throws(DatabaseError) {
        let measured = try state.store.unmeasured().map { ($0, spool.size(of: $0)) }
        try state.store.record(bytes: measured)
        // A daemon that died right after it recorded a result left the checkpoint there.
        for job in try state.store.over().suffix(4) { spool.removeCheckpoint(job.id) }
        state.collectAt = time.monotonic()
    }

    /// Sets expiry and size of a finished job before it is recorded.
    func settle(_ job: inout Job) {
        job.expiresAt = job.completedAt.flatMap { settings.retention.expiry(completedAt: $0) }
        if job.status == .completed { job.bytes = spool.size(of: job.id) }
    }

    /// Removes expired jobs. `thoroughly`: also orphans in the spool, which no record names.
    func collect(_ state: inout State, thoroughly: Bool) {
        do {
            let now = time.unixSeconds()
            let verdict = settings.retention.verdict(on: try state.store.over(), now: now)
            let gone = verdict.expired + verdict.overBudget
            if !gone.isEmpty {
                try write(stored: [], erased: gone, &state)
                for id in gone where !state.machine.abandonedJobs.contains(id) { removeFiles(id) }
                metrics.add("sorad_jobs_removed_total", ["reason": "expired"], Double(verdict.expired.count))
                metrics.add("sorad_jobs_removed_total", ["reason": "budget"], Double(verdict.overBudget.count))
                log.info("removed \(verdict.expired.count) jobs that expired and \(verdict.overBudget.count) for the budget")
            }
            let nextDigest = try forgetClips(&state, now)
            if thoroughly {
                // A draft has files before it has a record, but never for so long.
                let limit = time.unixMilliseconds() - JobService.collectionInterval.nanoseconds / 1_000_000
                let known = try state.store.identifiers().union(drafts.names.withLock { $0 })
                let orphans = try spool.removeOrphans(keeping: known, before: limit)
                if !orphans.isEmpty { log.notice("removed the files of \(orphans.count) jobs that are not recorded") }
            }
            let next = [verdict.nextExpiry, nextDigest].compactMap { $0 }.min()
            let expiry = next.map { Duration.seconds(max(1, $0 - now)) }
            state.collectAt = time.monotonic() + min(expiry ?? JobService.collectionInterval, JobService.collectionInterval)
            if expiry == nil { state.collectAt = nil }
        } catch {
            log.error("cannot remove what is due: \(error)")
            state.collectAt = time.monotonic() + JobService.collectionInterval
        }
    }
}

extension JobService {
    /// Deletes expired digests of removed clips and returns when the next one expires.
    func forgetClips(_ state: inout State, _ now: Int) throws(DatabaseError) -> Int? {
        guard let age = settings.retention.digestAge else { return nil }
        let (count, next) = try state.store.forgetClips(until: now - age)
        if count > 0 {
            metrics.add("sorad_digests_forgotten_total", [:], Double(count))
            log.info("forgot the digests of \(count) clips")
        }
        return next.map { $0 + age }
    }
}

extension Spool {
    /// Bytes of a job's files, without the checkpoints that are deleted at its end.
    func size(of id: JobIdentifier) -> Int {
        let names = (try? directoryEntries(directory(of: id))) ?? []
        return names.filter { !CheckpointName.all.contains($0) && !$0.hasPrefix(".") }.reduce(0) { sum, name in
            guard let file = try? FileDescriptor(openingForReading: "\(directory(of: id))/\(name)"), let size = try? file.regularFileSize()
            else { return sum }
            return sum + size
        }
    }
}
