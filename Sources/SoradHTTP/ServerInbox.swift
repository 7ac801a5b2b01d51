// How other threads reach the I/O thread: messages and a wake-up.
import SoradSystem
import Synchronization

final class ServerInbox: Sendable {
    enum Message: Sendable {
        case answer(connection: UInt64, request: UInt64, Response)
        case stream(connection: UInt64)
        case revoked(key: String)
        case stop(by: MonotonicTime)
    }

    private let messages = Mutex<[Message]>([])
    let wake: EventCounter
    /// Tells this server's request ids from those of an earlier run.
    let instance: String
    /// Connections open now.
    let connections = Atomic<Int>(0)

    init(instance: String) throws(Errno) {
        wake = try EventCounter(.signal)
        self.instance = instance
    }

    func post(_ message: Message) {
        messages.withLock { $0.append(message) }
        wake.add()
    }

    func takeAll() -> [Message] {
        messages.withLock { messages in
            defer { messages = [] }
            return messages
        }
    }
}
