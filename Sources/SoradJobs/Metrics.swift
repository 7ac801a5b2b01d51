// Numbers about the daemon's work, in the text format of Prometheus (version 0.0.4). The table below is all there is; docs/ADMIN.md
// explains it.
// Invariant: a name is only used as the kind that the table gives it, so the text is always well formed.
import SoradAPI
import Synchronization

public final class Metrics: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    struct Definition {
        let name: String
        let kind: Kind
        let help: String
        /// Upper bounds of a histogram's buckets.
        var bounds: [Double] = []
        /// The values of labels that are known beforehand: every combination is there from the start, at zero.
        var labels: [(name: String, values: [String])] = []
        /// There is a series for each model besides.
        var isPerModel = false
    }

    /// A clip of a small model takes a part of a second, a long one of a large model a day.
    private static let durations: [Double] = [
        0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400,
    ]
    private static let phases = [JobPhase.encodingText, .encodingFrames, .denoising, .decoding, .writing].map(\.rawValue)

    static let table: [Definition] = [
        .init(name: "sorad_build_info", kind: .gauge, help: "Always 1; the version is a label."),
        .init(name: "sorad_ready", kind: .gauge, help: "1 while clips can be made, as /readyz says it."),
        .init(name: "sorad_jobs_accepted_total", kind: .counter, help: "Jobs accepted.", isPerModel: true),
        .init(
            name: "sorad_jobs_refused_total", kind: .counter, help: "Requests that were refused a job, by reason.",
            labels: [("reason", ["draining", "queue_full", "quota_exceeded", "disk_full", "insufficient_memory", "other"])]),
        .init(name: "sorad_jobs_reused_total", kind: .counter, help: "Requests answered with a finished clip from the store."),
        .init(
            name: "sorad_jobs_finished_total", kind: .counter, help: "Jobs that are over, by status: completed, failed, cancelled.",
            labels: [("status", ["completed", "failed", "cancelled"])], isPerModel: true),
        .init(name: "sorad_digests_forgotten_total", kind: .counter, help: "Digests of removed clips whose time was over."),
        .init(
            name: "sorad_jobs_removed_total", kind: .counter, help: "Finished jobs removed, by reason: deleted, expired, budget.",
            labels: [("reason", ["deleted", "expired", "budget"])]),
        .init(name: "sorad_jobs_queued", kind: .gauge, help: "Jobs that wait."),
        .init(name: "sorad_jobs_running", kind: .gauge, help: "Jobs that run."),
        .init(
            name: "sorad_oldest_queued_seconds", kind: .gauge,
            help: "Age of the job that has waited longest since it was accepted; 0 for none."),
        .init(
            name: "sorad_job_wait_seconds", kind: .histogram, help: "From a job's acceptance to its beginning.", bounds: durations,
            isPerModel: true),
        .init(
            name: "sorad_job_duration_seconds", kind: .histogram, help: "From a job's beginning to its clip.", bounds: durations,
            isPerModel: true),
        .init(
            name: "sorad_phase_duration_seconds", kind: .histogram, help: "Time of a finished job by phase.", bounds: durations,
            labels: [("phase", phases)], isPerModel: true),
        .init(name: "sorad_clip_seconds_total", kind: .counter, help: "Seconds of finished clips.", isPerModel: true),
        .init(name: "sorad_workers", kind: .gauge, help: "Worker processes."),
        .init(name: "sorad_worker_slots", kind: .gauge, help: "Jobs that may run at once."),
        .init(name: "sorad_worker_starts_total", kind: .counter, help: "Workers started.", isPerModel: true),
        .init(
            name: "sorad_worker_start_faults_total", kind: .counter,
            help: "Workers that could not be started or did not open their model.", isPerModel: true),
        .init(name: "sorad_worker_deaths_total", kind: .counter, help: "Jobs whose worker ended before them.", isPerModel: true),
        .init(name: "sorad_store_outages_total", kind: .counter, help: "Times that the job store could not be used."),
        .init(name: "sorad_disk_full_total", kind: .counter, help: "Times that the disk was found full."),
        .init(name: "sorad_disk_free_bytes", kind: .gauge, help: "Free space on the disk that holds the jobs."),
        .init(name: "sorad_clips_bytes", kind: .gauge, help: "Bytes of all finished clips."),
        .init(name: "sorad_draining", kind: .gauge, help: "1 while new jobs are not taken."),
        .init(name: "sorad_paused", kind: .gauge, help: "1 while no job is begun."),
        .init(name: "sorad_connections", kind: .gauge, help: "Open connections of clients."),
        .init(name: "sorad_http_requests_total", kind: .counter, help: "Answered requests, by status code."),
        .init(
            name: "sorad_http_request_duration_seconds", kind: .histogram, help: "From a request's head to the end of its answer.",
            bounds: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60]),
        .init(name: "process_cpu_seconds_total", kind: .counter, help: "Processor time of the daemon, without its workers."),
        .init(name: "process_resident_memory_bytes", kind: .gauge, help: "Memory of the daemon, without its workers."),
        .init(name: "process_virtual_memory_bytes", kind: .gauge, help: "Address space of the daemon."),
        .init(name: "process_open_fds", kind: .gauge, help: "Open descriptors of the daemon."),
        .init(name: "process_max_fds", kind: .gauge, help: "Descriptors that the daemon may have open."),
        .init(name: "process_start_time_seconds", kind: .gauge, help: "When the daemon started, in seconds since 1970."),
    ]

    private struct Series {
        var value = 0.0
        /// Of a histogram: how many observations fell into each bucket alone.
        var buckets: [Int] = []
        var count = 0
    }

    /// By name, then by the labels as they are written.
    private let series: Mutex<[String: [String: Series]]>

    public init() {
        var known: [String: [String: Series]] = [:]
        for definition in Metrics.table where !definition.isPerModel && definition.kind != .gauge {
            known[definition.name] = Metrics.atZero(definition, [:])
        }
        // Its codes are those of HTTP, which this module does not know: the daemon names them.
        known["sorad_http_requests_total"] = nil
        series = Mutex(known)
    }

    /// All series of the model are there from now on.
    public func know(model: String) {
        series.withLock { series in
            for definition in Metrics.table where definition.isPerModel {
                let added = Metrics.atZero(definition, ["model": model])
                series[definition.name, default: [:]].merge(added) { present, _ in present }
            }
        }
    }

    /// Every combination of the known labels, with `more`.
    private static func atZero(_ definition: Definition, _ more: [String: String]) -> [String: Series] {
        var combinations = [more]
        for (name, values) in definition.labels {
            combinations = combinations.flatMap { labels in values.map { labels.merging([name: $0]) { first, _ in first } } }
        }
        let zero = Series(buckets: Array(repeating: 0, count: definition.bounds.count))
        return Dictionary(combinations.map { (text($0), zero) }) { first, _ in first }
    }

    /// Raises a counter; 0 makes sure that it is there.
    public func add(_ name: String, _ labels: [String: String] = [:], _ amount: Double = 1) {
        change(name, labels, .counter) { $0.value += max(0, amount) }
    }

    /// Raises a counter that is counted elsewhere.
    public func raise(_ name: String, _ labels: [String: String] = [:], to value: Double) {
        change(name, labels, .counter) { $0.value = max($0.value, value) }
    }

    public func set(_ name: String, _ labels: [String: String] = [:], _ value: Double) { change(name, labels, .gauge) { $0.value = value } }

    /// One observation of a histogram.
    public func observe(_ name: String, _ labels: [String: String] = [:], _ value: Double) {
        let bounds = Metrics.definition(name).bounds
        change(name, labels, .histogram) { series in
            if series.buckets.isEmpty { series.buckets = Array(repeating: 0, count: bounds.count) }
            if let index = bounds.firstIndex(where: { value <= $0 }) { series.buckets[index] += 1 }
            series.count += 1
            series.value += value
        }
    }

    private func change(_ name: String, _ labels: [String: String], _ kind: Kind, _ body: (inout Series) -> Void) {
        precondition(Metrics.definition(name).kind == kind, "\(name) is no \(kind)")
        series.withLock { body(&$0[name, default: [:]][Metrics.text(labels), default: Series()]) }
    }

    private static func definition(_ name: String) -> Definition {
        guard let definition = table.first(where: { $0.name == name }) else { preconditionFailure("no metric \(name)") }
        return definition
    }

    /// All series in the order of the table. Counters and histograms begin at zero; gauges are there once they were set.
    public var text: String {
        let all = series.withLock { $0 }
        var text = ""
        for definition in Metrics.table {
            let name = definition.name
            guard let found = all[name] else { continue }
            text += "# HELP \(name) \(definition.help)\n# TYPE \(name) \(definition.kind.rawValue)\n"
            for (labels, series) in found.sorted(by: { $0.key < $1.key }) {
                guard definition.kind == .histogram else {
                    text += "\(name)\(Metrics.braces(labels)) \(Metrics.number(series.value))\n"
                    continue
                }
                var sum = 0
                for (bound, count) in zip(definition.bounds, series.buckets) {
                    sum += count
                    text += "\(name)_bucket\(Metrics.braces(labels, "le=\"\(Metrics.number(bound))\"")) \(sum)\n"
                }
                text += "\(name)_bucket\(Metrics.braces(labels, "le=\"+Inf\"")) \(series.count)\n"
                text += "\(name)_sum\(Metrics.braces(labels)) \(Metrics.number(series.value))\n"
                text += "\(name)_count\(Metrics.braces(labels)) \(series.count)\n"
            }
        }
        return text
    }

    /// `a="x",b="y"`, with the values escaped.
    private static func text(_ labels: [String: String]) -> String {
        labels.sorted { $0.key < $1.key }.map { name, value in
            var escaped = ""
            for character in value.unicodeScalars {
                switch character {
                case "\\": escaped += "\\\\"
                case "\"": escaped += "\\\""
                case "\n": escaped += "\\n"
                default: escaped.unicodeScalars.append(character)
                }
            }
            return "\(name)=\"\(escaped)\""
        }.joined(separator: ",")
    }

    private static func braces(_ labels: String, _ more: String? = nil) -> String {
        let all = [labels, more ?? ""].filter { !$0.isEmpty }.joined(separator: ",")
        return all.isEmpty ? "" : "{\(all)}"
    }

    /// A whole number without a point.
    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
    }
}
