// The worker's program over its real socket.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import Testing

/// One running sorad-worker and the daemon's end of its socket.
private final class Worker {
    let process: ChildProcess
    let channel: FrameChannel

    init(model: String = PipelineFixture.model) throws {
        let pair = try SocketPair()
        process = try ChildProcess(
            ChildProcess.Command(
                PipelineFixture.worker, ["--model", model, "--threads", "1", "--checkpoint-interval", "0"],
                descriptors: [workerSocketDescriptor: pair.second.rawValue]))
        channel = FrameChannel(owning: pair.first, limit: workerFrameLimit)
    }

    func send(_ command: WorkerCommand) throws { try channel.send(command.json.bytes()) }

    /// The next event that is news.
    func receive() throws -> WorkerEvent {
        while case .frame(let bytes) = try channel.receive(timeout: .seconds(60)) {
            let event = try WorkerEvent(json: JSONValue(parsing: bytes))
            if case .backend = event { continue }
            if event != .alive { return event }
        }
        throw SoradError(.internalFault, "no event from the worker")
    }

    /// Everything up to the answer for `job`.
    func answer(for job: String) throws -> (progress: [JobProgress], last: WorkerEvent) {
        var progress: [JobProgress] = []
        while true {
            let event = try receive()
            switch event {
            case .progress(job, let step): progress.append(step)
            case .finished(job, _), .failed(job, _): return (progress, event)
            default: throw SoradError(.internalFault, "unexpected \(event)")
            }
        }
    }
}

/// Runs the worker's program to its end: its ending and what it wrote on standard error.
private func run(_ arguments: [String]) throws -> (ending: ChildProcess.Ending?, errors: String, output: String) {
    let directory = PipelineFixture.scratch("run")
    let errors = try FileDescriptor(opening: directory + "/errors", flags: O_WRONLY | O_CREAT)
    let output = try FileDescriptor(opening: directory + "/output", flags: O_WRONLY | O_CREAT)
    let process = try ChildProcess(
        ChildProcess.Command(PipelineFixture.worker, arguments, descriptors: [1: output.rawValue, 2: errors.rawValue]))
    let ending = process.wait(timeout: .seconds(60))
    return (
        ending, String(decoding: try bytes(directory + "/errors"), as: UTF8.self),
        String(decoding: try bytes(directory + "/output"), as: UTF8.self)
    )
}

@Suite struct WorkerTests {
    @Test func itMakesTheSameClipAsThePipeline() throws {
        let worker = try Worker()
        guard case .ready(let info) = try worker.receive() else { throw SoradError(.internalFault, "not ready first") }
        #expect(try info == ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).info)
        let request = PipelineFixture.request()
        let expected = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 2)).makeClip(
            request, into: PipelineFixture.scratch("expected"))
        for job in ["first", "second"] {
            let directory = PipelineFixture.scratch(job)
            try worker.send(.generate(job: job, plan: request, directory: directory))
            let (progress, last) = try worker.answer(for: job)
            guard case .finished(_, let result) = last else {
                Issue.record("\(last)")
                return
            }
            #expect(result.sha256 == expected.sha256)
            #expect(progress.map(\.percent) == progress.map(\.percent).sorted())
            #expect(PipelineFixture.names(in: directory).contains(result.video))
        }
    }

    @Test func aCancelStopsTheJobAndTheNextOneRuns() throws {
        let worker = try Worker()
        _ = try worker.receive()
        try worker.send(.generate(job: "long", plan: PipelineFixture.request(steps: 1000), directory: PipelineFixture.scratch("long")))
        while true {
            guard case .progress(_, let progress) = try worker.receive() else { throw SoradError(.internalFault, "no progress") }
            if progress.step >= 2 { break }
        }
        try worker.send(.cancel(job: "another"))
        try worker.send(.cancel(job: "long"))
        let (progress, last) = try worker.answer(for: "long")
        guard case .failed(_, let error) = last else {
            Issue.record("\(last)")
            return
        }
        #expect(error.code == "cancelled")
        #expect((progress.last?.step ?? 0) < 1000)
        try worker.send(.generate(job: "next", plan: PipelineFixture.request(), directory: PipelineFixture.scratch("next")))
        guard case .finished = try worker.answer(for: "next").last else {
            Issue.record("the job after a cancel failed")
            return
        }
    }

    /// Killed after the first checkpoint, after a later one, and while the frames are decoded.
    @Test func aKilledWorkersClipGoesOnInTheNextOne() throws {
        var request = PipelineFixture.request(steps: 1000)
        (request.width, request.height, request.numFrames) = (128, 64, 61)
        let expected = try ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).makeClip(
            request, into: PipelineFixture.scratch("expected"))
        let directory = PipelineFixture.scratch("killed")
        func checkpoints() -> [FileIdentity] { CheckpointName.latents.compactMap { try? FileIdentity(directory + "/" + $0) } }
        var resumedAt: [Int] = []
        for kill in ["first", "later", "decoding", "none"] {
            let worker = try Worker()
            _ = try worker.receive()
            let before = checkpoints()
            try worker.send(.generate(job: kill, plan: request, directory: directory))
            var first: Int?
            receiving: while true {
                switch try worker.receive() {
                case .progress(_, let progress):
                    if progress.phase == .denoising, first == nil { first = progress.step }
                    let hasNew = checkpoints() != before
                    if kill == "decoding" ? progress.phase == .decoding : kill != "none" && hasNew { break receiving }
                case .finished(_, let result):
                    #expect(kill == "none", "finished before it could be killed: \(kill)")
                    #expect(result.sha256 == expected.sha256)
                    break receiving
                case let other: throw SoradError(.internalFault, "unexpected \(other)")
                }
            }
            worker.process.kill(SIGKILL)
            _ = worker.process.wait()
            resumedAt.append(try #require(first))
        }
        #expect(resumedAt[0] == 0 && resumedAt[1] > 0 && resumedAt[2] > resumedAt[1] && resumedAt[3] >= resumedAt[2], "\(resumedAt)")
    }

    @Test func aSecondJobAtOnceIsRefused() throws {
        let worker = try Worker()
        _ = try worker.receive()
        try worker.send(.generate(job: "long", plan: PipelineFixture.request(steps: 1000), directory: PipelineFixture.scratch("long")))
        try worker.send(.generate(job: "pushy", plan: PipelineFixture.request(), directory: PipelineFixture.scratch("pushy")))
        while true {
            let event = try worker.receive()
            if case .failed("pushy", _) = event { break }
            guard case .progress("long", _) = event else { throw SoradError(.internalFault, "unexpected \(event)") }
        }
        try worker.send(.cancel(job: "long"))
        guard case .failed("long", let error) = try worker.answer(for: "long").last else { return }
        #expect(error.code == "cancelled")
    }

    @Test(arguments: [false, true]) func itEndsWhenTheDaemonIsGone(isBusy: Bool) throws {
        let worker = try Worker()
        _ = try worker.receive()
        if isBusy {
            try worker.send(
                .generate(job: "long", plan: PipelineFixture.request(steps: 1000), directory: PipelineFixture.scratch("long")))
            _ = try worker.receive()
        }
        worker.channel.shutDown()
        #expect(worker.process.wait(timeout: .seconds(30)) == .exited(0))
    }

    @Test(arguments: [Array("{\"dance\":{}}".utf8), [0xFF, 0x00], Array("[]".utf8)])
    func itEndsWhenItIsToldNonsense(frame: [UInt8]) throws {
        let worker = try Worker()
        _ = try worker.receive()
        try worker.channel.send(frame)
        #expect(worker.process.wait(timeout: .seconds(30)) == .exited(70))
    }

    @Test func aDamagedModelIsOneSentence() throws {
        let good = try bytes(PipelineFixture.model)
        var flipped = good
        flipped[good.count / 2] ^= 4
        for (name, damaged) in [("flipped", flipped), ("truncated", Array(good.prefix(good.count / 3))), ("empty", [])] {
            let path = PipelineFixture.scratch(name) + "/broken.gguf"
            let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT)
            try file.write(damaged)
            let (ending, errors, output) = try run(["--model", path, "--describe"])
            #expect(ending == .exited(65), "\(name): \(errors)")
            #expect(
                errors.hasPrefix("sorad-worker: ") && errors.contains(path) && errors.split(separator: "\n").count <= 2,
                "\(name): \(errors)")
            #expect(output.isEmpty)
        }
    }

    @Test func aMissingModelIsExitStatus66() throws {
        let (ending, errors, _) = try run(["--model", "/nowhere/model.gguf", "--describe"])
        #expect(ending == .exited(66))
        #expect(errors.contains("/nowhere/model.gguf"))
    }

    @Test(arguments: [["--model", "x"], [], ["--model"], ["--threads", "0", "--model", "x"], ["--dance"]])
    func wrongUsageIsExitStatus64(arguments: [String]) throws {
        let (ending, errors, output) = try run(arguments)
        #expect(ending == .exited(64))
        #expect(errors.contains("hint: "))
        #expect(output.isEmpty)
    }

    @Test func describePrintsTheModelAsJSON() throws {
        let (ending, errors, output) = try run(["--model", PipelineFixture.model, "--describe"])
        #expect(ending == .exited(0))
        #expect(errors.isEmpty)
        var info = try ModelInfo(json: JSONValue(parsing: Array(output.utf8)))
        let memory = try #require(info.memory)
        #expect(memory.isPlausible)
        (info.memory, info.time) = (nil, nil)
        #expect(try info == ClipPipeline(modelPath: PipelineFixture.model, backend: .cpu(threads: 1)).info)
    }
}
