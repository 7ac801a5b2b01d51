// Durations of clips on this machine, phase by phase: they weight the progress of the next clip like them and give its remaining time
// from the start.
// Invariant: only clips of the same shape are compared. A guess from another size would be wrong, since attention grows with the square
// of the tokens; none is better. Losing this table costs estimates and nothing else.
package import SoradAPI
import SoradSystem

extension ClipPlan {
    /// Everything but the number of steps that a clip's time depends on, as text.
    package var timeShape: String {
        // Guidance takes two forwards a step.
        var words = ["\(width)x\(height)", "\(numFrames)+\(clipFrames - newFrames.count)", guidanceScale == 1 ? "single" : "guided"]
        // A step's mean time follows from the passes, and so from the schedule.
        if guidanceInterval != nil || secondGuidanceScale == 1 || cache != nil {
            words.append("passes=\(passesPerWindow)/\(stepsPerWindow) second=\(secondGuidanceScale == 1) cache=\(cache ?? 0)")
        }
        if !windows.isEmpty { words.append("windows=\(windows.count)x\(windows.map(\.count).max() ?? 0)") }
        if upscale != 1 || interpolate != 1 { words.append("x\(upscale) \(interpolate)") }
        if let given {
            if given.hasFirstFrame { words.append(firstStep > 0 ? "still" : "first") }
            if given.hasLastFrame { words.append("last") }
            if given.hasMask { words.append("mask") }
            if !given.references.isEmpty { words.append("references=\(given.references.count)") }
            for (name, clip) in [("before", given.before), ("after", given.after), ("source", given.source)] {
                if let clip { words.append("\(name)=\(clip.contextFrames)") }
            }
        }
        return words.joined(separator: " ") + " " + model
    }
}

extension JobStore {
    /// Clips of one shape that are kept.
    private static let clipsPerShape = 7
    /// Clips that are kept in all.
    private static let clipsKept = 2_000
    /// No phase is believed to have taken longer.
    private static let longestPhase = 1e8

    /// Records the durations of a completed job. Phases that were not run here are left out.
    package func remember(_ job: Job) throws(DatabaseError) {
        guard let result = job.result else { return }
        var seconds: [String: Double] = [:]
        for stage in job.plan.stages {
            let name = stage.phase.rawValue
            guard let spent = result.timings[name], (0...JobStore.longestPhase).contains(spent) else { continue }
            let resumed = result.resumed(in: stage.phase)
            if stage.unitsVary, resumed < stage.units {
                seconds[name] = spent / Double(stage.units - resumed)
            } else if !stage.unitsVary, resumed == 0 {
                seconds[name] = spent
            }
        }
        guard !seconds.isEmpty else { return }
        let record = seconds
        try database.transaction { () throws(DatabaseError) in
            let shape = job.plan.timeShape
            try database.run("INSERT INTO clip_time (shape, seconds) VALUES (?, ?)", .text(shape), .text(secondsJSON(record).text()))
            try database.run(
                "DELETE FROM clip_time WHERE shape = ?1 AND number <= (SELECT number FROM clip_time WHERE shape = ?1 "
                    + "ORDER BY number DESC LIMIT 1 OFFSET ?2)", .text(shape), .integer(Int64(JobStore.clipsPerShape)))
            try database.run(
                "DELETE FROM clip_time WHERE number <= (SELECT max(number) FROM clip_time) - ?", .integer(Int64(JobStore.clipsKept)))
        }
    }

    /// Seconds by phase name that `request` will take: the median of the last clips like it; empty when there is none.
    package func expectedSeconds(for request: ClipPlan) throws(DatabaseError) -> [String: Double] {
        let rows = try database.run("SELECT seconds FROM clip_time WHERE shape = ?", .text(request.timeShape))
        // A record that cannot be read is as good as none.
        let clips = rows.map { row in secondsByPhase(row[0].text.flatMap { try? JSONValue(parsing: Array($0.utf8)) }) }
        var expected: [String: Double] = [:]
        for stage in request.stages {
            let values = clips.compactMap { $0[stage.phase.rawValue] }.sorted()
            guard !values.isEmpty else { continue }
            expected[stage.phase.rawValue] = values[values.count / 2] * (stage.unitsVary ? Double(stage.units) : 1)
        }
        return expected
    }
}

extension JobService {
    /// Seconds by phase name that clips like this one took here; empty when there is none.
    package func expectedSeconds(for request: ClipPlan) -> [String: Double] {
        withStore { store throws(DatabaseError) in try store.expectedSeconds(for: request) } ?? [:]
    }
}
