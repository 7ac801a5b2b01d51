// How many connections each user has; those without an identity count as nobody's. I/O thread only.
import SoradSystem

final class ConnectionCounts {
    private var counts: [UInt32: Int] = [:]
    /// Of one user.
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    subscript(peer: Peer) -> Int { counts[peer.userID, default: 0] }

    func add(_ user: UInt32) { counts[user, default: 0] += 1 }

    func remove(_ user: UInt32) {
        let left = counts[user, default: 1] - 1
        counts[user] = left == 0 ? nil : left
    }

    /// A connection turns out to be `new`'s. False, and nothing is changed, when that user has too many.
    func move(from old: UInt32, to new: UInt32) -> Bool {
        guard counts[new, default: 0] < limit else { return false }
        remove(old)
        add(new)
        return true
    }
}
