// Owns where downloaded bytes go: a file that appears whole or not at all, or standard output.
import SoradSystem

struct OutputFile: ~Copyable {
    /// "-" for standard output.
    let path: String
    private var file: AtomicFile?

    /// - Throws: `.usage` for binary data on a terminal; `.cannotCreate` for a place that cannot be written, before any work is done.
    init(_ path: String) throws(SoradError) {
        self.path = path
        guard path == "-" else {
            file = try AtomicFile(path)
            return
        }
        file = nil
        guard !StandardStream.output.isTerminal else {
            throw SoradError(.usage, "standard output is a terminal, which cannot show a clip", hint: "name a file with -o FILE")
        }
    }

    mutating func write(_ bytes: [UInt8]) throws(SoradError) {
        if file == nil { try Console.write(bytes) } else { try file!.write(bytes) }
    }

    /// Makes the file appear.
    consuming func finish() throws(SoradError) { try file.take()?.commit() }
}

extension DaemonConnection {
    /// Downloads one file of a finished job to `path`.
    /// - Returns: its size in bytes.
    func save(_ id: String, variant: String, to path: String) throws(SoradError) -> Int {
        var output = try OutputFile(path)
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
