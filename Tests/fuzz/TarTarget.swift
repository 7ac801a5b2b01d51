// The tar target: the archive of a job, as anybody may send it. What was read, written again, is read as the same.
import SoradSystem

func checkTar(_ bytes: [UInt8]) -> String? {
    do throws(SoradError) {
        let files = try read(bytes)
        var again: [UInt8] = []
        try TarArchive.write(files.map { TarArchive.Entry($0.name, .bytes($0.content)) }) { again += $0 }
        let same = try read(again)
        return files.elementsEqual(same) { $0.name == $1.name && $0.content == $1.content } ? nil : "what was read is written otherwise"
    } catch {
        return error.kind == .badInput && !error.message.contains("\n") ? nil : "the refusal is no sentence: \(error)"
    }
}

private func read(_ bytes: [UInt8]) throws(SoradError) -> [(name: String, content: [UInt8])] {
    var files: [(name: String, content: [UInt8])] = []
    try TarArchive.read(size: bytes.count, from: { offset, count in Array(bytes[offset..<offset + count]) }) { name, _ in
        files.append((name, []))
        let index = files.count - 1
        return { files[index].content += $0 }
    }
    return files
}
