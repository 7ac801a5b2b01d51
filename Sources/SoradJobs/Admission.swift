// Admission: the last checks before a request becomes a job. Every refusal has numbers and advice.
// Order: limits of everybody (draining, the queue, the disk, memory), then those of this user.
package import SoradAPI
public import SoradSystem

extension JobService {
    /// Refuses every new job while draining or when the queue is full.
    func checkIntake(_ state: inout State) throws(SoradError) {
        guard !state.controls.isDraining else {
            throw SoradError(
                .unavailable, "new jobs are not taken at the moment: an administrator has sorad finish what it has; try again later",
                code: "draining", retryAfter: 60)
        }
        let waiting = state.machine.queuedCount
        guard waiting < settings.queueLimit else {
            throw SoradError(
                .busy, "the queue is full: \(waiting) jobs wait already and the limit is \(settings.queueLimit); try again later",
                code: "queue_full", retryAfter: state.secondsPerJob)
        }
    }

    /// Refuses this plan when the disk, the memory or the user's quota does not allow it.
    func check(_ plan: ClipPlan, _ model: ModelInfo?, of owner: Viewer, _ state: inout State) throws(SoradError) {
        try checkDisk(plan, model, &state)
        try checkMemory(plan, model)
        guard !owner.isAdmin else { return }
        let now = time.unixSeconds()
        let usage = try usage(of: owner.user, now: now, state)
        try state.controls.quotas.quota(of: owner.user).check(
            usage, adding: plan.clipMilliseconds, now: now, jobSeconds: state.secondsPerJob)
    }

    /// Refuses given files that, with those of the user's other jobs that are not over, take more than half of the disk space above what
    /// must stay free: as much is left for everybody else.
    func checkGivenFiles(_ draft: JobDraft, of owner: Viewer, _ state: State) throws(SoradError) {
        guard !owner.isAdmin, let space = try? DiskSpace(at: directory) else { return }
        let others = state.machine.jobs.values.filter { $0.owner == owner.user && $0.plan.given != nil }
        let taken = spool.size(of: draft.id) + others.reduce(0) { $0 + spool.size(of: $1.id) }
        guard taken > max(0, space.free - settings.minimumFree) else { return }
        throw SoradError(
            .busy,
            "the files of your \(others.count) waiting jobs and of this one take \(megabytes(taken)), which is more than is left for others; "
                + "wait for a job to end", code: "quota_exceeded", retryAfter: state.secondsPerJob)
    }

    /// The limits of a user and how much of them is used: the answer to GET /v1/quota.
    public func quotaReport(of viewer: Viewer) throws(SoradError) -> JSONValue {
        try locked { state throws(SoradError) in
            let quota = viewer.isAdmin ? Quota() : state.controls.quotas.quota(of: viewer.user)
            let usage = try usage(of: viewer.user, now: time.unixSeconds(), state)
            return [
                "object": "quota", "user": .integer(Int(viewer.user)), "limits": quota.json,
                "used": [
                    "jobs": .integer(usage.jobs), "seconds_per_day": .double(Double(usage.milliseconds) / 1000),
                    "bytes": .integer(usage.bytes),
                ],
            ]
        }
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
    /// Seconds of the last clip, 1 to 120: the `retry-after` of a client that finds the queue full.
    var secondsPerJob: Int { min(120, max(1, lastDuration ?? 5)) }
}

extension ClipPlan {
    /// Of the finished clip.
    var clipMilliseconds: Int { clipFrames * 1000 / max(1, fps) }

    /// The largest number of frames at this size, fewer than asked for, for which `fits` holds; nil when there is none or when the
    /// length is not the request's own to choose.
    package func largestFrames(_ model: ModelInfo?, where fits: (ClipPlan) -> Bool) -> Int? {
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
