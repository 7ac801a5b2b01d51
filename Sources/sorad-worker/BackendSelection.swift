// The choice of what computes clips: the setting `backend`, what this machine has, and what the trial of its device said. Every way out of
// it ends with a backend, the CPU's at last, and with one sentence that says why.
import Glibc
import SoradAPI
import SoradCPU
import SoradSystem
import SoradTensor
import SoradVulkan

struct BackendSelection {
    /// What computes clips.
    let backend: BackendFactory
    /// What computes texts, and clips when the other fails; nil where both are one.
    let fallback: BackendFactory?
    /// What was chosen, and why; nil where there was nothing to choose.
    let sentence: String?

    /// - Parameter meanwhile: called now and then while a device is tried.
    init(_ settings: WorkerSettings, meanwhile: () -> Void) {
        let cpu = BackendFactory.cpu(threads: settings.threads)
        let choice = settings.choice
        func onCPU(_ reason: String) -> (BackendFactory, BackendFactory?, String?) { (cpu, nil, "clips are made on the CPU: \(reason)") }
        (backend, fallback, sentence) = {
            if choice == .cpu || choice == .auto && !Self.hasDeviceNode { return (cpu, nil, nil) }
            let folder = Self.folder(settings.cacheDirectory)
            let trial = BackendTrial.of(
                choice, model: choice == .auto ? settings.model : "", threads: settings.threads, folder: folder, meanwhile: meanwhile)
            if let problem = trial.problem { return onCPU(problem) }
            if choice == .auto && !trial.isFaster { return onCPU("\(trial.description) is slower (\(trial.speeds))") }
            let why = choice == .auto ? "it is faster (\(trial.speeds))" : "the setting says so"
            return (Self.vulkan(trial, choice, settings, folder), cpu, "clips are made on \(trial.description): \(why)")
        }()
    }

    /// Whether the machine has a device that could be a graphics card's: without one `auto` costs nothing.
    private static var hasDeviceNode: Bool {
        let nodes = ((try? fileNames(in: "/dev/dri")) ?? []).contains { $0.hasPrefix("renderD") }
        let isNVIDIA = unsafe access("/dev/nvidiactl", F_OK) == 0
        return nodes || isNVIDIA
    }

    /// The folder for trials and compiled pipelines, made if it is missing; nil where it cannot be.
    static func folder(_ path: String) -> String? {
        let environment = ChildProcess.currentEnvironment()
        let folder =
            path.isEmpty ? (environment["XDG_CACHE_HOME"] ?? environment["HOME"].map { $0 + "/.cache" }).map { $0 + "/sorad" } : path
        guard let folder else { return nil }
        return unsafe mkdir(folder, 0o700) == 0 || errno == EEXIST ? folder : nil
    }

    private static func vulkan(
        _ trial: BackendTrial, _ choice: BackendChoice, _ settings: WorkerSettings, _ folder: String?
    ) -> BackendFactory {
        var options = VulkanOptions()
        (options.device, options.tier, options.cacheFolder, options.cpuThreads) = (trial.device, trial.tier, folder, settings.threads)
        options.cpuShare = Double(settings.cpuShare) / 100
        let model = choice == .auto ? settings.model : ""
        return BackendFactory("\(choice)") { [options] () throws(SoradError) in
            let backend = try VulkanBackend(options)
            guard backend.key == trial.key else {
                BackendTrial.forget(choice, model: model, folder: folder)
                throw SoradError(
                    .unavailable, "\(backend.description) is not the device or driver that was tested",
                    hint: "the next worker tests it again")
            }
            return backend
        }
    }
}

extension BackendTrial {
    var speeds: String {
        func text(_ seconds: Double?) -> String { seconds.map { "\(($0 * 1000).rounded() / 1000) s" } ?? "?" }
        return "a step takes \(text(deviceSeconds)), on the CPU \(text(cpuSeconds))"
    }
}

/// `sorad-worker --backend-check`: every device, its self-test and its speed, each in a child of its own.
enum BackendCheck {
    static func text(_ settings: WorkerSettings) -> String {
        let folder = BackendSelection.folder(settings.cacheDirectory)
        var lines: [String] = []
        for index in 0..<64 {
            let trial = BackendTrial.inChild(
                .vulkan(index), model: settings.model, threads: settings.threads, folder: folder, meanwhile: {})
            if trial.isMissing { break }
            if !trial.description.isEmpty { lines.append("vulkan:\(index)  \(trial.description)") }
            if let caution = trial.caution { lines.append("  left alone unless asked for by its number: \(caution)") }
            for row in trial.rows {
                lines.append("  \(row.wrong == 0 ? "same bits" : "\(row.wrong) wrong") of \(row.count)  \(row.name)")
            }
            lines.append("  " + (trial.problem ?? "passed with \(trial.tier.rawValue) fma"))
            if trial.deviceSeconds != nil { lines.append("  " + trial.speeds) }
            // Without a driver, or with one that crashes, the next number tells no more.
            if trial.description.isEmpty { break }
        }
        return (lines.isEmpty ? "no Vulkan device" : lines.joined(separator: "\n")) + "\n"
    }
}
