// How models read prompts, asked of the worker: the daemon links no tokenizer, and a vocabulary can be a hundred megabytes in memory.
// Invariant: a reading is a remark. A prompt that nobody could read costs no request, and none waits longer than `timeLimit` for it.
public import SoradAPI
public import SoradSystem
import Synchronization

public final class PromptReadings: Sendable {
    private let worker: String
    private let log: Log
    private let recent = Mutex<[(key: Key, reading: PromptReading)]>([])

    private struct Key: Equatable {
        /// SHA-256 of the model file.
        let model: String
        let prompt: String
    }

    private static let timeLimit = Duration.seconds(5)
    /// The same prompt comes again with another seed.
    private static let kept = 32

    public init(worker: String, log: Log) {
        self.worker = worker
        self.log = log
    }

    /// Adds to `plan` how its model, whose file is at `path`, reads its prompts.
    public func add(to plan: inout ClipPlan, _ model: ModelInfo, at path: String) {
        let hasNegative = !plan.negativePrompt.isEmpty && plan.guidanceScale != 1
        let prompts = plan.scenes.isEmpty ? [plan.prompt] : plan.scenes.map(\.prompt)
        let readings = readings(of: prompts + (hasNegative ? [plan.negativePrompt] : []), model, at: path)
        plan.notes.prompt = plan.scenes.isEmpty ? readings.first : nil
        plan.notes.scenes = plan.scenes.isEmpty ? [] : Array(readings.prefix(prompts.count))
        plan.notes.negativePrompt = hasNegative ? readings.last : nil
    }

    /// One for each prompt, or none.
    private func readings(of prompts: [String], _ model: ModelInfo, at path: String) -> [PromptReading] {
        let keys = prompts.map { Key(model: model.sha256, prompt: $0) }
        let known = recent.withLock { recent in keys.compactMap { key in recent.first { $0.key == key }?.reading } }
        if known.count == keys.count { return known }
        do throws(SoradError) {
            let readings = try ask(prompts, path)
            recent.withLock { recent in
                for (key, reading) in zip(keys, readings) {
                    recent.removeAll { $0.key == key }
                    recent.append((key, reading))
                }
                recent.removeFirst(max(0, recent.count - PromptReadings.kept))
            }
            return readings
        } catch {
            log.warning("it is not known how \(model.id) reads a prompt: \(error.message)")
            return []
        }
    }

    /// Not on the command line, where every user could see them.
    private func ask(_ prompts: [String], _ path: String) throws(SoradError) -> [PromptReading] {
        let output: CapturedOutput
        do throws(Errno) {
            let input = try FileDescriptor.inMemory(JSONValue.array(prompts.map { .string($0) }).bytes())
            output = try captureOutput(
                of: .init(worker, ["--model", path, "--read-prompts"], descriptors: [0: input.rawValue]),
                timeout: PromptReadings.timeLimit, limit: 1 << 18)
        } catch { throw SoradError(.unavailable, "the worker cannot be run: \(error.reason)") }
        guard output.ending?.isSuccess == true else {
            let words = String(decoding: output.standardError.prefix(500), as: UTF8.self).split(separator: "\n").first ?? ""
            throw SoradError(.unavailable, output.ending.map { "the worker \($0): \(words)" } ?? "the worker took too long")
        }
        do throws(JSONError) {
            var readings: [PromptReading] = []
            for element in try JSONValue(parsing: output.standardOutput).array ?? [] { readings.append(try PromptReading(json: element)) }
            guard readings.count == prompts.count else { throw JSONError("\(readings.count) readings of \(prompts.count) prompts") }
            return readings
        } catch { throw SoradError(.internalFault, "the worker's answer is not usable: \(error)") }
    }
}
