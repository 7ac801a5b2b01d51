// Everything that --json prints fits the schema that it names, and `sorad-ctl schema` prints.
import SoradAPI
import SoradSystem
import Testing

/// The rules of JSON Schema that our schemas use; anything else is a fault of the schema.
private func problems(_ value: JSONValue, _ schema: JSONValue, at path: String = "$") -> [String] {
    var found: [String] = []
    for member in schema.object?.members ?? [] {
        switch member.key {
        case "$schema", "title", "description", "required", "properties", "additionalProperties", "items", "anyOf": break
        case "const": if value != member.value { found.append("\(path) is not \(member.value.text())") }
        case "enum":
            if member.value.array?.contains(value) != true { found.append("\(path): \(value.text()) is none of \(member.value.text())") }
        case "pattern": if value.string?.isEmpty != false { found.append("\(path) is no text") }
        case "type":
            let names = member.value.array?.compactMap(\.string) ?? [member.value.string ?? ""]
            if !names.contains(where: { fits(value, $0) }) { found.append("\(path): \(value.text().prefix(60)) is not \(names)") }
        default: found.append("\(path): the schema has \(member.key)")
        }
    }
    if let object = value.object {
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
            found.append("\(path).\(name) is missing")
        }
        for member in object.members {
            if let part = schema["properties"]?[member.key] ?? schema["additionalProperties"] {
                found += problems(member.value, part, at: "\(path).\(member.key)")
            }
        }
    }
    if let items = schema["items"] {
        for (index, element) in (value.array ?? []).enumerated() { found += problems(element, items, at: "\(path)[\(index)]") }
    }
    if let choices = schema["anyOf"]?.array, !choices.contains(where: { problems(value, $0).isEmpty }) {
        found.append("\(path) fits no choice")
    }
    return found
}

private func fits(_ value: JSONValue, _ type: String) -> Bool {
    switch (type, value) {
    case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object), ("number", .number): true
    case ("integer", .number): value.wholeNumber != nil || value.unsigned != nil
    default: false
    }
}

@Suite(.serialized) struct OutputSchemaTests {
    private func schemas() throws -> [String: JSONValue] {
        let list = try Control(["schema", "--json"])
        #expect(list.status() == 0)
        var schemas: [String: JSONValue] = [:]
        for name in try json(list.text).array?.compactMap(\.string) ?? [] {
            let one = try Control(["schema", name])
            #expect(one.status() == 0)
            schemas[name] = try json(one.text)
        }
        return schemas
    }

    @Test func everyOutputFitsItsSchema() throws {
        let schemas = try schemas()
        var seen: Set<String> = []
        func check(_ text: String, _ words: [String]) throws {
            for line in text.split(separator: "\n") {
                let value = try json(String(line))
                let name = value["schema"]?.string ?? "none"
                let schema = try #require(schemas[name], "\(words) printed \(name)")
                let problems = problems(value, schema)
                #expect(problems.isEmpty, "\(words): \(problems)")
                seen.insert(name)
            }
        }
        let service = try Service()
        let folder = Fixture.scratch()
        func run(_ words: [String], status: Int32 = 0) throws {
            let control = try service.control(words + ["--json"], directory: folder)
            #expect(control.status() == status, "\(words): \(control.errors)")
            try check(control.text, words)
            if status != 0 { try check(control.errors, words) }
        }
        try run([
            "generate", "a red ball", "-o", "ball.mp4", "--size", "64x64", "--frames", "5", "--steps", "8", "--seed",
            "18446744073709551615",
        ])
        try run(["remix", "latest", "a green ball", "-o", "green.mp4"])
        for words in [
            ["jobs"], ["show", "latest"], ["watch", "latest"], ["wait", "latest"], ["get", "latest", "-o", "again.mp4"],
            ["export", "latest", "job"], ["status"],
            ["top"],
            ["quota"], ["quota", "--all"], ["models"], ["models", "show", "tiny"], ["models", "verify"], ["check", "ball.mp4"], ["version"],
            ["drain"], ["pause"], ["resume"], ["reload"], ["fleet"], ["log-level"], ["config", "show"], ["config", "check"],
            ["key", "add", "laptop", "--user", "\(isRoot() ? 65_534 : effectiveUser())"], ["key", "list"], ["key", "revoke", "laptop"],
        ] { try run(words) }
        let doctor = try service.control(["doctor", "--json"])
        #expect([0, 1].contains(doctor.status()))
        try check(doctor.text, ["doctor"])
        try run(["models", "import", Fixture.model], status: 78)
        let long = try service.control(["generate", "x", "--no-wait", "--steps", "1000", "--size", "128x64", "--frames", "61", "--json"])
        #expect(long.status() == 0)
        try run(["priority", "latest", "-5"])
        try run(["cancel", "latest"])
        try run(["delete", "latest"])
        // Import and removal of models need a daemon with a folder, and open stays until an interrupt; they have tests of their own.
        let untried = Set(schemas.keys).subtracting(seen).subtracting(["sorad.model-import/1", "sorad.model-removal/1", "sorad.open/1"])
        #expect(untried.isEmpty, "\(untried)")
    }

    /// The help names the schemas, and each that it names is there.
    @Test func theHelpNamesTheSchemas() throws {
        let names = Set(try schemas().keys)
        let reference = try Control(["reference"])
        #expect(reference.status() == 0)
        let words = reference.text.split { !($0.isLetter || $0.isNumber || $0 == "." || $0 == "/" || $0 == "-") }.map(String.init)
        let named = Set(words.filter { $0.hasPrefix("sorad.") && $0.dropLast().hasSuffix("/") })
        #expect(named == names, "\(named.symmetricDifference(names))")
        let unknown = try Control(["schema", "jbos"])
        #expect(unknown.status() == 66 && unknown.errors.contains("there is no schema"))
        #expect(try Control(["schema", "jobs"]).status() == 0)
    }

    /// docs/CLI.md is what the table makes of itself.
    @Test func theReferenceInTheManualIsTheTable() throws {
        let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
        let manual = String(decoding: try Fixture.bytes(root + "/docs/CLI.md"), as: UTF8.self)
        let parts = manual.split(separator: "<!-- commands: sorad-ctl reference -->\n", maxSplits: 1)
        try #require(parts.count == 2)
        let reference = try Control(["reference"])
        #expect(reference.status() == 0)
        #expect(String(parts[1]) == reference.text, "docs/CLI.md is not what sorad-ctl reference prints; run make reference")
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreMadeFromTheTable(shell: String) throws {
        let control = try Control(["completion", shell])
        #expect(control.status() == 0)
        for word in ["generate", "jobs", "models", "verify", "seed", "older-than", "kitty sixel blocks off"] {
            #expect(control.text.contains(word), "\(shell): \(word)")
        }
        if shell == "bash" {
            let script =
                control.text
                + "\nfor words in 'gen' 'models ver' 'jobs --st' 'jobs --status que' 'rm --al'; do COMP_WORDS=(sorad-ctl $words); "
                + "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sorad_ctl; echo \"${COMPREPLY[*]}\"; done\n"
            let bash = try captureOutput(of: .init("/bin/bash", ["-c", script]), timeout: .seconds(20), limit: 1 << 20)
            #expect(bash.ending == .exited(0), "\(String(decoding: bash.standardError, as: UTF8.self))")
            #expect(String(decoding: bash.standardOutput, as: UTF8.self) == "generate\nverify\n--status\nqueued\n--all\n")
        }
        #expect(try Control(["completion", "tcsh"]).status() == 64)
    }
}
