// The plan of a job that can move between machines, as `plan.json` has it; docs/PORTABLE_JOBS.md is the contract.
public import SoradSystem

/// The folder of a portable job has these files next to the given ones, the checkpoints and the clip.
public enum PortableFile {
    public static let request = "request.json"
    public static let plan = "plan.json"
    public static let result = "result.json"
    /// Bytes of one of them.
    public static let sizeLimit = 16 << 20

    /// Whether `name` may be that of a file from which a job is begun or continued.
    public static func isInput(_ name: String) -> Bool {
        TarArchive.isName(name)
            && (CheckpointName.all.contains(name) || name == ClipPlan.latentsName || name == plan
                || ReferenceFile.allCases.contains { name == $0.rawValue || name.hasPrefix($0.rawValue + "-") })
    }
}

public struct PortablePlan: Sendable, Equatable {
    public static let version = 1

    /// The job's, on the machine that it comes from.
    public var job: String
    public var plan: ClipPlan

    public init(job: String, plan: ClipPlan) {
        self.job = job
        self.plan = plan
    }

    /// `result.json` of the finished job.
    public func json(_ result: ClipResult) -> JSONValue {
        guard case .object(var object) = json else { return json }
        object["result"] = result.json
        return .object(object)
    }
}

extension PortablePlan: JSONRepresentable {
    public var json: JSONValue { ["version": .integer(PortablePlan.version), "job": .string(job), "plan": plan.json] }

    /// The plan may come from anywhere; whether a model can make it is another question.
    public init(json: JSONValue) throws(JSONError) {
        guard json["version"]?.integer == PortablePlan.version else { throw JSONError("its version is not \(PortablePlan.version)") }
        job = try JSONMembers(json, of: "portable job").string("job")
        plan = try ClipPlan(json: json["plan"] ?? .null)
        for text in [plan.prompt, plan.negativePrompt] + plan.scenes.map(\.prompt) {
            let isLong = text.utf8.count > 8 * ClipRequest.promptLimit || text.count > 2 * ClipRequest.promptLimit
            if isLong { throw JSONError("a prompt is too long") }
        }
        guard ClipPlan.fpsRange.contains(plan.fps) else { throw JSONError("it plays \(plan.fps) frames a second") }
    }
}
