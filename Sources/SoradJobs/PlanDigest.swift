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
        for file in ReferenceFile.allCases where fileExists(draft.path(file)) {
            add(Array(file.rawValue.utf8))
            add(try fileDigest(draft.path(file)))
        }
    }
    return SHA256.hexadecimal(sum.finalize())
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
