// Which jobs that are over are removed, and when. Pure: times and sizes come in as values.
// Invariant: a job is never removed before the end that its owner saw, except for the budget, and then the one that
// ended first goes first. The newest clip is kept whatever it weighs: nobody asked for it to be thrown away unseen.

public struct Retention: Sendable, Equatable {
    /// Seconds that a finished job is kept; nil for ever.
    public var maximumAge: Int?
    /// Bytes of all finished clips together; nil for no limit.
    public var maximumBytes: Int?
    /// Seconds after its completion for which a removed clip's digest is kept; nil for ever.
    public var digestAge: Int? = 365 * 86_400

    /// The same in days and megabytes, where 0 is for ever and no limit.
    public var days: Int {
        get { (maximumAge ?? 0) / 86_400 }
        set { maximumAge = newValue == 0 ? nil : newValue * 86_400 }
    }
    public var megabytes: Int {
        get { (maximumBytes ?? 0) / 1_000_000 }
        set { maximumBytes = newValue == 0 ? nil : newValue * 1_000_000 }
    }
    public var digestDays: Int {
        get { (digestAge ?? 0) / 86_400 }
        set { digestAge = newValue == 0 ? nil : newValue * 86_400 }
    }

    public init(maximumAge: Int? = 30 * 86_400, maximumBytes: Int? = 20_000_000_000) {
        self.maximumAge = maximumAge
        self.maximumBytes = maximumBytes
    }

    /// One finished job.
    package struct Kept: Sendable, Equatable {
        package let id: JobIdentifier
        /// Unix time in seconds, like `expiresAt`.
        package let completedAt: Int
        package let bytes: Int
        package let expiresAt: Int?

        package init(id: JobIdentifier, completedAt: Int, bytes: Int, expiresAt: Int?) {
            self.id = id
            self.completedAt = completedAt
            self.bytes = bytes
            self.expiresAt = expiresAt
        }
    }

    package struct Verdict: Sendable, Equatable {
        package var expired: [JobIdentifier] = []
        package var overBudget: [JobIdentifier] = []
        /// When the next one of those that stay expires.
        package var nextExpiry: Int?

        package init(expired: [JobIdentifier] = [], overBudget: [JobIdentifier] = [], nextExpiry: Int? = nil) {
            self.expired = expired
            self.overBudget = overBudget
            self.nextExpiry = nextExpiry
        }
    }

    func expiry(completedAt: Int) -> Int? { maximumAge.map { completedAt + $0 } }

    /// - Parameter jobs: the one that ended first in front.
    package func verdict(on jobs: [Kept], now: Int) -> Verdict {
        var verdict = Verdict()
        var staying: [Kept] = []
        for job in jobs {
            if let end = job.expiresAt, end <= now { verdict.expired.append(job.id) } else { staying.append(job) }
        }
        if let maximumBytes {
            var total = staying.reduce(0) { $0 + $1.bytes }
            var clips = staying.count { $0.bytes > 0 }
            staying.removeAll { job in
                guard total > maximumBytes, job.bytes > 0, clips > 1 else { return false }
                total -= job.bytes
                clips -= 1
                verdict.overBudget.append(job.id)
                return true
            }
        }
        verdict.nextExpiry = staying.compactMap(\.expiresAt).min()
        return verdict
    }
}
