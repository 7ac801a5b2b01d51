// What the daemon's loop asks of whoever makes the clips of one slot: a worker process here, or a place in a pool of machines.
public import SoradSystem

public protocol SlotSupervisor: AnyObject {
    /// The descriptors to poll.
    var pollEntries: [PollEntry] { get }
    /// When `work` has something to do even if no descriptor is ready.
    var deadline: MonotonicTime? { get }
    /// Brings what has come to the service and performs its actions, until nothing is left to do now.
    func work()
}
