// The models that are installed: the worker describes each file, because only it can read one.
// A broken file is remembered with the reason and never stops the others.
public import SoradAPI
public import SoradSystem
import Synchronization

public final class ModelCatalog: Sendable {
    public struct Entry: Sendable, Equatable {
        public let info: ModelInfo
        public let path: String
    }

    private struct State {
        var entries: [Entry] = []
        var broken: [(path: String, reason: String)] = []
    }

    private let state = Mutex(State())
    private let firstScan: EventCounter

    public init() throws(SoradError) {
        do throws(Errno) { firstScan = try EventCounter(.signal) } catch {
            throw SoradError(.unavailable, "cannot make an event counter: \(error.reason)")
        }
    }

    /// Models that can be used, in the order of their files.
    public var entries: [Entry] { state.withLock { $0.entries } }
    public var brokenFiles: [String] { state.withLock { $0.broken.map { "\($0.path): \($0.reason)" } } }

    public func entry(_ id: String) -> Entry? { entries.first { $0.info.id == id } }

    /// The one for requests that name none: `preferred` if it is there, else the first.
    public func standard(preferred: String) -> Entry? { entry(preferred) ?? entries.first }

    /// Waits until the first scan has ended, so that a request right after the start is not refused for a model that is about to appear.
    public func waitForFirstScan(timeout: Duration) {
        // The counter is never taken from, so it stays readable.
        _ = try? waitUntilReady(PollEntry(reading: firstScan.rawDescriptor), timeout: timeout)
    }

    /// Finds out about each file, one after the other: from `records` if it has not changed since, else by asking the worker, which
    /// reads it whole. Two files with one name: the first counts.
    public func scan(_ files: [String], worker: String, service: JobService, time: TimeSource, log: Log) {
        scan(files, worker: worker, records: service, time: time, log: log)
    }

    package func scan(_ files: [String], worker: String, records: some ModelRecords, time: TimeSource, log: Log) {
        var found = State()
        var known: [(key: ModelRecordKey, info: ModelInfo)] = []
        var hasNews = false
        for path in files {
            do throws(SoradError) {
                let before = ModelCatalog.key(path, worker)
                let recorded = before.flatMap { records.describedModel($0) }
                let info = if let recorded { recorded } else { try describeModel(at: path, worker: worker) }
                if let before, recorded != nil {
                    known.append((before, info))
                } else if let before, before.file.isSettled(unixMilliseconds: time.unixMilliseconds()),
                    before == ModelCatalog.key(path, worker)
                {
                    known.append((before, info))
                    hasNews = true
                }
                if let first = found.entries.first(where: { $0.info.id == info.id }) {
                    throw SoradError(.configuration, "\(path) holds the model \(info.id), which \(first.path) already gives")
                }
                found.entries.append(Entry(info: info, path: path))
                log.info("model \(info.id): \(path)\(recorded == nil ? "" : ", unchanged")")
            } catch {
                found.broken.append((path, error.message))
                log.error("the model file \(path) cannot be used: \(error.message)")
            }
        }
        if files.isEmpty { log.warning("no model file is installed; put one into a model directory or name it with --model") }
        let result = found
        state.withLock { $0 = result }
        firstScan.add()
        if hasNews { records.replaceDescribedModels(known) }
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
func describeModel(at path: String, worker: String, timeout: Duration = .seconds(120)) throws(SoradError) -> ModelInfo {
    let output: CapturedOutput
    do throws(Errno) {
        output = try captureOutput(of: .init(worker, ["--model", path, "--describe"]), timeout: timeout, limit: 1 << 20)
    } catch {
        throw SoradError(.unavailable, "the worker \(worker) cannot be run: \(error.reason)")
    }
    guard let ending = output.ending else {
        throw SoradError(.timedOut, "the worker did not describe it within \(Int(timeout.inSeconds)) s")
    }
    guard ending.isSuccess else {
        let sentence = String(decoding: output.standardError.prefix(2_000), as: UTF8.self).split(separator: "\n").first.map(String.init)
        throw SoradError(.badInput, sentence ?? "the worker \(ending)")
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
            && maxPixels > 0 && memory?.isPlausible ?? true
    }
}
