// The estimate of a clip's memory against what the kernel counts: a worker of its own for every clip, its own highest mark, and that of
// the ffmpeg that it starts. The largest clips that the small models make are among them.
import Glibc
import SoradAPI
import SoradPipeline
import SoradSystem
import Synchronization
import Testing

/// Marks of one clip, in bytes.
private struct Peak {
    /// The worker's highest mark.
    var worker = 0
    /// Those of the ffmpeg that ran at one time, as far as they were seen.
    var media = 0
    /// The highest sum of both that was seen.
    var sum = 0
}

/// Looks at a process and its children until it shall stop.
private final class Watcher: Sendable {
    private let isOver = Atomic<Bool>(false)
    private let peak = Mutex(Peak())
    private let process: Int32

    init(_ process: Int32) { self.process = process }

    func run() {
        while !isOver.load(ordering: .relaxed) {
            // Until it has become the worker, the new process has the memory of this one.
            guard Self.text("/proc/\(process)/comm") == "sorad-worker\n" else {
                usleep(100)
                continue
            }
            let own = Self.status(process)
            var sum = own["VmRSS"] ?? 0
            var media = 0
            for child in children() {
                let status = Self.status(child)
                sum += status["VmRSS"] ?? 0
                media += status["VmHWM"] ?? 0
            }
            peak.withLock { peak in
                peak.worker = max(peak.worker, own["VmHWM"] ?? 0)
                peak.media = max(peak.media, media)
                peak.sum = max(peak.sum, sum)
            }
            usleep(1_000)
        }
    }

    func stop() -> Peak {
        isOver.store(true, ordering: .relaxed)
        return peak.withLock { $0 }
    }

    private func children() -> [Int32] {
        let tasks = (try? fileNames(in: "/proc/\(process)/task")) ?? []
        return tasks.flatMap { task in
            Self.text("/proc/\(process)/task/\(task)/children").split(separator: " ").compactMap { Int32($0) }
        }
    }

    /// Lines of a process's status that are sizes.
    static func status(_ process: Int32) -> [String: Int] {
        var sizes: [String: Int] = [:]
        for line in text("/proc/\(process)/status").split(separator: "\n") where line.hasSuffix(" kB") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            sizes[String(words[0])] = Int(words[1]).map { $0 << 10 }
        }
        return sizes
    }

    private static func text(_ path: String) -> String {
        guard let file = try? FileDescriptor(openingForReading: path), let bytes = try? file.read(upTo: 1 << 16) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }
}

@Suite(.serialized) struct MemoryTests {
    struct Clip: Sendable, CustomTestStringConvertible {
        var model = MemoryTests.mini
        var width = 128
        var height = 128
        var frames = 17
        var guidance = 4.0
        var given: ReferenceMedia?
        /// Frames of a window; nil for a clip that is denoised at once.
        var window: Int?

        var testDescription: String { "\(width)x\(height)x\(frames), guidance \(guidance)\(given == nil ? "" : ", given frames")" }
    }

    static let mini = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/quantization/models/sorad-mini.gguf"

    private static func given(_ change: (inout ReferenceMedia) -> Void) -> ReferenceMedia {
        var given = ReferenceMedia()
        change(&given)
        return given
    }

    static let clips: [Clip] = [
        Clip(width: 32, height: 32, frames: 1, guidance: 1), Clip(width: 64, height: 64, frames: 5), Clip(guidance: 1), Clip(),
        Clip(frames: 81), Clip(width: 256, height: 256), Clip(width: 256, height: 256, frames: 21, guidance: 1),
        Clip(frames: 81, window: 17), Clip(width: 256, height: 64, frames: 81), Clip(width: 32, height: 256, frames: 81),
        Clip(
            width: 256, height: 256,
            given: given {
                $0.hasFirstFrame = true; $0.hasLastFrame = true
            }),
        Clip(width: 256, height: 256, given: given { $0.before = ReferenceClip(numFrames: 5, contextFrames: 5) }),
        Clip(model: PipelineFixture.model, width: 64, height: 64, frames: 5),
        Clip(model: PipelineFixture.model, width: 32, height: 96, frames: 9, guidance: 1),
        // A model that follows clips encodes one of the whole length for every request, and two where something is given.
        Clip(model: PipelineFixture.follower, width: 96, height: 64, frames: 9, given: ReferenceMedia()),
        Clip(
            model: PipelineFixture.follower, width: 64, height: 32, frames: 9,
            given: given {
                $0.hasFirstFrame = true; $0.hasLastFrame = true
                $0.references = [PictureSize(width: 128, height: 128), PictureSize(width: 128, height: 128)]
            }),
        Clip(
            model: PipelineFixture.follower, width: 96, height: 64, frames: 5,
            given: given { $0.source = ReferenceClip(numFrames: 5, contextFrames: 5) }),
    ]

    @Test(arguments: clips) func neverLessThanTheNeedAndLittleMore(clip: Clip) throws {
        let info = try ClipPipeline.describe(inOwnProcess: clip.model)
        let memory = try #require(info.memory)
        let request = Self.plan(clip, info)
        let directory = PipelineFixture.scratch("memory")
        if let given = clip.given { try Self.write(given, into: directory, like: request) }
        let peak = try Self.make(request, clip.model, directory)
        let worker = memory.workerBytes(for: request)
        let all = memory.bytes(for: request, referencePixels: clip.width * clip.height)
        let figures =
            "worker \(worker >> 20) MiB for \(peak.worker >> 20), all \(all >> 20) for \(peak.sum >> 20), ffmpeg \(peak.media >> 20)"
        print("memory of \(clip.testDescription): \(figures)")
        #expect(worker >= peak.worker, "\(figures)")
        #expect(Double(worker) <= 1.3 * Double(peak.worker), "\(figures)")
        #expect(all >= peak.sum, "\(figures)")
        // Not all that ffmpeg takes was seen, when this test waited for a processor.
        #expect(Double(all) <= 1.3 * Double(peak.worker + peak.media), "\(figures)")
    }

    private static func plan(_ clip: Clip, _ info: ModelInfo) -> ClipPlan {
        var plan = ClipPlan(
            model: info.id, prompt: "a red ball rolls to the left", negativePrompt: "", width: clip.width, height: clip.height,
            numFrames: clip.frames, fps: 8, seed: 1, numInferenceSteps: 2, guidanceScale: clip.guidance, flowShift: 3, given: clip.given)
        if let window = clip.window {
            let total = info.latentFrames(clip.frames)
            plan.windows = ClipWindow.cover(
                total: total, length: info.latentFrames(window), before: 0, after: 0, sceneEnds: [total])
        }
        return plan
    }

    /// The promise of windows. ffmpeg looks ahead at 50 frames at most, which a clip of 17 frames does not have.
    @Test func aMinuteTakesTheMemoryOfTwoSeconds() throws {
        let info = try ClipPipeline.describe(inOwnProcess: Self.mini)
        let (short, long) = (Self.plan(Clip(guidance: 1), info), Self.plan(Clip(frames: 481, guidance: 1, window: 17), info))
        let start = MonotonicTime.now()
        let peaks = try [short, long].map { try Self.make($0, Self.mini, PipelineFixture.scratch("minute")) }
        let figures = peaks.map { "worker \($0.worker >> 10) KiB, ffmpeg \($0.media >> 10) KiB" }.joined(separator: "; ")
        print("memory of 17 and of 481 frames: \(figures), in \((MonotonicTime.now() - start).inSeconds) s")
        #expect(Double(peaks[1].worker) <= 1.1 * Double(peaks[0].worker), "\(figures)")
        let memory = try #require(info.memory)
        #expect(Double(memory.workerBytes(for: long)) <= 1.1 * Double(memory.workerBytes(for: short)))
    }

    /// One clip in a worker of its own.
    private static func make(_ request: ClipPlan, _ model: String, _ directory: String) throws -> Peak {
        let pair = try SocketPair()
        let process = try ChildProcess(
            ChildProcess.Command(
                PipelineFixture.worker, ["--model", model], environment: ["PATH": "/usr/bin:/bin"],
                descriptors: [workerSocketDescriptor: pair.second.rawValue]))
        let channel = FrameChannel(owning: pair.first, limit: workerFrameLimit)
        let watcher = Watcher(process.pid)
        let thread = try SystemThread(name: "watcher") { watcher.run() }
        defer {
            _ = watcher.stop()
            thread.join()
            channel.shutDown()
            _ = process.wait(timeout: .seconds(20))
        }
        try channel.send(WorkerCommand.generate(job: "j", plan: request, directory: directory).json.bytes())
        while true {
            guard case .frame(let bytes) = try channel.receive(timeout: .seconds(120)) else { throw SoradError(.timedOut, "no answer") }
            switch try WorkerEvent(json: JSONValue(parsing: bytes)) {
            case .finished:
                var peak = watcher.stop()
                peak.worker = max(peak.worker, Watcher.status(process.pid)["VmHWM"] ?? 0)
                return peak
            case .failed(_, let error): throw error
            default: break
            }
        }
    }

    /// The given files, cut from a clip that is made for that.
    private static func write(_ given: ReferenceMedia, into directory: String, like request: ClipPlan) throws {
        var source = request
        source.given = nil
        source.model = "sorad-mini"
        source.numFrames = 5
        source.numInferenceSteps = 1
        let made = PipelineFixture.scratch("given")
        _ = try make(source, mini, made)
        let names = [
            (given.hasFirstFrame, ReferenceFile.firstFrame, "thumbnail.webp"), (given.hasLastFrame, .lastFrame, "thumbnail.webp"),
            (given.before != nil, .before, "video.mp4"), (given.source != nil, .source, "video.mp4"),
            (given.references.count > 0, .reference1, "thumbnail.webp"), (given.references.count > 1, .reference2, "thumbnail.webp"),
        ]
        for (isGiven, file, name) in names where isGiven {
            try writeDurably(try bytes("\(made)/\(name)"), named: file.rawValue, in: directory)
        }
    }
}

extension ClipPipeline {
    /// What the worker's program says of a model, as the daemon asks for it.
    fileprivate static func describe(inOwnProcess model: String) throws -> ModelInfo {
        let output = try captureOutput(
            of: .init(PipelineFixture.worker, ["--model", model, "--describe"]), timeout: .seconds(60), limit: 1 << 20)
        return try ModelInfo(json: JSONValue(parsing: output.standardOutput))
    }
}
