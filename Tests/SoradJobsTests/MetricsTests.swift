// The exposition format, as far as Prometheus checks it.
import SoradJobs
import Testing

@Suite struct MetricsTests {
    /// Lines of `text` must be comments or samples; the samples by name and labels.
    static func parse(_ text: String) throws -> [String: Double] {
        try #require(text.hasSuffix("\n"))
        var samples: [String: Double] = [:]
        var types: [String: String] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ")
            if line.hasPrefix("# HELP ") { continue }
            if line.hasPrefix("# TYPE ") {
                try #require(words.count == 4 && types[String(words[2])] == nil, "\(line)")
                types[String(words[2])] = String(words[3])
                continue
            }
            let pattern = #/([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\S+)/#
            let match = try #require(try pattern.wholeMatch(in: String(line)), "\(line)")
            var family = String(match.1)
            for suffix in ["_bucket", "_sum", "_count"] where types[family] == nil && family.hasSuffix(suffix) {
                family.removeLast(suffix.count)
            }
            try #require(types[family] != nil, "\(line) has no type")
            let value = try #require(Double(match.3), "\(line)")
            let key = String(match.1) + (match.2.map(String.init) ?? "")
            try #require(samples[key] == nil, "\(key) twice")
            samples[key] = value
        }
        return samples
    }

    /// A rate needs the zero before the first event.
    @Test func everySeriesIsThereFromTheStart() throws {
        let metrics = Metrics()
        var samples = try Self.parse(metrics.text)
        for reason in ["draining", "queue_full", "quota_exceeded", "disk_full", "insufficient_memory", "other"] {
            #expect(samples["sorad_jobs_refused_total{reason=\"\(reason)\"}"] == 0)
        }
        #expect(samples["sorad_jobs_reused_total"] == 0 && samples["sorad_http_request_duration_seconds_count"] == 0)
        #expect(samples.values.allSatisfy { $0 == 0 })
        #expect(!samples.keys.contains { $0.contains("model=") })
        metrics.know(model: "mini")
        metrics.add("sorad_jobs_accepted_total", ["model": "mini"])
        metrics.know(model: "mini")
        samples = try Self.parse(metrics.text)
        #expect(samples["sorad_jobs_accepted_total{model=\"mini\"}"] == 1)
        #expect(samples["sorad_jobs_finished_total{model=\"mini\",status=\"failed\"}"] == 0)
        #expect(samples["sorad_phase_duration_seconds_bucket{model=\"mini\",phase=\"decoding\",le=\"86400\"}"] == 0)
        #expect(samples["sorad_job_duration_seconds_bucket{model=\"mini\",le=\"86400\"}"] == 0)
        #expect(samples["sorad_worker_deaths_total{model=\"mini\"}"] == 0)
    }

    @Test func countersGaugesAndHistogramsComeOutAsWritten() throws {
        let metrics = Metrics()
        metrics.add("sorad_jobs_accepted_total")
        metrics.add("sorad_jobs_accepted_total")
        metrics.add("sorad_jobs_refused_total", ["reason": "a \"b\" \\ c\nd"])
        metrics.set("sorad_jobs_queued", [:], 3)
        metrics.set("sorad_jobs_queued", [:], 2)
        for value in [0.05, 0.1, 3, 1e6] { metrics.observe("sorad_phase_duration_seconds", ["phase": "denoising"], value) }
        let samples = try Self.parse(metrics.text)
        #expect(samples["sorad_jobs_accepted_total"] == 2 && samples["sorad_jobs_queued"] == 2)
        #expect(samples[#"sorad_jobs_refused_total{reason="a \"b\" \\ c\nd"}"#] == 1)
        let name = "sorad_phase_duration_seconds"
        #expect(samples["\(name)_bucket{phase=\"denoising\",le=\"0.1\"}"] == 2)
        #expect(samples["\(name)_bucket{phase=\"denoising\",le=\"5\"}"] == 3)
        #expect(samples["\(name)_bucket{phase=\"denoising\",le=\"3600\"}"] == 3)
        #expect(samples["\(name)_bucket{phase=\"denoising\",le=\"+Inf\"}"] == 4)
        #expect(samples["\(name)_count{phase=\"denoising\"}"] == 4)
        #expect(samples["\(name)_sum{phase=\"denoising\"}"] == 1_000_003.15)
    }
}
