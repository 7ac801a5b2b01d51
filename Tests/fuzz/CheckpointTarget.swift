// The checkpoint targets: what the converter makes of files of weights in safetensors, GGUF and torch's form, and of the pickle in the last.
// Readers map files, so the input lies in one in memory.
import Glibc
import SoradConverter
import SoradSystem

func checkCheckpoint(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty else { return nil }
    let path = "/dev/shm/sorad-fuzz-\(getpid())"
    do {
        let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(bytes)
    } catch { return "the input cannot be written: \(error)" }
    defer { removeFile(path) }
    let source: any TensorSource
    do throws(SoradError) { source = try CheckpointFile(path).source } catch { return refusalComplaint(error, path) }
    return first(
        { source.names.lazy.compactMap { tensorComplaint(source, $0, path) }.first },
        {
            // Names and shapes, as far as they make parts of a model.
            do throws(SoradError) {
                let parts = try ReplacedParts([path])
                for role in CheckpointRole.allCases { try parts.checkConfiguration(role) }
            } catch { return refusalComplaint(error, path) }
            return nil
        })
}

/// A tensor has as many numbers as its shape says, and a part of it is that part of the whole.
private func tensorComplaint(_ source: any TensorSource, _ name: String, _ path: String) -> String? {
    guard let tensor = source[name] else { return "\(name) is listed and not there" }
    do throws(SoradError) {
        let whole = try tensor.floats()
        guard whole.count == tensor.elementCount else { return "\(name) of shape \(tensor.shape) has \(whole.count) numbers" }
        let part = whole.count / 3..<whole.count - whole.count / 5
        let found = try source.floats(of: name, in: part)
        guard found.map(\.bitPattern) == whole[part].map(\.bitPattern) else { return "\(name) differs in \(part)" }
        _ = try source.int8Rows(of: name)
    } catch { return refusalComplaint(error, path) }
    return nil
}

private func refusalComplaint(_ error: SoradError, _ path: String) -> String? {
    error.kind == .badInput && error.message.contains(path) ? nil : "the refusal does not name the file: \(error)"
}

func checkPickle(_ bytes: [UInt8]) -> String? {
    do throws(SoradError) { _ = try Pickle(bytes, place: "input") } catch {
        return error.kind == .badInput && error.message.contains("input") ? nil : "the refusal does not name the file: \(error)"
    }
    return nil
}
