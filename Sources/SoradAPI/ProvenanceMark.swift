// The provenance mark in a clip, as the worker reads it and the daemon passes it on.
public import SoradSystem

public struct ProvenanceMark: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        /// Nothing says that it was generated.
        case unmarked
        case marked
        /// There is a mark, but it cannot be read.
        case unreadable
    }

    public var state: State
    /// The program that says to have made it, e.g. "sorad 0.1.0".
    public var program: String?
    public var model: String?
    /// Where it says so: "xmp", "comment", "c2pa", "aigc".
    public var evidence: [String]
    /// Of the label of GB 45438: who offers the service, and the clip's name there.
    public var producer: String?
    public var produceID: String?

    public init(
        state: State, program: String? = nil, model: String? = nil, evidence: [String] = [], producer: String? = nil,
        produceID: String? = nil
    ) {
        self.producer = producer
        self.produceID = produceID
        self.state = state
        self.program = program
        self.model = model
        self.evidence = evidence
    }

    public var isOfSorad: Bool { state == .marked && program?.hasPrefix("sorad ") == true }
}

extension ProvenanceMark: JSONRepresentable {
    public var json: JSONValue {
        [
            "state": .string(state.rawValue), "program": .optional(program), "model": .optional(model),
            "evidence": .array(evidence.map { .string($0) }), "producer": .optional(producer), "produceID": .optional(produceID),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "mark")
        guard let state = State(rawValue: try members.string("state")) else { throw JSONError("the mark's state is unknown") }
        self.init(
            state: state, program: json["program"]?.string, model: json["model"]?.string,
            evidence: try members.array("evidence").compactMap(\.string), producer: json["producer"]?.string,
            produceID: json["produceID"]?.string)
    }
}
