// HTCondor's commands as functions. Each runs to its end in the calling thread, with a limit of time and of output; what they print is
// checked like anything else that comes from outside.
// Invariant: a command that fails says nothing about the queue. Only an answer does.
package import SoradAPI
package import SoradSystem

package struct Pool: Sendable {
    /// A job in HTCondor's queue or history.
    package struct Entry: Sendable, Equatable {
        package var cluster: Int
        package var job: String
        package var attempt: Int
        /// It is being removed, or has ended.
        package var isLeaving: Bool
        package var isHeld = false
    }

    /// Where a job was found.
    package enum Place: Sendable, Equatable {
        case queue(isHeld: Bool)
        case history, nowhere
    }

    /// The folder of the commands; "" looks them up in PATH.
    private let commands: String
    private let rules: PoolRules

    private static let timeout = Duration.seconds(60)
    private static let outputLimit = 16 << 20
    /// HTCondor's numbers of states.
    private static let removed = 3
    private static let completed = 4
    private static let held = 5

    package init(commands: String, rules: PoolRules) {
        self.commands = commands
        self.rules = rules
    }

    /// The jobs of this head in the queue.
    package func queue() throws(SoradError) -> [Entry] { try entries("condor_q", ["-allusers"], "true") }

    /// Looks for one attempt at a job: first among those that are not over, so that one that ends meanwhile is seen in the history.
    package func find(_ job: String, attempt: Int) throws(SoradError) -> Place {
        let condition = "SoradJob == \"\(job)\" && SoradAttempt == \(attempt)"
        if let entry = try entries("condor_q", ["-allusers"], condition).first(where: { !$0.isLeaving }) {
            return .queue(isHeld: entry.isHeld)
        }
        return try entries("condor_history", ["-limit", "1"], condition).isEmpty ? .nowhere : .history
    }

    /// Makes a job of the file.
    /// - Parameter lock: an open descriptor that the command holds for as long as it runs, whatever happens to this process.
    package func submit(_ path: String, in folder: String, lock: Int32) throws(SoradError) {
        _ = try run("condor_submit", ["-terse", path], in: folder, descriptors: [3: lock])
    }

    /// Lets a job that the pool holds run again, unless a person holds it.
    package func release(_ job: String) throws(SoradError) {
        let condition = "SoradJob == \"\(job)\" && HoldReasonCode =!= \(SubmitDescription.heldByPerson)"
        _ = try run("condor_release", ["-constraint", own(condition)])
    }

    /// Removes all attempts at a job. One that is not there is no error.
    package func remove(_ job: String) throws(SoradError) { try remove(where: "SoradJob == \"\(job)\"") }

    package func remove(cluster: Int) throws(SoradError) { try remove(where: "ClusterId == \(cluster)") }

    /// Ends a job's worker at once, so that the job continues from its last checkpoint, if possible on another box than that one.
    package func move(_ job: String, awayFrom box: String, unixSeconds: Int) throws(SoradError) {
        let condition = ["-constraint", own("SoradJob == \"\(job)\"")]
        _ = try run(
            "condor_qedit", condition + [SubmitDescription.hungOn, Advertisement.quoted(box), SubmitDescription.hungAt, "\(unixSeconds)"])
        _ = try run("condor_vacate_job", ["-fast"] + condition)
    }

    private func remove(where condition: String) throws(SoradError) {
        // It fails where nothing fits, so the queue is asked what has stayed.
        let output = try output("condor_rm", ["-constraint", own(condition)], in: nil, [:])
        if output.ending == .exited(0) { return }
        let left = try entries("condor_q", ["-allusers"], condition)
        if left.contains(where: { !$0.isLeaving }) { throw Pool.failure("condor_rm", output) }
    }

    /// The machines of the pool, and why those get no clip that get none.
    package func boxes() throws(SoradError) -> [PoolState.Box] {
        let attributes = "Machine,Arch,State,Memory,SoradVersion,SoradReady,SoradTrouble"
        let list = try array(try run("condor_status", ["-json", "-attributes", attributes]), of: "condor_status")
        var boxes: [String: PoolState.Box] = [:]
        for ad in list.prefix(PoolState.boxLimit) {
            guard let name = ad["Machine"]?.string.map({ short($0, 128) }), boxes[name] == nil else { continue }
            let version = ad["SoradVersion"]?.string.map { short($0, 32) }
            boxes[name] = PoolState.Box(
                name: name, architecture: short(ad["Arch"]?.string ?? "?", 32), state: short(ad["State"]?.string ?? "?", 32),
                version: version,
                memory: ad["Memory"]?.integer ?? 0, trouble: Pool.trouble(ad, version))
        }
        return boxes.values.sorted { $0.name < $1.name }
    }

    private static func trouble(_ ad: JSONValue, _ version: String?) -> String? {
        guard let version else { return "it does not say that sorad is installed there" }
        if version != soradVersion { return "it has sorad \(version), and the head has \(soradVersion)" }
        if ad["SoradReady"]?.bool == true { return nil }
        return ad["SoradTrouble"]?.string.map { short($0, 200) } ?? "it says that it is not ready"
    }

    // MARK: running a command

    private func own(_ condition: String) -> String { "SoradHead == \"\(rules.head)\" && (\(condition))" }

    private func entries(_ command: String, _ options: [String], _ condition: String) throws(SoradError) -> [Entry] {
        let words = options + ["-constraint", own(condition), "-json", "-attributes", "ClusterId,SoradJob,SoradAttempt,JobStatus"]
        var entries: [Entry] = []
        for ad in try array(try run(command, words), of: command) {
            guard let cluster = ad["ClusterId"]?.integer, let job = ad["SoradJob"]?.string else { continue }
            let status = ad["JobStatus"]?.integer
            entries.append(
                Entry(
                    cluster: cluster, job: job, attempt: ad["SoradAttempt"]?.integer ?? 0,
                    isLeaving: status == Pool.removed || status == Pool.completed, isHeld: status == Pool.held))
        }
        return entries
    }

    /// HTCondor prints nothing at all where nothing fits.
    private func array(_ text: [UInt8], of command: String) throws(SoradError) -> [JSONValue] {
        guard text.contains(where: { $0 > UInt8(ascii: " ") }) else { return [] }
        guard let list = (try? JSONValue(parsing: text))?.array else {
            throw SoradError(.unavailable, "\(command) printed something that is not a JSON list")
        }
        return list
    }

    private func run(
        _ command: String, _ arguments: [String], in folder: String? = nil, descriptors: [Int32: Int32] = [:]
    ) throws(SoradError) -> [UInt8] {
        let output = try output(command, arguments, in: folder, descriptors)
        guard output.ending == .exited(0) else { throw Pool.failure(command, output) }
        return output.standardOutput
    }

    private func output(
        _ command: String, _ arguments: [String], in folder: String?, _ descriptors: [Int32: Int32]
    ) throws(SoradError) -> CapturedOutput {
        let program = commands.isEmpty ? ChildProcess.executablePath(of: command) : "\(commands)/\(command)"
        guard let program else { throw SoradError(.unavailable, "\(command) is not installed", hint: "apt install condor") }
        do throws(Errno) {
            return try captureOutput(
                of: .init(program, arguments, workingDirectory: folder, descriptors: descriptors), timeout: Pool.timeout,
                limit: Pool.outputLimit)
        } catch { throw SoradError(.unavailable, "\(command) cannot be started: \(error.reason)") }
    }

    private static func failure(_ command: String, _ output: CapturedOutput) -> SoradError {
        let line = [output.standardError, output.standardOutput].flatMap { text in
            String(decoding: text.prefix(4_000), as: UTF8.self).split(separator: "\n").map(String.init)
        }.first
        let how: String
        switch output.end {
        case .ended(let ending): how = "\(ending)"
        case .tookTooLong: how = "did not answer within \(Int(timeout.inSeconds)) s"
        case .wroteTooMuch: how = "printed more than \(outputLimit >> 20) MiB"
        case .stalled, .abandoned: how = "was given up"
        }
        return SoradError(.unavailable, "\(command) \(how)" + (line.map { ", saying: \(short($0))" } ?? ""))
    }
}
