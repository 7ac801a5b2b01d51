// How much one user may ask for, and how much they have. Pure: the refusal has the numbers and says when to come back.
import SoradAPI
public import SoradSystem

/// Limits of one user; nil for none.
public struct Quota: Sendable, Equatable, JSONRepresentable {
    /// Jobs that are not over.
    public var jobs: Int?
    /// Seconds of clip asked for within a day.
    public var secondsPerDay: Int?
    /// Bytes of finished clips.
    public var bytes: Int?

    public static let names = ["jobs", "seconds_per_day", "bytes"]

    public init(jobs: Int? = nil, secondsPerDay: Int? = nil, bytes: Int? = nil) {
        self.jobs = jobs
        self.secondsPerDay = secondsPerDay
        self.bytes = bytes
    }

    public var json: JSONValue {
        ["jobs": .optional(jobs), "seconds_per_day": .optional(secondsPerDay), "bytes": .optional(bytes)]
    }

    public init(json: JSONValue) throws(JSONError) {
        func limit(_ name: String) throws(JSONError) -> Int? {
            guard let value = json[name], value != .null else { return nil }
            guard let number = value.integer, number >= 0 else { throw JSONError("the quota's \(name) is not a whole number from 0 on") }
            return number
        }
        self.init(jobs: try limit("jobs"), secondsPerDay: try limit("seconds_per_day"), bytes: try limit("bytes"))
    }
}

/// The present usage of one user.
package struct Usage: Sendable, Equatable {
    /// Seconds for which a clip counts.
    package static let window = 86_400

    package struct Clip: Sendable, Equatable {
        /// Unix time in seconds.
        package let createdAt: Int
        package let milliseconds: Int

        package init(createdAt: Int, milliseconds: Int) {
            self.createdAt = createdAt
            self.milliseconds = milliseconds
        }
    }

    /// Jobs that are not over.
    package var jobs = 0
    /// Within the window, the oldest first.
    package var clips: [Clip] = []
    package var bytes = 0

    package init(jobs: Int = 0, clips: [Clip] = [], bytes: Int = 0) {
        self.jobs = jobs
        self.clips = clips
        self.bytes = bytes
    }

    var milliseconds: Int { clips.reduce(0) { $0 + $1.milliseconds } }
}

extension Quota {
    /// Refuses a clip of `milliseconds` that is too much for somebody who has used `usage`.
    /// - Parameter jobSeconds: how long a job takes, as far as is known.
    package func check(_ usage: Usage, adding milliseconds: Int, now: Int, jobSeconds: Int) throws(SoradError) {
        // Neither waiting nor deleting helps.
        if jobs == 0 || bytes == 0 || secondsPerDay == 0 {
            throw SoradError(.permission, "your quota allows no clips; ask an administrator for a larger one", code: "quota_exceeded")
        }
        if let jobs, usage.jobs >= jobs {
            throw SoradError(
                .busy, "you have \(usage.jobs) jobs that are not finished, and your quota is \(jobs); wait for one, or cancel one",
                code: "quota_exceeded", retryAfter: max(1, jobSeconds))
        }
        if let bytes, usage.bytes >= bytes {
            throw SoradError(
                .storageFull,
                "your finished clips take \(megabytes(usage.bytes)), and your quota is \(megabytes(bytes)); delete some of them",
                code: "quota_exceeded")
        }
        guard let secondsPerDay, usage.milliseconds + milliseconds > secondsPerDay * 1000 else { return }
        let left = max(0, secondsPerDay * 1000 - usage.milliseconds)
        let sentence =
            "this clip has \(seconds(milliseconds)) s; of the \(secondsPerDay) s that you may ask for within a day, "
            + "\(seconds(left)) s are left"
        guard milliseconds <= secondsPerDay * 1000 else {
            throw SoradError(.badInput, "\(sentence), so it can never be made; ask for a shorter one", code: "quota_exceeded")
        }
        throw SoradError(
            .busy, "\(sentence); ask for a shorter one, or come back later", code: "quota_exceeded",
            retryAfter: Quota.wait(for: usage.milliseconds + milliseconds - secondsPerDay * 1000, usage.clips, now: now))
    }

    /// Seconds until clips of `milliseconds` in all have left the window.
    private static func wait(for milliseconds: Int, _ clips: [Usage.Clip], now: Int) -> Int {
        var gone = 0
        for clip in clips {
            gone += clip.milliseconds
            if gone >= milliseconds { return max(1, clip.createdAt + Usage.window - now) }
        }
        return Usage.window
    }
}

private func seconds(_ milliseconds: Int) -> String { decimalText(Double(milliseconds) / 1000) }

/// The quotas of all users.
public struct QuotaTable: Sendable, Equatable, JSONRepresentable {
    /// Of a user who has none of their own.
    public var standard: Quota
    public var users: [UInt32: Quota] = [:]

    /// One user alone cannot fill the queue.
    public static let initial = QuotaTable(standard: Quota(jobs: 50))

    public init(standard: Quota, users: [UInt32: Quota] = [:]) {
        self.standard = standard
        self.users = users
    }

    public func quota(of user: UInt32) -> Quota { users[user] ?? standard }

    public var json: JSONValue {
        var object = JSONObject()
        for (user, quota) in users.sorted(by: { $0.key < $1.key }) { object["\(user)"] = quota.json }
        return ["default": standard.json, "users": .object(object)]
    }

    public init(json: JSONValue) throws(JSONError) {
        standard = try Quota(json: json["default"] ?? .null)
        for member in json["users"]?.object?.members ?? [] {
            guard let user = UInt32(member.key) else { throw JSONError("the quotas name a user \"\(member.key)\"") }
            users[user] = try Quota(json: member.value)
        }
    }
}
