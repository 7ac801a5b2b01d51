// A sorad-ctl in a pseudo-terminal of a given size: what it shows, and keys for it.
import Glibc
import SoradSystem

final class TerminalControl {
    let process: ChildProcess
    private let master: FileDescriptor
    private var bytes: [UInt8] = []

    /// - Parameter isOutputTerminal: false leaves standard output on /dev/null.
    init(
        _ arguments: [String], environment: [String: String] = [:], columns: UInt16 = 80, rows: UInt16 = 24,
        directory: String = Fixture.scratch(), isOutputTerminal: Bool = true
    ) throws {
        // openpty(3) without its headers: unlock (TIOCSPTLCK), and ask for the number (TIOCGPTN).
        master = try FileDescriptor(opening: "/dev/ptmx", flags: O_RDWR | O_NOCTTY)
        var (lock, number): (Int32, UInt32) = (0, 0)
        guard unsafe ioctl(master.rawValue, 0x4004_5431, &lock) == 0, unsafe ioctl(master.rawValue, 0x8004_5430, &number) == 0 else {
            throw SoradError(.internalFault, "no pseudo-terminal")
        }
        let slave = try FileDescriptor(opening: "/dev/pts/\(number)", flags: O_RDWR | O_NOCTTY)
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        unsafe _ = ioctl(master.rawValue, UInt(TIOCSWINSZ), &size)
        let null = try FileDescriptor(opening: "/dev/null", flags: O_WRONLY)
        let terminal = ["TERM": "xterm-256color", "PATH": ChildProcess.currentEnvironment()["PATH"] ?? ""]
        process = try ChildProcess(
            ChildProcess.Command(
                Fixture.programs + "/sorad-ctl", arguments, environment: terminal.merging(environment) { $1 }, workingDirectory: directory,
                descriptors: [0: slave.rawValue, 1: isOutputTerminal ? slave.rawValue : null.rawValue, 2: slave.rawValue]))
    }

    /// Everything shown so far.
    var text: String {
        read()
        return String(decoding: bytes, as: UTF8.self)
    }
    /// The same without escape sequences.
    var plain: String {
        var result = ""
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "\u{1B}" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            switch rest.popFirst() {
            case "["?: while let next = rest.popFirst(), !("@"..."~").contains(next) {}
            case "P"?, "_"?:
                while let next = rest.popFirst(), next != "\u{1B}" {}
                _ = rest.popFirst()
            default: break
            }
        }
        return result
    }
    var lines: [String] { plain.split(whereSeparator: \.isNewline).map(String.init) }

    private func read() {
        while (try? waitUntilReady(PollEntry(reading: master.rawValue), timeout: .zero)) == true {
            // EIO is the end: nobody has the other side.
            guard let piece = try? master.read(upTo: 65_536), !piece.isEmpty else { return }
            bytes += piece
        }
    }

    /// Waits until `part` is shown.
    func wait(for part: String, seconds: Int = 60) -> Bool {
        for _ in 0..<seconds * 50 {
            if text.contains(part) || plain.contains(part) { return true }
            if process.wait(timeout: .milliseconds(20)) != nil { return text.contains(part) || plain.contains(part) }
        }
        return false
    }

    func type(_ text: String) throws { try master.write(Array(text.utf8)) }

    func resize(columns: UInt16, rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        unsafe _ = ioctl(master.rawValue, UInt(TIOCSWINSZ), &size)
    }

    /// Waits for its end and reads all that it shows.
    func status(seconds: Int = 120) -> Int32? {
        for _ in 0..<seconds * 20 {
            read()
            if let ending = process.wait(timeout: .milliseconds(50)) {
                read()
                guard case .exited(let status) = ending else { return nil }
                return status
            }
        }
        return nil
    }
}

extension Service {
    func terminal(
        _ arguments: [String], environment: [String: String] = [:], columns: UInt16 = 80, rows: UInt16 = 24,
        directory: String = Fixture.scratch(), isOutputTerminal: Bool = true
    ) throws -> TerminalControl {
        try TerminalControl(
            arguments, environment: ["SORAD_SOCKET": socket].merging(environment) { $1 }, columns: columns, rows: rows,
            directory: directory, isOutputTerminal: isOutputTerminal)
    }
}
