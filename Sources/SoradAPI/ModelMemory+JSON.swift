// The JSON of a model's memory, as `sorad-worker --describe` prints it and the daemon keeps it.
public import SoradSystem

extension ModelMemory: JSONRepresentable {
    /// More rows, or parts of one, than any model has.
    private static let limit = 64

    public var json: JSONValue {
        [
            "base": .integer(base), "spatialScale": .integer(spatialScale), "timeScale": .integer(timeScale),
            "stages": .array(stages.map(\.json)),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "memory")
        var stages: [Stage] = []
        for row in try ModelMemory.bounded(members.array("stages")) { stages.append(try Stage(json: row)) }
        self.init(
            base: try members.integer("base"), spatialScale: try members.integer("spatialScale"),
            timeScale: try members.integer("timeScale"), stages: stages)
    }

    fileprivate static func bounded(_ list: [JSONValue]) throws(JSONError) -> [JSONValue] {
        guard list.count <= limit else { throw JSONError("the memory has a list of \(list.count) entries") }
        return list
    }
}

extension ModelMemory.Stage {
    fileprivate var json: JSONValue {
        ["phase": .string(phase.rawValue), "parts": .array(parts.map(\.json)), "weights": .integer(weights)]
    }

    fileprivate init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "memory stage")
        let name = try members.string("phase")
        guard let phase = JobPhase(rawValue: name) else { throw JSONError("the phase \"\(name)\" is no name") }
        var parts: [ModelMemory.Part] = []
        for part in try ModelMemory.bounded(members.array("parts")) { parts.append(try ModelMemory.Part(json: part)) }
        self.init(phase, parts, weights: json["weights"]?.integer ?? 0)
    }
}

extension ModelMemory.Part {
    fileprivate var json: JSONValue {
        [
            "process": .string(process.rawValue), "when": .string(condition.rawValue), "measure": .string(measure.rawValue),
            "fixed": .integer(fixed), "perUnit": .integer(perUnit),
        ]
    }

    fileprivate init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "memory part")
        let (process, measure, word) = (try members.string("process"), try members.string("measure"), try members.string("when"))
        guard let process = ModelMemory.Process(rawValue: process) else { throw JSONError("the process \"\(process)\" is unknown") }
        guard let measure = ModelMemory.Measure(rawValue: measure) else { throw JSONError("the measure \"\(measure)\" is unknown") }
        guard let condition = ModelMemory.Condition(rawValue: word) else { throw JSONError("the condition \"\(word)\" is unknown") }
        self.init(process, when: condition, measure, fixed: try members.integer("fixed"), perUnit: try members.integer("perUnit"))
    }
}
