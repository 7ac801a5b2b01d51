// One checkpoint to one model file, in one pass: the form of a tensor is decided and its data are written before the next one's. The file's
// front, which states the decisions, is filled in at the end.
import SoradModelFile
public import SoradSystem
import SoradTensor

/// Converts checkpoints.
public enum Converter {
    /// Goes into the file's record of how it was made; raise it when the same input would give other bytes.
    static let version = 4

    /// Converts a checkpoint into the model file `output`, which appears only when it is complete.
    /// - Parameters:
    ///   - path: a diffusers folder, a folder of Wan's own release, or a file of weights.
    ///   - files: more files of weights; each holds one or more parts, which take the place of a diffusers folder's.
    ///   - tokenizer: a SentencePiece model to use instead of the checkpoint's.
    ///   - recipe: the name of a way of sampling; without it, what the checkpoint says.
    ///   - progress: called once for every tensor that is in the file, in its order.
    ///   - done: called behind every tensor, with the share of the numbers that is done.
    ///   - notice: called before the work begins, with each sentence about what the conversion leaves out or changes.
    /// - Throws: `.notFound`, `.permission`, `.badInput` for what is wrong with the checkpoint; `.cannotCreate`, `.cannotWrite` for the output.
    public static func convert(
        _ path: String, files: [String] = [], tokenizer: String? = nil, recipe: String? = nil, to output: String,
        options: ConversionOptions = ConversionOptions(), progress: (ConversionReport.Row) -> Void = { _ in },
        done: (Double) -> Void = { _ in }, notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try CheckpointParts(path, files: files, tokenizer: tokenizer, recipe: recipe)
        return try convert(parts, to: output, options: options, progress: progress, done: done, notice: notice)
    }

    /// What there is to say of a checkpoint before its weights are read: the notices of `convert`, or what it would throw.
    package static func notices(of parts: CheckpointParts, registry: CheckpointRegistry = .standard) throws(SoradError) -> [String] {
        try Checkpoint(parts, name: nil, registry).notices
    }

    /// The names of all ways of sampling, and what they are for.
    public static var recipes: [(name: String, summary: String)] { SamplingRecipe.all.map { ($0.name, $0.summary) } }

    /// The same for a checkpoint from anywhere.
    package static func convert(
        _ parts: CheckpointParts, to output: String, options: ConversionOptions, registry: CheckpointRegistry = .standard,
        progress: (ConversionReport.Row) -> Void = { _ in }, done: (Double) -> Void = { _ in }, notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try parts.merging(options.loras).adding(enhancers: options.enhancers)
        let checkpoint = try Checkpoint(parts, name: options.name, registry)
        AtomicFile.removeRemains(of: output)
        var (options, decoder) = (options, nil as DecoderDeviation?)
        if let backend = options.decoderTrial, !options.float, !options.int8Decoder, parts.own == nil {
            decoder = try DecoderCheck.run(checkpoint, of: parts.path, options, try backend.make())
            options.int8Decoder = (decoder?.decibels ?? 0) >= DecoderDeviation.least
            decoder?.isInt8 = options.int8Decoder
        }
        // An output that cannot be written, or not as a whole, is better known before minutes of work than after them.
        var expected = checkpoint.expectedBytes(options)
        if !options.isResumable { try OutputSpace(of: output).check(expected, "at least ") }
        var writer = try GGUFWriter(
            output, longest: checkpoint.longestMetadata(options, parts.files), checkpoint.tensors.flatMap(\.rule.mostDescriptions),
            isResumable: options.isResumable)
        let planner = try TensorPlanner(options, checkpoint)
        var report = ConversionReport()
        report.decoder = decoder
        report.notices = checkpoint.notices + [decoder?.sentence].compactMap { $0 }
        report.notices.forEach(notice)
        var record: ConversionRecord?
        var found: [ConversionRecord.Entry] = []
        if options.isResumable {
            record = ConversionRecord(besides: writer.partialPath)
            found = record?.entries(of: ConversionRecord.identity(checkpoint, parts.files, options)) ?? []
        }
        var account = Account(checkpoint.tensors.map(\.tensor.elementCount))
        func take(_ row: ConversionReport.Row, _ metadata: [(key: String, value: MetadataValue)]) {
            report.rows.append(row)
            account.metadata += metadata
            progress(row)
            done(account.share(upTo: report.rows.count))
        }
        for (entry, matched) in zip(found, checkpoint.tensors) {
            guard entry.row.name == matched.rule.name, try writer.takeOver(entry.tensors, sha256: entry.sha256) else { break }
            take(entry.row, entry.metadata)
        }
        let first = report.rows.count
        try record?.begin(Array(found.prefix(first)), of: ConversionRecord.identity(checkpoint, parts.files, options))
        try writer.begin()
        try writer.reserve(expected)
        let hashes = SourceHashes(parts.files, items: checkpoint.tensors.dropFirst(first).map(\.tensor.range))
        // Whoever decides about a layer holds its weights as floats, turned, and rounded.
        let largest = checkpoint.tensors.reduce(0) { max($0, $1.rule.form.isPlain ? 0 : $1.tensor.elementCount) }
        let threads = ParallelWork<Never>.threads(itemBytes: 24 * largest)
        let tensors = checkpoint.tensors
        try ParallelWork.run(tensors.count - first, threads: threads) { index throws(SoradError) -> (TensorPlan, PackedTensors?) in
            let (rule, tensor) = tensors[first + index]
            try hashes.begin(index)
            let plan = try planner.plan(rule, tensor)
            let packed = try plan.packed()
            if packed != nil { tensor.range?.giveBack() }
            return (plan, packed)
        } take: { (_, result: (TensorPlan, PackedTensors?)) throws(SoradError) in
            let (plan, packed) = result
            // A layer that stays float takes more than was set aside.
            let more = plan.byteCount - plan.rule.expectedBytes(options)
            if more > 0 {
                expected += more
                try writer.reserve(expected)
            }
            writer.add(plan.descriptions)
            if let packed {
                try packed.write(to: &writer)
            } else {
                try plan.writeRows(to: &writer, threads: threads)
                plan.tensor.range?.giveBack()
            }
            if record != nil {
                let sha256 = try writer.endGroup()
                let entry = ConversionRecord.Entry(tensors: plan.descriptions, metadata: plan.metadata, row: plan.row, sha256: sha256)
                try record?.append(entry)
            }
            take(plan.row, plan.metadata)
        }
        let (sources, newest) = try hashes.wait()
        report.sha256 = try writer.finish(
            metadata: checkpoint.metadata(created: options.created ?? newest, sources: sources, recipe: options.recipe)
                + options.metadata + account.metadata)
        record?.remove()
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

    /// What is known of the tensors that are done.
    private struct Account {
        var metadata: [(key: String, value: MetadataValue)] = []
        /// Numbers before each tensor, and in all.
        private let before: [Int]

        init(_ counts: [Int]) { before = counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) } }

        func share(upTo tensors: Int) -> Double { Double(before[tensors]) / Double(max(1, before[before.count - 1])) }
    }
}

extension ConversionOptions {
    /// The record of how a file was made.
    fileprivate var recipe: String {
        ["sorad-quantize", "\(Converter.version)", description].filter { !$0.isEmpty }.joined(separator: " ")
    }

    fileprivate var metadata: [(key: String, value: MetadataValue)] { attentionProbs16 ? [("dit.attention_planes", .uint32(2))] : [] }
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

extension Checkpoint {
    /// Bytes of the model file's data if every layer takes the form that it is meant to have.
    func expectedBytes(_ options: ConversionOptions) -> Int { tensors.reduce(0) { $0 + $1.rule.expectedBytes(options) } }

    /// Metadata that take at least as many bytes as the finished file's.
    func longestMetadata(_ options: ConversionOptions, _ files: [(name: String, path: String)]) -> [(key: String, value: MetadataValue)] {
        let sources = files.map { "\($0.name) \(String(repeating: "0", count: 64))" }
        return metadata(created: 0, sources: sources, recipe: options.recipe) + options.metadata
            + tensors.compactMap { row in
                if case .linear = row.rule.form { ("rotation." + row.rule.layer, .uint32(0)) } else { nil }
            }
    }
}

extension TensorRule {
    /// At least as many tensors, with names as long, as this one can become.
    fileprivate var mostDescriptions: [TensorDescription] {
        let endings: [String] =
            switch form {
            case .linear: ["", "_scale", "_sum"]
            case .convolution: ["", "_scale", "_sum"]
            case .frames: ["", "_scale", "_sum", "_input"]
            case .floatLinear, .vector, .table, .plain: [""]
            }
        return endings.map { TensorDescription(name: name + $0, type: .f32, dims: [1, 1, 1, 1]) }
    }

    /// Bytes of the form that is meant for it.
    func expectedBytes(_ options: ConversionOptions) -> Int {
        let count = shape.reduce(1, *)
        guard !options.keepsFloat(name) else { return 4 * count }
        return switch form {
        case .linear(_, _, isDeep: true) where !options.int8TextEncoder: count + count / 4 + count / 16
        case .linear: count
        case .convolution(_?, let always) where always || options.int8Decoder: count
        case .frames(_, _?, _) where options.int8Decoder: count
        case .table: 2 * count
        default: 4 * count
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
