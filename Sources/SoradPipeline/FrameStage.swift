// The seam for what happens to frames between the decoder and the files, such as upscaling or interpolation: decoder → stages → sink.
//
// To add one: a phase in SoradAPI's list of stages, a `FrameStageKind` with its `FrameStage`, and a row in `FrameStages.all(_:)`. Progress,
// estimates, memory and checkpoints follow from these.
package import SoradAPI
package import SoradMedia
package import SoradSystem
package import SoradTensor

/// What a clip's next worker needs to continue in the middle of its frames.
/// Invariant: `counters` and `memory`, put back into a new one of the same clip, give the same frames from there on, bit for bit. A new one
/// expects nothing of what is in `memory`.
package protocol ResumableFrames: AnyObject {
    /// How far it is; always as many for one clip.
    var counters: [UInt32] { get }
    /// Its own memory, not a copy; of the same sizes from the beginning of the clip to its end.
    var memory: [ByteBuffer] { get }
    /// Continues where the one was that had these counters and of which `memory` was filled.
    func resume(_ counters: [UInt32])
}

/// One stage of one clip. Used by one thread.
package protocol FrameStage: ResumableFrames {
    /// Takes the next frame of the input format, [H, W, 3] bytes, and hands on those that are ready: none, one or several.
    /// - Throws: what `emit` throws, and its own fault with its own kind.
    func push(_ frame: [UInt8], emit: (_ frame: [UInt8]) throws(SoradError) -> Void) throws(SoradError)
    /// Hands on the frames that waited for later ones: there are none.
    func finish(emit: (_ frame: [UInt8]) throws(SoradError) -> Void) throws(SoradError)
}

/// A kind of stage that clips may pass through.
package protocol FrameStageKind: Sendable {
    /// The key of its times.
    var phase: JobPhase { get }
    /// What it holds while frames pass, with the condition that a request asks for it.
    var memory: [ModelMemory.Part] { get }
    /// Seconds for a pixel that it takes, until clips of this process have shown it.
    var secondsPerPixel: Double { get }
    /// Size, rate and number of the frames that come out; nil when the request does not ask for the stage.
    /// - Throws: `.badInput` when they are beyond what a clip may have.
    func output(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> ClipFormat?
    /// The stage for frames of the format `input`.
    func stage(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> any FrameStage
}

/// The registry: `all` has every kind that a model has, in the order in which frames pass.
package enum FrameStages {}

/// The stages of one clip and the formats between them.
struct FramePlan {
    /// As the decoder makes them.
    let input: ClipFormat
    /// As the files hold them.
    let output: ClipFormat
    private let request: ClipPlan
    private let links: [(kind: any FrameStageKind, input: ClipFormat)]

    init(_ request: ClipPlan, _ kinds: [any FrameStageKind]) throws(SoradError) {
        input = try ClipFormat(width: request.width, height: request.height, numFrames: request.clipFrames, fps: request.fps)
        self.request = request
        var format = input
        var links: [(kind: any FrameStageKind, input: ClipFormat)] = []
        for kind in kinds {
            guard let output = try kind.output(format, for: request) else { continue }
            links.append((kind, format))
            format = output
        }
        self.links = links
        output = format
    }

    var phases: [JobPhase] { links.map(\.kind.phase) }

    /// The most frames that come out of `count` that go in.
    func outputFrames(of count: Int) -> Int { (count * output.numFrames + input.numFrames - 1) / input.numFrames }

    /// The work of the stages; their progress is reported as the decoder's, since frames pass one by one.
    var work: [StageWork] {
        links.map { kind, input in
            StageWork(kind.phase, Double(input.numFrames) * Double(input.width * input.height), during: .decoding)
        }
    }

    /// At the start of the clip.
    func chain() throws(SoradError) -> FrameChain {
        var stages: [(phase: JobPhase, stage: any FrameStage)] = []
        for (kind, input) in links { stages.append((kind.phase, try kind.stage(input, for: request))) }
        return FrameChain(stages)
    }
}

/// The stages one behind the other. The time of each is charged to its phase.
final class FrameChain {
    private let links: [(phase: JobPhase, stage: any FrameStage)]

    fileprivate init(_ links: [(phase: JobPhase, stage: any FrameStage)]) { self.links = links }

    var stages: [any ResumableFrames] { links.map(\.stage) }

    /// Sends a decoded frame through all stages; `sink` gets what comes out at the end.
    func push(_ frame: [UInt8], _ job: RunningJob, sink: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
        try push(frame, into: 0, job, sink)
    }

    /// Sends on what the stages still hold, after the last frame.
    func finish(_ job: RunningJob, sink: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
        for (index, link) in links.enumerated() {
            try job.during(link.phase) { () throws(SoradError) in
                try link.stage.finish { frame throws(SoradError) in
                    try job.during(.decoding) { () throws(SoradError) in try push(frame, into: index + 1, job, sink) }
                }
            }
        }
    }

    private func push(
        _ frame: [UInt8], into index: Int, _ job: RunningJob, _ sink: ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        guard index < links.count else { return try sink(frame) }
        let link = links[index]
        try job.during(link.phase) { () throws(SoradError) in
            try link.stage.push(frame) { frame throws(SoradError) in
                try job.during(.decoding) { () throws(SoradError) in try push(frame, into: index + 1, job, sink) }
            }
        }
    }
}
