// `sorad-ctl fleet`: the machines of the pool that makes the clips, and where each job is.
import SoradAPI
import SoradHTTP
import SoradSystem

let fleetCommand = Command(
    "sorad-ctl fleet", options: adminOptions, summary: "show the machines of a pool, and which of them makes which job",
    details: """
        For a daemon whose fleet-places is set. A machine that gets no clip is listed with the reason. docs/FLEET.md is the guide.
        """, schemas: ["sorad.fleet/1"], run: showFleet)

private func showFleet(_ arguments: Arguments) throws(SoradError) {
    let answer: JSONValue = try adminClient(arguments).fetch(ClientRequest(.get, "/admin/fleet"))
    if arguments.has("json") { return try printJSON("sorad.fleet/1", answer) }
    try Console.print(fleetLines(answer), arguments)
    let jobs = answer["jobs"]?.array ?? []
    let boxes = (answer["boxes"]?.array ?? []).map { box -> [Span] in
        let name = box["name"]?.string ?? "?"
        let made = jobs.filter { $0["box"]?.string == name }.compactMap { $0["id"]?.string }
        let trouble = box["trouble"]?.string
        return [
            Span(name, .bold), Span(box["architecture"]?.string ?? "?"), Span(box["version"]?.string ?? "-"),
            Span("\(box["memory"]?.integer ?? 0) MB"), Span(trouble ?? box["state"]?.string ?? "?", trouble == nil ? nil : .red),
            Span(made.map(shortIdentifier).joined(separator: " ")),
        ]
    }
    guard !boxes.isEmpty else { return }
    try Console.print(Table(headings: ["BOX", "ARCH", "VERSION", "MEMORY", "STATE", "JOB"], rows: boxes), arguments)
}

/// What holds for the pool as a whole, and the jobs that wait in it.
private func fleetLines(_ answer: JSONValue) -> [Line] {
    let places = answer["places"]?.integer ?? 0
    guard places > 0 else { return [["This daemon makes its clips itself; the setting fleet-places lets a pool make them."]] }
    var lines: [Line] = []
    let jobs = answer["jobs"]?.array ?? []
    lines.append([Span("\(jobs.count) of \(counted(places, "place")) taken.")])
    if answer["connected"]?.bool != true {
        lines.append([Span("sorad-fleet is not connected", .red), "; systemctl status sorad-fleet says why."])
    }
    if let trouble = answer["trouble"]?.string { lines.append([Span("The pool does not answer: ", .red), Span("\(trouble).")]) }
    for job in jobs {
        guard let note = job["note"]?.string else { continue }
        lines.append([Span(shortIdentifier(job["id"]?.string ?? "?"), .bold), Span(": \(note).")])
    }
    return lines
}
