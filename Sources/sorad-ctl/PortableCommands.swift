// `sorad-ctl export` and `import`: a job's folder (docs/PORTABLE_JOBS.md) from and to the daemon.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

/// `sorad-ctl export ID [FOLDER]`
func exportJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let id = try daemon.identifier(arguments.words[0])
    let folder = arguments.words.count > 1 ? arguments.words[1] : id
    do throws(Errno) {
        try systemCall("mkdir") { unsafe mkdir(folder, 0o777) }
    } catch {
        throw SoradError(.cannotCreate, "cannot make the folder \(folder): \(error.reason)", hint: "name one that does not exist yet")
    }
    var count = 0
    do throws(SoradError) {
        let archive = try PartFile("\(folder)/.archive.partial")
        try daemon.job(id, to: archive)
        try TarArchive.read(size: archive.size, from: archive.read) { name, _ throws(SoradError) in
            let file = try PartFile("\(folder)/\(name)", isKept: true)
            count += 1
            return file.append
        }
    } catch {
        // What is there is no whole job.
        try? removeDirectory(folder)
        throw error
    }
    if arguments.has("json") {
        let json: JSONObject = [
            "schema": "sorad.export/1", "id": .string(id), "folder": .string(folder), "files": .integer(count),
        ]
        return try Console.print(JSONValue.object(json).text())
    }
    try Console.print(folder)
}

/// `sorad-ctl import FOLDER`
func importJob(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let folder = arguments.words[0]
    let names: [String]
    do throws(Errno) { names = try fileNames(in: folder) } catch {
        throw SoradError(.notFound, "cannot read the folder \(folder): \(error.reason)")
    }
    guard !names.contains(PortableFile.result) else {
        throw SoradError(.conflict, "the job in \(folder) is finished: its clip is there")
    }
    guard names.contains(PortableFile.plan) else {
        throw SoradError(
            .badInput, "the folder \(folder) has no \(PortableFile.plan)",
            hint: "sorad-ctl export and sorad-worker --once write it; to make a new clip: sorad-ctl generate PROMPT")
    }
    var bytes: [UInt8] = []
    let entries = names.sorted().filter(PortableFile.isInput).map { TarArchive.Entry($0, .file("\(folder)/\($0)")) }
    try TarArchive.write(entries) { piece throws(SoradError) in
        bytes += piece
        guard bytes.count <= importLimit else { throw SoradError(.badInput, "the folder \(folder) has more than \(importLimit >> 20) MiB") }
    }
    let video: Video
    do throws(SoradError) { video = try daemon.importJob(ClipFile(name: folder, bytes: bytes), arguments["priority"]) } catch {
        throw error.inFlags
    }
    try tellState(video, arguments)
}

/// Bytes that the daemon takes.
private let importLimit = 256 << 20

/// A file that is being written, and goes again unless it is kept.
private final class PartFile: Sendable {
    private let path: String
    private let isKept: Bool
    private let file: OwnedFile

    init(_ path: String, isKept: Bool = false) throws(SoradError) {
        (self.path, self.isKept) = (path, isKept)
        do throws(Errno) { file = OwnedFile(try FileDescriptor(creating: path, mode: 0o666)) } catch {
            throw SoradError(.cannotCreate, "cannot create \(path): \(error.reason)")
        }
    }

    deinit { if !isKept { removeFile(path) } }

    var size: Int { (try? file.descriptor.regularFileSize()) ?? 0 }

    @Sendable func append(_ bytes: [UInt8]) throws(SoradError) {
        do throws(Errno) { try file.descriptor.write(bytes) } catch {
            throw SoradError(error.isOutOfSpace ? .storageFull : .cannotWrite, "cannot write \(path): \(error.reason)")
        }
    }

    @Sendable func read(_ offset: Int, _ count: Int) throws(SoradError) -> [UInt8] {
        do throws(Errno) { return try file.descriptor.read(at: offset, count: count) } catch {
            throw SoradError(.cannotWrite, "cannot read \(path): \(error.reason)")
        }
    }
}

extension DaemonConnection {
    fileprivate func job(_ id: String, to file: PartFile) throws(SoradError) {
        var failure: SoradError?
        try client.stream(ClientRequest(.get, "/v1/videos/" + percentEncoded(id) + "/job")) { bytes in
            do throws(SoradError) { try file.append(Array(bytes)) } catch { failure = error }
            return failure == nil
        }
        if let failure { throw failure }
    }

    fileprivate func importJob(_ file: ClipFile, _ priority: String?) throws(SoradError) -> Video {
        var fields = JSONObject()
        fields["priority"] = priority.map { .string($0) }
        return try client.fetch(ClientRequest(.post, "/v1/videos/import", body: try form(fields, file, named: "file")))
    }
}
