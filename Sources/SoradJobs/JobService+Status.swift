// What is done now, in words for the service manager's line of status: "denoising 64/400 for anna, 33 s left".
import SoradAPI
import SoradSystem
import Synchronization

extension JobService {
    /// A clause for each running job, in the order of their slots; a few and the number of the others.
    public var work: [String] {
        let jobs = state.withLock { state in
            state.machine.runningJobs.compactMap { id in state.machine.jobs[id].map { (job: $0, box: state.machine.place(of: id).box) } }
        }
        let clauses = jobs.prefix(JobService.mostClauses).map { job, box in
            let left = job.progress?.etaSeconds.map { ", \(JobService.timeWords($0)) left" } ?? ""
            let place = box.map { " on \($0)" } ?? ""
            return "\(job.work)\(place) for \(names.name(of: job.owner))\(left)"
        }
        return clauses + (jobs.count > clauses.count ? ["\(jobs.count - clauses.count) more running"] : [])
    }

    private static let mostClauses = 4

    /// Model by model, what its last worker computes clips on, and why; nothing about a model that had no worker since the daemon began.
    public var backends: [String] {
        state.withLock { state in state.backends.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" } }
    }

    func note(backend sentence: String, of model: String) {
        state.withLock { $0.backends[model] = String(sentence.prefix(JobService.longestSentence)) }
    }

    private static let longestSentence = 1000

    /// Whole seconds, minutes or hours; never 0 of the unit.
    static func timeWords(_ seconds: Double) -> String {
        let seconds = max(1, Int(min(1e9, seconds.rounded())))
        if seconds < 120 { return "\(seconds) s" }
        return seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
    }
}

extension Job {
    /// The phase, with the units that are done where they are counted.
    fileprivate var work: String {
        guard let progress else { return "starting" }
        switch progress.phase {
        case .denoising: return "denoising \(progress.step)/\(progress.steps)"
        case .decoding: return "decoding \(progress.frame)/\(plan.shownFrames)"
        case .loading: return "loading the model"
        case .encodingText: return "encoding text"
        case .encodingFrames: return "encoding frames"
        case .writing: return "writing"
        default: return progress.phase.rawValue
        }
    }
}
