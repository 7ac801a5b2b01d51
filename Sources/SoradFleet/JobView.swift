// What is known of one job in the pool, from its event log and from the lines that the worker prints. Pure.
// Invariant: how a job ended is decided by HTCondor's event alone, which comes after the job's files; the worker's own words only explain it.
package import SoradAPI
package import SoradSystem

package struct JobView: Sendable {
    /// How HTCondor says that the job left the queue.
    package enum Ending: Sendable, Equatable {
        case exited(Int32)
        case killed(signal: Int32)
        case removed(String)
        /// It is neither in the queue nor in the history, and its log does not say why.
        case vanished
    }

    package private(set) var place = JobPlace(note: JobView.waiting)
    package private(set) var ending: Ending?
    /// The worker's own word about a failure.
    private var failure: JobError?
    private var lastBox: String?
    private var silence = BoxSilence()
    /// How often its worker was stopped because it hung.
    package private(set) var hangs = 0

    /// While the job waits for a box.
    package static let waiting = "waits in the pool for a free machine that has the model and the memory"
    /// Exit status of a worker that has written a checkpoint; HTCondor itself starts the job again then.
    private static let putDown: Int32 = 85

    package init() {}

    package mutating func take(_ event: PoolEvent, at now: MonotonicTime) {
        silence.take(event, at: now)
        switch event {
        case .submitted: place = JobPlace(note: JobView.waiting)
        case .executing(let box):
            place = JobPlace(box: box)
            lastBox = box
            failure = nil
        // Where it is on no box, the reason is known already.
        case .evicted: if place.box != nil { wait("\(lastBox ?? "its machine") gave it back") }
        case .lost(let reason): wait("\(lastBox ?? "its machine") was lost" + (reason.isEmpty ? "" : ": \(reason)"))
        case .released: wait("it was released after a hold")
        case .held(let reason):
            place = JobPlace(
                note: "the pool holds it: \(reason.isEmpty ? "no reason is given" : reason); it is released by itself a few times, then by "
                    + "condor_release")
        case .disconnected: place.note = "\(place.box ?? "its machine") is out of reach; the job continues there when it is back"
        case .reconnected: place.note = nil
        case .exited(let status): if status != JobView.putDown { ending = .exited(status) }
        case .killed(let signal): ending = .killed(signal: signal)
        case .removed(let reason): ending = .removed(reason)
        case .transferred: break
        }
    }

    /// Takes a line of the worker's standard output.
    /// - Returns: the progress that it reports.
    package mutating func take(line: [UInt8], at now: MonotonicTime) -> JobProgress? {
        silence.begin(at: now)
        guard let event = try? WorkerEvent(json: JSONValue(parsing: line)) else { return nil }
        switch event {
        case .progress(_, let progress): return progress.isPlausible ? progress : nil
        case .failed(_, let error): failure = JobError(code: short(error.code, 64), message: short(error.message, 1_000))
        case .ready, .alive, .backend, .finished: break
        }
        return nil
    }

    package mutating func vanished() { ending = ending ?? .vanished }

    /// How long the worker has said nothing; nil while it is on no box, or on one out of reach.
    package func silence(at now: MonotonicTime) -> Duration? { silence.length(at: now) }

    /// Its worker is being stopped for that.
    /// - Returns: why, as a clause.
    package mutating func hung(_ length: Duration, at now: MonotonicTime) -> String {
        let why = "the worker on \(lastBox ?? "its machine") said nothing for \(Int(length.inSeconds)) s"
        hangs += 1
        // Should it not be stopped, another silence comes.
        silence.begin(at: now)
        wait(why)
        return why
    }

    /// Why the job failed that has ended so.
    /// - Parameter words: the last line of the worker's standard error; nil where it said nothing.
    package func failure(_ ending: Ending, words: String?) -> JobError {
        let box = lastBox ?? "a machine of the pool"
        let saying = words.map { ", saying: \($0)" } ?? ""
        switch ending {
        case .exited(let status):
            if let failure { return failure }
            return JobError(code: JobView.code(status), message: "the worker on \(box) exited with status \(status)\(saying)")
        case .killed(let signal):
            return JobError(code: JobError.workerDied, message: "the worker on \(box) was killed by signal \(signal)\(saying)")
        case .removed(let reason):
            let why = reason.isEmpty ? "" : ": \(reason)"
            return JobError(code: JobError.machineFault, message: "the job was taken out of the pool\(why)")
        case .vanished: return JobError(code: JobError.machineFault, message: "the pool has lost the job")
        }
    }

    private mutating func wait(_ why: String) { place = JobPlace(note: "\(why); it waits for another one") }

    /// Statuses as docs/PORTABLE_JOBS.md has them. The request itself was checked by the daemon, so a machine that refuses it is at fault.
    private static func code(_ status: Int32) -> String {
        switch status {
        case 64, 66, 77, 78: JobError.configuration
        case 73, 74: JobError.mediaFailed
        case 69, 75: JobError.machineFault
        default: JobError.internalError
        }
    }
}
