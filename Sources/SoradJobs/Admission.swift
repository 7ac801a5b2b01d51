// Whether a request becomes a job: the last step before it is recorded. Every refusal has numbers and says what to do.
// Order: what concerns everybody (draining, the queue, the disk, memory), then what concerns this user.
public import SoradAPI
import SoradSystem

/// What a client wants made, checked and complete but for the room and the right to it.
public struct Wish: Sendable {
    public var request: GenerationRequest
    /// The length of the clip as the answer says it: decimal text.
    public var seconds: String
    /// Of the request; nil in tests that have none.
    public var model: ModelInfo?
    public var priority = 0
    /// Of the largest given file, `MediaFacts.heldPixels`; 0 for none.
    public var givenPixels = 0

    public init(_ request: GenerationRequest, seconds: String, model: ModelInfo? = nil) {
        self.request = request
        self.seconds = seconds
        self.model = model
    }
}

extension JobService {
    /// What stands in the way of any new job.
    func checkIntake(_ state: inout State) throws(SoradError) {
        guard !state.controls.isDraining else {
            throw SoradError(
                .unavailable, "New jobs are not taken at the moment: an administrator has sorad finish what it has; try again later.",
                code: "draining", retryAfter: 60)
        }
        let waiting = state.machine.queuedCount
        guard waiting < settings.queueLimit else {
            throw SoradError(
                .busy, "The queue is full: \(waiting) jobs wait already and the limit is \(settings.queueLimit); try again later.",
                code: "queue_full", retryAfter: state.secondsPerJob)
        }
    }

    /// What stands in the way of this one.
    func check(_ wish: Wish, of owner: Viewer, _ state: inout State) throws(SoradError) {
        try checkRoom(wish, &state)
        try checkMemory(wish)
        guard !owner.isAdmin else { return }
        let now = time.unixSeconds()
        let usage = try usage(of: owner.user, now: now, state)
        try state.controls.quotas.quota(of: owner.user).check(
            usage, adding: wish.request.clipMilliseconds, now: now, jobSeconds: state.secondsPerJob)
    }

    private func usage(of user: UInt32, now: Int, _ state: State) throws(SoradError) -> Usage {
        try reading { () throws(DatabaseError) in
            Usage(
                jobs: state.machine.jobs.values.count { $0.owner == user },
                clips: try state.store.clipTime(of: user, since: now - Usage.window), bytes: try state.store.bytes(of: user))
        }
    }
}

extension JobService.State {
    /// How long a job takes, as far as is known: what a client that finds no place is told to wait.
    var secondsPerJob: Int { min(120, max(1, lastDuration ?? 5)) }
}

extension GenerationRequest {
    /// Of the finished clip.
    var clipMilliseconds: Int { clipFrames * 1000 / max(1, fps) }

    /// The largest number of frames at this size, fewer than asked for, for which `fits` holds; nil when there is none or when the
    /// length is not the request's own to choose.
    package func largestFrames(_ model: ModelInfo?, where fits: (GenerationRequest) -> Bool) -> Int? {
        guard let model, given?.before == nil, given?.after == nil, given?.source == nil else { return nil }
        var smaller = self
        // More frames never fit better: halve the range. `low` counts groups that fit, `high` groups that do not.
        func holds(_ groups: Int) -> Bool {
            smaller.numFrames = 1 + groups * model.frameMultiple
            return fits(smaller)
        }
        var (low, high) = (0, (numFrames - 1) / model.frameMultiple)
        guard high > 0, holds(0) else { return nil }
        while high - low > 1 {
            let middle = (low + high) / 2
            if holds(middle) { low = middle } else { high = middle }
        }
        return 1 + low * model.frameMultiple
    }
}
