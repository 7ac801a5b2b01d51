// Owns a file of a clip's latents, one record per latent frame: what is denoised goes there window by window and is decoded from there, so
// that a clip of any length takes the memory of one window. A finished clip keeps the file, and other clips take its frames from it.
// Invariant: a frame is read only as it was written, for the work that the file's head names.
//
// Layout, little-endian: magic (8 bytes), digest of the work (32), SHA-256 of the model file (32), channels, frames, height, width (u32
// each), then for every latent frame [C, h, w] float32 and the `Checksum` of digest, index and frame (32).
import Glibc
import SoradAPI
import SoradModel
package import SoradSystem
package import SoradTensor

package final class LatentFile {
    package let channels, frames, height, width: Int
    private let path: String
    private let digest: [UInt8]
    let file: OwnedFile

    private static let magic = Array("SORADLT1".utf8)
    private static let headBytes = 8 + 32 + 32 + 16
    private static let checksumBytes = 32

    private var valueBytes: Int { channels * height * width * 4 }
    private var recordBytes: Int { valueBytes + LatentFile.checksumBytes }

    /// The file of a clip that is being made; what an earlier worker left in it stays.
    /// - Parameters:
    ///   - digest: of the work, 32 bytes.
    ///   - model: SHA-256 of the model file, hexadecimal.
    ///   - shape: of the latents, [C, T, h, w].
    /// - Throws: `.storageFull`, `.cannotWrite`.
    package init(making path: String, digest: [UInt8], model: String, _ shape: Shape) throws(SoradError) {
        (channels, frames, height, width) = (shape[0], shape[1], shape[2], shape[3])
        self.path = path
        self.digest = digest
        let head =
            LatentFile.magic + digest + LatentFile.bytes(ofHexadecimal: model)
            + UInt32.bytes([channels, frames, height, width].map { UInt32($0) })
        do throws(Errno) {
            file = OwnedFile(try FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW))
            if try file.descriptor.read(at: 0, count: LatentFile.headBytes) != head { try file.descriptor.write(head, at: 0) }
        } catch { throw LatentFile.cannotWrite(path, error) }
    }

    /// A finished clip's file.
    /// - Parameter model: as above; another model cannot decode it.
    /// - Throws: with the code `media_failed` when it is none, or another model's.
    package init(reading path: String, model: String) throws(SoradError) {
        self.path = path
        let damaged = LatentFile.unreadable("the latents of a given clip are damaged, or another model's")
        let (head, size): ([UInt8], Int)
        do throws(Errno) {
            file = OwnedFile(try FileDescriptor(openingForReading: path))
            head = try file.descriptor.read(at: 0, count: LatentFile.headBytes)
            size = try file.descriptor.regularFileSize()
        } catch { throw LatentFile.unreadable("the latents of a given clip cannot be read: \(error.reason)") }
        guard head.count == LatentFile.headBytes, Array(head[..<8]) == LatentFile.magic,
            Array(head[40..<72]) == LatentFile.bytes(ofHexadecimal: model)
        else { throw damaged }
        digest = Array(head[8..<40])
        let sizes = UInt32.words(head[72...]).map { Int($0) }
        // Each below 2¹⁴ but the frames, so that the product of all fits.
        guard zip(sizes, [1 << 12, 1 << 17, 1 << 14, 1 << 14]).allSatisfy({ (1...$1).contains($0) }) else { throw damaged }
        (channels, frames, height, width) = (sizes[0], sizes[1], sizes[2], sizes[3])
        let frameBytes = channels * height * width * 4 + LatentFile.checksumBytes
        guard size == LatentFile.headBytes + frames * frameBytes else { throw damaged }
    }

    /// Writes one frame of latents [C, n, h, w] as latent frame `index` of the clip.
    /// - Throws: `.storageFull`, `.cannotWrite`.
    package func write(_ latents: Tensor, frame: Int, at index: Int) throws(SoradError) {
        precondition((0..<frames).contains(index), "latent frame \(index) of \(frames)")
        let single = ConditioningFrames([(0, latents, frame)]).latents
        precondition(single.shape == Shape(channels, 1, height, width), "latents \(latents.shape)")
        let offset = LatentFile.headBytes + index * recordBytes
        do throws(Errno) {
            try single.bytes.withBytes { bytes throws(Errno) in try file.descriptor.write(bytes, at: offset) }
            try file.descriptor.write(checksum(single, index), at: offset + valueBytes)
        } catch { throw LatentFile.cannotWrite(path, error) }
    }

    /// Latent frame `index`, [C, 1, h, w].
    /// - Throws: with the code `media_failed` when it is not there as it was written.
    package func read(_ index: Int) throws(SoradError) -> Tensor {
        guard (0..<frames).contains(index), let latent = frame(index) else {
            throw LatentFile.unreadable("latent frame \(index) of \(path.split(separator: "/").last ?? "") cannot be read back")
        }
        return latent
    }

    /// Whether the first `count` frames are there as they were written.
    package func holds(_ count: Int) -> Bool { count <= frames && (0..<count).allSatisfy { frame($0) != nil } }

    /// Latent frames of a range, [C, n, h, w].
    /// - Throws: as `read`.
    package func read(_ range: Range<Int>) throws(SoradError) -> Tensor {
        var parts: [(index: Int, latents: Tensor, frame: Int)] = []
        for index in range { parts.append((index - range.lowerBound, try read(index), 0)) }
        return ConditioningFrames(parts).latents
    }

    private func frame(_ index: Int) -> Tensor? {
        let latent = Tensor(Shape(channels, 1, height, width))
        let offset = LatentFile.headBytes + index * recordBytes
        let got = latent.bytes.withMutableBytes { bytes in try? file.descriptor.read(at: offset, into: &bytes) }
        guard got == valueBytes,
            (try? file.descriptor.read(at: offset + valueBytes, count: LatentFile.checksumBytes)) == checksum(latent, index)
        else { return nil }
        return latent
    }

    private func checksum(_ latent: Tensor, _ index: Int) -> [UInt8] {
        var checksum = Checksum()
        let head = digest + UInt32.bytes([UInt32(index)])
        unsafe checksum.update(head.span.bytes)
        latent.bytes.withBytes { checksum.update($0) }
        return checksum.value()
    }

    /// The disk's fault, or that of whoever changed the file: the job is tried again.
    private static func unreadable(_ what: String) -> SoradError { SoradError(.internalFault, what, code: JobError.mediaFailed) }

    private static func cannotWrite(_ path: String, _ error: Errno) -> SoradError {
        SoradError(error.isOutOfSpace ? .storageFull : .cannotWrite, "cannot write the clip's latents to \(path): \(error.reason)")
    }

    /// 32 bytes, zeros for what is no hexadecimal text of that length.
    private static func bytes(ofHexadecimal text: String) -> [UInt8] {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == 64 else { return [UInt8](repeating: 0, count: 32) }
        return stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
