// How many descriptors this process may have open (RLIMIT_NOFILE).
import Glibc

public enum DescriptorLimit {
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    /// More are never needed here; some systems allow a billion.
    private static let most: UInt64 = 65_536

    /// What may be open now.
    public static var current: Int {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return 1_024 }
        return Int(clamping: UInt64(limit.rlim_cur))
    }

    /// Raises the soft limit to the hard one, or to `most`. The soft limit is small (1,024) for the sake of programs that use select(2).
    /// - Returns: what may be open now.
    @discardableResult public static func raise() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return 1_024 }
        let wanted = min(UInt64(limit.rlim_max), most)
        if UInt64(limit.rlim_cur) < wanted {
            let before = limit.rlim_cur
            limit.rlim_cur = rlim_t(wanted)
            if unsafe setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
        }
        return Int(clamping: min(UInt64(limit.rlim_cur), most))
    }
}
