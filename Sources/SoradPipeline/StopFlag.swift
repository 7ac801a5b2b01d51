// Owns the wish to stop one job: set by the thread that hears it, looked at by the one that works.
import Synchronization

/// Goes from "carry on" to "stop" once and never back.
public final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    public init() {}

    public func stop() { flag.store(true, ordering: .releasing) }
    public var isStopped: Bool { flag.load(ordering: .acquiring) }
}
