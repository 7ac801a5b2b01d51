// One checkpoint to one model file, in two passes: decide about every tensor, then write. The file's front states the decisions, so they
// are all made before its first byte is written.
import SoradModelFile
public import SoradSystem
import SoradTensor

/// Converts checkpoints.
public enum Converter {
    /// Goes into the file's record of how it was made; raise it when the same input would give other bytes.
    static let version = 2

    /// Converts a checkpoint into the model file `output`, which appears only when it is complete.
    /// - Parameters:
    ///   - path: a diffusers folder, a folder of Wan's own release, or a file of weights.
    ///   - files: more files of weights; each holds one or more parts, which take the place of a diffusers folder's.
    ///   - tokenizer: a SentencePiece model to use instead of the checkpoint's.
    ///   - recipe: the name of a way of sampling; without it, what the checkpoint says.
    ///   - progress: called once for every tensor when its form is decided.
    ///   - notice: called before the work begins, with each sentence about what the conversion leaves out or changes.
    /// - Throws: `.notFound`, `.permission`, `.badInput` for what is wrong with the checkpoint; `.cannotCreate`, `.cannotWrite` for the output.
    public static func convert(
        _ path: String, files: [String] = [], tokenizer: String? = nil, recipe: String? = nil, to output: String,
        options: ConversionOptions = ConversionOptions(), progress: (ConversionReport.Row) -> Void = { _ in },
        notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try CheckpointParts(path, files: files, tokenizer: tokenizer, recipe: recipe)
        return try convert(parts, to: output, options: options, progress: progress, notice: notice)
    }

    /// The names of all ways of sampling, and what they are for.
    public static var recipes: [(name: String, summary: String)] { SamplingRecipe.all.map { ($0.name, $0.summary) } }

    /// The same for a checkpoint from anywhere.
    package static func convert(
        _ parts: CheckpointParts, to output: String, options: ConversionOptions, registry: CheckpointRegistry = .standard,
        progress: (ConversionReport.Row) -> Void = { _ in },
        notice: (String) -> Void = { _ in }
    ) throws(SoradError) -> ConversionReport {
        let parts = try parts.merging(options.loras).adding(enhancers: options.enhancers)
        let checkpoint = try Checkpoint(parts, name: options.name, registry)
        // An output that cannot be written is better known before an hour of work than after it.
        do { _ = try AtomicFile(output) }
        checkpoint.notices.forEach(notice)
        let planner = try TensorPlanner(options, checkpoint)
        var report = ConversionReport()
        report.notices = checkpoint.notices
        var plans: [TensorPlan] = []
        for (rule, tensor) in checkpoint.tensors {
            let plan = try planner.plan(rule, tensor)
            plans.append(plan)
            report.rows.append(plan.row)
            progress(plan.row)
        }
        let (sources, newest) = try hashes(parts.files)
        let recipe = ["sorad-quantize", "\(version)", options.description].filter { !$0.isEmpty }.joined(separator: " ")
        let metadata = checkpoint.metadata(created: options.created ?? newest, sources: sources, recipe: recipe)
        let attention: [(key: String, value: MetadataValue)] = options.attentionProbs16 ? [("dit.attention_planes", .uint32(2))] : []
        var writer = try GGUFWriter(
            output, metadata: metadata + attention + plans.flatMap(\.metadata), tensors: plans.flatMap(\.descriptions))
        for plan in plans { try plan.write(to: &writer) }
        report.sha256 = try writer.finish()
        report.path = output
        report.size = try MappedFile(output).size
        return report
    }

    /// "NAME SHA256" of every source, and the newest modification time.
    private static func hashes(_ sources: [(name: String, path: String)]) throws(SoradError) -> (lines: [String], newest: Int) {
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
