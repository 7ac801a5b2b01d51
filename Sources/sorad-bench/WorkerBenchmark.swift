// Owns the second half of `sorad-bench clip`: the same clip made by a sorad-worker process that is started as the daemon starts it, from the
// start of the process to the MP4, and a second clip by the same worker. The daemon itself and its record of jobs are not in it.
import Glibc
import SoradAPI
import SoradSystem

struct WorkerBenchmark {
    let modelPath: String
    var threads: Int?
    var isa: String?
    var steps: Int?
    var backend = "cpu"

    /// Seconds from where it began.
    struct Times {
        /// From the start of the process; only of the first clip.
        var ready: Double?
        /// The first denoise step begins, and is done.
        var firstStep = 0.0
        var firstStepDone = 0.0
        /// All frames have been handed to the encoder.
        var rawFrames = 0.0
        /// The MP4 and its pictures are there.
        var finished = 0.0
    }

    struct Report {
        /// From the start of the process, and from the request.
        let fresh, warm: Times
        /// Seconds that the clip plays.
        let playing: Double

        var json: JSONValue {
            func times(_ times: Times) -> JSONValue {
                var object: JSONObject = [
                    "first_step_seconds": .double(times.firstStep), "first_step_done_seconds": .double(times.firstStepDone),
                    "raw_frames_seconds": .double(times.rawFrames), "mp4_seconds": .double(times.finished),
                ]
                object["ready_seconds"] = times.ready.map { .double($0) }
                return .object(object)
            }
            return ["fresh": times(fresh), "warm": times(warm), "playing_seconds": .double(playing)]
        }

        var table: String {
            func row(_ name: String, _ seconds: Double, ratio: Bool = false) -> String {
                let share = ratio ? "  \(fixed(seconds / playing, 2)) of the playing time of \(fixed(playing, 2)) s" : ""
                return name + String(repeating: " ", count: max(1, 46 - name.count)) + fixed(seconds * 1e3, 1) + " ms" + share
            }
            return [
                row("worker started, ready for a request after", fresh.ready ?? 0),
                row("  the first denoise step begins after", fresh.firstStep),
                row("  and is done after", fresh.firstStepDone),
                row("  all frames after", fresh.rawFrames, ratio: true),
                row("  MP4, thumbnail and contact sheet after", fresh.finished, ratio: true),
                row("the same worker's next clip: all frames after", warm.rawFrames, ratio: true),
                row("  MP4, thumbnail and contact sheet after", warm.finished, ratio: true),
            ].joined(separator: "\n")
        }
    }

    private static let timeout = Duration.seconds(600)

    func run() throws(SoradError) -> Report {
        let folder = "/tmp/sorad-bench-\(processIdentifier())"
        do throws(Errno) {
            try makeDirectories(folder)
        } catch { throw SoradError(.cannotWrite, "cannot make \(folder): \(error.reason)") }
        defer { try? removeDirectory(folder) }
        let start = MonotonicTime.now()
        let (process, channel) = try startWorker()
        let model = try awaitReady(channel)
        let ready = seconds(since: start)
        var fresh = try makeClip(model, "first", folder, channel, since: start)
        fresh.ready = ready
        let warm = try makeClip(model, "second", folder, channel, since: MonotonicTime.now())
        channel.shutDown()
        _ = process.wait(timeout: .seconds(5))
        return Report(fresh: fresh, warm: warm, playing: Double(model.defaultNumFrames) / Double(model.fps))
    }

    private func startWorker() throws(SoradError) -> (ChildProcess, FrameChannel) {
        let program = executableDirectory() + "/sorad-worker"
        var environment = ChildProcess.currentEnvironment()
        if let isa { environment["SORAD_ISA"] = isa }
        let arguments = ["--model", modelPath] + ["--backend", backend] + (threads.map { ["--threads", "\($0)"] } ?? [])
        do throws(Errno) {
            let pair = try SocketPair()
            let process = try ChildProcess(
                .init(program, arguments, environment: environment, descriptors: [workerSocketDescriptor: pair.second.rawValue]))
            return (process, FrameChannel(owning: pair.first, limit: workerFrameLimit))
        } catch {
            throw SoradError(.unavailable, "cannot start \(program): \(error)", hint: "build it: swift build -c release")
        }
    }

    private func awaitReady(_ channel: FrameChannel) throws(SoradError) -> ModelInfo {
        while true { if case .ready(let model) = try nextEvent(channel) { return model } }
    }

    private func makeClip(
        _ model: ModelInfo, _ job: String, _ folder: String, _ channel: FrameChannel, since start: MonotonicTime
    ) throws(SoradError) -> Times {
        let directory = folder + "/" + job
        var request = ClipRequest()
        request.prompt = "a red ball bounces on green grass on a sunny day"
        request.numInferenceSteps = steps
        let plan = try request.plan(for: model, randomSeed: 1)
        do throws(Errno) {
            try makeDirectories(directory)
        } catch { throw SoradError(.cannotWrite, "cannot make \(directory): \(error.reason)") }
        do throws(FrameChannel.Failure) {
            try channel.send(
                WorkerCommand.generate(job: job, plan: plan, directory: directory).json.bytes(), timeout: Self.timeout)
        } catch { throw SoradError(.internalFault, "the worker does not listen: \(error)") }
        var times = Times()
        while true {
            let event = try nextEvent(channel)
            let now = seconds(since: start)
            switch event {
            case .progress(_, let progress):
                if progress.phase == .denoising, times.firstStep == 0 { times.firstStep = now }
                if progress.phase == .denoising, progress.step >= 1, times.firstStepDone == 0 { times.firstStepDone = now }
                if progress.phase == .writing, times.rawFrames == 0 { times.rawFrames = now }
            case .finished:
                times.finished = now
                return times
            case .failed(_, let error): throw SoradError(.internalFault, "the worker made no clip: \(error.message)")
            case .ready, .alive, .backend: continue
            }
        }
    }

    private func nextEvent(_ channel: FrameChannel) throws(SoradError) -> WorkerEvent {
        let reception: FrameChannel.Reception
        do throws(FrameChannel.Failure) {
            reception = try channel.receive(timeout: Self.timeout)
        } catch { throw SoradError(.internalFault, "lost the worker: \(error)") }
        guard case .frame(let frame) = reception else {
            throw SoradError(.internalFault, "the worker ended or is silent; its messages above have the reason")
        }
        do throws(JSONError) {
            return try WorkerEvent(json: JSONValue(parsing: frame))
        } catch { throw SoradError(.internalFault, "the worker sent something that is not an event: \(error)") }
    }

    private func seconds(since start: MonotonicTime) -> Double { (MonotonicTime.now() - start).seconds }
}
