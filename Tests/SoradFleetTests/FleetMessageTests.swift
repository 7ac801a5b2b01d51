// The messages between the daemon and sorad-fleet: each comes back from its JSON, and nothing else is taken.
import SoradAPI
import SoradSystem
import Testing

@Suite struct FleetMessageTests {
    private static let plan = ClipPlan(
        model: "m", prompt: "a \"ball\"", negativePrompt: "", width: 64, height: 64, numFrames: 9, fps: 8, seed: .max, numInferenceSteps: 4,
        guidanceScale: 1, flowShift: 3)

    @Test func commandsComeBack() throws {
        let commands: [PlaceCommand] = [
            .open(model: "m", sha256: "00", arguments: ["--visible-label", "it's \"AI\""], markingCommand: "/usr/bin/sign"),
            .open(model: "m", sha256: "", arguments: [], markingCommand: ""),
            .make(job: "video_1", plan: FleetMessageTests.plan, directory: "/spool/video_1", memory: 7, disk: 8), .cancel(job: "video_1"),
            .recorded(job: "video_1"),
        ]
        for command in commands { #expect(try PlaceCommand(json: JSONValue(parsing: command.json.bytes())) == command) }
    }

    @Test func eventsComeBack() throws {
        let box = PoolState.Box(name: "boxa", architecture: "AARCH64", state: "Claimed", version: "0.1.0", memory: 4000, trouble: nil)
        let events: [PlaceEvent] = [
            .opened(model: "m"), .pool(PoolState()), .pool(PoolState(trouble: "it is gone", boxes: [box])),
            .kept(jobs: ["video_1", "video_2"]), .placed(job: "video_1", JobPlace(box: "boxa", note: "out of reach")),
            .placed(job: "video_1", JobPlace()), .worker(.alive),
            .worker(.failed(job: "video_1", error: JobError(code: "cancelled", message: "x"))),
        ]
        for event in events { #expect(try PlaceEvent(json: JSONValue(parsing: event.json.bytes())) == event) }
    }

    @Test(arguments: [
        "{}", "[]", #"{"open": {}}"#, #"{"make": {"job": "x"}}"#, #"{"cancel": {}}"#, #"{"recorded": 1}"#, #"{"generate": {"job": "x"}}"#,
        #"{"open": {"model": "m", "sha256": "0", "arguments": []}, "cancel": {"job": "x"}}"#,
    ]) func otherCommandsAreRefused(text: String) throws {
        let json = try JSONValue(parsing: Array(text.utf8))
        #expect(throws: JSONError.self) { try PlaceCommand(json: json) }
    }

    @Test(arguments: [
        "{}", #"{"opened": {}}"#, #"{"pool": {}}"#, #"{"pool": {"boxes": [1]}}"#, #"{"placed": {"box": "b"}}"#, #"{"kept": {}}"#,
        #"{"x": {}}"#,
    ])
    func otherEventsAreRefused(text: String) throws {
        let json = try JSONValue(parsing: Array(text.utf8))
        #expect(throws: JSONError.self) { try PlaceEvent(json: json) }
    }

    @Test func aPoolBeyondTheLimitIsRefused() throws {
        let box = PoolState.Box(name: "b", architecture: "X", state: "Owner", version: nil, memory: 0, trouble: nil)
        let pool = PoolState(boxes: Array(repeating: box, count: PoolState.boxLimit + 1))
        #expect(throws: JSONError.self) { try PoolState(json: pool.json) }
        let largest = PlaceEvent.pool(PoolState(boxes: Array(repeating: box, count: PoolState.boxLimit)))
        #expect(largest.json.bytes().count < workerFrameLimit)
    }
}
