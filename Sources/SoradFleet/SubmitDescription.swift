// The text that condor_submit makes a job of. Pure.
// Invariant: nothing in it comes from a client. Prompts and given files are in the job's folder; the name of a job, a digest and a number are
// all that is put in, and each is checked to be one.
package import SoradAPI

/// Rules of the pool, the same for all jobs.
package struct PoolRules: Sendable {
    /// Tells the jobs of this head from those of others in the same queue: its state directory.
    package var head = ""
    /// The worker's path on the boxes.
    package var worker = "/usr/libexec/sorad/sorad-worker"
    /// Seconds between two checkpoints that travel to the head.
    package var checkpointEvery = 30
    /// Seconds that a job waits for a box out of reach.
    package var lease = 60
    /// Holds after which a job is no longer released by itself.
    package var mostHolds = 10
    /// Seconds without a word of a worker on a box in reach, after which it is stopped.
    package var silence = 300
    /// Cores of a box that a clip takes.
    package var cores = 1

    package init() {}
}

package struct SubmitDescription: Sendable {
    package var job: String
    package var attempt: Int
    package var folder: String
    /// SHA-256 of the model file.
    package var model: String
    package var version: String
    /// Bytes.
    package var memory: Int
    package var disk: Int
    package var rules: PoolRules
    /// The worker's arguments besides, as they are written here.
    private let arguments: String

    /// - Throws: `.configuration` for an argument that HTCondor would read as something else.
    package init(
        job: String, attempt: Int, folder: String, model: String, version: String, memory: Int, disk: Int, arguments: [String],
        rules: PoolRules
    ) throws(JobError) {
        self.job = job
        self.attempt = attempt
        self.folder = folder
        self.model = model
        self.version = version
        self.memory = memory
        self.disk = disk
        self.rules = rules
        var quoted = ""
        for word in arguments { quoted += " " + (try SubmitDescription.quoted(word)) }
        self.arguments = quoted
    }

    /// Attributes of a job whose worker hung on a box: its name, and when that was. For a while it gets the job only if there is no other.
    static let hungOn = "SoradHungOn"
    static let hungAt = "SoradHungAt"

    /// HTCondor's HoldReasonCode of condor_hold.
    static let heldByPerson = 1

    /// The attribute in which a box names the path of a model file.
    package static func modelAttribute(_ sha256: String) -> String { "SoradModel_\(sha256.prefix(32))" }

    /// Characters that need no quotes anywhere in a description.
    package static func isPlain(_ path: String) -> Bool {
        !path.isEmpty
            && path.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                case UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"): true
                default: false
                }
            }
    }

    package var text: String {
        precondition(SubmitDescription.isPlain(folder) && SubmitDescription.isPlain(rules.head), "\(folder), \(rules.head)")
        precondition(SubmitDescription.isPlain(model) && SubmitDescription.isPlain(job) && SubmitDescription.isPlain(version), "\(job)")
        let attribute = SubmitDescription.modelAttribute(model)
        return """
            universe = vanilla
            executable = \(rules.worker)
            transfer_executable = false
            arguments = "--model $$(\(attribute)) --once job --checkpoint-every \(rules.checkpointEvery)\(arguments)"
            environment = "PATH=/usr/local/bin:/usr/bin:/bin"
            initialdir = \(folder)
            should_transfer_files = YES
            transfer_input_files = job
            transfer_output_files = job
            transfer_checkpoint_files = job
            checkpoint_exit_code = 85
            when_to_transfer_output = ON_EXIT_OR_EVICT
            output = out.\(attempt)
            error = err.\(attempt)
            stream_output = true
            stream_error = true
            log = log.\(attempt)
            notification = never
            request_cpus = \(rules.cores)
            request_memory = \(memory / 1_000_000 + 1)
            request_disk = \(disk / 1_000 + 1)
            job_lease_duration = \(rules.lease)
            job_max_vacate_time = 120
            requirements = (Arch == "X86_64" || Arch == "AARCH64") && (SoradReady == true) && (SoradVersion == "\(version)") && \
            (\(attribute) =!= undefined) && \
            ((Machine =!= \(SubmitDescription.hungOn)) || (time() > \(SubmitDescription.hungAt) + \(rules.silence)))
            periodic_release = (HoldReasonCode =!= \(SubmitDescription.heldByPerson)) && (NumHolds < \(rules.mostHolds)) && (time() - EnteredCurrentStatus > 60)
            +SoradHead = "\(rules.head)"
            +SoradJob = "\(job)"
            +SoradAttempt = \(attempt)
            queue

            """
    }

    /// One word of `arguments = "…"`: in single quotes where it needs them, quotes of both kinds doubled.
    static func quoted(_ word: String) throws(JobError) -> String {
        guard !word.contains(where: { $0 == "$" || $0.isNewline }) else {
            throw JobError(
                code: JobError.configuration,
                message: "the setting with the value \"\(word)\" cannot travel to a pool: HTCondor has its own meaning for $ and line ends")
        }
        if isPlain(word) { return word }
        var text = "'"
        for character in word {
            switch character {
            case "'": text += "''"
            case "\"": text += "\"\""
            default: text.append(character)
            }
        }
        return text + "'"
    }
}
