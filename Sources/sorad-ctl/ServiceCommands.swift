// The commands about the service and the program itself: status, models, version, help.
import SoradAPI
import SoradSystem

func showStatus(_ arguments: Arguments) throws(SoradError) {
    let daemon = try DaemonConnection(arguments)
    let health = try daemon.health()
    var object: JSONObject = ["schema": "sorad.status/1", "socket": .string(daemon.socketPath)]
    for member in health.object?.members ?? [] { object[member.key] = member.value }
    if arguments.has("json") { return try Console.print(JSONValue.object(object).text()) }
    object["schema"] = nil
    let rows = object.members.map { (printable(spaced($0.key)), printable($0.value.string ?? $0.value.text())) }
    let width = rows.map(\.0.count).max() ?? 0
    try Console.print(rows.map { "\(padded($0.0, to: width))  \($0.1)" }.joined(separator: "\n"))
}

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
    try Console.print(table(["QUOTA", "USED", "LIMIT"], rows))
}

func listModels(_ arguments: Arguments) throws(SoradError) {
    let models = try DaemonConnection(arguments).models().data
    if arguments.has("json") {
        return try Console.print(JSONValue.object(["schema": "sorad.models/1", "data": .array(models.map(\.json))]).text())
    }
    let rows = models.map { model in
        let number = { (key: String) in model.details[key]?.integer.map(String.init) ?? "?" }
        return [
            printable(model.id), "\(number("default_width"))x\(number("default_height"))",
            "\(number("default_num_frames")) at \(number("fps"))/s",
            "\(number("max_width"))x\(number("max_height")), \(number("max_num_frames")) frames",
            printable(model.details["license"]?.string ?? "?"),
        ]
    }
    try Console.print(table(["MODEL", "SIZE", "FRAMES", "LIMITS", "LICENSE"], rows))
}

func showVersion(_ arguments: Arguments) throws(SoradError) {
    let json: JSONObject = ["schema": "sorad.version/1", "version": .string(soradVersion)]
    try Console.print(arguments.has("json") ? JSONValue.object(json).text() : "sorad-ctl \(soradVersion)")
}
