// Clips of the pipeline on a Vulkan device: the shipped model whole, and devices that fail in the middle: the CPU continues with the same
// frames.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import SoradVulkan
import Synchronization
import Testing

/// Nil where there is none.
private let device = try? VulkanBackend.devices().first { $0.missing.isEmpty }

@Suite(.enabled(if: device != nil, "no Vulkan device"), .serialized) struct VulkanPipelineTests {
    private static func options(_ faults: VulkanFaults = VulkanFaults()) -> VulkanOptions {
        var options = VulkanOptions()
        (options.device, options.tier, options.cpuThreads, options.takesSamples) = (device!.index, .float64, 1, false)
        options.faults = faults
        return options
    }

    /// Keeps the backend that it makes, to ask what it did.
    private final class Kept: @unchecked Sendable { var backend: VulkanBackend? }

    private static func clip(
        _ model: String, _ request: ClipPlan, _ options: VulkanOptions?, kept: Kept = Kept()
    ) throws -> (sha256: String, reports: [String]) {
        let cpu = BackendFactory.cpu(threads: 1)
        let reports = Mutex<[String]>([])
        let factory = options.map { options in
            BackendFactory("vulkan") { () throws(SoradError) in
                let backend = try VulkanBackend(options)
                kept.backend = backend
                return backend
            }
        }
        let pipeline = try ClipPipeline(
            modelPath: model, backend: factory ?? cpu, fallback: factory == nil ? nil : cpu,
            report: { sentence in reports.withLock { $0.append(sentence) } })
        let result = try pipeline.makeClip(request, into: PipelineFixture.scratch("vulkan"))
        return (result.sha256, reports.withLock { $0 })
    }

    private static let miniPath =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        + "/quantization/models/sorad-mini.gguf"

    @Test func theShippedModelHasTheCPUsHash() throws {
        var request = PipelineFixture.request()
        request.model = "sorad-mini"
        let expected = try Self.clip(Self.miniPath, request, nil)
        let found = try Self.clip(Self.miniPath, request, Self.options())
        #expect(found.sha256 == expected.sha256 && found.reports.isEmpty)
    }

    /// In the middle of a step and in the middle of decoding.
    @Test func aLostDeviceCostsNoBit() throws {
        let request = PipelineFixture.request()
        let kept = Kept()
        let expected = try Self.clip(PipelineFixture.model, request, nil).sha256
        var options = Self.options()
        // So short that every step and every frame has several.
        options.submissionLimit = 1_000_000
        #expect(try Self.clip(PipelineFixture.model, request, options, kept: kept).sha256 == expected)
        let count = try #require(kept.backend).counters.submissions
        #expect(count > 20)
        for part in [1, 4, 6, 8, 9] {
            options.faults.lostAtSubmission = count * part / 10
            let found = try Self.clip(PipelineFixture.model, request, options)
            #expect(found.sha256 == expected, "lost at submission \(count * part / 10) of \(count)")
            #expect(found.reports.count == 1 && found.reports[0].contains("lost"), "\(found.reports)")
        }
    }

    /// Each allocation of a clip fails in turn: of weights, which are then streamed, or of anything else, after which the CPU continues.
    @Test func memoryThatRunsOutCostsNoBit() throws {
        let request = PipelineFixture.request(steps: 1)
        let kept = Kept()
        let expected = try Self.clip(PipelineFixture.model, request, nil).sha256
        _ = try Self.clip(PipelineFixture.model, request, Self.options(), kept: kept)
        let count = try #require(kept.backend).counters.allocations
        var streamed = 0
        for number in 0..<count {
            var faults = VulkanFaults()
            faults.failedAllocation = number
            var options = Self.options(faults)
            let sentences = Mutex<[String]>([])
            options.report = { sentence in sentences.withLock { $0.append(sentence) } }
            let found = try Self.clip(PipelineFixture.model, request, options)
            let all = found.reports + sentences.withLock { $0 }
            #expect(found.sha256 == expected && all.count == 1, "allocation \(number) of \(count): \(all)")
            let isStreamed = all.first?.contains("copied to it for every use") == true
            streamed += isStreamed ? 1 : 0
            #expect(isStreamed || all.first?.contains("out of device memory") == true, "\(all)")
        }
        #expect((1..<count).contains(streamed))
        print("Vulkan: \(count) allocations failed in turn, \(streamed) of them of weights")
    }

    /// Clips whose size is faster on the CPU are made there, between those that the device makes.
    @Test func eachClipIsMadeWhereItIsFaster() throws {
        let kept = Kept()
        let options = Self.options()
        let cpu = BackendFactory.cpu(threads: 1)
        let pipeline = try ClipPipeline(
            modelPath: PipelineFixture.model,
            backend: BackendFactory("vulkan") { () throws(SoradError) in
                let backend = try VulkanBackend(options)
                kept.backend = backend
                return backend
            }, fallback: cpu, usesDevice: { $0.width > 64 })
        let backend = try #require(kept.backend)
        for width in [64, 96, 64, 96] {
            var request = PipelineFixture.request(steps: 1)
            request.width = width
            let before = backend.counters.dispatches
            let found = try pipeline.makeClip(request, into: PipelineFixture.scratch("place")).sha256
            #expect((backend.counters.dispatches > before) == (width > 64))
            #expect(found == (try Self.clip(PipelineFixture.model, request, nil).sha256))
        }
    }

    @Test(arguments: [VulkanOperation.linearInt8, .convolveFloat]) func aLieCostsNoBit(operation: VulkanOperation) throws {
        let request = PipelineFixture.request()
        var faults = VulkanFaults()
        faults.lyingOperation = operation
        var options = Self.options(faults)
        options.takesSamples = true
        let found = try Self.clip(PipelineFixture.model, request, options)
        #expect(found.sha256 == (try Self.clip(PipelineFixture.model, request, nil).sha256))
        #expect(found.reports.count == 1 && found.reports[0].contains(operation.rawValue))
    }

    @Test func anIndexWithoutADeviceIsAnError() throws {
        var options = Self.options()
        options.device = 77
        let request = PipelineFixture.request()
        #expect(throws: SoradError.self) { try Self.clip(PipelineFixture.model, request, options) }
    }

    // MARK: The worker's program

    /// Runs the worker, or a program that becomes it, to its end.
    private static func run(_ program: String, _ arguments: [String], _ variables: [String: String] = [:]) throws -> CapturedOutput {
        let environment = ChildProcess.currentEnvironment().merging(variables) { $1 }
        return try captureOutput(
            of: .init(program, arguments, environment: environment), timeout: .seconds(300), limit: 1 << 20)
    }

    @Test func theOperatorSeesTheSelfTest() throws {
        let found = try Self.run(
            PipelineFixture.worker,
            ["--backend-check", "--model", PipelineFixture.model, "--threads", "1", "--cache-dir", PipelineFixture.scratch("cache")])
        let text = String(decoding: found.standardOutput, as: UTF8.self)
        #expect(found.ending == .exited(0) && text.contains("vulkan:0") && text.contains("passed with"), "\(text)")
        #expect(!text.contains("wrong of") && text.split(separator: "\n").count > 50)
        // What was measured, with the CPU's share where that is quicker.
        #expect(text.contains("a step of") && text.contains("s on the device") && text.contains("s on the CPU"), "\(text)")
    }

    /// No driver, no loader's description of one, and a driver that does not survive: one sentence, and the clip on the CPU.
    @Test(arguments: ["no driver", "crash"]) func aWorkerWithoutAUsableDriverUsesTheCPU(how: String) throws {
        let folder = PipelineFixture.scratch("cache")
        var trial: CapturedOutput
        let arguments = ["--backend", "vulkan:0", "--backend-check", "--cache-dir", folder]
        if how == "crash" {
            // Memory that is written and executed is denied, which lavapipe does not survive (PR_SET_MDWE of prctl).
            let program =
                "import ctypes, os, sys\nif ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\nos.execv(sys.argv[1], sys.argv[1:])"
            trial = try Self.run("/usr/bin/python3", ["-c", program, PipelineFixture.worker] + arguments)
            // A kernel before 6.3, or a driver that makes no code at run time.
            let text = String(decoding: trial.standardOutput, as: UTF8.self)
            if trial.ending == .exited(77) || text.contains("passed") { return print("Vulkan: no driver that crashes here") }
        } else {
            trial = try Self.run(
                PipelineFixture.worker, arguments, ["VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": "/nowhere.json"])
        }
        let text = String(decoding: trial.standardOutput, as: UTF8.self)
        #expect(trial.ending == .exited(0), "\(text)")
        #expect(text.contains(how == "crash" ? "does not survive" : "no Vulkan"), "\(text)")
        #expect(text.split(separator: "\n").count == 1, "\(text)")
    }

    /// Started as the daemon does, on a device that passed, and again with what is kept of the trial.
    @Test func aWorkerMakesTheClipOnTheDeviceThatPassed() throws {
        let folder = PipelineFixture.scratch("cache")
        let expected = try Self.clip(PipelineFixture.model, PipelineFixture.request(), nil).sha256
        for (choice, sentence) in [
            ("vulkan:\(device!.index)", "made on vulkan"), ("vulkan:50", "there is no Vulkan device 50"),
        ] {
            let pair = try SocketPair()
            let own = pair.first
            let theirs = pair.second
            let log = PipelineFixture.scratch("log") + "/errors"
            let errors = try FileDescriptor(opening: log, flags: O_WRONLY | O_CREAT)
            let process = try ChildProcess(
                .init(
                    PipelineFixture.worker,
                    ["--model", PipelineFixture.model, "--threads", "1", "--backend", choice, "--cache-dir", folder],
                    descriptors: [2: errors.rawValue, workerSocketDescriptor: theirs.rawValue]))
            let channel = FrameChannel(owning: own, limit: workerFrameLimit)
            try channel.send(
                WorkerCommand.generate(job: "one", plan: PipelineFixture.request(), directory: PipelineFixture.scratch("job")).json.bytes())
            var (sha256, backends): (String?, [String]) = (nil, [])
            while sha256 == nil, case .frame(let bytes) = try channel.receive(timeout: .seconds(300)) {
                switch try WorkerEvent(json: JSONValue(parsing: bytes)) {
                case .finished(_, let result): sha256 = result.sha256
                case .backend(let sentence): backends.append(sentence)
                case .failed(_, let error): throw SoradError(.internalFault, error.message)
                default: break
                }
            }
            #expect(sha256 == expected, "\(choice)")
            #expect(backends.count == 1 && backends[0].contains(sentence), "\(backends)")
            channel.shutDown()
            #expect(process.wait(timeout: .seconds(60))?.isSuccess == true)
            let file = try FileDescriptor(openingForReading: log)
            let text = String(decoding: try file.read(at: 0, count: 4096), as: UTF8.self)
            #expect(text.split(separator: "\n").count == 1 && text.contains(sentence), "\(choice): \(text)")
        }
        // What the decision was made from is kept.
        let trials = PipelineFixture.names(in: folder).filter { $0.hasPrefix("trial-") }
        let sizes = try trials.flatMap { name in
            let file = try FileDescriptor(openingForReading: folder + "/" + name)
            return try JSONValue(parsing: file.read(at: 0, count: try file.regularFileSize()))["sizes"]?.array ?? []
        }
        #expect(!sizes.isEmpty && sizes.allSatisfy { ($0["device_seconds"]?.double ?? 0) > 0 && ($0["cpu_seconds"]?.double ?? 0) > 0 })
        #expect(sizes.allSatisfy { (0..<1).contains($0["cpu_share"]?.double ?? -1) })
    }
}
