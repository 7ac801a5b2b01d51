// Time as values, so that everything with a deadline can be tested with a clock that a test moves by hand.
import Glibc

/// A moment on CLOCK_MONOTONIC: never goes back, means nothing outside this boot of the machine.
public struct MonotonicTime: Sendable, Equatable, Comparable, Hashable {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func now() -> MonotonicTime { MonotonicTime(nanoseconds: read(CLOCK_MONOTONIC)) }

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds + duration.nanoseconds)
    }

    public static func - (left: MonotonicTime, right: MonotonicTime) -> Duration {
        .nanoseconds(left.nanoseconds - right.nanoseconds)
    }
}

/// The clocks of one program, given to whatever needs the time.
public struct TimeSource: Sendable {
    /// For deadlines and durations.
    public let monotonic: @Sendable () -> MonotonicTime
    /// For people and files: milliseconds since 1970, UTC.
    public let unixMilliseconds: @Sendable () -> Int64
    /// CPU time of the calling thread so far, for the cost of its own work.
    public let processor: @Sendable () -> Duration

    public init(
        monotonic: @escaping @Sendable () -> MonotonicTime, unixMilliseconds: @escaping @Sendable () -> Int64,
        processor: @escaping @Sendable () -> Duration = { TimeSource.ownProcessorTime() }
    ) {
        self.monotonic = monotonic
        self.unixMilliseconds = unixMilliseconds
        self.processor = processor
    }

    /// CPU time of the calling thread so far.
    public static func ownProcessorTime() -> Duration { .nanoseconds(read(CLOCK_THREAD_CPUTIME_ID)) }

    public static let system = TimeSource(
        monotonic: { MonotonicTime.now() }, unixMilliseconds: { read(CLOCK_REALTIME) / 1_000_000 })

    /// Seconds since 1970, UTC.
    public func unixSeconds() -> Int { Int(unixMilliseconds() / 1000) }
}

extension Duration {
    /// The whole duration in nanoseconds; durations beyond 292 years are not in use here.
    public var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// In seconds, for messages and arithmetic on estimates.
    public var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

/// One of the kernel's clocks in nanoseconds. `clock_gettime` cannot fail for a clock that exists.
private func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    let result = unsafe clock_gettime(clock, &time)
    precondition(result == 0, "clock \(clock)")
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
