// What a box says of itself to the pool: attributes that HTCondor's startd reads from this program's output (STARTD_CRON).
// Invariant: a box that lacks something says that it is not ready and why, so that it gets no clip instead of failing one.
import SoradSystem

package struct Advertisement: Sendable {
    /// The worker's path.
    package var worker: String
    /// Folders of model files.
    package var models: [String]
    /// Remembers the digests of files that have not changed; "" reads them each time.
    package var cache: String

    package init(worker: String, models: [String], cache: String) {
        self.worker = worker
        self.models = models
        self.cache = cache
    }

    /// The attributes as lines.
    package func text() -> String {
        var troubles: [String] = []
        if ChildProcess.executablePath(of: worker) == nil { troubles.append("\(worker) is not a program") }
        if ChildProcess.executablePath(of: "ffmpeg") == nil { troubles.append("ffmpeg is not installed") }
        let files = troubles.isEmpty ? digests(&troubles) : [:]
        if troubles.isEmpty && files.isEmpty { troubles.append("no model is in \(models.joined(separator: ", "))") }
        var lines = ["SoradVersion = \(Advertisement.quoted(soradVersion))", "SoradReady = \(files.isEmpty ? "False" : "True")"]
        if let trouble = troubles.first { lines.append("SoradTrouble = \(Advertisement.quoted(trouble))") }
        for (digest, path) in files.sorted(by: { $0.value < $1.value }) {
            lines.append("\(SubmitDescription.modelAttribute(digest)) = \(Advertisement.quoted(path))")
        }
        // The line by which the startd knows that they are all.
        return (lines + ["-"]).joined(separator: "\n") + "\n"
    }

    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in printable(text) {
            if character == "\"" || character == "\\" { quoted.append("\\") }
            quoted.append(character)
        }
        return quoted + "\""
    }

    /// Paths of the model files by digest.
    private func digests(_ troubles: inout [String]) -> [String: String] {
        let known = readCache()
        var fresh = JSONObject()
        var paths: [String: String] = [:]
        for folder in models {
            for name in (try? directoryEntries(folder)) ?? [] where name.hasSuffix(".gguf") && !name.hasPrefix(".") {
                let path = "\(folder)/\(name)"
                guard SubmitDescription.isPlain(path), let identity = try? FileIdentity(path).text else { continue }
                var digest = known?[path]?["state"]?.string == identity ? known?[path]?["sha256"]?.string : nil
                if digest == nil { digest = describe(path, &troubles) }
                guard let digest, isDigest(digest) else { continue }
                fresh[path] = ["state": .string(identity), "sha256": .string(digest)]
                paths[digest] = paths[digest] ?? path
            }
        }
        if !cache.isEmpty, .object(fresh) != known { writeCache(.object(fresh)) }
        return paths
    }

    private func describe(_ path: String, _ troubles: inout [String]) -> String? {
        do throws(Errno) {
            // It reads the file whole.
            let output = try captureOutput(of: .init(worker, ["--model", path, "--describe"]), timeout: .seconds(3_600), limit: 1 << 20)
            let answer = output.ending == .exited(0) ? try? JSONValue(parsing: output.standardOutput) : nil
            if let digest = answer?["sha256"]?.string { return digest }
            troubles.append("\(path): \(output.sentence(of: "sorad-worker"))")
        } catch { troubles.append("\(worker) cannot be started: \(error.reason)") }
        return nil
    }

    private func readCache() -> JSONValue? {
        guard !cache.isEmpty, let file = try? FileDescriptor(openingForReading: cache), let size = try? file.regularFileSize(),
            size < 1 << 20, let bytes = try? file.read(at: 0, count: size)
        else { return nil }
        return try? JSONValue(parsing: bytes)
    }

    /// A box without it only computes the digests again.
    private func writeCache(_ json: JSONValue) {
        guard let slash = cache.lastIndex(of: "/") else { return }
        try? writeDurably(json.bytes(), named: String(cache[cache.index(after: slash)...]), in: String(cache[..<slash]))
    }
}
