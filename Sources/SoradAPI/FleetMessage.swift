// The messages between the daemon and sorad-fleet: a place in a pool of machines says what a worker says, and where the job is.
// One connection to the fleet's socket is one place. It makes one job at a time, as a worker does; framing as in WorkerMessage.
// docs/FLEET.md is the contract.
public import SoradSystem

/// Daemon to place. Closing the connection takes the place away; the pool keeps its job for as long as the job's directory is there.
public enum PlaceCommand: Sendable, Equatable {
    /// Sent once, before any job: the model that jobs will name, the SHA-256 of its file, arguments that every worker gets, and the program
    /// of this machine that marks each clip when it has come back; "" for none.
    case open(model: String, sha256: String, arguments: [String], markingCommand: String)
    /// Make one clip in the pool, unless the pool has it already. `directory`: the job's own in the spool, which holds its given files and gets
    /// the results. `memory` and `disk`: what it needs of a machine, in bytes.
    case make(job: String, plan: ClipPlan, directory: String, memory: Int, disk: Int)
    /// Nobody wants that job any more; answered with `.failed` and code "cancelled".
    case cancel(job: String)
    /// The result of that job is recorded, or nobody wants it: what the fleet keeps of it may go.
    case recorded(job: String)
}

/// Place to daemon.
public enum PlaceEvent: Sendable, Equatable {
    /// The answer to `open`: jobs of the model may come.
    case opened(model: String)
    /// The pool as it is now. Sent by the place that waits for `open`.
    case pool(PoolState)
    /// Jobs of which the fleet keeps something although no place has them, at most `PoolState.boxLimit`. Sent by the place that waits for
    /// `open`, and answered with `recorded` for each that has ended: a crash may have come between a result and that word.
    case kept(jobs: [String])
    /// Where the job is made, whenever that changes.
    case placed(job: String, JobPlace)
    case worker(WorkerEvent)
}

/// Where a job is made.
public struct JobPlace: Sendable, Equatable {
    /// The name of the machine; nil while it waits for one.
    public var box: String?
    /// Why it is not being made, in a sentence; nil while it is.
    public var note: String?

    public init(box: String? = nil, note: String? = nil) {
        self.box = box
        self.note = note
    }
}

/// A pool of machines that make clips.
public struct PoolState: Sendable, Equatable {
    /// One machine.
    public struct Box: Sendable, Equatable {
        public var name: String
        /// "X86_64", "AARCH64".
        public var architecture: String
        /// What it does, in HTCondor's words: "Claimed", "Unclaimed", "Owner", "Drained".
        public var state: String
        /// Of sorad; nil where it is not installed.
        public var version: String?
        /// For one clip, in megabytes.
        public var memory: Int
        /// Why it gets no clip; nil when it may.
        public var trouble: String?

        public init(name: String, architecture: String, state: String, version: String?, memory: Int, trouble: String?) {
            self.name = name
            self.architecture = architecture
            self.state = state
            self.version = version
            self.memory = memory
            self.trouble = trouble
        }
    }

    /// Why the pool cannot be asked, in a sentence; nil when it can.
    public var trouble: String?
    /// By name; at most `boxLimit`.
    public var boxes: [Box]

    /// So that a message has space for all.
    public static let boxLimit = 1_000

    public init(trouble: String? = nil, boxes: [Box] = []) {
        self.trouble = trouble
        self.boxes = boxes
    }
}

extension PlaceCommand: JSONRepresentable {
    public var json: JSONValue {
        switch self {
        case .open(let model, let sha256, let arguments, let markingCommand):
            [
                "open": [
                    "model": .string(model), "sha256": .string(sha256), "arguments": .array(arguments.map { .string($0) }),
                    "marking_command": .string(markingCommand),
                ]
            ]
        case .make(let job, let plan, let directory, let memory, let disk):
            [
                "make": [
                    "job": .string(job), "plan": plan.json, "directory": .string(directory), "memory": .integer(memory),
                    "disk": .integer(disk),
                ]
            ]
        case .cancel(let job): ["cancel": ["job": .string(job)]]
        case .recorded(let job): ["recorded": ["job": .string(job)]]
        }
    }

    public init(json: JSONValue) throws(JSONError) {
        let (name, members) = try onlyMember(json, of: "place command")
        switch name {
        case "open":
            self = .open(
                model: try members.string("model"), sha256: try members.string("sha256"),
                arguments: try members.array("arguments").compactMap(\.string), markingCommand: try members.string("marking_command"))
        case "recorded": self = .recorded(job: try members.string("job"))
        case "make":
            self = .make(
                job: try members.string("job"), plan: try ClipPlan(json: members.value["plan"] ?? .null),
                directory: try members.string("directory"), memory: try members.integer("memory"), disk: try members.integer("disk"))
        case "cancel": self = .cancel(job: try members.string("job"))
        default: throw JSONError("the place command \"\(name)\" is unknown")
        }
    }
}

extension PlaceEvent: JSONRepresentable {
    public var json: JSONValue {
        switch self {
        case .opened(let model): ["opened": ["model": .string(model)]]
        case .pool(let state): ["pool": state.json]
        case .kept(let jobs): ["kept": ["jobs": .array(jobs.map { .string($0) })]]
        case .placed(let job, let place): ["placed": ["job": .string(job), "box": .optional(place.box), "note": .optional(place.note)]]
        case .worker(let event): event.json
        }
    }

    public init(json: JSONValue) throws(JSONError) {
        let (name, members) = try onlyMember(json, of: "place event")
        switch name {
        case "opened": self = .opened(model: try members.string("model"))
        case "pool": self = .pool(try PoolState(json: members.value))
        case "kept": self = .kept(jobs: try members.array("jobs").compactMap(\.string))
        case "placed":
            let place = JobPlace(box: members.value["box"]?.string, note: members.value["note"]?.string)
            self = .placed(job: try members.string("job"), place)
        default: self = .worker(try WorkerEvent(json: json))
        }
    }
}

extension PoolState: JSONRepresentable {
    public var json: JSONValue { ["trouble": .optional(trouble), "boxes": .array(boxes.map(\.json))] }

    public init(json: JSONValue) throws(JSONError) {
        let list = try JSONMembers(json, of: "pool").array("boxes")
        guard list.count <= PoolState.boxLimit else { throw JSONError("the pool has \(list.count) boxes") }
        self.init(trouble: json["trouble"]?.string)
        for value in list { boxes.append(try Box(json: value)) }
    }
}

extension PoolState.Box: JSONRepresentable {
    public var json: JSONValue {
        [
            "name": .string(name), "architecture": .string(architecture), "state": .string(state), "version": .optional(version),
            "memory": .integer(memory), "trouble": .optional(trouble),
        ]
    }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "box")
        self.init(
            name: try members.string("name"), architecture: try members.string("architecture"), state: try members.string("state"),
            version: json["version"]?.string, memory: try members.integer("memory"), trouble: json["trouble"]?.string)
    }
}
