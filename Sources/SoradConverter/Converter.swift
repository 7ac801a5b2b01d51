// One checkpoint to one model file, in two passes: decide about every tensor, then write. The file's front states the decisions, so they
// are all made before its first byte is written.
import SoradModelFile
public import SoradSystem
import SoradTensor
import Synchronization

/// Converts checkpoints.
public enum Converter {
    /// Goes into the file's record of how it was made; raise it when the same input would give other bytes.
    static let version = 3

    /// Converts a checkpoint into the model file `output`, which appears only when it is complete.
    /// - Parameters:
    ///   - path: a diffusers folder, a folder of Wan's own release, or a file of weights.
    ///   - files: more files of weights; each holds one or more parts, which take the place of a diffusers folder's.
    ///   - tokenizer: a SentencePiece model to use instead of the checkpoint's.
    ///   - recipe: the name of a way of sampling; without it, what the checkpoint says.
    ///   - progress: called once for every tensor when its form is decided, in the order of the file.
    ///   - written: called behind every tensor that is in the file, with the bytes so far and in all.
    ///   - notice: called before the work begins, with each sentence about what the conversion leaves out or changes.
    /// - Throws: `.notFound`, `.permission`, `.badInput` for what is wrong with the checkpoint; `.cannotCreate`, `.cannotWrite` for the output.
    public static func convert(
        _ path: String, files: [String] = [], tokenizer: String? = nil, recipe: String? = nil, to output: String,
        options: ConversionOptions = ConversionOptions(), progress: (ConversionReport.Row) -> Void = { _ in },
        written: (_ bytes: Int, _ total: Int) -> Void = { _, _ in }, notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try CheckpointParts(path, files: files, tokenizer: tokenizer, recipe: recipe)
        return try convert(parts, to: output, options: options, progress: progress, written: written, notice: notice)
    }

    /// The names of all ways of sampling, and what they are for.
    public static var recipes: [(name: String, summary: String)] { SamplingRecipe.all.map { ($0.name, $0.summary) } }

    /// The same for a checkpoint from anywhere.
    package static func convert(
        _ parts: CheckpointParts, to output: String, options: ConversionOptions, registry: CheckpointRegistry = .standard,
        progress: (ConversionReport.Row) -> Void = { _ in }, written: (_ bytes: Int, _ total: Int) -> Void = { _, _ in },
        notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try parts.merging(options.loras).adding(enhancers: options.enhancers)
        let checkpoint = try Checkpoint(parts, name: options.name, registry)
        // An output that cannot be written is better known before an hour of work than after it.
        do { _ = try AtomicFile(output) }
        let space = OutputSpace(of: output)
        try space.check(checkpoint.leastBytes(float: options.float), "at least ")
        checkpoint.notices.forEach(notice)
        let planner = try TensorPlanner(options, checkpoint)
        var report = ConversionReport()
        report.notices = checkpoint.notices
        var plans: [TensorPlan] = []
        // Whoever decides about a layer holds its weights as floats, turned, and rounded.
        let largest = checkpoint.tensors.reduce(0) { max($0, $1.rule.form.isPlain ? 0 : $1.tensor.elementCount) }
        let threads = ParallelWork<Never>.threads(itemBytes: 24 * largest)
        let tensors = checkpoint.tensors
        let sourceHashes = try SourceHashes(parts.files)
        try ParallelWork.run(tensors.count, threads: threads) { index throws(SoradError) in
            try planner.plan(tensors[index].rule, tensors[index].tensor)
        } take: { (_, plan) throws(SoradError) in
            plans.append(plan)
            report.rows.append(plan.row)
            progress(plan.row)
        }
        let (sources, newest) = try sourceHashes.wait()
        let recipe = ["sorad-quantize", "\(version)", options.description].filter { !$0.isEmpty }.joined(separator: " ")
        let metadata = checkpoint.metadata(created: options.created ?? newest, sources: sources, recipe: recipe)
        let attention: [(key: String, value: MetadataValue)] = options.attentionProbs16 ? [("dit.attention_planes", .uint32(2))] : []
        let total = plans.reduce(0) { $0 + $1.byteCount }
        try space.check(total, "")
        var writer = try GGUFWriter(
            output, metadata: metadata + attention + plans.flatMap(\.metadata), tensors: plans.flatMap(\.descriptions))
        var bytes = 0
        // A few layers ahead of the disk, so that no more lie in memory.
        for start in stride(from: 0, to: plans.count, by: 2 * threads) {
            let group = Array(plans[start..<min(start + 2 * threads, plans.count)])
            var packed: [PackedTensors?] = []
            try ParallelWork.run(group.count, threads: threads) { index throws(SoradError) in
                try group[index].packed()
            } take: { (_, tensors) throws(SoradError) in
                packed.append(tensors)
            }
            for (plan, tensors) in zip(group, packed) {
                if let tensors { try tensors.write(to: &writer) } else { try plan.writeRows(to: &writer) }
                bytes += plan.byteCount
                written(bytes, total)
            }
        }
        report.sha256 = try writer.finish()
        report.path = output
        report.size = try MappedFile(output).size
        if let backend = options.checkBackend, !options.float {
            report.textEncoder = try TextEncoderCheck.run(checkpoint, of: parts.path, output, try backend.make())
            if let sentence = report.textEncoderNotice {
                report.notices.append(sentence)
                notice(sentence)
            }
        }
        return report
    }

}

/// The space on the disk of the file that is to be written.
package struct OutputSpace {
    private let output, directory: String
    private let free: Int?

    /// - Parameter free: bytes; nil for those of the disk.
    package init(of output: String, free: Int? = nil) {
        self.output = output
        directory = output.lastIndex(of: "/").map { String(output[...$0]) } ?? "."
        self.free = free ?? (try? DiskSpace(at: directory))?.free
    }

    /// - Throws: `.storageFull` when fewer than `bytes` are free.
    package func check(_ bytes: Int, _ how: String) throws(SoradError) {
        guard let free, free < bytes else { return }
        throw SoradError(
            .storageFull, "\(output) takes \(how)\(bytes / 1_000_000) MB, and \(free / 1_000_000) MB are free in \(directory)",
            hint: "free some space, or name a file on another disk")
    }
}

/// "NAME SHA256" of every source, and the newest modification time, found by a thread of its own while forms are decided: the files are then
/// read from the disk once.
private final class SourceHashes: Sendable {
    private typealias Found = (lines: [String], newest: Int)
    private let thread: SystemThread?
    private let isJoined = Atomic<Bool>(false)
    private let box: Box

    private final class Box: Sendable {
        let found = Mutex<Result<Found, SoradError>?>(nil)
    }

    init(_ sources: [(name: String, path: String)]) throws(SoradError) {
        let box = Box()
        self.box = box
        thread = try? SystemThread(name: "hashes") {
            do throws(SoradError) {
                let result = try Self.hashes(sources)
                box.found.withLock { $0 = .success(result) }
            } catch { box.found.withLock { $0 = .failure(error) } }
        }
        if thread == nil {
            let result = try Self.hashes(sources)
            box.found.withLock { $0 = .success(result) }
        }
    }

    /// A conversion that fails waits for nobody.
    deinit { if !isJoined.load(ordering: .relaxed) { thread?.detach() } }

    /// Call once.
    func wait() throws(SoradError) -> (lines: [String], newest: Int) {
        thread?.join()
        isJoined.store(true, ordering: .relaxed)
        guard let result = box.found.withLock({ $0 }) else { preconditionFailure("no hashes") }
        return try result.get()
    }

    private static func hashes(_ sources: [(name: String, path: String)]) throws(SoradError) -> Found {
        var lines: [String] = []
        var newest = 0
        for (name, path) in sources {
            let file = try MappedFile(path)
            lines.append("\(name) \(SHA256.hexadecimal(file.withBytes { SHA256.hash($0) }))")
            newest = max(newest, file.modified)
        }
        return (lines, newest)
    }
}

extension Checkpoint {
    /// Bytes below which no model file of it is: int8 where that is possible, halves for tables.
    func leastBytes(float: Bool) -> Int {
        tensors.reduce(0) { sum, row in
            let bytes =
                switch row.rule.form {
                case .linear where !float, .convolution where !float, .frames where !float: 1
                case .table: 2
                default: 4
                }
            return sum + bytes * row.tensor.elementCount
        }
    }
}

extension TensorRule.Form {
    /// Read piece by piece, never as a whole.
    fileprivate var isPlain: Bool {
        switch self {
        case .plain, .vector, .table: true
        default: false
        }
    }
}
