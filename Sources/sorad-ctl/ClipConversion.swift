// Owns clips as animated pictures: `-o x.gif`, `x.webp`, `x.png` (APNG) are made from the MP4 by the ffmpeg of this machine.
// Invariants: it is known before any work is asked for that ffmpeg can write the format; and the mark of generated media that the clip
// has goes along (XMP part 3: a text chunk in PNG, an application extension in GIF, an `XMP ` chunk in WebP).
import Glibc
import SoradSystem

enum ClipFormat: String, Sendable {
    case gif, webp, png

    /// By the end of a file's name; nil for a clip that stays as it is.
    init?(path: String) {
        guard let dot = path.lastIndex(of: "."), !path[dot...].contains("/") else { return nil }
        self.init(rawValue: path[path.index(after: dot)...].lowercased())
    }

    private var encoder: String {
        switch self {
        case .gif: "gif"
        case .webp: "libwebp_anim"
        case .png: "apng"
        }
    }

    private var arguments: [String] {
        switch self {
        case .gif:
            // A palette of its own for the clip: 256 colors chosen where things move.
            [
                "-filter_complex", "split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=sierra2_4a", "-loop", "0", "-f",
                "gif",
            ]
        case .webp: ["-c:v", encoder, "-loop", "0", "-quality", "80", "-f", "webp"]
        case .png: ["-c:v", encoder, "-plays", "0", "-f", "apng"]
        }
    }

    /// - Throws: `.unavailable` when this machine's ffmpeg cannot write the format.
    func check() throws(SoradError) {
        let hint = "sudo apt install ffmpeg, or save an .mp4"
        guard let ffmpeg = ChildProcess.executablePath(of: "ffmpeg") else {
            throw SoradError(.unavailable, "a .\(rawValue) is made by ffmpeg, which is not installed", hint: hint)
        }
        let output = try? captureOutput(of: .init(ffmpeg, ["-hide_banner", "-encoders"]), timeout: .seconds(10), limit: 1 << 20)
        guard let output, String(decoding: output.standardOutput, as: UTF8.self).contains(" \(encoder) ") else {
            throw SoradError(.unavailable, "this machine's ffmpeg cannot write a .\(rawValue): it lacks \(encoder)", hint: hint)
        }
    }

    /// The clip in this format.
    /// - Parameter clip: an MP4 file.
    func converted(_ clip: [UInt8]) throws(SoradError) -> [UInt8] {
        guard let ffmpeg = ChildProcess.executablePath(of: "ffmpeg") else { throw SoradError(.unavailable, "ffmpeg is not installed") }
        let result: [UInt8]
        do throws(Errno) {
            // Files without names, so that nothing is left behind.
            let input = try FileDescriptor.inMemory(clip)
            let output = try FileDescriptor.inMemory([])
            let command = ChildProcess.Command(
                ffmpeg, ["-nostdin", "-v", "error", "-y", "-i", "/proc/self/fd/3"] + arguments + ["/proc/self/fd/4"],
                descriptors: [3: input.rawValue, 4: output.rawValue])
            let run = try captureOutput(of: command, timeout: .seconds(600), limit: 1 << 20)
            guard run.ending == .exited(0) else { throw Errno(code: 0, call: run.sentence(of: "ffmpeg")) }
            result = try output.read(at: 0, count: try output.regularFileSize())
        } catch {
            throw SoradError(
                .internalFault, "ffmpeg could not make a .\(rawValue) of the clip: \(error.code == 0 ? error.call : error.reason)")
        }
        guard let packet = xmpPacket(in: clip) else { return result }
        return marked(result, packet)
    }

    private func marked(_ file: [UInt8], _ packet: [UInt8]) -> [UInt8] {
        switch self {
        case .png:
            // After the header, which is 33 bytes with the signature.
            let text = Array("XML:com.adobe.xmp".utf8) + [0, 0, 0, 0, 0] + packet
            let checked = Array("iTXt".utf8) + text
            return file[..<33] + bigEndian(UInt32(text.count)) + checked + bigEndian(crc32(checked)) + file[33...]
        case .gif:
            guard file.last == 0x3B else { return file }
            // The trailer makes readers of sub-blocks land on its end, wherever in the packet they begin.
            let trailer: [UInt8] = [1] + (0...255).reversed().map { UInt8($0) } + [0]
            return file.dropLast() + [0x21, 0xFF, 11] + Array("XMP DataXMP".utf8) + packet + trailer + [0x3B]
        case .webp:
            guard file.count > 21, file[12..<16].elementsEqual("VP8X".utf8) else { return file }
            var file = file + Array("XMP ".utf8) + littleEndian(UInt32(packet.count)) + packet + (packet.count % 2 == 1 ? [0] : [])
            file[20] |= 1 << 2
            file.replaceSubrange(4..<8, with: littleEndian(UInt32(file.count - 8)))
            return file
        }
    }
}

/// The first XMP packet in a file; nil when there is none.
private func xmpPacket(in file: [UInt8]) -> [UInt8]? {
    guard let start = position(of: Array("<?xpacket begin".utf8), in: file, from: 0),
        let last = position(of: Array("<?xpacket end".utf8), in: file, from: start),
        let end = position(of: Array("?>".utf8), in: file, from: last), end - start < 1 << 16
    else { return nil }
    return Array(file[start..<end + 2])
}

private func position(of part: [UInt8], in file: [UInt8], from start: Int) -> Int? {
    guard file.count >= part.count, start <= file.count - part.count else { return nil }
    return (start...file.count - part.count).first { file[$0] == part[0] && file[$0..<$0 + part.count].elementsEqual(part) }
}

private func bigEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
private func littleEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
