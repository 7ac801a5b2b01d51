// Keeps what a large text encoder made of recent prompts in files, so that a prompt that was seen before need not be encoded again: neither by
// this worker nor by the next. The files have the layout and the guard of checkpoints, and are named by a digest of model and text.
// Invariant: a kept embedding has the bits that encoding would give. Faults of the disk cost time and nothing else.
import Glibc
import SoradSystem
package import SoradTensor

package struct EmbeddingStore {
    private let directory: String
    private let model: String

    /// Files that are kept, the last used ones.
    package static let limit = 64

    /// - Parameters:
    ///   - directory: exists; of one user alone.
    ///   - model: SHA-256 of the model file.
    package init(directory: String, model: String) {
        self.directory = directory
        self.model = model
    }

    /// The embedding [L, width] of `text`; nil for one that is not kept, or not whole.
    /// - Parameter length: the most rows.
    package func embedding(of text: String, width: Int, length: Int) -> Tensor? {
        let file = file(of: text)
        var found: Tensor?
        // Rows, width.
        let words = file.read(words: 2) { words, bytes in
            let rows = Int(words[0])
            guard Int(words[1]) == width, (1...length).contains(rows), bytes == rows * width * 4 else { return nil }
            let tensor = Tensor(Shape(rows, width))
            found = tensor
            return [tensor.bytes]
        }
        guard words != nil else { return nil }
        // It is the last used one now.
        let path = "\(directory)/\(file.name)"
        unsafe _ = utimensat(AT_FDCWD, path, nil, 0)
        return found
    }

    /// Keeps the embedding of `text`, and removes those that were not used for the longest time.
    package func keep(_ embedding: Tensor, of text: String) {
        let file = file(of: text)
        guard let open = file.open() else { return }
        let words = [UInt32(embedding.shape[0]), UInt32(embedding.shape[1])]
        if !file.write(words: words, [embedding.bytes], to: open) { removeFile("\(directory)/\(file.name)") }
        let names = ((try? fileNames(in: directory)) ?? []).filter { $0.hasSuffix(Self.ending) }
        guard names.count > Self.limit else { return }
        let ages = names.map { name in ((try? FileIdentity("\(directory)/\(name)"))?.modified ?? 0, name) }.sorted { $0.0 < $1.0 }
        for (_, name) in ages.prefix(names.count - Self.limit) { removeFile("\(directory)/\(name)") }
    }

    private static let ending = ".embedding"

    private func file(of text: String) -> CheckpointFile {
        let digest = SHA256.hash(Array("\(soradVersion)\n\(model)\n\(text)".utf8))
        return CheckpointFile(
            name: SHA256.hexadecimal(digest) + Self.ending, magic: "SORADEM1", digest: digest, directory: directory)
    }
}
