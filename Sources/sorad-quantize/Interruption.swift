// Ctrl-C, a closed terminal, the end of a service: files that are being written and have a name go away with the program.
import Glibc
import SoradSystem

enum Interruption {
    /// Makes a thread wait for the signals that end a program. Call before any other thread is made: threads inherit that the signals are
    /// held back.
    static func watch() {
        let wanted = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }
        guard let signals = try? SignalDescriptor(wanted) else { return }
        let descriptor = signals.rawDescriptor
        let held = Signals(signals)
        _ = try? SystemThread(name: "signals") {
            while (try? waitUntilReady(PollEntry(reading: descriptor), timeout: nil)) != nil {
                guard let signal = held.take() else { continue }
                AtomicFile.abandonAll()
                end(by: signal)
            }
        }.detach()
    }

    private final class Signals: Sendable {
        private let descriptor: SignalDescriptor
        init(_ descriptor: consuming SignalDescriptor) { self.descriptor = descriptor }
        func take() -> Int32? { (try? descriptor.take()) ?? nil }
    }

    /// As nohup and shells without job control have it.
    private static func isIgnored(_ signal: Int32) -> Bool {
        guard let file = try? FileDescriptor(openingForReading: "/proc/self/status"), let bytes = try? file.read(upTo: 64 << 10),
            let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first(where: { $0.hasPrefix("SigIgn:") }),
            let mask = UInt64(line.dropFirst(7).filter { $0.isHexDigit }, radix: 16)
        else { return false }
        return mask >> UInt64(signal - 1) & 1 == 1
    }

    /// Ends the program as the signal itself would have, so that shells see it.
    private static func end(by signal: Int32) -> Never {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, signal)
        unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
        kill(getpid(), signal)
        _exit(128 + signal)
    }
}
