// sd_listen_fds(3): sockets that the service manager opened and handed over, from descriptor 3 on.
import CSoradLinux
import Glibc

public enum SocketActivation {
    /// The listening sockets that were handed over; nil for those that were not.
    public struct Listeners: ~Copyable {
        public var clients: FileDescriptor?
        /// The one whose name (FileDescriptorName=) is "admin".
        public var administrators: FileDescriptor?
        /// The one whose name is "fleet".
        public var fleet: FileDescriptor?
        /// Those of TCP.
        public var network: [ListeningSocket] = []
        /// Those whose name is "metrics", of either kind.
        public var metrics: [ListeningSocket] = []

        /// Puts a Unix socket into its place; false where that is taken.
        fileprivate mutating func takes(_ descriptor: Int32, named name: some StringProtocol) -> Bool {
            switch name {
            case "admin":
                guard administrators == nil else { return false }
                administrators = FileDescriptor(owning: descriptor)
            case "fleet":
                guard fleet == nil else { return false }
                fleet = FileDescriptor(owning: descriptor)
            default:
                guard clients == nil else { return false }
                clients = FileDescriptor(owning: descriptor)
            }
            return true
        }
    }

    /// The listening Unix and TCP sockets handed to this process, now owned by the caller, close-on-exec and non-blocking.
    /// The variables are removed, so that no child believes that they are meant for it. Throws when a descriptor is no such socket.
    public static func takeListeners(environment: [String: String]) throws(SoradError) -> Listeners {
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { _ = unsafe unsetenv(name) }
        var listeners = Listeners()
        guard environment["LISTEN_PID"] == String(getpid()), let count = environment["LISTEN_FDS"].flatMap(Int32.init), count > 0 else {
            return listeners
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        guard count <= 16 else {
            throw SoradError(.configuration, "the service manager handed over \(count) sockets; sorad serves at most 16")
        }
        for index in 0..<count {
            let descriptor = 3 + index
            guard sorad_linux_adopt(descriptor) == 0 else { throw notListening }
            let name = Int(index) < names.count ? names[Int(index)] : ""
            guard sorad_linux_is_unix_listener(descriptor) == 1 else {
                do throws(Errno) {
                    let socket = try ListeningSocket(network: FileDescriptor(owning: descriptor))
                    if name == "metrics" { listeners.metrics.append(socket) } else { listeners.network.append(socket) }
                } catch { throw notListening }
                continue
            }
            guard name != "metrics" else {
                listeners.metrics.append(ListeningSocket(unix: FileDescriptor(owning: descriptor)))
                continue
            }
            guard listeners.takes(descriptor, named: name) else {
                throw SoradError(
                    .configuration, "the service manager handed over two sockets for the same purpose",
                    hint: "set FileDescriptorName=admin in sorad-admin.socket alone, and FileDescriptorName=fleet in sorad-fleet.socket")
            }
        }
        return listeners
    }

    private static let notListening = SoradError(
        .configuration, "a socket handed over by the service manager is no listening Unix stream or TCP socket",
        hint: "use ListenStream= in the socket unit")
}
