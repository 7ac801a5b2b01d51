// Owns the answer to "how many threads of a pool compute now". Pure.
//
// The threads of an operation wait for the slowest. One whose CPU another program keeps busy makes all of them wait, and soon they
// are slower together than one thread fewer would be. What tells is the loss: the share of the time in which the calling thread waits, for
// the others or for a CPU. With n threads, one fewer costs a factor of n / (n - 1); so a thread is dropped when the loss is above 1 / n,
// and the time stays within about 1.2 times that of one thread fewer. Nothing else is assumed about the machine or the operations.
// Dropped threads are tried again after a while, and then seldom if that goes wrong.
package import SoradSystem

package struct ThreadAdaptation: Sendable {
    /// Threads of the pool.
    private let most: Int
    /// How many of them the machine pays for: its quota and mask may change.
    package var cap: Int {
        didSet {
            cap = max(1, min(cap, most))
            active = min(active, cap)
        }
    }
    package private(set) var active: Int
    private var badWindows = 0
    /// The last window was the first with one thread more.
    private var isTrying = false
    private var tryAt = MonotonicTime(nanoseconds: 0)
    private var pause = ThreadAdaptation.shortestPause
    private var lastDrop: MonotonicTime?

    /// Beyond 1 / n: what is lost anyway, because tasks are not all alike.
    private static let margin = 0.06
    /// Bad windows in a row that count; one alone may be a page of the model that had to be read.
    private static let badWindowLimit = 2
    package static let shortestPause = Duration.milliseconds(250)
    package static let longestPause = Duration.seconds(16)

    package init(threads: Int) {
        most = threads
        cap = threads
        active = threads
    }

    /// Some operations have ended, which took `window` or more together.
    /// - Parameter loss: share of that time in which the calling thread did not compute, 0...1.
    package mutating func windowEnded(loss: Double, now: MonotonicTime) {
        if active > 1, loss > 1 / Double(active) + Self.margin {
            badWindows += 1
            if isTrying || badWindows >= Self.badWindowLimit { drop(now) }
            return
        }
        badWindows = 0
        isTrying = false
        if let last = lastDrop, now - last > Self.longestPause * 4 { pause = Self.shortestPause }
        guard active < cap, now >= tryAt else { return }
        active += 1
        isTrying = true
    }

    private mutating func drop(_ now: MonotonicTime) {
        if isTrying { pause = min(pause * 2, Self.longestPause) }
        active -= 1
        badWindows = 0
        isTrying = false
        tryAt = now + pause
        lastDrop = now
    }
}

/// Measures the loss of the calling thread over windows.
struct LossMeter {
    /// Shorter ones say little: a scheduler's time slice is some milliseconds.
    static let window: Int64 = 20_000_000

    private var start: Int64 = 0
    private var computed: Int64 = 0
    private var waited: Int64 = 0
    private var delayed: Int64 = 0

    /// An operation ran from `begin`, was out of tasks at `emptied` and done at `end`; nanoseconds of the monotonic clock.
    /// - Returns: the loss, at the end of a window.
    mutating func add(begin: Int64, emptied: Int64, end: Int64) -> Double? {
        computed += emptied - begin
        waited += end - emptied
        guard computed + waited >= Self.window else { return nil }
        // Time in which this thread wanted a CPU and had none; 0 where the kernel does not say.
        let delay = ThreadCPUs.runQueueDelay()
        // Outside operations it may have waited too: only what falls into them counts, in proportion.
        let inside = Double(computed + waited) / Double(max(1, end - start))
        let own = start == 0 ? 0 : Double(max(0, delay - delayed)) * min(1, inside)
        let loss = (Double(waited) + min(own, Double(computed))) / Double(computed + waited)
        (start, computed, waited, delayed) = (end, 0, 0, delay)
        return loss
    }
}
