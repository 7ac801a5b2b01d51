// Where workers keep what the text encoder made of recent prompts: a directory for each user, so that nobody learns from the time that a clip
// takes whether somebody else has asked for the same. A user who deletes a job deletes these too, whatever they were made for.
// Invariant: losing them costs time and nothing else.
import SoradSystem

extension JobService {
    private var embeddings: String { "\(directory)/embeddings" }

    private func embeddingsDirectory(ofUser user: UInt32) -> String { "\(embeddings)/\(user)" }

    /// The directory of the user whose job it is; nil when there can be none.
    func embeddingsDirectory(of id: JobIdentifier) -> String? {
        guard let user = try? locked({ state throws(SoradError) in state.machine.jobs[id]?.owner }) else { return nil }
        let path = embeddingsDirectory(ofUser: user)
        return (try? makeDirectories(path)) == nil ? nil : path
    }

    func forgetEmbeddings(of user: UInt32) {
        let path = embeddingsDirectory(ofUser: user)
        guard directoryExists(path) else { return }
        do throws(Errno) { try removeDirectory(path) } catch { log.warning("cannot remove \(path): \(error.reason)") }
    }
}
