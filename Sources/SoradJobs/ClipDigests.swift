// Digests of the clips that were made here: they identify a file that comes back for certain. They outlive their jobs for as long as the
// retention allows.
// Invariant: a job is recorded as completed together with the digest of its clip.
import SoradAPI
import SoradSystem

/// A clip that was made here.
public struct ClipDigest: Sendable, Equatable {
    /// The job that made it, which may be gone.
    public let job: JobIdentifier
    public let model: String
    /// Unix time in seconds.
    public let completedAt: Int
}

extension JobStore {
    /// Within the transaction that records a job.
    func recordClip(of job: Job) throws(DatabaseError) {
        guard job.status == .completed, let digest = job.result?.videoSHA256 else { return }
        try database.run(
            "INSERT OR REPLACE INTO made_clip (sha256, job, model, completed_at) VALUES (?, ?, ?, ?)", .text(digest), .text(job.id.text),
            .text(job.plan.model), .integer(Int64(job.completedAt ?? job.createdAt)))
    }

    /// Forgets the clips that were completed at `time` or before and whose jobs are gone; how many. And when the next one's time comes, as
    /// the time of its completion.
    func forgetClips(until time: Int) throws(DatabaseError) -> (count: Int, next: Int?) {
        let gone = try database.run(
            "DELETE FROM made_clip WHERE completed_at <= ? AND job NOT IN (SELECT id FROM job) RETURNING 1", .integer(Int64(time)))
        let next = try database.run("SELECT min(completed_at) FROM made_clip WHERE completed_at > ?", .integer(Int64(time)))
        return (gone.count, next.first?.first?.integer.map { Int($0) })
    }

    func madeClip(sha256: String) throws(DatabaseError) -> ClipDigest? {
        guard let row = try database.run("SELECT job, model, completed_at FROM made_clip WHERE sha256 = ?", .text(sha256)).first,
            let job = row[0].text.flatMap({ JobIdentifier($0) }), let model = row[1].text, let time = row[2].integer
        else { return nil }
        return ClipDigest(job: job, model: model, completedAt: Int(time))
    }
}

extension JobService {
    /// The clip made here whose MP4 file has this SHA-256, in lower-case hexadecimal digits.
    public func madeClip(sha256: String) -> ClipDigest? {
        withStore { store throws(DatabaseError) in try store.madeClip(sha256: sha256) } ?? nil
    }
}

extension Spool {
    /// SHA-256 of one of a job's files, in lower-case hexadecimal digits.
    func digest(_ id: JobIdentifier, _ name: String) throws(SoradError) -> String {
        do throws(Errno) {
            let file = try FileDescriptor(openingForReading: "\(directory(of: id))/\(name)")
            var sum = SHA256()
            while true {
                let piece = try file.read(upTo: 1 << 20)
                if piece.isEmpty { return SHA256.hexadecimal(sum.finalize()) }
                sum.update(piece)
            }
        } catch { throw SoradError(.cannotWrite, "the worker's result \(name) cannot be read: \(error.reason)") }
    }
}
