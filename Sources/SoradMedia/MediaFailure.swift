// Owns the code of a clip that fails because of ffmpeg or of its files: it is set here, where the fault happens, and reaches the client.
import SoradAPI
import SoradSystem

extension SoradError {
    /// The same error with the code `media_failed`; a full disk, a cancel, bad input and what the machine refuses keep the codes of their
    /// kinds.
    func asMediaFailure() -> SoradError {
        guard code == nil, ![Kind.storageFull, .cancelled, .badInput, .configuration, .unavailable].contains(kind) else { return self }
        return SoradError(kind, message, hint: hint, param: param, code: JobError.mediaFailed, retryAfter: retryAfter)
    }

    /// A fault of ffmpeg.
    static func ffmpeg(_ message: String, kind: Kind = .internalFault, hint: String? = nil) -> SoradError {
        SoradError(kind, message, hint: hint, code: JobError.mediaFailed)
    }
}
