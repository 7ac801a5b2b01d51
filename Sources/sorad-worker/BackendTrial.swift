// Owns a worker's trial of a Vulkan device: whether it computes what the CPU does, and how fast it is for a model. The trial runs in a
// child process, because a driver may crash or hang; what came of it is kept in a file.
//
// A kept trial holds for the same program, boot and list of installed drivers, and only while the device that is then opened has the same
// key: SHA-256 of the device, its driver and the shaders.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import SoradVulkan

struct BackendTrial: Sendable {
    /// Why the device is not used; nil when it passed.
    var problem: String?
    var device = 0
    /// Why the device is left alone unless it is asked for by its number.
    var caution: String?
    /// There is no device of that number.
    var isMissing = false
    /// Another trial would cost next to nothing, because no device was tested: a driver or its loader may come at any time.
    var isQuick = false
    /// Name, driver and tier.
    var description = ""
    var key = ""
    var tier = FMATier.integer
    /// What was measured of the model, from small sizes to large.
    var sizes: [SizeTrial] = []
    /// Cases of the self-test; those that failed first.
    var rows: [(name: String, wrong: Int, count: Int, seconds: Double)] = []

    /// In a child: tests the device that `choice` means and, for a model, measures a step on both.
    static func run(_ choice: BackendChoice, model: String, threads: Int?, cacheFolder: String?) -> BackendTrial {
        var trial = BackendTrial()
        do throws(SoradError) {
            var options = VulkanOptions()
            if case .vulkan(let index?) = choice {
                options.device = index
                let devices = try VulkanBackend.devices()
                guard devices.indices.contains(index) else {
                    (trial.isMissing, trial.problem) = (true, "there is no Vulkan device \(index) among the \(devices.count) there are")
                    return trial
                }
                trial.description = "\(devices[index].name), \(devices[index].driver)"
                trial.caution = devices[index].caution
            }
            options.cacheFolder = cacheFolder
            options.takesSamples = false
            var backend = try VulkanBackend(options)
            try trial.test(backend)
            // In these very shaders a fused product may come out otherwise than alone.
            for tier in [FMATier.float64, .integer] where trial.problem != nil && backend.tier != tier {
                options.tier = tier
                backend = try VulkanBackend(options)
                try trial.test(backend)
            }
            guard trial.problem == nil, !model.isEmpty else { return trial }
            // As it will compute clips: with samples, and on this device.
            (options.device, options.tier, options.takesSamples, options.cpuThreads) = (trial.device, trial.tier, true, threads)
            trial.sizes = try SizeTrial.measure(model, on: try VulkanBackend(options), threads: threads)
        } catch { trial.problem = error.message }
        return trial
    }

    private mutating func test(_ backend: VulkanBackend) throws(SoradError) {
        rows = try SelfTest.run(backend).map { ($0.name, $0.wrong, $0.count, $0.seconds) }.sorted { $0.1 > $1.1 }
        (device, description, key, tier) = (backend.index, backend.description, backend.key, backend.tier)
        let wrong = rows.count { $0.wrong > 0 }
        problem =
            wrong == 0 ? nil : "\(description) gave other bits than the CPU in \(wrong) of \(rows.count) tests, first in \(rows[0].name)"
    }
}

extension BackendTrial {
    /// The trial of a choice, kept or made now in a child.
    /// - Parameters:
    ///   - folder: where trials are kept; nil means nowhere.
    ///   - meanwhile: called about twice a second.
    static func of(
        _ choice: BackendChoice, model: String, threads: Int?, folder: String?, meanwhile: () -> Void
    ) -> BackendTrial {
        let path = folder.map { file(choice, model, in: $0) }
        let circumstances = Self.circumstances(model: model)
        if let path, let kept = read(path, circumstances) { return kept }
        let trial = inChild(choice, model: model, threads: threads, folder: folder, meanwhile: meanwhile)
        if let path, !trial.isQuick { trial.write(path, circumstances) }
        return trial
    }

    /// Forgets what was kept about a choice.
    static func forget(_ choice: BackendChoice, model: String, folder: String?) {
        if let folder { removeFile(file(choice, model, in: folder)) }
    }

    private static func file(_ choice: BackendChoice, _ model: String, in folder: String) -> String {
        "\(folder)/trial-\(SHA256.hexadecimal(SHA256.hash(Array("\(choice) \(model)".utf8))).prefix(16))"
    }

    private static let timeout = Duration.seconds(900)

    static func inChild(_ choice: BackendChoice, model: String, threads: Int?, folder: String?, meanwhile: () -> Void) -> BackendTrial {
        var trial = BackendTrial()
        do {
            let pipe = try Pipe()
            let output = pipe.readEnd
            let child: ChildProcess
            do {
                let writer = pipe.writeEnd
                let null = try FileDescriptor(opening: "/dev/null", flags: O_WRONLY)
                var arguments = ["--backend", "\(choice)", "--backend-trial"]
                if !model.isEmpty { arguments += ["--model", model] }
                if let threads { arguments += ["--threads", "\(threads)"] }
                if let folder { arguments += ["--cache-dir", folder] }
                child = try ChildProcess(
                    .init("/proc/self/exe", arguments, descriptors: [1: writer.rawValue, 2: null.rawValue], diesWithParent: false))
            }
            let deadline = MonotonicTime.now() + timeout
            var ending: ChildProcess.Ending?
            while ending == nil, MonotonicTime.now() < deadline {
                ending = child.wait(timeout: .milliseconds(500))
                meanwhile()
            }
            guard let ending else {
                child.kill(SIGKILL)
                trial.problem = "the Vulkan device does not finish its self-test"
                return trial
            }
            guard ending.isSuccess else {
                trial.problem = "the Vulkan driver does not survive its self-test, which \(ending)"
                return trial
            }
            // Less than a pipe holds.
            let text = try output.read(upTo: 65_536)
            trial = try BackendTrial(json: JSONValue(parsing: text))
            trial.isQuick = trial.key.isEmpty
            return trial
        } catch {
            trial.problem = "the self-test of the Vulkan device cannot be run: \(error)"
            return trial
        }
    }

    // MARK: The file

    /// The program, the model, the boot, and the installed drivers.
    private static func circumstances(model: String) -> String {
        var parts = ["/proc/self/exe", model].map { (try? FileIdentity($0))?.text ?? "" }
        for path in ["/proc/sys/kernel/random/boot_id"] { parts.append(text(of: path)) }
        for folder in ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"] {
            for name in ((try? fileNames(in: folder)) ?? []).sorted() {
                parts.append("\(name) \((try? FileIdentity("\(folder)/\(name)"))?.text ?? "")")
            }
        }
        return SHA256.hexadecimal(SHA256.hash(Array(parts.joined(separator: "\n").utf8)))
    }

    private static func text(of path: String) -> String {
        guard let file = try? FileDescriptor(opening: path, flags: O_RDONLY), let bytes = try? file.read(upTo: 256) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func read(_ path: String, _ circumstances: String) -> BackendTrial? {
        guard let file = try? FileDescriptor(openingForReading: path), let size = try? file.regularFileSize(), size < 1 << 20,
            let bytes = try? file.read(at: 0, count: size), let json = try? JSONValue(parsing: bytes),
            json["circumstances"]?.string == circumstances
        else { return nil }
        return try? BackendTrial(json: json)
    }

    private func write(_ path: String, _ circumstances: String) {
        guard case .object(var object) = json else { return }
        object["circumstances"] = .string(circumstances)
        do throws(SoradError) {
            var file = try AtomicFile(path, mode: 0o600)
            try file.write(Array(JSONValue.object(object).text(pretty: true).utf8))
            try file.commit()
        } catch {}  // The next worker tests again.
    }
}

extension BackendTrial: JSONRepresentable {
    var json: JSONValue {
        [
            "problem": .optional(problem), "missing": .bool(isMissing), "caution": .optional(caution), "device": .integer(device),
            "description": .string(description), "key": .string(key),
            "tier": .string(tier.rawValue), "sizes": .array(sizes.map(\.json)),
            "rows": .array(
                rows.map {
                    ["name": .string($0.name), "wrong": .integer($0.wrong), "count": .integer($0.count), "seconds": .double($0.seconds)]
                }),
        ]
    }

    init(json: JSONValue) throws(JSONError) {
        (problem, caution, isMissing) = (json["problem"]?.string, json["caution"]?.string, json["missing"]?.bool ?? false)
        guard let device = json["device"]?.integer, let description = json["description"]?.string, let key = json["key"]?.string,
            let tier = json["tier"]?.string.flatMap(FMATier.init)
        else { throw JSONError("no trial of a device") }
        (self.device, self.description, self.key, self.tier) = (device, description, key, tier)
        for size in json["sizes"]?.array ?? [] { sizes.append(try SizeTrial(json: size)) }
        rows = (json["rows"]?.array ?? []).map {
            ($0["name"]?.string ?? "", $0["wrong"]?.integer ?? 0, $0["count"]?.integer ?? 0, $0["seconds"]?.double ?? 0)
        }
    }
}
