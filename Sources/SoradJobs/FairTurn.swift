// Whose job is begun next. Pure.
// Rules, in this order: the higher priority; a job that was begun before (its worker died, or the daemon was stopped), so that half-done
// work is finished first; the user whose last turn lies longest behind; of one user's jobs the one that waits longest.

package struct FairTurn: Sendable {
    /// When each user had a job begun last, by counting.
    private var last: [UInt32: Int] = [:]
    private var count = 0

    /// Users that are remembered when none of their jobs waits.
    private static let memory = 1_000

    package init() {}

    /// - Parameter queue: jobs that wait, the one that has waited longest in front.
    package func next(of queue: [JobIdentifier], _ jobs: [JobIdentifier: Job]) -> JobIdentifier? {
        func key(_ index: Int, _ job: Job) -> (Int, Int, Int, Int) {
            (-job.priority, job.startedAt == nil ? 1 : 0, job.startedAt == nil ? last[job.owner] ?? 0 : 0, index)
        }
        return queue.enumerated().compactMap { index, id in jobs[id].map { (key(index, $0), id) } }.min { $0.0 < $1.0 }?.1
    }

    /// All of `queue` in the order in which they are begun, if nothing else comes.
    package func order(of queue: [JobIdentifier], _ jobs: [JobIdentifier: Job]) -> [JobIdentifier] {
        var order: [JobIdentifier] = []
        var turn = self
        let levels = Dictionary(grouping: queue.compactMap { jobs[$0] }, by: \.priority)
        for (_, level) in levels.sorted(by: { $0.key > $1.key }) {
            order += level.filter { $0.startedAt != nil }.map(\.id)
            // Whoever had a turn goes behind everybody else: round after round the users keep their order.
            var users: [[Job]] = []
            var places: [UInt32: Int] = [:]
            for job in level where job.startedAt == nil {
                if let place = places[job.owner] {
                    users[place].append(job)
                } else {
                    places[job.owner] = users.count
                    users.append([job])
                }
            }
            users = users.enumerated().sorted { (turn.last[$0.1[0].owner] ?? 0, $0.0) < (turn.last[$1.1[0].owner] ?? 0, $1.0) }.map(\.1)
            var round = 0
            while !users.isEmpty {
                for own in users {
                    order.append(own[round].id)
                    turn.took(own[round].owner)
                }
                round += 1
                users.removeAll { $0.count == round }
            }
        }
        return order
    }

    /// A job of `owner` is begun for the first time.
    package mutating func took(_ owner: UInt32) {
        count += 1
        last[owner] = count
        if last.count > 2 * FairTurn.memory {
            let oldest = last.values.sorted(by: >)[FairTurn.memory]
            last = last.filter { $0.value > oldest }
        }
    }
}
