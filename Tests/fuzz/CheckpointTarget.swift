// The checkpoint targets: what the converter makes of files of weights in safetensors, GGUF, torch's and MLX's form, of the pickle in torch's,
// of LoRAs, and of the texts in a folder. Readers map files, so the input lies in one in memory.
import Glibc
import SoradConverter
import SoradSystem

func checkCheckpoint(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty else { return nil }
    let path = "/dev/shm/sorad-fuzz-\(getpid())"
    do { try replace(path, bytes) } catch { return "the input cannot be written: \(error)" }
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

/// MLX's weights: the text next to them up to the first line's end, then the file of weights.
func checkMLX(_ bytes: [UInt8]) -> String? {
    let folder = "/dev/shm/sorad-fuzz-mlx-\(getpid())"
    let (manifest, path) = (folder + "/mlx_dit.json", folder + "/mlx_dit.safetensors")
    let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
    guard end + 1 < bytes.count else { return nil }
    do {
        _ = unsafe mkdir(folder, 0o700)
        try replace(manifest, Array(bytes[..<end]))
        try replace(path, Array(bytes[(end + 1)...]))
    } catch { return "the input cannot be written: \(error)" }
    defer {
        removeFile(manifest)
        removeFile(path)
        _ = unsafe rmdir(folder)
    }
    let source: any TensorSource
    do throws(SoradError) { source = try CheckpointFile(path).source } catch { return refusalComplaint(error, folder) }
    return source.names.lazy.compactMap { tensorComplaint(source, $0, folder) }.first
}

/// Where the fixtures of small models lie.
private let fixtures = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/models"

/// The transformer that LoRAs are for, under diffusers' names.
private let transformer: (any TensorSource)? = try? SafetensorsSource(folder: fixtures + "/tiny/transformer")

/// A LoRA: merged weights have the numbers that their shapes say.
func checkLora(_ bytes: [UInt8]) -> String? {
    guard !bytes.isEmpty else { return nil }
    guard let transformer else { return "the fixture \(fixtures)/tiny is not there" }
    let path = "/dev/shm/sorad-fuzz-lora-\(getpid())"
    do { try replace(path, bytes) } catch { return "the input cannot be written: \(error)" }
    defer { removeFile(path) }
    do throws(SoradError) {
        let merged = LoraSource(transformer, [try LoraFile(path, scale: 0.5, for: transformer)])
        for name in merged.names {
            // Two rows, and a part of each.
            guard let tensor = merged[name], let width = tensor.shape.last else { continue }
            let range = width / 2..<min(width + width / 2 + 1, tensor.elementCount)
            let found = try merged.floats(of: name, in: range)
            guard found.count == range.count else { return "\(name) has \(found.count) numbers in \(range)" }
        }
    } catch { return refusalComplaint(error, path) }
    return nil
}

/// The texts of a diffusers folder, one behind the other with a zero between: all that says what a checkpoint is and how its clips are sampled.
/// A text that is empty is the fixture's; the last one names a recipe.
func checkFolder(_ bytes: [UInt8]) -> String? {
    let texts = bytes.split(separator: 0, omittingEmptySubsequences: false).map { Array($0) }
    let folder = "/dev/shm/sorad-fuzz-folder-\(getpid())"
    let names = [
        "model_index.json", "scheduler/scheduler_config.json", "transformer/config.json", "text_encoder/config.json", "vae/config.json",
        "sorad.json",
    ]
    let weights = [
        "transformer/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "tokenizer/spiece.model",
    ]
    do {
        for part in ["", "/scheduler", "/transformer", "/text_encoder", "/vae", "/tokenizer"] { _ = unsafe mkdir(folder + part, 0o700) }
        for name in weights where !fileExists("\(folder)/\(name)") {
            _ = unsafe symlink("\(fixtures)/tiny/\(name)", "\(folder)/\(name)")
        }
        for (index, name) in names.enumerated() {
            let text = index < texts.count && !texts[index].isEmpty ? texts[index] : try MappedFile("\(fixtures)/tiny/\(name)").bytes.array
            try replace("\(folder)/\(name)", text)
        }
    } catch { return "the input cannot be written: \(error)" }
    let recipe = texts.count > names.count ? String(decoding: texts[names.count].prefix(64), as: UTF8.self) : ""
    do throws(SoradError) {
        let parts = try CheckpointParts(diffusersFolder: folder, recipe: recipe.isEmpty ? nil : recipe)
        let notices = try Converter.notices(of: parts)
        guard !notices.contains("") else { return "an empty notice" }
    } catch {
        if error.kind == .usage, !recipe.isEmpty { return nil }
        return refusalComplaint(error, folder)
    }
    return nil
}

private func replace(_ path: String, _ bytes: [UInt8]) throws {
    let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC)
    try file.write(bytes)
}

func checkPickle(_ bytes: [UInt8]) -> String? {
    do throws(SoradError) { _ = try Pickle(bytes, place: "input") } catch {
        return error.kind == .badInput && error.message.contains("input") ? nil : "the refusal does not name the file: \(error)"
    }
    return nil
}
