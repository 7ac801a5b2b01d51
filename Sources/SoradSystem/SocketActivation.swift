// sd_listen_fds(3): sockets that the service manager opened and handed over, from descriptor 3 on.
import CSoradLinux
import Glibc

public enum SocketActivation {
    /// The listening Unix stream sockets handed to this process, now owned by the caller, close-on-exec and non-blocking.
    /// The variables are removed, so that no child believes that they are meant for it. Throws when a descriptor is no such socket.
    public static func takeListener(environment: [String: String]) throws(SoradError) -> FileDescriptor? {
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { _ = unsafe unsetenv(name) }
        guard environment["LISTEN_PID"] == String(getpid()), let count = environment["LISTEN_FDS"].flatMap(Int32.init), count > 0 else {
            return nil
        }
        guard count == 1 else {
            throw SoradError(.configuration, "The service manager handed over \(count) sockets; sorad serves exactly one.")
        }
        guard sorad_linux_is_unix_listener(3) == 1, sorad_linux_adopt(3) == 0 else {
            throw SoradError(
                .configuration, "The socket handed over by the service manager is not a listening Unix stream socket.",
                hint: "use ListenStream= with a path in sorad.socket")
        }
        return FileDescriptor(owning: 3)
    }
}
