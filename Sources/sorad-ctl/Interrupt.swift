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

    /// Waits until `descriptor` can be read. Returns true, early, when the user wants to stop.
    func wait(forReadable descriptor: Int32) -> Bool {
        var entries = [PollEntry(reading: signals.rawDescriptor), PollEntry(reading: descriptor)]
        do throws(Errno) {
            try poll(&entries, timeout: nil)
            return try signals.take() != nil
        } catch { preconditionFailure("poll: \(error)") }
    }

    /// Waits for `timeout`. Returns true, early, when the user wants to stop: with a signal, or with q where keys come from a terminal.
    func wait(forKeyOn stream: StandardStream?, timeout: Duration) -> Bool {
        var entries = [PollEntry(reading: signals.rawDescriptor)]
        if let stream { entries.append(PollEntry(reading: stream.rawValue)) }
        do throws(Errno) {
            guard try poll(&entries, timeout: timeout) else { return false }
            if try signals.take() != nil { return true }
            guard let stream else { return false }
            // An end of the input is a wish to stop too: nobody is there any more.
            let keys = try stream.read(upTo: 64)
            return keys.isEmpty || keys.contains(UInt8(ascii: "q")) || keys.contains(3)
        } catch { return true }
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
