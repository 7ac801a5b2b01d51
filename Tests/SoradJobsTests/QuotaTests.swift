// Quotas, turns and access: pure rules, by table; and the service that keeps them.
import Glibc
import SoradAPI
import SoradJobs
import SoradSystem
import Testing

@Suite struct QuotaTests {
    struct Case: Sendable {
        var quota: Quota
        var usage: Usage
        var adding = 1_000
        var kind: SoradError.Kind?
        var words = ""
        var retryAfter: Int?
    }

    private static func clips(_ clips: (Int, Int)...) -> Usage {
        Usage(clips: clips.map { Usage.Clip(createdAt: $0.0, milliseconds: $0.1) })
    }

    static let cases: [Case] = [
        Case(quota: Quota(), usage: Usage(jobs: 10_000, bytes: .max)),
        Case(quota: Quota(jobs: 3), usage: Usage(jobs: 2)),
        Case(
            quota: Quota(jobs: 3), usage: Usage(jobs: 3), kind: .busy, words: "you have 3 jobs that are not finished, and your quota is 3",
            retryAfter: 7),
        Case(quota: Quota(bytes: 10), usage: Usage(bytes: 9)),
        Case(
            quota: Quota(bytes: 2_500_000), usage: Usage(bytes: 2_500_000), kind: .storageFull,
            words: "your finished clips take 2.5 MB, and your quota is 2.5 MB; delete some"),
        Case(quota: Quota(jobs: 0), usage: Usage(), kind: .permission, words: "allows no clips; ask an administrator"),
        Case(quota: Quota(bytes: 0), usage: Usage(), kind: .permission, words: "allows no clips"),
        Case(quota: Quota(secondsPerDay: 0), usage: Usage(), kind: .permission, words: "allows no clips"),
        Case(quota: Quota(secondsPerDay: 3), usage: clips((1, 2_000))),
        Case(
            quota: Quota(secondsPerDay: 3), usage: clips((1, 2_001)), kind: .busy,
            words: "this clip has 1 s; of the 3 s that you may ask for within a day, 0.999 s are left", retryAfter: 1 + 86_400 - 1_000),
        // The first clip alone makes no room.
        Case(
            quota: Quota(secondsPerDay: 3), usage: clips((1, 500), (600, 2_500)), kind: .busy, words: "0 s are left",
            retryAfter: 600 + 86_400 - 1_000),
        Case(
            quota: Quota(secondsPerDay: 3), usage: clips(), adding: 3_001, kind: .badInput, words: "can never be made; ask for a shorter"),
    ]

    @Test(arguments: cases.indices) func whatIsRefused(index: Int) {
        let test = Self.cases[index]
        do throws(SoradError) {
            try test.quota.check(test.usage, adding: test.adding, now: 1_000, jobSeconds: 7)
            #expect(test.kind == nil)
        } catch {
            #expect(error.kind == test.kind && error.code == "quota_exceeded" && error.retryAfter == test.retryAfter, "\(error)")
            #expect(error.message.contains(test.words), "\(error.message)")
        }
    }

    @Test func aTableSurvivesItsJSON() throws {
        let table = QuotaTable(standard: Quota(jobs: 1, bytes: 0), users: [0: Quota(), .max: Quota(secondsPerDay: 5)])
        #expect(try QuotaTable(json: table.json) == table)
        #expect(table.quota(of: 7) == table.standard && table.quota(of: .max) == Quota(secondsPerDay: 5))
        for text in ["{\"default\":{\"jobs\":-1}}", "{\"users\":{\"bob\":{}}}", "{\"default\":{\"bytes\":\"x\"}}"] {
            #expect(throws: JSONError.self) { try QuotaTable(json: JSONValue(parsing: Array(text.utf8))) }
        }
    }
}

@Suite struct FairTurnTests {
    /// The order in which jobs of (owner, priority) are begun; `begun`: those that were begun before.
    private func order(_ jobs: [(UInt32, Int)], begun: Set<Int> = []) -> [Int] {
        var turn = FairTurn()
        var known: [JobIdentifier: Job] = [:]
        var queue: [JobIdentifier] = []
        for (index, (owner, priority)) in jobs.enumerated() {
            let id = JobIdentifier(milliseconds: Int64(index), random: [UInt8](repeating: 0, count: 10))
            known[id] = Job(id: id, owner: owner, plan: .sample(), createdAt: 0)
            known[id]?.priority = priority
            if begun.contains(index) { known[id]?.startedAt = 1 }
            queue.append(id)
        }
        var order: [Int] = []
        while let id = turn.next(of: queue, known) {
            order.append(Int(id.milliseconds))
            queue.removeAll { $0 == id }
            if known[id]!.startedAt == nil { turn.took(known[id]!.owner) }
        }
        return order
    }

    @Test func usersTakeTurns() {
        #expect(order([(1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (2, 0)]) == [0, 3, 4, 1, 5, 2])
        #expect(order([(1, 0), (1, 0), (1, 0)]) == [0, 1, 2])
        #expect(order([]) == [])
    }

    @Test func aPriorityGoesBeforeTurnsAndWhatWasBegunBeforeWhatWasNot() {
        #expect(order([(1, 0), (1, 5), (2, 0), (1, -1)]) == [1, 2, 0, 3])
        #expect(order([(1, 0), (2, 0), (2, 0)], begun: [2]) == [2, 0, 1])
        #expect(order([(1, 1), (2, 0)], begun: [1]) == [0, 1])
    }
}

@Suite struct AccessTests {
    @Test func whoMayWhat() {
        let rules = AccessRules(adminGroup: 40, daemonUser: 500)
        func peer(_ user: UInt32, _ group: UInt32, _ more: [UInt32] = []) -> Peer {
            Peer(processID: 1, userID: user, groupID: group, supplementaryGroups: more)
        }
        let cases: [(Peer, seesAll: Bool, administers: Bool)] = [
            (peer(0, 0), true, true), (peer(1000, 1000), false, false), (peer(1000, 40), true, true), (peer(1000, 1, [3, 40]), true, true),
            (peer(1000, 1, [3, 41]), false, false), (peer(500, 500), false, true),
        ]
        for (peer, seesAll, administers) in cases {
            #expect(rules.viewer(peer) == Viewer(user: peer.userID, isAdmin: seesAll))
            #expect(rules.viewer(peer).isAdmin == seesAll && rules.mayAdminister(peer) == administers, "\(peer)")
        }
        #expect(!AccessRules(adminGroup: nil, daemonUser: 500).mayAdminister(peer(7, 40)))
    }
}

@Suite struct AdmissionTests {
    private func service(_ directory: TemporaryDirectory) throws -> JobService {
        try JobService(
            directory: directory.path, settings: JobService.Settings(), time: .system, wake: try EventCounter(.signal),
            log: Log(program: "test", level: .error, environment: [:]))
    }
    private let plan = ClipPlan.sample()

    @Test func aUsersQuotaIsTheirsAloneAndOutlivesARestart() throws {
        let directory = try TemporaryDirectory()
        do {
            let first = try service(directory)
            _ = try first.setQuota(Quota(jobs: 1), of: nil)
            _ = try first.setQuota(Quota(jobs: 2), of: 7)
        }
        let service = try service(directory)
        for owner: Viewer in [6, 7, 7, 0, 0] { _ = try service.submit(owner: owner, plan) }
        for owner: Viewer in [6, 7] {
            let error = #expect(throws: SoradError.self) { try service.submit(owner: owner, plan) }
            #expect(error?.code == "quota_exceeded" && error?.retryAfter != nil)
        }
        _ = try service.submit(owner: Viewer(user: 6, isAdmin: true), plan)
        #expect(try service.setQuota(nil, of: 7).users.isEmpty)
    }

    @Test func theDayIsUsedByWhatWasAskedForAndGivenBackOnlyWhenNothingWasDone() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        _ = try service.setQuota(Quota(secondsPerDay: 3), of: nil)
        let jobs = try (0..<2).map { _ in try service.submit(owner: 5, plan) }
        #expect(throws: SoradError.self) { try service.submit(owner: 5, plan) }
        // Deleting gives nothing back; cancelling what was not begun does.
        #expect(try service.delete(jobs[1].id, viewer: 5))
        #expect(throws: SoradError.self) { try service.submit(owner: 5, plan) }
        _ = try service.cancel(jobs[0].id, viewer: 5)
        let third = try service.submit(owner: 5, plan)
        #expect(try service.job(third.id, viewer: 5) != nil)
    }

    @Test func drainAndPauseAreTwoThingsAndOutliveARestart() throws {
        let directory = try TemporaryDirectory()
        do {
            let first = try service(directory)
            first.deliver(.released(.models))
            try first.pause()
            _ = try first.submit(owner: 1, plan)
            #expect(first.takeEffects(of: .first) == [] && first.summary.queued == 1)
            try first.drain()
            let error = #expect(throws: SoradError.self) { try first.submit(owner: 0, plan) }
            #expect(error?.code == "draining" && error?.retryAfter == 60)
        }
        let second = try service(directory)
        second.deliver(.released(.models))
        #expect(second.summary.isDraining && second.summary.isPaused && second.takeEffects(of: .first) == [])
        try second.resume()
        #expect(second.takeEffects(of: .first) == [.startWorker(.first, model: "mini")])
        _ = try second.submit(owner: 1, plan)
    }

    @Test func aPriorityMovesAJobAndIsKept() throws {
        let directory = try TemporaryDirectory()
        let service = try service(directory)
        let ids = try (0..<3).map { _ in try service.submit(owner: 1, plan).id }
        #expect(try service.setPriority(9, of: ids[2])?.video.details.priority == 9)
        service.deliver(.released(.models))
        #expect(try service.job(ids[2], viewer: 1)?.status == .inProgress)
        #expect(try service.setPriority(1, of: JobIdentifier(milliseconds: 1, random: [UInt8](repeating: 0, count: 10))) == nil)
    }

    @Test func theLargestClipThatFitsIsFound() {
        var request = ClipPlan.sample()
        request.numFrames = 81
        let model = ClipRequestTests.model
        #expect(request.largestFrames(model) { $0.numFrames <= 40 } == 37)
        #expect(request.largestFrames(model) { $0.numFrames <= 1 } == 1)
        #expect(request.largestFrames(model) { _ in false } == nil)
        #expect(request.largestFrames(nil) { _ in true } == nil)
        request.given = ReferenceMedia()
        request.given?.source = ReferenceClip(numFrames: 81, contextFrames: 81)
        #expect(request.largestFrames(model) { _ in true } == nil)
    }
}
