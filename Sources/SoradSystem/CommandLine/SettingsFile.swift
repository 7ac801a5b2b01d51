// Settings in files: `name = value` lines; `#` and `;` begin a comment line, `[section]` lines are allowed and mean nothing. An empty value
// takes back the file's earlier ones. A line that cannot be used is ignored with a warning: a typing error must not stop a service.
import Glibc

public struct SettingsFile: Sendable, Equatable {
    public let path: String
    public let text: String

    public init(path: String, text: String) {
        self.path = path
        self.text = text
    }

    /// A settings file and the `*.conf` files of the directory `path` + ".d", in order of growing strength. Missing ones are
    /// left out unless `isRequired`.
    /// - Throws: `.configuration` for a file that cannot be read.
    public static func all(at path: String, isRequired: Bool) throws(SoradError) -> [SettingsFile] {
        let directory = path + ".d"
        let names = ((try? directoryEntries(directory)) ?? []).filter { $0.hasSuffix(".conf") }
        var files: [SettingsFile] = []
        for file in [path] + names.map({ "\(directory)/\($0)" }) {
            do throws(Errno) {
                let descriptor = try FileDescriptor(opening: file, flags: 0)
                let size = try descriptor.regularFileSize()
                guard size <= 1 << 20 else { throw Errno(code: EFBIG, call: "read") }
                files.append(SettingsFile(path: file, text: String(decoding: try descriptor.read(at: 0, count: size), as: UTF8.self)))
            } catch {
                if error.isNoSuchFile && !(isRequired && file == path) { continue }
                throw SoradError(.configuration, "cannot read the settings in \(file): \(error.reason)")
            }
        }
        return files
    }

    /// The values by name.
    func values(_ options: [Option], _ warnings: inout [String]) -> [String: [String]] {
        var values: [String: [String]] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = SettingsFile.trim(line)
            guard let first = line.first, first != "#", first != ";", !(first == "[" && line.last == "]") else { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                warnings.append("\(path):\(index + 1): \"\(line.prefix(64))\" is not \"name = value\"; the line is ignored")
                continue
            }
            let (name, value) = (String(SettingsFile.trim(parts[0])), String(SettingsFile.trim(parts[1])))
            guard let option = options.first(where: { $0.name == name }) else {
                let meant = nearestName(to: name, among: options.map(\.name)).map { "; did you mean \"\($0)\"?" } ?? ""
                warnings.append("\(path):\(index + 1): the setting \"\(name.prefix(64))\" is unknown; the line is ignored\(meant)")
                continue
            }
            if value.isEmpty {
                values[name] = nil
            } else {
                values[name] = option.isList ? (values[name] ?? []) + [value] : [value]
            }
        }
        return values
    }

    static func trim(_ text: Substring) -> Substring {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}

extension SettingsTable {
    /// A settings file in which every setting is explained and commented out.
    public func sampleFile(of program: String) -> String {
        var text = """
            # Settings of \(program). Every line that is commented out shows the default; remove the # to change one.
            # Stronger than this file: the *.conf files of its .d directory, SORAD_* variables
            # (SORAD_KEEP_DAYS for keep-days), the command line (--keep-days).

            """
        for option in options {
            let form = option.form.rule.map { "; \($0)" } ?? ""
            for line in wrapped(option.summary + form + (option.isList ? "; may be repeated" : ""), to: 96) { text += "\n# \(line)" }
            let isValue = option.defaultText.map { option.form.requirement(unmetBy: $0) == nil && !$0.contains(" ") } ?? false
            if !isValue, let words = option.defaultText { text += "\n# default: \(words)" }
            text += "\n#\(option.name) = \(isValue ? option.defaultText ?? "" : "")\n"
        }
        return text
    }

    /// The rows of a Markdown table.
    public var markdown: String {
        let rows = options.map { option in
            let unit = if case .choice = option.form { "" } else { option.form.placeholder ?? "" }
            let value = [unit, option.form.rule ?? ""].filter { !$0.isEmpty }.joined(separator: ", ")
            let cells = ["`\(option.name)`", value, option.defaultText ?? "", option.summary + (option.isList ? "; may be repeated" : "")]
            return "| " + cells.joined(separator: " | ") + " |"
        }
        return (["| setting | value | default | meaning |", "|---|---|---|---|"] + rows).joined(separator: "\n") + "\n"
    }
}

extension Option.Form {
    /// "1 to 100"; nil where every value of the form is right.
    fileprivate var rule: String? {
        switch self {
        case .integer(_, let range): "\(range.lowerBound) to \(range.upperBound)"
        case .choice(let words): words.joined(separator: ", ")
        default: nil
        }
    }
}
