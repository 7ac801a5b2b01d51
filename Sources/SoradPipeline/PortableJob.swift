// A job in a folder of its own, which any machine can continue: docs/PORTABLE_JOBS.md is its contract.
// Invariant: what is made is decided once. The first start turns `request.json` into `plan.json`, the seed included, and every later one, on
// whatever machine, makes that plan; so all of them make the same frames.
import Glibc
public import SoradAPI
public import SoradSystem

public struct PortableJob {
    private let portable: PortablePlan
    private let directory: String

    public var id: String { portable.job }
    public var plan: ClipPlan { portable.plan }

    /// Opens the folder `directory`.
    /// - Parameter model: for what the request leaves open.
    /// - Throws: `.notFound` without folder or request, `.badInput` with one sentence about the request or a given file.
    public init(opening directory: String, for model: ModelInfo) throws(SoradError) {
        self.directory = directory
        guard directoryExists(directory) else { throw SoradError(.notFound, "there is no folder \(directory)") }
        let path = "\(directory)/\(PortableFile.plan)"
        if let json = try PortableJob.read(path) {
            do throws(JSONError) { portable = try PortablePlan(json: json) } catch {
                throw SoradError(.badInput, "cannot use \(path): \(error.message)")
            }
            return
        }
        guard let json = try PortableJob.read("\(directory)/\(PortableFile.request)") else {
            throw SoradError(
                .notFound, "the folder \(directory) has no \(PortableFile.request)",
                hint: "write one, e.g. {\"prompt\": \"a red ball falls down\"}")
        }
        portable = PortablePlan(job: "once", plan: try PortableJob.plan(ClipRequest(json: json), in: directory, for: model))
        try PortableJob.write(portable.json, to: path)
    }

    /// What an earlier start made of it; nil while it is not finished.
    public func result() throws(SoradError) -> ClipResult? {
        let path = "\(directory)/\(PortableFile.result)"
        guard let json = try PortableJob.read(path) else { return nil }
        do throws(JSONError) { return try ClipResult(json: json["result"] ?? .null) } catch {
            throw SoradError(.badInput, "cannot use \(path): \(error.message)", hint: "remove it to make the clip again")
        }
    }

    /// Records that the clip is finished, and removes the checkpoints.
    public func finish(_ result: ClipResult) throws(SoradError) {
        try PortableJob.write(portable.json(result), to: "\(directory)/\(PortableFile.result)")
        for name in CheckpointName.all { removeFile("\(directory)/\(name)") }
    }

    // MARK: The plan

    /// The way from text, pictures or clips is taken by the files that lie in the folder.
    private static func plan(_ asked: ClipRequest, in directory: String, for model: ModelInfo) throws(SoradError) -> ClipPlan {
        if let name = asked.model, name != model.id {
            throw SoradError(.badInput, "the request is for the model \(name), and the file is \(model.id)", param: "model")
        }
        let seed = UInt64.random(in: 0...UInt64(UInt32.max))
        let has = ReferenceFile.allCases.filter { fileExists("\(directory)/\($0.rawValue)") }
        var facts: [ReferenceFile: MediaFacts] = [:]
        for file in has {
            let found: MediaFacts
            do throws(SoradError) { found = try ClipPipeline.inspect("\(directory)/\(file.rawValue)") } catch {
                throw SoradError(error.kind, "cannot use \(file.rawValue): \(error.message)", hint: error.hint)
            }
            let isPicture = file.isPicture ?? (model.takesControl ? found.isPicture : true)
            guard found.isPicture == isPicture else {
                throw SoradError(.badInput, "\(file.rawValue) is a \(isPicture ? "clip, not a picture" : "picture, not a clip")")
            }
            facts[file] = found
        }
        func clip(_ file: ReferenceFile) -> SourceClip? { facts[file].map { SourceClip($0) } }
        let pictures = has.contains(.firstFrame) || has.contains(.lastFrame)
        let references = ReferenceFile.references.filter(has.contains)
        guard references == Array(ReferenceFile.references.prefix(references.count)) else {
            throw SoradError(.badInput, "the reference pictures are \(references.map(\.rawValue)); they count from 1 on")
        }
        func complete(_ plan: ClipPlan) throws(SoradError) -> ClipPlan {
            var plan = plan
            plan.given?.references = references.compactMap { facts[$0] }.map { PictureSize(width: $0.width, height: $0.height) }
            if let mask = facts[.mask], !mask.isPicture { try plan.setMask(mask) }
            try model.check(plan)
            return plan
        }
        switch (clip(.source), clip(.before), clip(.after)) {
        case (nil, nil, nil):
            guard !has.contains(.mask) else { throw contradiction(has) }
            return try complete(
                asked.plan(
                    for: model, randomSeed: seed, hasFirstFrame: has.contains(.firstFrame), hasLastFrame: has.contains(.lastFrame),
                    references: references.count))
        case (let source?, nil, nil) where !pictures:
            return try complete(
                asked.remake(
                    of: source, for: model, randomSeed: seed, isRemix: false, hasMask: has.contains(.mask), references: references.count))
        case (nil, let before?, nil) where !pictures && !has.contains(.mask) && references.isEmpty:
            return try asked.extending(before, .forwards, for: model, randomSeed: seed)
        case (nil, nil, let after?) where !pictures && !has.contains(.mask) && references.isEmpty:
            return try asked.extending(after, .backwards, for: model, randomSeed: seed)
        case (nil, let before?, let after?) where !pictures && !has.contains(.mask) && references.isEmpty:
            return try asked.extending(before, .join(after), for: model, randomSeed: seed)
        default: throw contradiction(has)
        }
    }

    private static func contradiction(_ files: [ReferenceFile]) -> SoradError {
        SoradError(
            .badInput, "the folder has \(files.map(\.rawValue).joined(separator: " and ")), which do not go together",
            hint: "a clip is made of pictures, or of a clip that is changed (given-source), or continued (given-before, given-after)")
    }

    // MARK: Files

    /// nil where there is no such file.
    private static func read(_ path: String) throws(SoradError) -> JSONValue? {
        guard fileExists(path) else { return nil }
        let bytes: [UInt8]
        do throws(Errno) {
            let file = try FileDescriptor(openingForReading: path)
            let size = try file.regularFileSize()
            guard size <= PortableFile.sizeLimit else { throw Errno(code: EFBIG, call: "read") }
            bytes = try file.read(at: 0, count: size)
        } catch { throw SoradError(.badInput, "cannot read \(path): \(error.reason)") }
        do throws(JSONError) { return try JSONValue(parsing: bytes) } catch {
            throw SoradError(.badInput, "\(path) is not JSON: \(error)")
        }
    }

    private static func write(_ json: JSONValue, to path: String) throws(SoradError) {
        var file = try AtomicFile(path)
        try file.write(Array((json.text(pretty: true) + "\n").utf8))
        try file.commit()
    }
}
