// What the pipeline tests share: the small random checkpoint among the fixtures, converted once, and a place for results.
import FoundationEssentials
import Glibc
import SoradAPI
import SoradConverter
import SoradPipeline
import SoradSystem

enum PipelineFixture {
    /// The small random checkpoint as a model file; made once for the whole run.
    static let model: String = {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let path = scratch("model") + "/tiny.gguf"
        do throws(SoradError) {
            _ = try Converter.convert("/\(folder)/Fixtures/models/tiny", to: path)
        } catch { fatalError("the fixture cannot be converted: \(error)") }
        return path
    }()

    /// The small random checkpoint that makes clips in two sizes, and samples by re-noising.
    static let cascade: String = {
        let models = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/models"
        let folder = scratch("cascade")
        for name in names(in: models + "/tiny") where name != "sorad.json" {
            precondition(unsafe symlink("\(models)/tiny/\(name)", "\(folder)/\(name)") == 0, "\(folder)/\(name)")
        }
        precondition(unsafe symlink("\(models)/cascade", "\(folder)/cascade") == 0, folder)
        let path = scratch("model") + "/cascade.gguf"
        do {
            let card = String(decoding: try bytes(models + "/tiny/sorad.json"), as: UTF8.self)
            try writeDurably(Array(("{\"sampler\": \"renoise\"," + card.dropFirst()).utf8), named: "sorad.json", in: folder)
            _ = try Converter.convert(folder, to: path)
        } catch { fatalError("the fixture cannot be converted: \(error)") }
        return path
    }()

    /// A small random model that follows clips (VACE), with Wan's autoencoder.
    static let follower: String = {
        let models = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Fixtures/models"
        let folder = scratch("follower")
        let parts =
            names(in: models + "/vace-ends").map { ($0, "vace-ends/" + $0) }
            + [("text_encoder", "tiny/text_encoder"), ("tokenizer", "tiny/tokenizer"), ("vae", "wan-vae/plain")]
        for (name, part) in parts { precondition(unsafe symlink("\(models)/\(part)", "\(folder)/\(name)") == 0, "\(folder)/\(name)") }
        let path = scratch("model") + "/follower.gguf"
        do throws(SoradError) { _ = try Converter.convert(folder, to: path) } catch {
            fatalError("the fixture cannot be converted: \(error)")
        }
        return path
    }()

    /// Where all scratch directories of this process lie; removed when it ends.
    private static let scratchRoot: String = {
        atexit { try? FileManager.default.removeItem(atPath: "/tmp/sorad-pipeline-\(getpid())") }
        return "/tmp/sorad-pipeline-\(getpid())"
    }()

    /// A new empty directory.
    static func scratch(_ name: String) -> String {
        let path = "\(scratchRoot)/\(name)-\(UInt64.random(in: 0..<UInt64.max))"
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
            fatalError("\(path): \(error)")
        }
        return path
    }

    static func names(in directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    }

    /// A request that takes a fraction of a second.
    static func request(prompt: String = "a red ball rolls to the left", seed: UInt64 = 7, steps: Int = 2) -> ClipPlan {
        ClipPlan(
            model: "tiny", prompt: prompt, negativePrompt: "", width: 64, height: 64, numFrames: 5, fps: 8, seed: seed,
            numInferenceSteps: steps, guidanceScale: 3, flowShift: 3)
    }

    /// The worker's program, built next to this test.
    static var worker: String {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return program.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/sorad-worker"
    }
}
