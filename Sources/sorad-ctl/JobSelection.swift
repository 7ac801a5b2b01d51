// Owns which jobs a command means: ids, the beginnings or ends of ids, `latest`, or all that fit --all, --mine, --older-than, --status.
// Invariant: a part that fits several jobs means none of them.
import Glibc
import SoradAPI
import SoradSystem

/// The pages that a list is read in.
private let pageSize = 100

/// The options by which commands choose among all jobs.
let selectingOptions = [
    Option("all", "every job that the command can be used on"),
    Option("mine", "of all jobs, only your own: administrators see everybody's"),
    Option("older-than", .text("AGE"), "of all jobs, only those made longer ago than this: 90s, 30m, 12h, 7d, 2w"),
    Option("status", .choice(JobFilter.statuses), "of all jobs, only those in this state"),
]

/// A condition on jobs.
struct JobFilter: Sendable {
    static let statuses = ["queued", "running", "active", "completed", "failed", "cancelled", "finished"]

    var status: String?
    /// A user id.
    var owner: UInt32?
    /// Unix time in seconds.
    var createdBefore: Int?

    /// - Throws: `.usage` for a user or an age that is none.
    init(_ arguments: Arguments) throws(SoradError) {
        status = arguments["status"]
        if arguments.has("mine") { owner = effectiveUser() }
        if let name = arguments["user"] {
            guard let user = userIdentifier(name) else { throw SoradError(.notFound, "there is no user \"\(name)\" on this machine") }
            owner = user
        }
        if let age = arguments["older-than"] {
            guard let seconds = secondsOfAge(age) else {
                throw SoradError(.usage, "--older-than must be a number with s, m, h, d or w, like 7d, not \"\(age)\"")
            }
            createdBefore = time(nil) - seconds
        }
    }

    func fits(_ video: Video) -> Bool {
        // Only administrators see whose a job is; everybody else sees their own alone.
        if let owner, let actual = video.details.owner, actual != owner { return false }
        if let createdBefore, video.createdAt > createdBefore { return false }
        let isCancelled = video.error?.code == "cancelled"
        switch status {
        case "queued"?: return video.status == .queued
        case "running"?: return video.status == .inProgress
        case "active"?: return video.status == .queued || video.status == .inProgress
        case "completed"?: return video.status == .completed
        case "failed"?: return video.status == .failed && !isCancelled
        case "cancelled"?: return isCancelled
        case "finished"?: return video.status == .completed || video.status == .failed
        default: return true
        }
    }
}

/// Seconds of "90s", "30m", "12h", "7d", "2w"; nil for anything else.
func secondsOfAge(_ text: String) -> Int? {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
    guard let letter = text.last, let unit = units[letter], let count = Int(text.dropLast()), (0...1_000_000).contains(count) else {
        return nil
    }
    return count * unit
}

extension DaemonConnection {
    /// The jobs that `fits` holds for, the newest first.
    /// - Returns: also whether there are more.
    func jobs(limit: Int = .max, where fits: (Video) -> Bool = { _ in true }) throws(SoradError) -> (jobs: [Video], hasMore: Bool) {
        var found: [Video] = []
        var last: String?
        while true {
            let page = try videos(after: last, limit: min(pageSize, limit))
            for (index, video) in page.data.enumerated() where fits(video) {
                found.append(video)
                if found.count == limit { return (found, page.hasMore || page.data[(index + 1)...].contains(where: fits)) }
            }
            guard page.hasMore, let next = page.data.last?.id else { return (found, false) }
            last = next
        }
    }

    /// The id that `word` stands for: itself, a unique beginning (with or without "video_") or end of it, or `latest`.
    /// - Throws: `.notFound` when no job has it, `.usage` when several have.
    func identifier(_ word: String) throws(SoradError) -> String {
        if isWholeIdentifier(word) { return word }
        if word == "latest" {
            let user = effectiveUser()
            let own = try jobs(limit: 1) { $0.details.owner.map { $0 == user } ?? true }.jobs.first
            guard let own else { throw SoradError(.notFound, "there is no latest job: you have none", hint: "sorad-ctl generate PROMPT") }
            return own.id
        }
        let part = word.hasPrefix(identifierStart) ? String(word.dropFirst(identifierStart.count)) : word
        guard part.utf8.allSatisfy(isHexadecimal), part.count >= 2 else { throw unknownJob(word) }
        let isBeginning = part.count < word.count
        let ids = try jobs { video in
            let digits = video.id.dropFirst(identifierStart.count)
            return digits.hasPrefix(part) || !isBeginning && digits.hasSuffix(part)
        }.jobs.map(\.id)
        if ids.isEmpty { throw unknownJob(word) }
        guard ids.count == 1 else {
            throw SoradError(
                .usage, "\"\(word)\" fits \(ids.count) jobs: \(ids.prefix(4).joined(separator: ", "))\(ids.count > 4 ? ", …" : "")",
                hint: "give more of the id, or its end")
        }
        return ids[0]
    }

    private func unknownJob(_ word: String) -> SoradError {
        SoradError(.notFound, "there is no job \"\(word)\"", hint: "sorad-ctl jobs lists them")
    }

    /// The jobs that a command is to work on, as its words and options say.
    /// - Parameter standard: the state of the jobs that it can be used on.
    /// - Throws: `.usage` for neither or both.
    func selected(_ arguments: Arguments, standard: String, verb: String) throws(SoradError) -> [String] {
        let chooses = selectingOptions.contains { arguments.has($0.name) }
        switch (chooses, arguments.words.isEmpty) {
        case (true, true): return try matching(arguments, standard).map(\.id)
        case (true, false):
            throw SoradError(.usage, "ids and --all, --mine, --older-than or --status exclude each other", hint: "sorad-ctl help \(verb)")
        case (false, true):
            throw SoradError(.usage, "\(verb) needs an ID, or --all, --mine, --older-than or --status", hint: "sorad-ctl help \(verb)")
        case (false, false): break
        }
        var ids: [String] = []
        for word in arguments.words {
            let id = try identifier(word)
            if !ids.contains(id) { ids.append(id) }
        }
        return ids
    }

    private func matching(_ arguments: Arguments, _ standard: String) throws(SoradError) -> [Video] {
        var filter = try JobFilter(arguments)
        filter.status = filter.status ?? standard
        return try jobs { filter.fits($0) }.jobs
    }
}

private let identifierStart = "video_"

private func isWholeIdentifier(_ word: String) -> Bool {
    word.hasPrefix(identifierStart) && word.utf8.count == identifierStart.utf8.count + 32
        && word.utf8.dropFirst(identifierStart.utf8.count).allSatisfy(isHexadecimal)
}

private func isHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}
