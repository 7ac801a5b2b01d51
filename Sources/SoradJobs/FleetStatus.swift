// The pool as sorad-fleet described it last, for those who ask by HTTP.
public import SoradAPI
import Synchronization

public final class FleetStatus: Sendable {
    private struct State {
        var isConnected = false
        var pool = PoolState()
    }

    private let state = Mutex(State())

    /// Whether sorad-fleet is there.
    public var isConnected: Bool { state.withLock { $0.isConnected } }
    public var pool: PoolState { state.withLock { $0.pool } }

    func set(_ pool: PoolState) { state.withLock { $0.pool = pool } }
    func set(isConnected: Bool) { state.withLock { $0.isConnected = isConnected } }
}
