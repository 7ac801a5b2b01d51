// Owns one child process from its start until it has been waited for.
// Invariant: the pid is signalled only while the process has not been reaped, so a signal never reaches a stranger; and a child never
// outlives its owner here: `deinit` kills and reaps.
import CSoradLinux
import Glibc
import Synchronization

/// A running program. Safe to use from several threads.
public final class ChildProcess: Sendable {
    /// A program with its arguments, environment and descriptors.
    public struct Command: Sendable {
        /// A path; see `ChildProcess.executablePath(of:)` for a look-up in PATH.
        public var executable: String
        /// Without the program's own name.
        public var arguments: [String]
        /// The whole environment of the child.
        public var environment: [String: String]
        public var workingDirectory: String?
        /// The child's descriptors: number in the child to an open descriptor here. 0, 1 and 2 not named here are /dev/null (0) and this
        /// process's own (1, 2); every other descriptor is closed in the child.
        public var descriptors: [Int32: Int32]
        /// RLIMIT_… and the value that becomes its soft and hard limit.
        public var limits: [(resource: Int32, value: UInt64)]
        /// SIGKILL for the child when the thread that started it ends. Only for threads that live as long as the program.
        public var diesWithParent: Bool
        /// nil, or what alone the child may read: folders with all in them, and files; its program and libraries among them. It then also
        /// makes no sockets and gets no new privileges. Where the kernel has no Landlock, reading is not restricted.
        public var readable: [String]?

        public init(
            _ executable: String, _ arguments: [String], environment: [String: String] = ChildProcess.currentEnvironment(),
            workingDirectory: String? = nil, descriptors: [Int32: Int32] = [:], limits: [(resource: Int32, value: UInt64)] = [],
            diesWithParent: Bool = false, readable: [String]? = nil
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
            self.descriptors = descriptors
            self.limits = limits
            self.diesWithParent = diesWithParent
            self.readable = readable
        }
    }

    /// How a process ended.
    public enum Ending: Sendable, Equatable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        public var isSuccess: Bool { self == .exited(0) }
        public var description: String {
            switch self {
            case .exited(let status): "exited with status \(status)"
            case .killed(let signal): unsafe "was killed by signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    public let pid: Int32
    /// Readable once the process has ended; for `poll`.
    public let endDescriptor: Int32
    private let pidDescriptor: FileDescriptor
    private let ending = Mutex<Ending?>(nil)

    /// Starts the program. Returns once it has been executed; a program that cannot be executed is an error here.
    public init(_ command: Command) throws(Errno) {
        let null = try FileDescriptor(opening: "/dev/null", flags: O_RDWR)
        var descriptors = command.descriptors
        for (target, source) in [(0, null.rawValue), (1, 1), (2, 2)] as [(Int32, Int32)] where descriptors[target] == nil {
            descriptors[target] = source
        }
        pid = try spawn(command, descriptors: descriptors)
        let raw = sorad_linux_pidfd_open(pid)
        guard raw >= 0 else {
            // No descriptor is left. Without one the child's end could not be awaited next to other things.
            let code = errno
            _ = Glibc.kill(pid, SIGKILL)
            _ = ChildProcess.reap(pid)
            throw Errno(code: code, call: "pidfd_open")
        }
        pidDescriptor = FileDescriptor(owning: raw)
        endDescriptor = raw
    }

    deinit {
        kill(SIGKILL)
        _ = wait()
    }

    /// Sends a signal, unless the process has already been waited for.
    public func kill(_ signal: Int32) {
        ending.withLock { if $0 == nil { _ = Glibc.kill(pid, signal) } }
    }

    /// Waits for the end. nil when `timeout` (nil: none) passes first.
    public func wait(timeout: Duration? = nil) -> Ending? {
        if let known = ending.withLock({ $0 }) { return known }
        guard let ready = try? waitUntilReady(PollEntry(reading: endDescriptor), timeout: timeout), ready else { return nil }
        return ending.withLock { known in
            if known == nil { known = ChildProcess.reap(pid) }
            return known
        }
    }

    /// Processor time that the child has used so far; nil when it has been waited for or /proc cannot be read. A child whose time stands
    /// still waits for something outside it.
    public func processorTime() -> Duration? {
        ending.withLock { known in
            guard known == nil, let file = try? FileDescriptor(openingForReading: "/proc/\(pid)/stat"),
                let bytes = try? file.read(upTo: 1024)
            else { return nil }
            // Fields 14 and 15 of proc_pid_stat(5); the second, the name in parentheses, may hold anything.
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
            guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return nil }
            return .nanoseconds(Int64(user + system) * 1_000_000_000 / Int64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
        }
    }

    private static func reap(_ pid: Int32) -> Ending {
        var exited: Int32 = 0
        var code: Int32 = 0
        while unsafe sorad_linux_wait(pid, 0, &exited, &code) != pid {
            precondition(errno == EINTR, "wait for our own child \(pid): errno \(errno)")
        }
        return exited == 1 ? .exited(code) : .killed(signal: code)
    }
}

extension ChildProcess {
    /// This process's environment.
    public static func currentEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let pair = unsafe String(cString: text)
            if let equals = pair.firstIndex(of: "=") { result[String(pair[..<equals])] = String(pair[pair.index(after: equals)...]) }
            unsafe entry += 1
        }
        return result
    }

    /// Looks a program up in PATH, or in the system's usual places without one. A name with a slash is taken as it is.
    public static func executablePath(of name: String) -> String? {
        if name.contains("/") { return isExecutable(name) ? name : nil }
        let path = currentEnvironment()["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first(where: isExecutable)
    }

    private static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }
}

/// The C strings and arrays of one `sorad_linux_spawn` call live only while it runs.
private func spawn(_ command: ChildProcess.Command, descriptors: [Int32: Int32]) throws(Errno) -> pid_t {
    let targets = descriptors.keys.sorted()
    let sources = targets.map { descriptors[$0]! }
    let limits = command.limits.map { sorad_linux_limit(resource: $0.resource, value: $0.value) }
    let arguments = CStringArray([command.executable] + command.arguments)
    let environment = CStringArray(command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    let readable = command.readable.map { CStringArray($0) }
    var step: UnsafePointer<CChar>?
    func start(_ directory: UnsafePointer<CChar>?) -> pid_t {
        unsafe command.executable.withCString { executable in
            unsafe limits.withUnsafeBufferPointer { limits in
                unsafe sources.withUnsafeBufferPointer { sources in
                    unsafe targets.withUnsafeBufferPointer { targets in
                        var request = unsafe sorad_linux_spawn(
                            executable: executable, arguments: arguments.pointer, environment: environment.pointer,
                            working_directory: directory, sources: sources.baseAddress, targets: targets.baseAddress,
                            descriptor_count: targets.count, limits: limits.baseAddress, limit_count: limits.count,
                            dies_with_parent: command.diesWithParent ? 1 : 0, readable: readable?.constants)
                        return unsafe sorad_linux_spawn(&request, &step)
                    }
                }
            }
        }
    }
    do throws(Errno) {
        return try systemCall("start \(command.executable)") {
            if let directory = command.workingDirectory { return unsafe directory.withCString { unsafe start($0) } }
            return start(nil)
        }
    } catch {
        guard let step = unsafe step else { throw error }
        throw unsafe Errno(code: error.code, call: "start \(command.executable): \(String(cString: step))")
    }
}

/// A NULL-terminated array of C strings, freed with its owner; the pointer is only lent to the spawn call below its lifetime.
@safe private final class CStringArray {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int
    /// The same as C calls it that only read.
    var constants: UnsafePointer<UnsafePointer<CChar>?> {
        unsafe UnsafeRawPointer(pointer).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
    }

    init(_ strings: [String]) {
        count = strings.count
        unsafe pointer = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { unsafe pointer[index] = strdup(string) }
        unsafe pointer[strings.count] = nil
    }

    deinit {
        for index in 0..<count { unsafe free(pointer[index]) }
        unsafe pointer.deallocate()
    }
}
