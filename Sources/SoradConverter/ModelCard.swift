// What a checkpoint states besides its weights: name, native size, defaults, schedule. A folder of our own carries them in `sorad.json`; a
// published one does not, and gets the defaults of its family's pipeline.
// Invariant: a checkpoint whose clips need another way of sampling than the model file describes is refused, or a notice says so by name.
import SoradModelFile
import SoradSystem

struct ModelCard {
    let architecture, id, edition, license: String
    let width, height, frames, framesPerSecond, steps, textLength, trainSteps: Int
    let guidanceScale, flowShift, scheduleShift: Float
    /// What clips of the model file differ in from the checkpoint's own pipeline, as sentences.
    let notices: [String]

    /// - Parameters:
    ///   - index: `model_index.json`. - scheduler: `scheduler/scheduler_config.json`. - own: `sorad.json`, if there is one.
    init(
        _ family: any CheckpointFamily, index: ConfigFile, scheduler: ConfigFile, own: ConfigFile?, folder: String, name: String?
    ) throws(SoradError) {
        try family.checkPipeline(index)
        architecture = family.architecture
        let defaults = family.defaults
        notices = try Self.checkSchedule(scheduler)
        trainSteps = try scheduler.integer("num_train_timesteps", in: 1...100_000, default: 1000)
        scheduleShift = try scheduler.number(scheduler.has("flow_shift") ? "flow_shift" : "shift", in: 0.01...100, default: 1)
        let ownName: String? = if let own { try own.string("name") } else { nil }
        id = try Self.identifier(name ?? ownName ?? Self.lastComponent(of: folder))
        let card = own ?? index
        edition = own?.has("edition") == true ? String(try card.integer("edition", in: 1...1_000_000)) : "1"
        license = try card.string("license", default: "unknown")
        width = try card.integer("width", in: 16...4096, default: defaults.width)
        height = try card.integer("height", in: 16...4096, default: defaults.height)
        frames = try card.integer("num_frames", in: 1...4096, default: defaults.frames)
        framesPerSecond = try card.integer("fps", in: 1...240, default: defaults.framesPerSecond)
        steps = try card.integer("num_inference_steps", in: 1...1000, default: defaults.steps)
        textLength = try card.integer("text_length", in: 1...4096, default: defaults.textLength)
        guidanceScale = try card.number("guidance_scale", in: 0...100, default: defaults.guidanceScale)
        flowShift = try card.number("flow_shift", in: 0.01...100, default: Double(scheduleShift))
    }

    /// Refuses a schedule whose noise levels are others than the shifted flow-matching ones.
    /// - Returns: notices.
    private static func checkSchedule(_ scheduler: ConfigFile) throws(SoradError) -> [String] {
        try scheduler.require("_class_name", oneOf: ["FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler"])
        let switches = [
            "use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas",
            "stochastic_sampling",
        ]
        for key in switches where try scheduler.bool(key, default: false) {
            throw SoradError(.badInput, "\(scheduler.path): \(key) is set, and such a schedule cannot be converted")
        }
        if scheduler.has("shift_terminal") {
            throw SoradError(.badInput, "\(scheduler.path): shift_terminal is set, and such a schedule cannot be converted")
        }
        let name = try scheduler.string("_class_name")
        guard name == "UniPCMultistepScheduler" else { return [] }
        try scheduler.require("prediction_type", oneOf: ["flow_prediction"], default: "flow_prediction")
        guard try scheduler.bool("use_flow_sigmas", default: true) else {
            throw SoradError(.badInput, "\(scheduler.path): use_flow_sigmas is false, and such a schedule cannot be converted")
        }
        return [
            "the checkpoint's scheduler is \(name), and the model file samples with Euler steps (flow_match_euler): "
                + "clips differ from those of its own pipeline, most with few steps"
        ]
    }

    /// Keys before those of the model's parts.
    func metadata(created: Int, sources: [String], recipe: String) -> [(key: String, value: MetadataValue)] {
        [
            ("general.architecture", .string(architecture)),
            ("general.name", .string(id)),
            ("general.license", .string(license)),
            ("sorad.format_version", .uint32(UInt32(ModelFile.formatVersion))),
            ("sorad.model.id", .string(id)),
            ("sorad.model.edition", .string(edition)),
            ("sorad.created", .uint64(UInt64(created))),
            ("sorad.recipe", .string(recipe)),
            ("sorad.source.sha256", .strings(sources)),
            ("sorad.native.width", .uint32(UInt32(width))),
            ("sorad.native.height", .uint32(UInt32(height))),
            ("sorad.native.num_frames", .uint32(UInt32(frames))),
            ("sorad.native.fps", .uint32(UInt32(framesPerSecond))),
            ("sorad.default.num_inference_steps", .uint32(UInt32(steps))),
            ("sorad.default.guidance_scale", .float32(guidanceScale)),
            ("sorad.default.flow_shift", .float32(flowShift)),
            ("sorad.text_length", .uint32(UInt32(textLength))),
            ("scheduler.type", .string("flow_match_euler")),
            ("scheduler.num_train_timesteps", .uint32(UInt32(trainSteps))),
            ("scheduler.shift", .float32(scheduleShift)),
        ]
    }

    /// A name is part of URLs, job records and messages, so it is short and plain.
    private static func identifier(_ name: String) throws(SoradError) -> String {
        let plain = name.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
        }
        guard plain, (1...64).contains(name.utf8.count), !name.hasPrefix(".") else {
            throw SoradError(
                .badInput,
                "\"\(name)\" cannot be a model's name: it takes 1 to 64 lower-case letters, digits, dots, dashes and underscores",
                hint: "give one with --name")
        }
        return name
    }

    private static func lastComponent(of folder: String) -> String {
        folder.split(separator: "/").last { $0 != "." }.map { $0.lowercased() } ?? ""
    }
}
