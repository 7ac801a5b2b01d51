// `sorad-ctl doctor`: looks at everything that clips need, from the socket to the clock, and says one remedy for each finding.
// Each check is a row of `checks`; it reports what it found, good or bad, and never stops the others.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

struct Finding: Sendable, Equatable {
    enum State: String, Sendable {
        case ok
        /// Nothing is broken, but it could be better.
        case note
        case problem
    }

    let check: String
    let state: State
    /// One sentence: lower case, no full stop.
    let text: String
    /// What to do; one thing.
    var remedy: String?

    var json: JSONValue {
        var object: JSONObject = ["check": .string(check), "state": .string(state.rawValue), "text": .string(text)]
        object["remedy"] = remedy.map { .string($0) }
        return .object(object)
    }
}

func doctor(_ arguments: Arguments) throws(SoradError) {
    let findings = diagnose(arguments)
    let problems = findings.count { $0.state == .problem }
    if arguments.has("json") {
        let json: JSONObject = [
            "schema": "sorad.doctor/1", "problems": .integer(problems), "findings": .array(findings.map(\.json)),
        ]
        try Console.print(JSONValue.object(json).text())
    } else {
        try Console.print(findings.flatMap(lines), arguments)
        let summary: Line =
            problems == 0
            ? [Span("nothing is wrong", .green)] : [Span("\(counted(problems, "problem")) to mend", .red)]
        try Console.print([summary], arguments)
    }
    if problems > 0 { exit(1) }
}

private func lines(_ finding: Finding) -> [Line] {
    let mark =
        switch finding.state {
        case .ok: Span("ok       ", .green)
        case .note: Span("note     ", .yellow)
        case .problem: Span("problem  ", .red)
        }
    let first: Line = [mark, Span("\(finding.check): \(finding.text)")]
    return [first] + (finding.remedy.map { [[Span("         do: \($0)", .bold)]] } ?? [])
}

/// All findings, in the order in which mending them makes sense.
func diagnose(_ arguments: Arguments) -> [Finding] {
    let machine = [checkSettings(arguments), checkMedia(), checkProcessor(), checkDescriptors(), checkClock()].flatMap { $0 }
    let (socket, daemon) = checkSocket(arguments)
    guard let daemon else { return socket + machine }
    // What both find is said once, by this machine's check.
    let service = checkService(daemon).filter { finding in
        finding.state != .problem || !machine.contains { $0.check == finding.check && $0.state == .problem }
    }
    return socket + service + checkWorkers(daemon, arguments) + machine
}

// MARK: the way to the daemon

/// - Returns: also the connection, when the daemon answers.
private func checkSocket(_ arguments: Arguments) -> ([Finding], DaemonConnection?) {
    func problem(_ text: String, _ remedy: String) -> ([Finding], DaemonConnection?) {
        ([Finding(check: "socket", state: .problem, text: text, remedy: remedy)], nil)
    }
    let daemon: DaemonConnection
    do throws(SoradError) { daemon = try DaemonConnection(arguments) } catch {
        return problem(error.message, error.hint ?? "sudo systemctl start sorad.socket")
    }
    let path = daemon.socketPath
    if unsafe access(path, R_OK | W_OK) != 0, errno == EACCES { return problem("you may not use \(path)", wayIn(to: path)) }
    do throws(SoradError) {
        let version = try daemon.health()["version"]?.string ?? "?"
        var findings = [Finding(check: "socket", state: .ok, text: "the daemon answers at \(path)")]
        if version != soradVersion {
            findings.append(
                Finding(
                    check: "version", state: .note, text: "the daemon is \(version), and this program \(soradVersion)",
                    remedy: "sudo systemctl restart sorad.service"))
        }
        return (findings, daemon)
    } catch { return problem(error.message, error.hint ?? "sudo systemctl restart sorad.socket, and then see sorad-ctl logs") }
}

/// The group that the socket lets in, and whether only a new login is missing.
private func wayIn(to path: String) -> String {
    guard let socket = FilePlace(path, followingLinks: true), socket.mode & 0o020 != 0, socket.group != 0,
        let group = groupName(socket.group)
    else {
        return "ask who may enter the folder: namei -l \(path)"
    }
    let user = userName(effectiveUser()) ?? "$USER"
    if isMember(user, of: group) { return "log in again: you are in the group \(group) since this session began" }
    return "sudo usermod -aG \(group) \(user), then log in again"
}

/// By the system's list, whatever this session has.
private func isMember(_ user: String, of group: String) -> Bool {
    guard let lines = try? textFile("/etc/group").split(separator: "\n") else { return false }
    return lines.contains { line in
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        return fields.count == 4 && fields[0] == group && fields[3].split(separator: ",").contains { $0 == user }
    }
}

// MARK: the daemon's own word

private func checkService(_ daemon: DaemonConnection) -> [Finding] {
    guard let health = try? daemon.health() else { return [] }
    var findings: [Finding] = []
    let isDrained = health["intake"]?.string == "draining"
    findings.append(
        isDrained
            ? Finding(
                check: "intake", state: .problem, text: "the daemon is drained and takes no new jobs",
                remedy: "sorad-ctl resume, as an administrator")
            : Finding(check: "intake", state: .ok, text: "new jobs are taken"))
    if health["processing"]?.string == "paused" {
        findings.append(
            Finding(
                check: "processing", state: .problem, text: "the daemon is paused and begins no job",
                remedy: "sorad-ctl resume, as an administrator"))
    }
    let broken = health["broken_models"]?.array?.compactMap(\.string) ?? []
    for file in broken {
        findings.append(
            Finding(
                check: "model", state: .problem, text: "a model file cannot be used: \(file)",
                remedy: "put a whole copy in its place, then sorad-ctl reload"))
    }
    if let count = health["models"]?.integer, count > 0 {
        let name = health["default_model"]?.string.map { ", \($0) by default" } ?? ""
        findings.append(Finding(check: "model", state: .ok, text: counted(count, "model") + name))
    }
    for trouble in health["troubles"]?.array ?? [] {
        guard let check = trouble["check"]?.string, let text = trouble["text"]?.string else { continue }
        findings.append(Finding(check: check, state: .problem, text: text, remedy: trouble["remedy"]?.string))
    }
    findings += checkBackends(health)
    if let free = health["disk_free_bytes"]?.integer, !findings.contains(where: { $0.check == "disk" }) {
        findings.append(Finding(check: "disk", state: .ok, text: "\(byteWords(free)) are free where the jobs lie"))
    }
    return findings
}

/// What computes clips, as workers said it, and whether a graphics card is left aside.
private func checkBackends(_ health: JSONValue) -> [Finding] {
    let sentences = health["backends"]?.array?.compactMap(\.string) ?? []
    let card = ((try? fileNames(in: "/dev/dri")) ?? []).first { $0.hasPrefix("renderD") }
    guard !sentences.isEmpty else {
        guard let card else { return [] }
        return [
            Finding(
                check: "backend", state: .note, text: "there is a graphics card (\(card)), and no worker has tested it yet",
                remedy: "make a clip; the worker tests the card first")
        ]
    }
    return sentences.map { sentence in
        guard card != nil, sentence.contains("hidden") else { return Finding(check: "backend", state: .ok, text: sentence) }
        return Finding(
            check: "backend", state: .note, text: "\(sentence); this machine has one",
            remedy: "to let the service see it, copy the drop-in vulkan.conf of the documentation's page VULKAN.md")
    }
}

/// Jobs that wait because of a fault, and, for administrators, deaths since the daemon began.
private func checkWorkers(_ daemon: DaemonConnection, _ arguments: Arguments) -> [Finding] {
    let waiting = (try? daemon.jobs(limit: 100) { $0.status == .queued || $0.status == .inProgress })?.jobs ?? []
    var findings = waiting.filter { $0.details.note != nil }.prefix(3).map { video in
        Finding(
            check: "jobs", state: .problem, text: "\(video.id) waits: \(video.details.note ?? "")",
            remedy: "sorad-ctl logs \(shortIdentifier(video.id)) says more")
    }
    guard let metrics = try? metricsText(arguments) else { return findings }
    func value(_ name: String) -> Int {
        // One line for each model.
        let lines = metrics.split(separator: "\n").filter { $0.hasPrefix(name + "{") || $0.hasPrefix(name + " ") }
        return Int(lines.compactMap { Double($0.split(separator: " ").last ?? "") }.reduce(0, +))
    }
    let (deaths, faults) = (value("sorad_worker_deaths_total"), value("sorad_worker_start_faults_total"))
    if deaths + faults > 0 {
        findings.append(
            Finding(
                check: "workers", state: deaths + faults >= 3 ? .problem : .note,
                text:
                    "since the daemon began, jobs lost a worker \(counted(deaths, "time")), and one could not start \(counted(faults, "time"))",
                remedy: "sorad-ctl logs says why"))
    } else {
        findings.append(Finding(check: "workers", state: .ok, text: "no worker died"))
    }
    return findings
}

// MARK: this machine

/// The daemon's program judges its own settings.
private func checkSettings(_ arguments: Arguments) -> [Finding] {
    guard let program = soradProgram("sorad") else {
        return [
            Finding(
                check: "settings", state: .note,
                text: "the program sorad is not next to this one nor in PATH, so its settings were not read",
                remedy: "install the whole package")
        ]
    }
    guard let output = try? runDaemonProgram(["--check-config"], arguments) else {
        return [Finding(check: "settings", state: .problem, text: "\(program) cannot be started", remedy: "install the package again")]
    }
    if output.ending == .exited(0) { return [Finding(check: "settings", state: .ok, text: "every setting is right")] }
    let lines = String(decoding: output.standardError, as: UTF8.self).split(separator: "\n").map(String.init)
    return lines.dropLast(lines.count > 1 ? 1 : 0).prefix(10).map { line in
        let text = line.hasPrefix("sorad: ") ? String(line.dropFirst(7)) : line
        return Finding(check: "settings", state: .problem, text: text, remedy: "mend it, then sorad-ctl reload or restart the daemon")
    }
}

/// ffmpeg 5.1 or newer, with the encoders that clips and thumbnails need.
private func checkMedia() -> [Finding] {
    let install = "sudo apt install ffmpeg"
    guard let path = ChildProcess.executablePath(of: "ffmpeg") else {
        return [Finding(check: "ffmpeg", state: .problem, text: "ffmpeg is not installed, so no clip can be written", remedy: install)]
    }
    func text(_ option: String) -> String? {
        let output = try? captureOutput(of: .init(path, ["-hide_banner", option]), timeout: .seconds(10), limit: 1 << 20)
        return output?.ending == .exited(0) ? String(decoding: output?.standardOutput ?? [], as: UTF8.self) : nil
    }
    guard let version = text("-version"), let encoders = text("-encoders") else {
        return [Finding(check: "ffmpeg", state: .problem, text: "\(path) does not run", remedy: install)]
    }
    let words = version.split(separator: "\n").first?.split(separator: " ") ?? []
    let number = words.count > 2 ? String(words[2]) : "?"
    let parts = number.drop { !$0.isNumber }.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    if number.contains("."), let major = parts.first, (major, parts.count > 1 ? parts[1] : 0) < (5, 1) {
        return [Finding(check: "ffmpeg", state: .problem, text: "ffmpeg is \(number), and sorad needs 5.1 or newer", remedy: install)]
    }
    let missing = ["libx264", "libwebp"].filter { !encoders.contains(" \($0) ") }
    if !missing.isEmpty {
        return [
            Finding(
                check: "ffmpeg", state: .problem, text: "ffmpeg lacks \(missing.joined(separator: " and "))",
                remedy: "install the distribution's ffmpeg: \(install)")
        ]
    }
    return [Finding(check: "ffmpeg", state: .ok, text: "ffmpeg \(number)")]
}

/// The instruction sets that make the int8 products quick; the frames are the same on all.
private func checkProcessor() -> [Finding] {
    guard let text = try? textFile("/proc/cpuinfo") else { return [] }
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") || $0.hasPrefix("Features") }
    let flags = Set(line?.split(separator: ":").last?.split(separator: " ").map(String.init) ?? [])
    let quick = [
        ("avx512_vnni", "AVX-512 VNNI"), ("avx_vnni", "AVX-VNNI"), ("avx2", "AVX2"), ("i8mm", "NEON with I8MM"),
        ("asimddp", "NEON with dot products"), ("asimd", "NEON"),
    ]
    let count = ProcessorCount.usable()
    if let best = quick.first(where: { flags.contains($0.0) }) {
        if best.0 == "avx2" {
            return [
                Finding(
                    check: "cpu", state: .note,
                    text: "\(counted(count, "CPU")) with AVX2 but no VNNI: int8 products take about twice as long",
                    remedy: "a machine with AVX-VNNI or AVX-512 VNNI is quicker; nothing is wrong")
            ]
        }
        if best.0 == "asimd" {
            return [
                Finding(
                    check: "cpu", state: .note,
                    text: "\(counted(count, "CPU")) with NEON but no dot products: int8 products take about four times the instructions",
                    remedy: "a CPU with dot products (Cortex-A55, A76 and later) is quicker; nothing is wrong")
            ]
        }
        return [Finding(check: "cpu", state: .ok, text: "\(counted(count, "CPU")) with \(best.1)")]
    }
    return [
        Finding(
            check: "cpu", state: .note,
            text: "the CPU has neither AVX2 nor NEON: clips are made by portable code, many times slower",
            remedy: "in a virtual machine, let it see the host's CPU (cpu host)")
    ]
}

private func checkDescriptors() -> [Finding] {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return [] }
    let hard = limit.rlim_max
    return hard >= 4_096
        ? [Finding(check: "descriptors", state: .ok, text: "\(hard == .max ? "any number of" : "\(hard)") descriptors may be open")]
        : [
            Finding(
                check: "descriptors", state: .note,
                text: "only \(hard) descriptors may be open here, so a daemon started here serves few connections",
                remedy: "raise the hard limit: LimitNOFILE= in the unit, or ulimit -Hn 65536 as root")
        ]
}

/// A clock that was never set makes ids and expiry times wrong.
private func checkClock() -> [Finding] {
    let now = time(nil)
    // The year of the first version; no job is older.
    if now < 1_735_689_600 {
        return [
            Finding(
                check: "clock", state: .problem, text: "the clock says \(timeWords(now)), which is past",
                remedy: "sudo timedatectl set-ntp true")
        ]
    }
    return [Finding(check: "clock", state: .ok, text: timeWords(now))]
}

// MARK: parts

/// One of sorad's programs: next to this one, in libexec, or in PATH.
func soradProgram(_ name: String) -> String? {
    let here = executableDirectory()
    let places = ["\(here)/\(name)", "\(here)/../libexec/sorad/\(name)", "/usr/libexec/sorad/\(name)", name]
    return places.lazy.compactMap { ChildProcess.executablePath(of: $0) }.first
}

/// All of a small text file.
func textFile(_ path: String) throws(Errno) -> String {
    let file = try FileDescriptor(opening: path, flags: O_RDONLY)
    var bytes: [UInt8] = []
    while bytes.count < 8 << 20 {
        let piece = try file.read(upTo: 1 << 16)
        if piece.isEmpty { break }
        bytes += piece
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// E.g. "1.2 GB", "340 MB".
func byteWords(_ bytes: Int) -> String {
    if bytes < 1_000_000 { return "\(max(0, bytes) / 1000) kB" }
    if bytes < 1_000_000_000 { return "\(bytes / 1_000_000) MB" }
    let tenths = bytes / 100_000_000
    return "\(tenths / 10).\(tenths % 10) GB"
}
