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
    private(set) var backend: BackendFactory
    /// What computes texts, and clips when the other fails or is slower for their size; nil where both are one.
    private(set) var fallback: BackendFactory?
    /// Whether a clip is for `backend`; prepares it for that.
    private(set) var usesDevice: (ClipPlan) -> Bool = { _ in true }
    /// What was chosen, and why.
    private(set) var sentence: String
    /// Whether there was something to choose: the log gets the sentence then.
    private(set) var isNews = true

    /// - Parameters:
    ///   - meanwhile: called now and then while a device is tried.
    ///   - report: gets a sentence when weights do not fit a device.
    init(_ settings: WorkerSettings, report: @escaping @Sendable (String) -> Void, meanwhile: () -> Void) {
        backend = BackendFactory.cpu(threads: settings.threads)
        let choice = settings.choice
        if choice == .cpu || choice == .auto && !Self.hasDeviceNode {
            sentence = "clips are made on the CPU: \(choice == .cpu ? "the setting says so" : "there is no graphics card, or it is hidden")"
            isNews = false
            return
        }
        let folder = Self.folder(settings.cacheDirectory)
        let trial = BackendTrial.of(choice, model: settings.model, threads: settings.threads, folder: folder, meanwhile: meanwhile)
        let isUsed = trial.problem == nil && (choice != .auto || trial.sizes.contains(where: \.isFasterOnDevice))
        sentence = Self.sentence(trial, choice, isUsed: isUsed)
        guard isUsed else { return }
        let made = MadeDevice()
        fallback = backend
        backend = Self.vulkan(trial, choice, settings, folder, report, made)
        let given = settings.cpuShare
        usesDevice = { plan in
            let size = trial.sizes.nearest(to: plan)
            made.backend?.shares = given.map { ProductShares(Double($0) / 100) } ?? size?.shares ?? ProductShares()
            return choice != .auto || size?.isFasterOnDevice == true
        }
    }

    private static func sentence(_ trial: BackendTrial, _ choice: BackendChoice, isUsed: Bool) -> String {
        if let problem = trial.problem { return "clips are made on the CPU: \(problem)" }
        let measured = trial.sizes.map(\.text).joined(separator: "; ")
        if !isUsed { return "clips are made on the CPU: \(trial.description) is slower (a step of \(measured))" }
        if choice != .auto { return "clips are made on \(trial.description): the setting says so (a step of \(measured))" }
        let isMixed = !trial.sizes.allSatisfy(\.isFasterOnDevice)
        return "clips are made on \(trial.description)\(isMixed ? ", or on the CPU where that is faster" : ""): "
            + "it is faster (a step of \(measured))"
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
        _ trial: BackendTrial, _ choice: BackendChoice, _ settings: WorkerSettings, _ folder: String?,
        _ report: @escaping @Sendable (String) -> Void, _ made: MadeDevice
    ) -> BackendFactory {
        var options = VulkanOptions()
        (options.device, options.tier, options.cacheFolder, options.cpuThreads) = (trial.device, trial.tier, folder, settings.threads)
        options.report = report
        let model = settings.model
        return BackendFactory("\(choice)") { [options] () throws(SoradError) in
            let backend = try VulkanBackend(options)
            guard backend.key == trial.key else {
                BackendTrial.forget(choice, model: model, folder: folder)
                throw SoradError(
                    .unavailable, "\(backend.description) is not the device or driver that was tested",
                    hint: "the next worker tests it again")
            }
            made.backend = backend
            return backend
        }
    }
}

/// The device's backend, once it is made. Unchecked: one thread after another uses it, as the pipeline that owns it.
private final class MadeDevice: @unchecked Sendable {
    weak var backend: VulkanBackend?
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
            for size in trial.sizes {
                lines.append("  \(size.isFasterOnDevice ? "faster" : "slower")  a step of \(size.text)")
            }
            // Without a driver, or with one that crashes, the next number tells no more.
            if trial.description.isEmpty { break }
        }
        return (lines.isEmpty ? "no Vulkan device" : lines.joined(separator: "\n")) + "\n"
    }
}
