// The text from which condor_submit makes a job.
import SoradAPI
import SoradFleet
import SoradSystem
import Testing

@Suite struct SubmitDescriptionTests {
    private static let digest = String(repeating: "0123456789abcdef", count: 4)

    private func description(_ arguments: [String] = []) throws -> SubmitDescription {
        var rules = PoolRules()
        rules.head = "/var/lib/sorad"
        return try SubmitDescription(
            job: "video_0001", attempt: 3, folder: "/var/lib/sorad/fleet/video_0001", model: SubmitDescriptionTests.digest,
            version: "0.1.0",
            memory: 700_000_000, disk: 25_000_000, arguments: arguments, rules: rules)
    }

    private func lines(_ arguments: [String] = []) throws -> [String] {
        try description(arguments).text.split(separator: "\n").map(String.init)
    }

    @Test func whatAJobAsksFor() throws {
        let lines = try lines()
        for line in [
            "initialdir = /var/lib/sorad/fleet/video_0001", "output = out.3", "log = log.3", "request_memory = 701", "request_disk = 25001",
            "checkpoint_exit_code = 85", "when_to_transfer_output = ON_EXIT_OR_EVICT", "stream_output = true", "+SoradJob = \"video_0001\"",
            "+SoradAttempt = 3", "+SoradHead = \"/var/lib/sorad\"", "job_lease_duration = 60",
            "arguments = \"--model $$(SoradModel_0123456789abcdef0123456789abcdef) --once job --checkpoint-every 30\"",
            "requirements = (Arch == \"X86_64\" || Arch == \"AARCH64\") && (SoradReady == true) && (SoradVersion == \"0.1.0\") && "
                + "(SoradModel_0123456789abcdef0123456789abcdef =!= undefined) && "
                + "((Machine =!= SoradHungOn) || (time() > SoradHungAt + 300))",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        #expect(lines.last == "queue")
    }

    @Test func argumentsAreQuoted() throws {
        let line = try lines(["--visible-label", "it's \"made\" by AI", "--aigc-producer", ""]).first { $0.hasPrefix("arguments") }
        #expect(
            line?.hasSuffix(#"--checkpoint-every 30 --visible-label 'it''s ""made"" by AI' --aigc-producer ''""#) == true, "\(line ?? "")")
    }

    @Test(arguments: ["$(HOME)", "a\nqueue 100", "$$(X)", "a\r\nb"]) func whatHTCondorWouldExpandIsRefused(word: String) {
        #expect(throws: JobError.self) { try description(["--visible-label", word]) }
    }

    @Test func plainPaths() {
        for path in ["/var/lib/sorad", "a", "video_00-1.x+y"] { #expect(SubmitDescription.isPlain(path)) }
        for path in ["", "a b", "a\"", "a,b", "a$b", "ä", "a\n", "a;b", "a#b"] { #expect(!SubmitDescription.isPlain(path), "\(path)") }
    }
}
