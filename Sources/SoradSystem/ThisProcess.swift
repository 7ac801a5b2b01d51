// Facts about the running process.
import Glibc

public func isRoot() -> Bool { geteuid() == 0 }

/// The user whom this process acts for.
public func effectiveUser() -> UInt32 { geteuid() }

/// The group called `name`, or with that number; nil when the system knows none.
public func groupIdentifier(_ name: String) -> UInt32? {
    if let number = UInt32(name) { return number }
    guard let entry = unsafe getgrnam(name) else { return nil }
    return unsafe entry.pointee.gr_gid
}

/// The user called `name`, or with that number; nil when the system knows none.
public func userIdentifier(_ name: String) -> UInt32? {
    if let number = UInt32(name) { return number }
    guard let entry = unsafe getpwnam(name) else { return nil }
    return unsafe entry.pointee.pw_uid
}

/// The name of the user with this number; nil when the system knows none.
public func userName(_ user: UInt32) -> String? {
    guard let entry = unsafe getpwuid(user) else { return nil }
    return unsafe String(cString: entry.pointee.pw_name)
}

/// The name of the group with this number; nil when the system knows none.
public func groupName(_ group: UInt32) -> String? {
    guard let entry = unsafe getgrgid(group) else { return nil }
    return unsafe String(cString: entry.pointee.gr_name)
}

/// The directory of the running program, links resolved; "." should the kernel not say.
public func executableDirectory() -> String {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
    guard count > 0, count < bytes.count else { return "." }
    let path = String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
}

/// Runs a program to its end. The one place where an error becomes lines on standard error ("NAME: message", "hint: remedy") and
/// an exit status.
public func runProgram(_ name: String, _ body: () throws(SoradError) -> Void) -> Never {
    do throws(SoradError) { try body() } catch {
        // Earlier output belongs above it.
        _ = fflush(nil)
        // Under a service manager the end of the program is an error of its journal, not information.
        let isJournal = Log.isJournal(2, ChildProcess.currentEnvironment())
        let (start, next) = isJournal ? ("<3>", "<3>hint: ") : ("\(name): ", "hint: ")
        printError(start + printable(error.message) + "\n" + (error.hint.map { next + printable($0) + "\n" } ?? ""))
        exit(error.exitCode)
    }
    exit(0)
}

/// Writes lines of text to standard output, in the form of `printableLines`.
public func printOut(_ text: String) { writeAll(1, printableLines(text)) }
/// Writes lines of text to standard error, in the form of `printableLines`.
public func printError(_ text: String) { writeAll(2, printableLines(text)) }

private func writeAll(_ descriptor: Int32, _ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        bytes = bytes.dropFirst(count)
    }
}
