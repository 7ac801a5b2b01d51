// What the running process takes of the machine, as the kernel counts it now. Owns no state.
import Glibc

public struct ProcessUsage: Sendable, Equatable {
    /// Of all threads together, since the start.
    public var processorSeconds: Double
    /// Bytes.
    public var virtualMemory: Int
    public var residentMemory: Int
    public var openDescriptors: Int

    /// nil where /proc does not say.
    public static func ofThisProcess() -> ProcessUsage? {
        guard let file = try? FileDescriptor(openingForReading: "/proc/self/statm"), let bytes = try? file.read(upTo: 256),
            let descriptors = try? directoryEntries("/proc/self/fd").count
        else { return nil }
        let pages = String(decoding: bytes, as: UTF8.self).split(separator: " ").prefix(2).compactMap { Int($0) }
        guard pages.count == 2 else { return nil }
        let page = sysconf(Int32(_SC_PAGESIZE))
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        // Listing the folder takes a descriptor, and this file another.
        return ProcessUsage(
            processorSeconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, virtualMemory: pages[0] * page,
            residentMemory: pages[1] * page, openDescriptors: max(0, descriptors - 2))
    }
}
