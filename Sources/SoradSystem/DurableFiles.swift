// Files that survive a power cut: written, synced, renamed into place, and the directory synced. In this order and never less; a
// failed sync is final, because the kernel may have dropped the data it could not write.
import CSoradLinux
import Glibc

/// Writes `bytes` to `directory/name` so that after any crash the name holds either its old content or all of `bytes`.
public func writeDurably(_ bytes: [UInt8], named name: String, in directory: String) throws(Errno) {
    let temporary = "\(directory)/.\(name).new"
    do throws(Errno) {
        let file = try FileDescriptor(opening: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
        try file.write(bytes)
        try file.sync()
        let target = "\(directory)/\(name)"
        try systemCall("rename \(target)") { unsafe rename(temporary, target) }
    } catch {
        // Half a file on a full disk would only take the rest of the space.
        removeFile(temporary)
        throw error
    }
    try syncDirectory(directory)
}

/// Makes an existing file's content durable.
public func syncFile(_ path: String) throws(Errno) {
    try FileDescriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW).sync()
}

/// Makes the names in a directory durable.
public func syncDirectory(_ path: String) throws(Errno) {
    try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY).sync()
}

extension FileDescriptor {
    /// fsync(2).
    public borrowing func sync() throws(Errno) {
        let raw = rawValue
        try systemCall("fsync") { fsync(raw) }
    }

    /// fdatasync(2): the content, and the metadata needed to find it.
    public borrowing func syncData() throws(Errno) {
        let raw = rawValue
        try systemCall("fdatasync") { fdatasync(raw) }
    }

    /// Takes the exclusive flock(2) of this open file. False when another process holds it. Lasts until the descriptor is closed.
    public borrowing func tryLock() throws(Errno) -> Bool {
        let raw = rawValue
        do throws(Errno) {
            try systemCall("flock") { flock(raw, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            if error.code == EWOULDBLOCK { return false }
            throw error
        }
    }
}

/// Makes `path` and the directories above it that are missing, each with `mode`, durably. Existing ones are left as they are.
public func makeDirectories(_ path: String, mode: UInt32 = 0o700) throws(Errno) {
    if directoryExists(path) { return }
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    if !parent.isEmpty { try makeDirectories(parent, mode: mode) }
    do throws(Errno) {
        try systemCall("mkdir \(path)") { unsafe mkdir(path, mode) }
        // The umask may have taken something away.
        try systemCall("chmod \(path)") { unsafe chmod(path, mode) }
    } catch {
        if error.code != EEXIST || !directoryExists(path) { throw error }
    }
    try syncDirectory(parent.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : parent)
}

/// The path of what is at `path`, without symbolic links.
public func resolvedPath(_ path: String) throws(Errno) -> String {
    guard let resolved = unsafe realpath(path, nil) else { throw Errno(code: errno, call: "realpath \(path)") }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
}

public func directoryExists(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// The names in a directory, sorted, without "." and "..".
public func directoryEntries(_ path: String) throws(Errno) -> [String] {
    guard let directory = unsafe opendir(path) else { throw Errno(code: errno, call: "opendir \(path)") }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe String(cString: sorad_linux_entry_name(entry))
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Removes a directory and the files in it, two levels at most: nothing here ever nests deeper, and a symbolic link is removed, not
/// followed. A directory that is not there is no error.
public func removeDirectory(_ path: String, depth: Int = 2) throws(Errno) {
    do throws(Errno) {
        for name in try directoryEntries(path) {
            let child = "\(path)/\(name)"
            if unsafe unlink(child) == 0 { continue }
            guard errno == EISDIR || errno == EPERM, depth > 1 else { throw Errno(code: errno, call: "unlink \(child)") }
            try removeDirectory(child, depth: depth - 1)
        }
        try systemCall("rmdir \(path)") { unsafe rmdir(path) }
    } catch {
        if error.code != ENOENT { throw error }
    }
}

/// `count` ≤ 256 bytes from the kernel's random number generator.
public func randomBytes(_ count: Int) -> [UInt8] {
    precondition((0...256).contains(count), "\(count) random bytes")
    var bytes = [UInt8](repeating: 0, count: count)
    // Cannot fail for at most 256 bytes once the generator is seeded, and waits until then.
    while unsafe sorad_linux_random(&bytes, count) != 0 { precondition(errno == EINTR, "getrandom: errno \(errno)") }
    return bytes
}
