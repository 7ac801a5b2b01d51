// What a checkpoint states besides its weights: name, native size, defaults, schedule. A folder of our own carries them in `sorad.json`; a
// published one does not, and gets the defaults of its family's pipeline.
// Invariant: a checkpoint whose clips need another way of sampling than the model file describes is refused, or a notice says so by name.
import SoradModelFile
import SoradSystem

struct ModelCard {
    let architecture, id, edition, license: String
    let width, height, frames, framesPerSecond, steps, textLength, trainSteps: Int
    let guidanceScale, flowShift, scheduleShift: Float
    /// "WIDTHxHEIGHT"; none for any size. Frames of a window; 0 for the native length.
    let sizes: [String]
    let windowFrames: Int
    /// A sampler of the engine, and the schedule that the model was trained for, if for one alone.
    let sampler: String
    let timesteps: [Float]
    /// What requests get that name no size and no length, where the native ones are more than a CPU can bear.
    let requested: (width: Int, height: Int, frames: Int)?
    /// How clips are sampled where a recipe says it, and the smaller default, as sentences.
    let notices: [String]

    /// - Parameters:
    ///   - recipe: how clips are sampled, instead of what the checkpoint says.
    ///   - name: the model's public name, if not the checkpoint's own.
    init(_ family: any CheckpointFamily, _ parts: CheckpointParts, _ recipe: SamplingRecipe?, name: String?) throws(SoradError) {
        let (index, own) = (parts.index, parts.own)
        try family.checkPipeline(index)
        architecture = family.architecture
        let defaults = family.defaults
        let card = own ?? index
        let ownName: String? = if let own { try own.string("name") } else { nil }
        let place = name == nil && ownName != nil ? own.map { $0.path + ": " } : nil
        id = try Self.identifier(name ?? ownName ?? Self.name(of: parts.path), place ?? "")
        edition = own?.has("edition") == true ? String(try card.integer("edition", in: 1...1_000_000)) : "1"
        license = try card.string("license", default: "unknown")
        textLength = try card.integer("text_length", in: 1...4096, default: defaults.textLength)
        sizes = card.has("sizes") ? try card.strings("sizes", count: 1...64) : []
        windowFrames = try card.integer("window_num_frames", in: 0...4096, default: 0)
        if let recipe {
            (width, height, frames, framesPerSecond) = (recipe.width, recipe.height, recipe.frames, recipe.framesPerSecond)
            (steps, trainSteps, sampler, timesteps) = (recipe.steps, 1000, recipe.sampler, recipe.timesteps)
            (guidanceScale, flowShift, scheduleShift) = (Float(recipe.guidance), Float(recipe.shift), Float(recipe.shift))
            requested = own == nil ? Self.bearable(width, height, frames) : nil
            notices = [recipe.sentence] + Self.sentence(requested, width, height, frames)
            return
        }
        let scheduler = parts.scheduler
        sampler = if let own, own.has("sampler") { try Self.ownSampler(own) } else { try Self.sampler(scheduler) }
        timesteps = []
        trainSteps = try scheduler.integer("num_train_timesteps", in: 1...100_000, default: 1000)
        scheduleShift = try scheduler.number(scheduler.has("flow_shift") ? "flow_shift" : "shift", in: 0.01...100, default: 1)
        width = try card.integer("width", in: 16...4096, default: defaults.width)
        height = try card.integer("height", in: 16...4096, default: defaults.height)
        frames = try card.integer("num_frames", in: 1...4096, default: defaults.frames)
        framesPerSecond = try card.integer("fps", in: 1...240, default: defaults.framesPerSecond)
        steps = try card.integer("num_inference_steps", in: 1...1000, default: defaults.steps)
        guidanceScale = try card.number("guidance_scale", in: 0...100, default: defaults.guidanceScale)
        flowShift = try card.number("flow_shift", in: 0.01...100, default: Double(scheduleShift))
        requested = own == nil ? Self.bearable(width, height, frames) : nil
        notices = Self.sentence(requested, width, height, frames)
    }

    /// Pixels of a clip, width × height × frames, that a CPU makes in minutes.
    private static let bearableVolume = 8_000_000

    /// About half the sides and less than half the length of a clip that is larger; nil for one that is not. Attention grows with the square
    /// of all three.
    private static func bearable(_ width: Int, _ height: Int, _ frames: Int) -> (width: Int, height: Int, frames: Int)? {
        guard width * height * frames > bearableVolume else { return nil }
        // Multiples of all published models' patches; 832×480 becomes 416×256, 1280×704 becomes 640×352.
        func half(_ side: Int) -> Int { max(32, (side + 63) / 64 * 32) }
        return (half(width), half(height), 1 + (frames - 1) * 2 / 5 / 4 * 4)
    }

    private static func sentence(
        _ requested: (width: Int, height: Int, frames: Int)?, _ width: Int, _ height: Int, _ frames: Int
    ) -> [String] {
        guard let requested else { return [] }
        return [
            "requests that name no size get \(requested.width)x\(requested.height) and \(requested.frames) frames, which a CPU can bear; "
                + "the model's own \(width)x\(height) and \(frames) frames are made where they are asked for"
        ]
    }

    /// A sampler of the engine, by its name.
    private static func ownSampler(_ card: ConfigFile) throws(SoradError) -> String {
        try card.require("sampler", oneOf: ["euler", "renoise"])
        return try card.string("sampler")
    }

    /// Refuses a schedule whose noise levels or steps are others than the engine's samplers make.
    private static func sampler(_ scheduler: ConfigFile) throws(SoradError) -> String {
        try scheduler.require("_class_name", oneOf: ["FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler"])
        let switches = [
            "use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas",
            "stochastic_sampling", "thresholding", "rescale_betas_zero_snr",
        ]
        for key in switches where try scheduler.bool(key, default: false) {
            throw SoradError(.badInput, "\(scheduler.path): \(key) is set, and such a schedule cannot be converted")
        }
        for key in ["shift_terminal", "solver_p"] where scheduler.has(key) {
            throw SoradError(.badInput, "\(scheduler.path): \(key) is set, and such a schedule cannot be converted")
        }
        guard try scheduler.string("_class_name") == "UniPCMultistepScheduler" else { return "flow_match_euler" }
        for (key, value) in [("prediction_type", "flow_prediction"), ("solver_type", "bh2"), ("final_sigmas_type", "zero")] {
            try scheduler.require(key, oneOf: [value], default: value)
        }
        for key in ["use_flow_sigmas", "lower_order_final", "predict_x0"] {
            guard try scheduler.bool(key, default: true) else {
                throw SoradError(.badInput, "\(scheduler.path): \(key) is false, and such a schedule cannot be converted")
            }
        }
        _ = try scheduler.integer("solver_order", in: 2...2, default: 2)
        if scheduler.has("disable_corrector") { _ = try scheduler.integers("disable_corrector", count: 0...0, in: 0...0) }
        return "unipc"
    }

    /// Keys before those of the model's parts.
    func metadata(created: Int, sources: [String], recipe: String) -> [(key: String, value: MetadataValue)] {
        var some: [(key: String, value: MetadataValue)] = []
        if !timesteps.isEmpty { some.append(("scheduler.timesteps", .float32s(timesteps))) }
        if !sizes.isEmpty { some.append(("sorad.sizes", .strings(sizes))) }
        if let requested {
            for (key, value) in [("width", requested.width), ("height", requested.height), ("num_frames", requested.frames)] {
                some.append(("sorad.default.\(key)", .uint32(UInt32(value))))
            }
        }
        if windowFrames > 0 { some.append(("sorad.window.num_frames", .uint32(UInt32(windowFrames)))) }
        return [
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
            ("scheduler.type", .string(sampler)),
            ("scheduler.num_train_timesteps", .uint32(UInt32(trainSteps))),
            ("scheduler.shift", .float32(scheduleShift)),
        ] + some
    }

    /// A name is part of URLs, job records and messages, so it is short and plain.
    /// - Parameter place: the beginning of the sentence, where a file gives the name.
    private static func identifier(_ name: String, _ place: String) throws(SoradError) -> String {
        let plain = name.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
        }
        guard plain, (1...64).contains(name.utf8.count), !name.hasPrefix(".") else {
            throw SoradError(
                .badInput,
                "\(place)\"\(name)\" cannot be a model's name: it takes 1 to 64 lower-case letters, digits, dots, dashes and underscores",
                hint: "give one with --name")
        }
        return name
    }

    /// A name out of a path: of the repository where it is a hub's cache (…/models--OWNER--NAME/snapshots/COMMIT), else of its last part.
    static func name(of path: String) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." }
        var name = parts.last.map(String.init) ?? ""
        if parts.count >= 3, parts[parts.count - 2] == "snapshots", parts[parts.count - 3].hasPrefix("models--") {
            name = String(parts[parts.count - 3].split(separator: "--").last ?? "")
        }
        for ending in [".safetensors.index.json", ".safetensors", ".gguf", ".pth", ".pt"] where name.lowercased().hasSuffix(ending) {
            name.removeLast(ending.count)
            break
        }
        let plain = name.lowercased().unicodeScalars.map { scalar -> Character in
            ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "." || scalar == "_" ? Character(scalar) : "-"
        }
        return String(plain.prefix(64))
    }
}
