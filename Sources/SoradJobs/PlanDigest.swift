// The identity of a clip before it is made: the model's file, every value of the plan, and the given files.
public import SoradAPI
public import SoradSystem

/// 64 hexadecimal digits: the same only for plans whose frames are the same.
/// - Parameter draft: holds the given files.
public func planDigest(of plan: ClipPlan, model: ModelInfo, draft: JobDraft?) throws(SoradError) -> String {
    var sum = SHA256()
    // Lengths in front, so that no two different lists of parts write the same bytes.
    func add(_ part: [UInt8]) {
        sum.update(Array("\(part.count)\n".utf8))
        sum.update(part)
    }
    add(Array(model.sha256.utf8))
    add(Array(plan.json.text().utf8))
    if let draft {
        for name in ReferenceFile.allCases.map(\.rawValue) + plan.partNames where fileExists(draft.path(named: name)) {
            add(Array(name.utf8))
            add(try fileDigest(draft.path(named: name)))
        }
    }
    return SHA256.hexadecimal(sum.finalize())
}

extension ClipPlan {
    /// Names of the files of given clips that consist of parts.
    fileprivate var partNames: [String] {
        [(given?.before, ReferenceFile.before), (given?.after, .after), (given?.source, .source)].flatMap { clip, role in
            (clip?.parts ?? []).indices.compactMap { clip?.fileName($0, as: role) }
        }
    }
}

private func fileDigest(_ path: String) throws(SoradError) -> [UInt8] {
    do throws(Errno) {
        let file = try FileDescriptor(openingForReading: path)
        var sum = SHA256()
        while true {
            let piece = try file.read(upTo: 1 << 20)
            if piece.isEmpty { return sum.finalize() }
            sum.update(piece)
        }
    } catch { throw SoradError(.internalFault, "the given files cannot be read: \(error.reason)") }
}
