// Taking a socket's path: a file left behind by a daemon that died is replaced, a daemon that lives is not disturbed.
import Glibc

extension FileDescriptor {
    /// Listens at `path` with `mode`, making its directory if needed. A socket file at which nobody listens is removed first.
    public static func listen(replacingStale path: String, mode: UInt32) throws(SoradError) -> FileDescriptor {
        do throws(Errno) {
            if let slash = path.lastIndex(of: "/"), slash != path.startIndex, !path.hasPrefix("@") {
                try makeDirectories(String(path[..<slash]), mode: 0o755)
            }
            do throws(Errno) { return try FileDescriptor(listeningAt: path, mode: mode) } catch {
                guard error.code == EADDRINUSE, isStaleSocket(path) else { throw error }
                removeFile(path)
                return try FileDescriptor(listeningAt: path, mode: mode)
            }
        } catch {
            if error.code == EADDRINUSE, let place = FilePlace(path, followingLinks: false), place.kind != .socket {
                throw SoradError(
                    .unavailable, "cannot listen on \(path): \(place.kind.rawValue) is there", hint: "remove it, or give another --socket")
            }
            if error.code == ENAMETOOLONG {
                throw SoradError(
                    .unavailable, "cannot listen on \(path): its path has \(path.utf8.count) bytes, and a socket's may have 107",
                    hint: "give a shorter --socket")
            }
            if error.code == EADDRINUSE {
                throw SoradError(
                    .unavailable, "cannot listen on \(path): another program listens there", hint: "stop it, or give another --socket")
            }
            throw SoradError(
                .unavailable, "cannot listen on \(path): \(error.reason)", hint: "give a --socket in a directory that you may write to")
        }
    }

    private static func isStaleSocket(_ path: String) -> Bool {
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        do throws(Errno) {
            _ = try FileDescriptor(connectedTo: path, timeout: .seconds(1))
            return false
        } catch { return error.code == ECONNREFUSED }
    }
}

/// Makes `group` the group of the file at `path`.
public func giveToGroup(_ path: String, _ group: UInt32) throws(Errno) {
    try systemCall("chown \(path)") { unsafe lchown(path, uid_t.max, gid_t(group)) }
}
