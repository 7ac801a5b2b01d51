// The media target: what is read of a given picture or clip before ffmpeg sees it.
import SoradMedia
import SoradSystem

func checkMedia(_ bytes: [UInt8]) -> String? {
    do throws(SoradError) {
        try readHeaders(of: bytes)
        return nil
    } catch {
        let isSentence = error.kind == .badInput && !error.message.isEmpty && !error.message.contains("\n")
        return isSentence ? nil : "the refusal is no sentence about the file: \(error)"
    }
}
