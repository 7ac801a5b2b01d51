// One job that a place has: from the daemon's word to a job of HTCondor, and from its log and output back to the daemon.
// Invariant: a job is submitted only by whoever holds the lock of its folder and has then learned from the pool that it is not there. So it
// does not matter where this program, or condor_submit, is killed: the next one asks again, and one job is made.
import SoradAPI
import SoradMedia
import SoradSystem

final class PlaceJob {
    /// What a machine must have for the job.
    struct Need {
        /// SHA-256 of the model file.
        let model: String
        /// Of every worker.
        let arguments: [String]
        /// Marks the clip on this machine; nil for none.
        let marking: MarkingCommand?
        /// Bytes.
        let memory: Int
        let disk: Int
    }

    private enum Stage {
        /// To be looked for and submitted at that time; the wait after that, should it fail.
        case starting(at: MonotonicTime, wait: Duration)
        case following
        /// The clip has come back, and the operator's program has it.
        case marking(MarkingRun, ClipResult)
        case over
    }

    let job: String
    private let folder: JobFolder
    private let plan: ClipPlan
    /// The job's own, in the daemon's spool.
    private let directory: String
    private let need: Need
    private let fleet: Fleet
    private var stage = Stage.starting(at: MonotonicTime(nanoseconds: 0), wait: PlaceJob.firstWait)
    private var isCancelled = false
    private var view = JobView()
    private var log = (tail: FileTail(""), reader: EventLogReader())
    private var output = (tail: FileTail(""), reader: LineReader(limit: workerFrameLimit / 4))
    private var told: JobPlace?
    private var lastBeat = MonotonicTime(nanoseconds: 0)
    private var nextQuestion = MonotonicTime(nanoseconds: 0)
    /// Why the pool cannot be asked.
    private var trouble: String?
    /// How often the queue was asked in turn and no longer had it, though its log does not say why.
    private var misses = 0

    private static let firstWait = Duration.seconds(1)
    private static let longestWait = Duration.seconds(30)
    private static let beat = Duration.seconds(1)
    private static let question = Duration.seconds(30)
    /// The log may come later than the queue's answer.
    private static let mostMisses = 3
    /// Workers of a job that may hang before that counts as the job's own fault, which the daemon judges.
    private static let mostHangs = 3

    init(_ folder: JobFolder, _ plan: ClipPlan, directory: String, need: Need, fleet: Fleet) {
        self.folder = folder
        self.plan = plan
        self.directory = directory
        self.need = need
        self.fleet = fleet
        job = folder.job
    }

    var isOver: Bool { if case .over = stage { true } else { false } }

    func cancel() { isCancelled = true }

    /// The daemon no longer listens: what runs on this machine for the job ends.
    func abandon() { if case .marking(let run, _) = stage { run.abandon() } }

    /// What the daemon is to learn now.
    func look(_ now: MonotonicTime) -> [PlaceEvent] {
        if isOver { return [] }
        if isCancelled { return [cancelled()] }
        var events: [PlaceEvent] = []
        do throws(JobError) {
            if case .starting(let at, let wait) = stage, now >= at { events += try start(wait) }
            if case .following = stage { events += try follow(now) }
            if case .marking(let run, let result) = stage { events += try finishMarking(run, result) }
        } catch {
            stage = .over
            return events + [.worker(.failed(job: job, error: error))]
        }
        if isOver { return events }
        var place = view.place
        if let trouble { place.note = "the pool does not answer: \(trouble); the job continues when it does" }
        if place != told {
            told = place
            events.append(.placed(job: job, place))
        }
        if now - lastBeat >= PlaceJob.beat {
            lastBeat = now
            events.append(.worker(.alive))
        }
        return events
    }

    // MARK: into the pool

    private func start(_ wait: Duration) throws(JobError) -> [PlaceEvent] {
        // What cannot be described is known before anything is tried.
        var description = try SubmitDescription(
            job: job, attempt: 1, folder: folder.path, model: need.model, version: soradVersion, memory: need.memory, disk: need.disk,
            arguments: need.arguments, rules: fleet.settings.rules)
        do throws(SoradError) {
            try folder.make(plan, from: directory)
            if let result = folder.result { return try hand(over: result) }
            guard let attempt = folder.attempt else { throw SoradError(.unavailable, "the record of \(job) cannot be read") }
            description.attempt = attempt
            try enter(description)
            log.tail = FileTail(folder.log)
            output.tail = FileTail(folder.output)
            trouble = nil
            stage = .following
            nextQuestion = MonotonicTime.now() + PlaceJob.question
        } catch {
            if trouble != error.message {
                fleet.log.warning("\(job) cannot be given to the pool: \(error.message)", LogFields(job: job))
            }
            // The daemon knows what to do with its disk.
            if error.kind == .storageFull { throw JobError(error) }
            trouble = error.message
            stage = .starting(at: MonotonicTime.now() + wait, wait: min(wait * 2, PlaceJob.longestWait))
        }
        return []
    }

    /// Submits the attempt, unless the pool has it.
    private func enter(_ description: SubmitDescription) throws(SoradError) {
        guard let lock = try folder.lock() else { throw SoradError(.busy, "an earlier condor_submit still runs") }
        defer { withExtendedLifetime(lock) {} }
        switch try fleet.pool.find(job, attempt: description.attempt) {
        case .queue(let isHeld):
            fleet.log.info("\(job) is in the pool already", LogFields(job: job))
            // What held it may be mended.
            if isHeld { try? fleet.pool.release(job) }
        case .history: fleet.log.info("\(job) is in the pool already", LogFields(job: job))
        case .nowhere:
            if description.attempt > 1 { try folder.renew(plan, from: directory) }
            try folder.describe(description.text)
            try fleet.pool.submit(folder.description, in: folder.path, lock: lock.descriptor.rawValue)
            fleet.log.info("\(job) was given to the pool, attempt \(description.attempt)", LogFields(job: job))
        }
    }

    // MARK: while the pool has it

    private func follow(_ now: MonotonicTime) throws(JobError) -> [PlaceEvent] {
        var events: [PlaceEvent] = []
        // The output first: the last line belongs before the end.
        var last: JobProgress?
        let printed = output.tail.read()
        for line in output.reader.append(printed) { last = view.take(line: line, at: now) ?? last }
        if let last { events.append(.worker(.progress(job: job, progress: last))) }
        let written = log.tail.read()
        for event in log.reader.append(written) {
            fleet.log.debug("\(job): \(event)", LogFields(job: job))
            view.take(event, at: now)
        }
        // What the pool sends back, its log and the worker's lines cannot be written. The job stays in the pool and is found again there.
        if view.ending == nil, isDiskFull { throw PlaceJob.diskFull }
        if view.ending == nil, now >= nextQuestion { ask(now) }
        if view.ending == nil, let silence = view.silence(at: now), silence >= .seconds(fleet.settings.rules.silence) {
            try stopHanging(silence, now)
        }
        if let ending = view.ending { events += try conclude(ending) }
        return events
    }

    private func ask(_ now: MonotonicTime) {
        nextQuestion = now + PlaceJob.question
        guard let attempt = folder.attempt else { return }
        do throws(SoradError) {
            if case .queue = try fleet.pool.find(job, attempt: attempt) { misses = 0 } else { misses += 1 }
            trouble = nil
            if misses >= PlaceJob.mostMisses { view.vanished() }
        } catch { trouble = error.message }
    }

    /// The worker hangs though its box is well: HTCondor sees a process that runs.
    private func stopHanging(_ silence: Duration, _ now: MonotonicTime) throws(JobError) {
        let box = view.place.box ?? ""
        let why = view.hung(silence, at: now)
        fleet.log.warning("\(job): \(why), and is killed", LogFields(job: job))
        do throws(SoradError) {
            if view.hangs < PlaceJob.mostHangs {
                return try fleet.pool.move(job, awayFrom: box, unixSeconds: TimeSource.system.unixSeconds())
            }
            try fleet.pool.remove(job)
            try folder.beginNextAttempt()
        } catch {
            fleet.log.warning("\(job) could not be taken from \(box): \(error.message)", LogFields(job: job))
            return
        }
        throw JobError(code: JobError.workerDied, message: why)
    }

    private func conclude(_ ending: JobView.Ending) throws(JobError) -> [PlaceEvent] {
        let failure: JobError
        if ending == .exited(0) || ending == .vanished, let result = folder.result {
            do throws(SoradError) { return try hand(over: result) } catch { failure = JobError(error) }
        } else if ending == .exited(0) {
            failure = JobError(code: JobError.machineFault, message: "the pool has made the clip, and its result did not come back")
        } else {
            failure = isDiskFull ? PlaceJob.diskFull : view.failure(ending, words: folder.lastWords)
        }
        // Else the same end would be told again after a restart, which is harmless, and never tried again, which is not.
        do throws(SoradError) { try folder.beginNextAttempt() } catch { throw JobError(error) }
        throw failure
    }

    /// Whether this machine's disk cannot take what the job brings back; a box's fault would be the smaller one.
    private var isDiskFull: Bool { folder.isShort(of: need.disk) }

    private static let diskFull = JobError(
        code: JobError.insufficientStorage, message: "the disk that holds the jobs cannot take what the pool sends back")

    // MARK: what the pool has made

    private func hand(over result: ClipResult) throws(SoradError) -> [PlaceEvent] {
        try folder.check(result)
        guard let marking = need.marking else { return [try deliver(result, isMarked: false)] }
        guard let lock = try folder.lock() else { throw SoradError(.busy, "an earlier program of the job still runs") }
        stage = .marking(try MarkingRun(marking, on: folder.path(of: result.video), in: folder, lock: lock), result)
        return []
    }

    /// The result stays in the folder where the program fails: the daemon tries again, and the pool makes nothing again.
    private func finishMarking(_ run: MarkingRun, _ result: ClipResult) throws(JobError) -> [PlaceEvent] {
        do throws(SoradError) {
            guard let outcome = run.outcome else { return [] }
            try outcome.get()
            return [try deliver(result, isMarked: true)]
        } catch { throw JobError(error) }
    }

    private func deliver(_ result: ClipResult, isMarked: Bool) throws(SoradError) -> PlaceEvent {
        try folder.deliver(result, isMarked: isMarked, to: directory)
        stage = .over
        fleet.log.info("\(job) came back from the pool", LogFields(job: job))
        return .worker(.finished(job: job, result: result))
    }

    private func cancelled() -> PlaceEvent {
        abandon()
        do throws(SoradError) { try fleet.pool.remove(job) } catch {
            // `Fleet.removeOrphans` tries again, since the daemon removes the job's directory.
            fleet.log.warning("\(job) could not be removed from the pool: \(error.message)", LogFields(job: job))
        }
        stage = .over
        return .worker(.failed(job: job, error: JobError(code: JobError.cancelled, message: "the job was cancelled")))
    }
}
