// `sorad-ctl quota` of oneself: the limits, and what is used of them.
import SoradAPI
import SoradSystem

func showUsage(_ arguments: Arguments) throws(SoradError) {
    let quota = try DaemonConnection(arguments).quota()
    if arguments.has("json") {
        var object: JSONObject = ["schema": "sorad.usage/1"]
        for member in quota.object?.members ?? [] where member.key != "object" { object[member.key] = member.value }
        return try Console.print(JSONValue.object(object).text())
    }
    let rows = [
        ("jobs", "jobs that are not finished"), ("seconds_per_day", "seconds of clips within a day"), ("bytes", "bytes of finished clips"),
    ]
    .map { name, words in
        [words, quota["used"]?[name]?.text() ?? "?", quota["limits"]?[name].flatMap { $0 == .null ? nil : $0.text() } ?? "no limit"]
    }
    try Console.print(Table(headings: ["QUOTA", "USED", "LIMIT"], rows: rows.map { $0.map { Span($0) } }), arguments)
}
