// What a checkpoint says about itself beside its weights: name, native size, defaults, schedule. A folder of our own carries them in
// `sorad.json`; a published one does not, and gets what Wan's own pipeline uses.
import SoradModelFile
import SoradSystem

struct ModelCard {
    let id, edition, license: String
    let width, height, frames, framesPerSecond, steps, textLength, trainSteps: Int
    let guidanceScale, flowShift, scheduleShift: Float
    let expandTimesteps: Bool

    /// - Parameters:
    ///   - index: `model_index.json`. - scheduler: `scheduler/scheduler_config.json`. - own: `sorad.json`, if there is one.
    init(index: ConfigFile, scheduler: ConfigFile, own: ConfigFile?, folder: String, name: String?) throws(SoradError) {
        try scheduler.require("_class_name", oneOf: ["FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler"])
        trainSteps = try scheduler.integer("num_train_timesteps", in: 1...100_000, default: 1000)
        scheduleShift = try scheduler.number(scheduler.has("flow_shift") ? "flow_shift" : "shift", in: 0.01...100, default: 1)
        expandTimesteps = try (own.flatMap { $0.has("expand_timesteps") ? $0 : nil } ?? index).bool("expand_timesteps", default: false)
        let ownName: String? = if let own { try own.string("name") } else { nil }
        id = try Self.identifier(name ?? ownName ?? Self.lastComponent(of: folder))
        let card = own ?? index
        edition = own?.has("edition") == true ? String(try card.integer("edition", in: 1...1_000_000)) : "1"
        license = try card.string("license", default: "unknown")
        width = try card.integer("width", in: 16...4096, default: 832)
        height = try card.integer("height", in: 16...4096, default: 480)
        frames = try card.integer("num_frames", in: 1...4096, default: 81)
        framesPerSecond = try card.integer("fps", in: 1...240, default: 16)
        steps = try card.integer("num_inference_steps", in: 1...1000, default: 50)
        textLength = try card.integer("text_length", in: 1...4096, default: 512)
        guidanceScale = try card.number("guidance_scale", in: 0...100, default: 5)
        flowShift = try card.number("flow_shift", in: 0.01...100, default: Double(scheduleShift))
    }

    /// Keys before those of the model's parts.
    func metadata(created: Int, sources: [String], recipe: String) -> [(key: String, value: MetadataValue)] {
        [
            ("general.architecture", .string("sorad-wan")),
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
            ("dit.expand_timesteps", .bool(expandTimesteps)),
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
