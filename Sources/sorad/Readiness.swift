// Whether this daemon can make clips, and if not, why: for /healthz, the log and the service manager. Looks at the machine as it is now, so
// that a mended one is well at once. Owns no state.
import SoradAPI
import SoradJobs
import SoradSystem

struct Readiness: Sendable {
    let service: JobService
    let models: ModelCatalog
    let defaultModel: String

    /// "starting" until the models are looked at, "degraded" with a `trouble`, else "ok".
    var status: String { !models.isScanned ? "starting" : trouble == nil ? "ok" : "degraded" }

    /// Every reason why jobs are not accepted or done.
    var troubles: [Trouble] {
        let jobs = service.summary.trouble
        // A full disk is said once.
        return [jobs].compactMap { $0 } + machineTroubles.filter { $0.check != jobs?.check }
    }

    /// All of them in one sentence; nil for none.
    var trouble: String? {
        let sentences = troubles.map(\.text)
        return sentences.isEmpty ? nil : sentences.joined(separator: "; ")
    }

    /// Those that an operator has to mend.
    var machineTroubles: [Trouble] {
        var troubles = [service.diskShortage].compactMap { $0 }
        if ChildProcess.executablePath(of: "ffmpeg") == nil {
            troubles.append(
                Trouble(
                    "ffmpeg", "ffmpeg is not installed, so no clip can be written and no picture read; install it (apt install ffmpeg)",
                    remedy: "sudo apt install ffmpeg"))
        }
        guard models.isScanned else { return troubles }
        let installed = models.entries.map(\.info.id)
        if installed.isEmpty {
            troubles.append(
                Trouble(
                    "model", "no model is installed that sorad can use" + (models.brokenFiles.first.map { ": \($0)" } ?? ""),
                    remedy: "sudo sorad-ctl models import FILE"))
        } else if !installed.contains(defaultModel), defaultModel != DaemonSettings.table.initial.defaultModel {
            // Whoever left the setting alone has no claim to a model of that name.
            troubles.append(
                Trouble(
                    "default-model",
                    "the default model \"\(defaultModel)\" is not installed, and requests that name none get \(installed[0]); installed: "
                        + installed.joined(separator: ", "), remedy: "set default-model to one of these, or import that model"))
        }
        return troubles
    }
}
