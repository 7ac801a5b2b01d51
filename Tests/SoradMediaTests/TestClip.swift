// What the media tests share: a moving picture made by arithmetic, a scratch directory, and ffprobe's opinion of a file.
import FoundationEssentials
import Glibc
import SoradMedia
import SoradSystem

/// A bright square that moves over a gradient: [F, H, W, 3].
func movingSquare(_ format: ClipFormat) -> [UInt8] {
    var frames: [UInt8] = []
    frames.reserveCapacity(format.frameBytes * format.numFrames)
    for frame in 0..<format.numFrames {
        for y in 0..<format.height {
            for x in 0..<format.width {
                let inside = abs(x - 2 * frame - 8) < 6 && abs(y - format.height / 2) < 6
                frames += inside ? [250, 40, 30] : [UInt8(255 * y / format.height), UInt8(255 * x / format.width), 90]
            }
        }
    }
    return frames
}

/// A directory of its own for one test, removed with everything in it.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        path = "/tmp/sorad-media-\(getpid())-\(UInt64.random(in: 0..<UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func bytes(of name: String) throws -> [UInt8] {
        let file = try FileDescriptor(opening: path + "/" + name, flags: O_RDONLY)
        var bytes: [UInt8] = []
        while true {
            let piece = try file.read(upTo: 1 << 20)
            if piece.isEmpty { return bytes }
            bytes += piece
        }
    }

    /// Names in the directory, hidden ones included, sorted.
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    /// Writes an executable shell script and returns its path.
    func script(_ name: String, _ text: String) throws -> String {
        let script = path + "/" + name
        let file = try FileDescriptor(opening: script, flags: O_WRONLY | O_CREAT, mode: 0o755)
        try file.write(Array(("#!/bin/sh\n" + text + "\n").utf8))
        return script
    }
}

/// Runs a program to its end and returns what it printed.
func output(of program: String, _ arguments: [String]) throws -> String {
    guard let executable = ChildProcess.executablePath(of: program) else { throw SoradError(.configuration, "no \(program)") }
    let pipe = try Pipe()
    let process = try ChildProcess(ChildProcess.Command(executable, arguments, descriptors: [1: pipe.writeEnd.rawValue]))
    close(pipe.writeEnd)
    let readEnd = pipe.readEnd
    var text: [UInt8] = []
    while true {
        let piece = try readEnd.read(upTo: 65536)
        if piece.isEmpty { break }
        text += piece
    }
    guard let ending = process.wait(timeout: .seconds(30)), ending.isSuccess else { throw SoradError(.internalFault, "\(program) failed") }
    return String(decoding: text, as: UTF8.self)
}

/// Our copy of a child's end must go, or its end of the stream would never be seen here.
private func close(_ descriptor: consuming FileDescriptor) {}

/// ffprobe's entries of the first stream and the container, as `key=value` pairs.
func probe(_ path: String) throws -> [String: String] {
    let text = try output(
        of: "ffprobe",
        ["-v", "error", "-count_frames", "-show_entries", "stream:format:format_tags", "-of", "default=noprint_wrappers=1", path])
    var entries: [String: String] = [:]
    for line in text.split(separator: "\n") {
        let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
        if parts.count == 2 { entries[parts[0]] = parts[1] }
    }
    return entries
}
