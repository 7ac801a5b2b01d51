// The user who asks, as the kernel identifies them, and their rights. Pure.
public import SoradSystem

public struct Viewer: Sendable, Equatable, ExpressibleByIntegerLiteral {
    public let user: UInt32
    /// Root, or a member of the admin group: sees everybody's jobs and has no quota.
    public let isAdmin: Bool

    public init(user: UInt32, isAdmin: Bool = false) {
        self.user = user
        self.isAdmin = isAdmin || user == 0
    }

    public init(integerLiteral user: UInt32) { self.init(user: user) }

    func mayKnow(_ job: Job) -> Bool { isAdmin || job.owner == user }
}

/// Who is an administrator.
public struct AccessRules: Sendable {
    /// nil when the system has no such group.
    public let adminGroup: UInt32?
    /// The user whose daemon this is: may administer it, but has no claim to other users' jobs.
    public let daemonUser: UInt32

    public init(adminGroup: UInt32?, daemonUser: UInt32) {
        self.adminGroup = adminGroup
        self.daemonUser = daemonUser
    }

    public func viewer(_ peer: Peer) -> Viewer { Viewer(user: peer.userID, isAdmin: isMember(peer)) }

    public func mayAdminister(_ peer: Peer) -> Bool { peer.userID == 0 || peer.userID == daemonUser || isMember(peer) }

    private func isMember(_ peer: Peer) -> Bool {
        guard let adminGroup else { return false }
        return peer.groupID == adminGroup || peer.supplementaryGroups.contains(adminGroup)
    }
}
