// A value that can be taken out one time, by whichever thread comes first.
import Synchronization

final class Once<Value: Sendable>: Sendable {
    private let slot: Mutex<Value?>

    init(_ value: Value) { slot = Mutex(value) }

    func take() -> Value? {
        slot.withLock { slot in
            defer { slot = nil }
            return slot
        }
    }
}
