import SoradSystem
import Testing

@Suite struct NearestNameTests {
    private static let names = ["seed", "num_frames", "num_inference_steps", "negative_prompt", "fps", "n", "size", "log-level", "model"]

    @Test(
        arguments: [
            ("Seed", "seed"), ("SEED", "seed"), ("sede", "seed"), ("sed", "seed"), ("seeds", "seed"), ("numFrames", "num_frames"),
            ("num-frames", "num_frames"), ("numframe", "num_frames"), ("num_inference_step", "num_inference_steps"),
            ("negativ_prompt", "negative_prompt"), ("negtive_promt", "negative_prompt"), ("log_level", "log-level"),
            ("loglevle", "log-level"),
            ("fsp", "fps"), ("N", "n"), ("user", nil), ("metadata", nil), ("frames", nil), ("m", nil), ("", nil), ("quality", nil),
            ("sd", nil),
            (String(repeating: "a", count: 10_000), nil),
        ] as [(String, String?)])
    func slipsOfTheFinger(word: String, meant: String?) {
        #expect(nearestName(to: word, among: Self.names) == meant)
    }
}
