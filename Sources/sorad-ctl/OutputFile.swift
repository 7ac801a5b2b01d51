// Owns where downloaded bytes go: a file that appears whole or not at all; or standard output, a device or a pipe, written as they come.
// Invariant: the place is opened before any work is asked for, so that one which cannot be written costs no clip.
import Glibc
import SoradSystem

struct OutputFile: ~Copyable {
    /// "-" for standard output.
    let path: String
    /// What a clip becomes on the way there; nil: it stays an MP4.
    let format: ClipFormat?
    private var file: AtomicFile?
    /// A device or a pipe.
    private var stream: FileDescriptor?

    /// - Parameters:
    ///   - path: "-" for standard output; so is every other name of the file that it leads to.
    ///   - isClip: what goes there is a clip, which the end of the name may ask to be converted.
    /// - Throws: `.usage` for binary data on a terminal; `.cannotCreate` for a place that cannot be written; `.unavailable` for a format
    ///   that cannot be made.
    init(_ path: String, isClip: Bool = true) throws(SoradError) {
        format = isClip ? ClipFormat(path: path) : nil
        let place = FilePlace(path, followingLinks: true)
        let isOutput = path == "-" || FilePlace(.output).flatMap { place?.isSame(as: $0) } == true
        self.path = isOutput ? "-" : path
        file = nil
        stream = nil
        try format?.check()
        if isOutput {
            guard !StandardStream.output.isTerminal else { throw OutputFile.onTerminal("standard output") }
        } else if let place, place.kind != .regular, place.kind != .directory {
            stream = try OutputFile.open(path, place.kind)
        } else {
            file = try AtomicFile(path)
        }
    }

    /// The place that --output names; nil for a name after a job that is not known yet, in a folder where files can be made.
    static func named(_ arguments: Arguments, isClip: Bool = true) throws(SoradError) -> OutputFile? {
        guard let path = arguments["output"] else {
            if !arguments.has("no-wait") { _ = try AtomicFile("sorad-\(processIdentifier()).mp4") }
            return nil
        }
        let output = try OutputFile(path, isClip: isClip)
        guard output.path != "-" || !arguments.has("json") else {
            throw SoradError(.usage, "the clip and --json cannot both go to standard output", hint: "name a file with -o FILE")
        }
        return output
    }

    private static func open(_ path: String, _ kind: FilePlace.Kind) throws(SoradError) -> FileDescriptor {
        let stream: FileDescriptor
        do throws(Errno) { stream = try FileDescriptor(opening: path, flags: O_WRONLY | O_NOCTTY) } catch {
            throw SoradError(.cannotCreate, "cannot write to \(path), which is \(kind.rawValue): \(error.reason)")
        }
        guard isatty(stream.rawValue) == 0 else { throw onTerminal(path) }
        return stream
    }

    private static func onTerminal(_ name: String) -> SoradError {
        SoradError(.usage, "\(name) is a terminal, which cannot show a clip", hint: "name a file with -o FILE")
    }

    mutating func write(_ bytes: [UInt8]) throws(SoradError) {
        if file != nil { return try file!.write(bytes) }
        guard stream != nil else { return try Console.write(bytes) }
        do throws(Errno) { try stream!.write(bytes) } catch { throw SoradError(.cannotWrite, "cannot write to \(path): \(error.reason)") }
    }

    /// Makes the file appear.
    consuming func finish() throws(SoradError) { try file.take()?.commit() }
}

extension DaemonConnection {
    /// Downloads one file of a finished job.
    /// - Returns: its size in bytes.
    /// - Throws: with the way to try again: the clip is still there.
    func save(_ id: String, variant: String, to output: consuming OutputFile) throws(SoradError) -> Int {
        let option = variant == "video" ? "" : " --variant \(variant)"
        do throws(SoradError) { return try download(id, variant: variant, to: output) } catch {
            throw SoradError(
                error.kind, "\(error.message); the clip is kept", hint: "sorad-ctl get \(id)\(option) -o FILE", retryAfter: error.retryAfter
            )
        }
    }

    /// Bytes of the longest clip that is converted: it is held in memory.
    private static let convertible = 1 << 30

    private func whole(_ id: String, variant: String) throws(SoradError) -> [UInt8] {
        var bytes: [UInt8] = []
        try content(id, variant: variant) { piece in
            bytes += piece
            return bytes.count <= DaemonConnection.convertible
        }
        guard bytes.count <= DaemonConnection.convertible else {
            throw SoradError(.badInput, "the clip is too large to be converted; save it as .mp4 first")
        }
        return bytes
    }

    private func download(_ id: String, variant: String, to output: consuming OutputFile) throws(SoradError) -> Int {
        var output = output
        if let format = output.format {
            let clip = try format.converted(try whole(id, variant: variant))
            try output.write(clip)
            try output.finish()
            return clip.count
        }
        var count = 0
        var failure: SoradError?
        try content(id, variant: variant) { bytes in
            do throws(SoradError) {
                try output.write(Array(bytes))
                count += bytes.count
                return true
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        try output.finish()
        return count
    }
}
