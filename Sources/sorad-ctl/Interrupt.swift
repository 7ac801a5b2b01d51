// Owns SIGINT and SIGTERM while a job is being waited for: they are held back and waited for together with the time, so that no handler
// runs at a moment that nobody has thought of.
import Glibc
import SoradSystem

final class Interrupt {
    private var signals = sigset_t()

    /// Holds the signals back for the rest of the process.
    init() {
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM] { unsafe sigaddset(&signals, signal) }
        unsafe sigprocmask(SIG_BLOCK, &signals, nil)
    }

    /// Sleeps. Returns true, early, when the user wants to stop.
    func wait(_ duration: Duration) -> Bool {
        let deadline = MonotonicTime.now() + duration
        while true {
            let left = max(0, (deadline - MonotonicTime.now()).nanoseconds)
            var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
            if unsafe sigtimedwait(&signals, nil, &time) > 0 { return true }
            // EINTR: stopped and continued by the shell.
            if errno != EINTR || left == 0 { return false }
        }
    }
}
