// Names of users for lines of status. Asking the system for one may ask the network, so it is asked where waiting does no harm, and
// whoever must not wait reads what is known.
import Synchronization

public final class UserNames: Sendable {
    private static let most = 1_000
    private let names = Mutex<[UInt32: String]>([:])

    public init() {}

    /// Looks a user up, once; may wait.
    public func learn(_ user: UInt32) {
        guard names.withLock({ $0[user] == nil }) else { return }
        let name = userName(user) ?? "uid \(user)"
        names.withLock { names in
            if names.count >= UserNames.most { names = [:] }
            names[user] = name
        }
    }

    /// "anna", or "uid 1000" of one whom nobody has looked up; never waits.
    public func name(of user: UInt32) -> String { names.withLock { $0[user] } ?? "uid \(user)" }
}
