// Owns the wish to stop long work: set by the thread that hears it, asked for by the one that works. It lies this low so that the
// model can be stopped between two layers without knowing of jobs.
import Synchronization

/// Asked in the middle of long work, every few milliseconds, whether to continue; throws when not. Cheap.
public typealias StopCheck = @Sendable () throws(SoradError) -> Void

/// Goes from "carry on" to "stop" once and never back.
public final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    public init() {}

    public func stop() { flag.store(true, ordering: .releasing) }
    public var isStopped: Bool { flag.load(ordering: .acquiring) }

    /// - Throws: `.cancelled` once `stop` was called.
    @Sendable public func check() throws(SoradError) {
        if isStopped { throw SoradError(.cancelled, "the job was cancelled") }
    }
}
