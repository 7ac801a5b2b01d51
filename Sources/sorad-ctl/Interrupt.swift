// Owns SIGINT and SIGTERM while a job is being waited for: they are held back and waited for together with news and the time, so that no
// handler runs at a moment that nobody has thought of.
import Glibc
import SoradSystem

final class Interrupt {
    private let signals: SignalDescriptor

    /// Holds the signals back for the rest of the process. Make it before any thread: threads inherit that.
    /// - Throws: `.internalFault` when the system refuses.
    init() throws(SoradError) {
        do throws(Errno) { signals = try SignalDescriptor([SIGINT, SIGTERM]) } catch {
            throw SoradError(.internalFault, "cannot watch for signals: \(error)")
        }
    }

    /// Waits until `counter` is signalled, or for `timeout`; nil is for ever. Returns true, early, when the user wants to stop.
    func wait(for counter: EventCounter? = nil, timeout: Duration?) -> Bool {
        var entries = [PollEntry(reading: signals.rawDescriptor)]
        if let counter { entries.append(PollEntry(reading: counter.rawDescriptor)) }
        do throws(Errno) {
            try poll(&entries, timeout: timeout)
            return try signals.take() != nil
        } catch { preconditionFailure("poll: \(error)") }
    }
}
