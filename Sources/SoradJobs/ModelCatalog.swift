// The models that are installed: the worker describes each file, because only it can read one.
// A broken file is remembered with the reason and never stops the others. A fault of the machine (docs/FAULTS.md) is no word about the
// file: what was known of it stays, and the files are looked at again.
public import SoradAPI
public import SoradSystem
import Synchronization

public final class ModelCatalog: Sendable {
    public struct Entry: Sendable, Equatable {
        public let info: ModelInfo
        public let path: String
        /// The state of the file in which it was read whole and found sound; nil where it changed too lately to tell.
        var verified: FileIdentity?
    }

    private struct State {
        var entries: [Entry] = []
        var broken: [(path: String, reason: String)] = []
        /// Files that are away, perhaps for a moment, since when.
        var missing: [String: MonotonicTime] = [:]
        /// How often the files were looked at.
        var scans = 0
    }

    /// An update replaces a file within moments.
    private static let missingGrace = Duration.seconds(60)

    private let state = Mutex(State())
    private let firstScan: EventCounter
    /// A file or the worker may have changed, or could not be looked at.
    private let isDue = Atomic<Bool>(false)
    private let scanning = Atomic<Bool>(false)

    public init() throws(SoradError) {
        do throws(Errno) { firstScan = try EventCounter(.signal) } catch {
            throw SoradError(.unavailable, "cannot make an event counter: \(error.reason)")
        }
    }

    /// Models that can be used, in the order of their files.
    public var entries: [Entry] { state.withLock { $0.entries } }
    public var brokenFiles: [String] { state.withLock { $0.broken.map { "\($0.path): \($0.reason)" } } }

    public var scans: Int { state.withLock { $0.scans } }

    public func entry(_ id: String) -> Entry? { entries.first { $0.info.id == id } }

    /// The one for requests that name none: `preferred` if it is there, else the first.
    public func standard(preferred: String) -> Entry? { entry(preferred) ?? entries.first }

    /// Asks for another scan: a worker could not be started, so a file or the program may have changed.
    public func lookAgain() { isDue.store(true, ordering: .releasing) }
    /// False when a scan is under way.
    public func beginScan() -> Bool { !scanning.exchange(true, ordering: .acquiring) }
    public func endScan() { scanning.store(false, ordering: .releasing) }
    public var isScanning: Bool { scanning.load(ordering: .acquiring) }
    /// Whether somebody asked for a scan since the last call.
    public func takeWish() -> Bool { isDue.exchange(false, ordering: .acquiring) }
    /// The first scan has ended.
    public var isScanned: Bool { (try? waitUntilReady(PollEntry(reading: firstScan.rawDescriptor), timeout: .zero)) ?? false }

    /// Waits until the first scan has ended, so that a request right after the start is not refused for a model that is about to appear.
    public func waitForFirstScan(timeout: Duration) {
        // The counter is never taken from, so it stays readable.
        _ = try? waitUntilReady(PollEntry(reading: firstScan.rawDescriptor), timeout: timeout)
    }

    /// Finds out about each file, one after the other: from `records` if it has not changed since, else by asking the worker, which
    /// reads it whole. Two files with one name: the first counts.
    /// - Parameter keepsMissing: a file that has gone is kept for a minute: nobody has said that it is to go.
    public func scan(_ files: [String], worker: String, service: JobService, time: TimeSource, keepsMissing: Bool = false, log: Log) {
        scan(files, worker: worker, records: service, time: time, keepsMissing: keepsMissing, log: log)
        for entry in entries { service.metrics.know(model: entry.info.id) }
    }

    package func scan(
        _ files: [String], worker: String, records: some ModelRecords, time: TimeSource, keepsMissing: Bool = false, log: Log
    ) {
        let last = state.withLock { $0 }
        var found = State()
        let files = keepsMissing ? files.filter { (try? FileIdentity($0)) != nil } : files
        var known: [(key: ModelRecordKey, info: ModelInfo)] = []
        var hasNews = false
        for path in files {
            let before = ModelCatalog.key(path, worker)
            var verified: FileIdentity?
            do throws(SoradError) {
                let recorded = before.flatMap { records.describedModel($0) }
                let info = if let recorded { recorded } else { try describeModel(at: path, worker: worker) }
                if let before, recorded != nil {
                    known.append((before, info))
                    verified = before.file
                } else if let before, before.file.isSettled(unixMilliseconds: time.unixMilliseconds()),
                    before == ModelCatalog.key(path, worker)
                {
                    known.append((before, info))
                    verified = before.file
                    hasNews = true
                }
                if let first = found.entries.first(where: { $0.info.id == info.id }) {
                    throw SoradError(.configuration, "\(path) holds the model \(info.id), which \(first.path) already gives")
                }
                found.entries.append(Entry(info: info, path: path, verified: verified))
                if !keepsMissing || !last.entries.contains(found.entries.last!) {
                    log.info("model \(info.id): \(path)\(recorded == nil ? "" : ", unchanged")", LogFields(.modelFound, model: info.id))
                }
            } catch {
                let earlier = last.entries.first { $0.path == path }
                // A file that has gone meanwhile was not read to its end.
                if error.kind == .unavailable || before != nil && (try? FileIdentity(path)) == nil {
                    lookAgain()
                    log.warning("the model file \(path) could not be looked at: \(error.message)")
                    if let earlier, !found.entries.contains(where: { $0.info.id == earlier.info.id }) {
                        found.entries.append(earlier)
                        continue
                    }
                } else {
                    log.error("the model file \(path) cannot be used: \(error.message)", LogFields(.modelUnusable))
                }
                found.broken.append((path, error.message))
            }
        }
        if keepsMissing { keepMissing(of: last, in: &found, now: time.monotonic(), log) }
        if files.isEmpty && found.entries.isEmpty {
            log.warning("no model file is installed; put one into a model directory or name it with --model")
        }
        found.scans = last.scans + 1
        let result = found
        state.withLock { $0 = result }
        firstScan.add()
        if hasNews { records.replaceDescribedModels(known) }
    }

    private func keepMissing(of last: State, in found: inout State, now: MonotonicTime, _ log: Log) {
        for entry in last.entries
        where (try? FileIdentity(entry.path)) == nil && !found.entries.contains(where: { $0.info.id == entry.info.id }) {
            let since = last.missing[entry.path] ?? now
            guard now - since < ModelCatalog.missingGrace else { continue }
            if last.missing[entry.path] == nil { log.warning("the model file \(entry.path) is away; its model is kept for a minute") }
            found.entries.append(entry)
            found.missing[entry.path] = since
            lookAgain()
        }
    }

    private static func key(_ path: String, _ worker: String) -> ModelRecordKey? {
        guard let file = try? FileIdentity(path), let program = try? FileIdentity(worker) else { return nil }
        return ModelRecordKey(file: file, worker: program)
    }
}

/// `*.gguf` in the directories, sorted by name within each.
public func modelFiles(in directories: [String]) -> [String] {
    directories.flatMap { directory in
        ((try? directoryEntries(directory)) ?? []).filter { $0.hasSuffix(".gguf") && !$0.hasPrefix(".") }.map { "\(directory)/\($0)" }
    }
}

/// Runs `worker --model PATH --describe`: the model's facts as JSON on standard output, or a sentence on standard error.
/// - Throws: `.badInput` for a fault of the file, `.unavailable` for one of the machine.
func describeModel(at path: String, worker: String, timeout: Duration? = nil) throws(SoradError) -> ModelInfo {
    // It reads the file whole, perhaps from a slow disk.
    let timeout = timeout ?? .seconds(120 + ((try? FileIdentity(path))?.size ?? 0) / 10_000_000)
    let output: CapturedOutput
    do throws(Errno) {
        output = try captureOutput(of: .init(worker, ["--model", path, "--describe"]), timeout: timeout, limit: 1 << 20)
    } catch {
        throw SoradError(.unavailable, "the worker \(worker) cannot be started: \(error.reason)")
    }
    switch output.end {
    case .ended(.exited(0)): break
    case .ended(let ending):
        let line = String(decoding: output.standardError.prefix(2_000), as: UTF8.self).split(separator: "\n").first.map(String.init)
        // 126 and 127: the dynamic loader lacks a file or memory.
        let isMachines = [SoradError(.unavailable, "").exitCode, 126, 127].contains { ending == .exited($0) }
        if case .exited = ending, !isMachines { throw SoradError(.badInput, line ?? "the worker \(ending)") }
        throw SoradError(.unavailable, "the worker \(ending)" + (line.map { ", saying: \($0)" } ?? ""))
    case .wroteTooMuch: throw SoradError(.badInput, "the worker's description is longer than 1 MiB")
    case .tookTooLong, .stalled, .abandoned:
        throw SoradError(.unavailable, "the worker did not describe it within \(Int(timeout.inSeconds)) s")
    }
    do throws(JSONError) {
        let info = try ModelInfo(json: try JSONValue(parsing: output.standardOutput))
        guard info.isPlausible else { throw JSONError("its sizes contradict each other") }
        return info
    } catch {
        throw SoradError(.badInput, "the worker's description is not usable: \(error)")
    }
}

extension ModelInfo {
    /// Whether the arithmetic on requests can rely on these values.
    var isPlausible: Bool {
        let sizes = [defaultWidth, defaultHeight, maxWidth, maxHeight, sizeMultiple]
        let counts = [defaultNumFrames, maxNumFrames, frameMultiple, fps, defaultNumInferenceSteps]
        return !id.isEmpty && id.utf8.count <= 128 && sizes.allSatisfy { (1...65_536).contains($0) }
            && counts.allSatisfy { (1...1_000_000).contains($0) }
            && maxPixels > 0 && memory?.isPlausible ?? true && time?.isPlausible ?? true
    }
}
