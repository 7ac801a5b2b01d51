// The folder of one job of the pool: what travels to a box (`job/`, see docs/PORTABLE_JOBS.md), what comes back, and the record of the attempt.
//
//   FLEET/video_…/record.json       the number of the attempt; written last, so a folder without it was never submitted
//   FLEET/video_…/lock              locked from the question whether the pool has the job until condor_submit has ended
//   FLEET/video_…/clip.sub          what condor_submit reads
//   FLEET/video_…/log.N out.N err.N of attempt N, written by HTCondor
//   FLEET/video_…/job/              plan.json, given files, checkpoints; then result.json and the clip
//   FLEET/video_…/marked.mp4        the clip after the marking command
//
// Invariant: an attempt's number grows before its failure is said, so that what is found in the pool under the present number was never
// said; and it is never submitted twice, because whoever submits holds the lock and has asked the pool before.
import Glibc
package import SoradAPI
package import SoradSystem

package struct JobFolder: Sendable {
    package let path: String
    package let job: String

    package init(_ job: String, in fleet: String) {
        self.job = job
        path = "\(fleet)/\(job)"
    }

    private static let version = 1
    private var work: String { "\(path)/job" }
    package var log: String { "\(path)/log.\(attempt ?? 0)" }
    package var output: String { "\(path)/out.\(attempt ?? 0)" }
    package var errors: String { "\(path)/err.\(attempt ?? 0)" }
    package var description: String { "\(path)/clip.sub" }
    package var marked: String { "\(path)/marked.mp4" }

    /// The number of the present attempt, from 1; nil where the folder was not made whole.
    package var attempt: Int? { JobFolder.json("\(path)/record.json", limit: 4096)?["attempt"]?.integer }

    /// Makes the folder of a new job, with what lies in its directory: given files, and checkpoints of an earlier life.
    package func make(_ plan: ClipPlan, from directory: String) throws(SoradError) {
        if attempt != nil { return }
        do throws(Errno) {
            try removeDirectory(path)
            try makeDirectories(work)
            try putInputs(plan, from: directory) { _ in true }
            try record(1)
        } catch { throw JobFolder.failure(error, path) }
    }

    /// Writes the plan and the given files again, before a further attempt: a box has sent files of these names back, and they may not be
    /// what they were. Its checkpoints stay.
    package func renew(_ plan: ClipPlan, from directory: String) throws(SoradError) {
        do throws(Errno) {
            try putInputs(plan, from: directory) { name in ReferenceFile.allCases.contains { name.hasPrefix($0.rawValue) } }
        } catch { throw JobFolder.failure(error, path) }
    }

    private func putInputs(_ plan: ClipPlan, from directory: String, where isWanted: (String) -> Bool) throws(Errno) {
        for name in try fileNames(in: directory) where PortableFile.isInput(name) && name != PortableFile.plan && isWanted(name) {
            removeFile("\(work)/\(name)")
            try copyFile("\(directory)/\(name)", to: "\(work)/\(name)")
        }
        try writeDurably(PortablePlan(job: job, plan: plan).json.bytes(pretty: true), named: PortableFile.plan, in: work)
    }

    package func describe(_ text: String) throws(SoradError) {
        do throws(Errno) { try writeDurably(Array(text.utf8), named: "clip.sub", in: path) } catch { throw JobFolder.failure(error, path) }
    }

    /// The present attempt has failed, and that is about to be said.
    package func beginNextAttempt() throws(SoradError) {
        do throws(Errno) { try record((attempt ?? 0) + 1) } catch { throw JobFolder.failure(error, path) }
    }

    private func record(_ attempt: Int) throws(Errno) {
        let json: JSONValue = ["version": .integer(JobFolder.version), "attempt": .integer(attempt)]
        try writeDurably(json.bytes(), named: "record.json", in: path)
    }

    /// nil while another process has it: a condor_submit that this program, or one before it, started.
    package func lock() throws(SoradError) -> OwnedFile? {
        do throws(Errno) {
            let file = try FileDescriptor(opening: "\(path)/lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW)
            return try file.tryLock() ? OwnedFile(file) : nil
        } catch { throw JobFolder.failure(error, path) }
    }

    // MARK: results

    /// What the worker made; nil when nothing usable has come back.
    package var result: ClipResult? {
        guard let json = JobFolder.json("\(work)/\(PortableFile.result)", limit: PortableFile.sizeLimit) else { return nil }
        guard json["version"]?.integer == PortablePlan.version, json["job"]?.string == job else { return nil }
        guard let result = try? ClipResult(json: json["result"] ?? .null), result.isPlausible else { return nil }
        return result
    }

    /// Where a file of the result lies, which `check` has found right.
    package func path(of name: String) -> String { "\(work)/\(name)" }

    /// Looks whether the files of the result are there. A result without them is forgotten, so that the clip is made again.
    /// - Throws: `.internalFault` for a name that is no file's, `.cannotWrite` when a file has not come back whole.
    package func check(_ result: ClipResult) throws(SoradError) {
        do throws(SoradError) {
            for name in JobFolder.files(of: result) { try check(name) }
        } catch {
            removeFile(path(of: PortableFile.result))
            throw error
        }
    }

    private func check(_ name: String) throws(SoradError) {
        guard JobFolder.isResultName(name) else {
            throw SoradError(.internalFault, "the pool's worker named a result \"\(name.prefix(64))\", which is not a file name")
        }
        do throws(Errno) {
            // A box may send anything: only a plain file is passed on.
            guard try FileDescriptor(openingForReading: path(of: name)).regularFileSize() > 0 else {
                throw Errno(code: ENODATA, call: "read \(name)")
            }
        } catch { throw SoradError(.cannotWrite, "the file \(name) did not come back from the pool: \(error.reason)") }
    }

    /// Gives the files of the result to the job's directory. They keep their names here, so that it may be done again after a crash; both
    /// names are of one file, which takes space once.
    /// - Parameter isMarked: the marked clip takes the place of the one that the box made.
    /// - Throws: `.cannotWrite`, `.storageFull`.
    package func deliver(_ result: ClipResult, isMarked: Bool, to directory: String) throws(SoradError) {
        for name in JobFolder.files(of: result) {
            do throws(Errno) {
                removeFile("\(directory)/\(name)")
                try addName("\(directory)/\(name)", to: isMarked && name == result.video ? marked : path(of: name))
            } catch {
                throw SoradError(
                    error.isOutOfSpace ? .storageFull : .cannotWrite, "the file \(name) cannot be given to the job: \(error.reason)")
            }
        }
    }

    private static func files(of result: ClipResult) -> [String] {
        [result.video, result.thumbnail, result.spritesheet] + [result.latents].compactMap { $0 }
    }

    private static func isResultName(_ name: String) -> Bool {
        TarArchive.isName(name) && !name.hasPrefix(".") && !PortableFile.isInput(name) || name == ClipPlan.latentsName
    }

    /// The last line of the worker's standard error.
    package var lastWords: String? {
        guard let file = try? FileDescriptor(openingForReading: errors), let size = try? file.regularFileSize(),
            let bytes = try? file.read(at: max(0, size - 4096), count: min(size, 4096))
        else { return nil }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").last.map(String.init) ?? ""
        return line.isEmpty ? nil : short(line.hasPrefix("sorad-worker: ") ? String(line.dropFirst(14)) : line)
    }

    /// Whether the disk of the folder has less than these bytes free.
    package func isShort(of bytes: Int) -> Bool { (try? DiskSpace(at: path)).map { $0.free < bytes } ?? false }

    package func remove() throws(SoradError) {
        do throws(Errno) { try removeDirectory(path) } catch { throw JobFolder.failure(error, path) }
    }

    // MARK: files

    private static func json(_ path: String, limit: Int) -> JSONValue? {
        guard let file = try? FileDescriptor(openingForReading: path), let size = try? file.regularFileSize(), size <= limit,
            let bytes = try? file.read(at: 0, count: size)
        else { return nil }
        return try? JSONValue(parsing: bytes)
    }

    private static func failure(_ error: Errno, _ path: String) -> SoradError {
        SoradError(error.isOutOfSpace ? .storageFull : .unavailable, "the job's folder \(path) cannot be used: \(error.reason)")
    }
}

/// Gives the file at `old` the further name `new`, which must not exist. Same file system; a symbolic link is not followed.
private func addName(_ new: String, to old: String) throws(Errno) {
    guard unsafe link(old, new) == 0 else { throw Errno(code: errno, call: "link \(new)") }
}

/// Copies, and does not share: what comes back from a box is written over the files of the folder.
private func copyFile(_ old: String, to new: String) throws(Errno) {
    let source = try FileDescriptor(openingForReading: old)
    _ = try source.regularFileSize()
    let target = try FileDescriptor(creating: new)
    while true {
        let bytes = try source.read(upTo: 1 << 20)
        if bytes.isEmpty { break }
        try target.write(bytes)
    }
    try target.sync()
}

/// Reads what is appended to a file that another program writes and may begin again.
package struct FileTail: Sendable {
    private var path: String
    private var offset = 0

    package init(_ path: String) { self.path = path }

    /// What has come since the last call, at most 4 MiB; nothing where there is no file.
    package mutating func read() -> [UInt8] {
        guard let file = try? FileDescriptor(openingForReading: path), let size = try? file.regularFileSize() else { return [] }
        if size < offset { offset = 0 }
        guard size > offset, let bytes = try? file.read(at: offset, count: min(size - offset, 4 << 20)) else { return [] }
        offset += bytes.count
        return bytes
    }
}
