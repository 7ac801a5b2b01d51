// The fields of other dialects, and what cannot be done, as clients meet them: refused with the name to use, or listed in the answer.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct RequestFieldsTests {
    private static let png = "data:image/png;base64,iVBORw0KGgo="

    @Test func whatOthersCallItIsRefusedWithOurName() throws {
        let daemon = try DaemonUnderTest()
        // Replicate, fal, diffusers, ComfyUI, Wan's own program, Runway, Luma, Kling, Veo, MiniMax, DashScope, Azure; and slips.
        for (name, value, ours) in [
            ("duration", 4, "seconds"), ("durationSeconds", 4, "seconds"), ("n_seconds", 4, "seconds"), ("video_length", 4, "seconds"),
            ("secnds", 4, "seconds"), ("steps", 4, "num_inference_steps"), ("sample_steps", 4, "num_inference_steps"),
            ("num_inference_step", 4, "num_inference_steps"), ("sampling_steps", 4, "num_inference_steps"), ("Seed", 4, "seed"),
            ("noise_seed", 4, "seed"), ("sede", 4, "seed"), ("negativ_prompt", "dull", "negative_prompt"),
            ("negativePrompt", "dull", "negative_prompt"), ("n_prompt", "dull", "negative_prompt"), ("aspect_ratio", "1:1", "size"),
            ("ratio", "1:1", "size"), ("resolution", "480p", "size"), ("frames", 9, "num_frames"), ("frame_num", 9, "num_frames"),
            ("frame_count", 9, "num_frames"), ("frame_rate", 9, "fps"), ("cfg_scale", 4, "guidance_scale"), ("cfg", 4, "guidance_scale"),
            ("guide_scale", 4, "guidance_scale"), ("sample_shift", 4, "flow_shift"), ("shift", 4, "flow_shift"),
            ("image", .string(Self.png), "input_reference"), ("init_image", .string(Self.png), "input_reference"),
            ("start_image", .string(Self.png), "input_reference"), ("first_frame_image", .string(Self.png), "input_reference"),
            ("promptImage", .string(Self.png), "input_reference"), ("image_url", .string(Self.png), "input_reference"),
            ("input_referense", .string(Self.png), "input_reference"), ("last_frame", .string(Self.png), "end_image"),
            ("tail_image_url", .string(Self.png), "end_image"), ("text", "y", "prompt"), ("num_videos", 1, "n"),
            ("denoising_strength", 1, "strength"), ("modle", "mini", "model"), ("model_id", "mini", "model"),
            // Luma, Kling, Seedance, Wan's service, vLLM, Together, ComfyUI.
            ("frame0", .string(Self.png), "input_reference"), ("frame1", .string(Self.png), "end_image"),
            ("image_tail_url", .string(Self.png), "end_image"), ("ref_images_url", [.string(Self.png)], "input_reference"),
            ("frame_images", [.string(Self.png)], "input_reference"), ("reference_url", .string(Self.png), "input_reference"),
            ("dur", 4, "seconds"), ("rs", "480p", "size"), ("rt", "16:9", "size"), ("output_width", 64, "width"),
            ("embedded_cfg_scale", 4, "guidance_scale"), ("num_outputs_per_prompt", 2, "n"), ("uncond", "dull", "negative_prompt"),
        ] as [(String, JSONValue, String)] {
            let response = try daemon.send(.post, "/v1/videos", body: .json(.object(["prompt": "x", name: value])))
            try #require(response.status == 400, "\(name)")
            let refusal = try daemon.refusal(response)
            #expect(refusal.param == name && refusal.code == "unknown_parameter", "\(name)")
            #expect(refusal.message == "the field \"\(name)\" is unknown here; the name is \"\(ours)\"")
        }
        #expect(try daemon.send(.get, "/v1/videos").body.count < 100)
    }

    @Test func whatCannotBeDoneIsRefused() throws {
        let daemon = try DaemonUnderTest()
        for (path, name, value, words) in [
            ("/v1/videos", "control_video", "x", "/v1/videos/edits"), ("/v1/videos", "loras", ["x"], "LoRA"),
            ("/v1/videos", "camera_control", "pan", "camera"), ("/v1/videos", "generate_audio", true, "sound"),
            ("/v1/videos", "mask_video", "x", "/v1/videos/edits"), ("/v1/videos", "latents", [0], "noise or embeddings"),
            ("/v1/videos", "webhook_url", "http://x", "; ask for the job, or read its events"),
            ("/v1/videos", "watermark", true, "watermark"),
            ("/v1/videos", "guidance_rescale", 0.7, "a rescaled guidance"), ("/v1/videos", "stream", true, "/events"),
            ("/v1/videos", "output_format", "gif", "another file format"), ("/v1/videos", "use_rife", true, "interpolation"),
            ("/v1/videos", "content", [["text": "x"]], "members at the top"), ("/v1/videos", "instances", [], "members at the top"),
            ("/v1/videos", "mask", "x", "/v1/videos/edits"), ("/v1/videos", "prompt_extend", true, "rewritten"),
            ("/v1/videos", "video", "video_1", "/v1/videos/edits"), ("/v1/videos", "source_video", "video_1", "/v1/videos/edits"),
            ("/v1/videos", "loop", true, "belongs to /v1/videos/extensions"), ("/v1/videos", "looping", true, "/v1/videos/extensions"),
            ("/v1/videos", "direction", "backwards", "belongs to /v1/videos/extensions"),
            ("/v1/videos", "extra_body", ["seed": 4], "members at the top"), ("/v1/videos", "input", ["prompt": "x"], "members at the top"),
            ("/v1/videos/edits", "image", "x", "a picture besides the video"), ("/v1/videos/edits", "loop", true, "/v1/videos/extensions"),
            ("/v1/videos/extensions", "extend_seconds", 4, "the name is \"seconds\""),
            ("/v1/videos/extensions", "reverse", true, "the name is \"direction\""), ("/v1/videos/edits", "start_time", 1, "cut it first"),
            ("/v1/videos/extensions", "strength", 0.5, "a strength"), ("/v1/videos/extensions", "denoise", 0.5, "a strength"),
            ("/v1/videos?seed=4", "seed", .null, "query string"), ("/v1/videos?seeed=4", "seeed", .null, "the name is \"seed\""),
        ] as [(String, String, JSONValue, String)] {
            let response = try daemon.send(.post, path, body: .json(.object(["prompt": "x", name: value])))
            let refusal = try daemon.refusal(response)
            #expect(response.status == 400 && refusal.param == name && refusal.message.contains(words), "\(name): \(refusal.message)")
        }
        for path in ["/v1/videos?limits=5", "/v1/videos?page_size=5", "/v1/videos?Order=asc"] {
            #expect(try daemon.send(.get, path).status == 400, "\(path)")
        }
        #expect(try daemon.send(.get, "/v1/videos?api-version=preview").status == 200)
    }

    /// The rest is taken and listed, in the answer and afterwards.
    @Test func whatHasNoEffectIsListed() throws {
        let daemon = try DaemonUnderTest()
        let response = try daemon.send(
            .post, "/v1/videos?api-version=preview",
            body: .json([
                "prompt": "x", "user": "me", "mode": "pro", "loras": [], "seconds": 1, "duration": 1, "quality": .null, "guidance_scale": 1,
                "negative_prompt": "dull", "metadata": ["a": 1], "output_format": "mp4", "watermark": false,
            ]))
        #expect(response.status == 200, "\(String(decoding: response.body, as: UTF8.self))")
        let video = try Video(json: JSONValue(parsing: response.body))
        let ignored = ["duration", "loras", "metadata", "mode", "output_format", "user", "watermark", "?api-version", "negative_prompt"]
        #expect(video.details.notes.ignored == ignored)
        #expect(try daemon.video(video.id).details.notes.ignored == ignored)
        #expect(try JSONValue(parsing: daemon.send(.get, "/v1/videos/\(daemon.create("x").id)").body)["ignored"] == nil)
    }

    /// As a list, or as text with commas; the answer tells the levels.
    @Test func aScheduleIsTakenInEveryForm() throws {
        let daemon = try DaemonUnderTest()
        for (fields, levels) in [
            (["sigmas": [1, 0.75, 0.5]], [1, 0.75, 0.5]), (["sigmas": "1, 0.75,0.5"], [1, 0.75, 0.5]), (["sigmas": "[1,0.75]"], [1, 0.75]),
            (["timesteps": [1000, "757", 522]], [1, 0.757, 0.522]), (["timesteps": 900], [0.9]),
        ] as [(JSONObject, [Double])] {
            let video = try daemon.create("x", fields)
            #expect(video.details.sigmas == levels && video.details.numInferenceSteps == levels.count, "\(fields)")
            #expect(try daemon.video(video.id).details.sigmas == levels)
        }
        for (fields, param) in [
            (["sigmas": [1, 1]], "sigmas"), (["sigmas": [2, 1]], "sigmas[0]"), (["sigmas": [1, 0]], "sigmas[1]"),
            (["sigmas": "1,x"], "sigmas[1]"),
            (["sigmas": "1,,0.5"], "sigmas[1]"), (["sigmas": [1, .null]], "sigmas[1]"), (["sigmas": ["a": 1]], "sigmas"),
            (["sigmas": true], "sigmas"), (["sigmas": []], "sigmas"), (["sigmas": ""], "sigmas"),
            (["timesteps": [1001]], "timesteps[0]"), (["timesteps": [500, 600]], "timesteps"),
            (["sigmas": .array((0..<1001).map { .double(1 - Double($0) / 1100) })], "sigmas"),
            (["sigmas": [1, 0.5], "num_inference_steps": 4], "num_inference_steps"), (["sigmas": [1], "timesteps": [1000]], "timesteps"),
            (["denoising_step_list": [1000, 500]], "denoising_step_list"),
        ] as [(JSONObject, String)] {
            var body: JSONObject = ["prompt": "x"]
            for member in fields.members { body[member.key] = member.value }
            let response = try daemon.send(.post, "/v1/videos", body: .json(.object(body)))
            #expect(response.status == 400, "\(fields)")
            #expect(try daemon.refusal(response).param == param, "\(fields)")
        }
    }

    /// What a clip takes, before it is asked for and in the answer.
    @Test func estimatesAreTold() throws {
        let text =
            DaemonUnderTest.modelText().dropLast()
            + #","time":{"textPass":1,"perTextToken":0,"textLength":64,"pass":0,"perToken":0.5,"perPair":0,"perPixel":0,"perEncodedPixel":0,"perPicture":0,"picturesRead":0,"clipsEncoded":0,"spatialScale":8,"timeScale":4,"tokenPixels":4}}"#
        let daemon = try DaemonUnderTest(models: ["mini.gguf": String(text)])
        func estimate(_ query: String) throws -> JSONValue? {
            let response = try daemon.send(.get, "/v1/models/mini" + query)
            #expect(response.status == 200, "\(query): \(String(decoding: response.body, as: UTF8.self))")
            return try JSONValue(parsing: response.body)["estimate"]
        }
        // 5 latent frames of 16×16 are 320 tokens; 20 steps of two passes; a pass of texts and files 1.2 s.
        let own = try #require(try estimate(""))
        #expect(
            abs((own["seconds"]?.double ?? 0) - 6401.2) < 1e-6 && own["basis"]?.string == "arithmetic" && own["size"]?.string == "128x128")
        let small = try #require(try estimate("?size=64x64&num_frames=1&num_inference_steps=2&guidance_scale=1"))
        #expect(abs((small["seconds"]?.double ?? 0) - 17.2) < 1e-6 && small["num_frames"]?.integer == 1)
        for query in ["?size=17x17", "?steps=4", "?num_frames=100000", "?seconds=x"] {
            #expect(try daemon.send(.get, "/v1/models/mini" + query).status == 400, "\(query)")
        }
        #expect(try daemon.send(.get, "/v1/models/nobody?size=64x64").status == 404)
        let video = try daemon.create("x", ["size": "64x64", "num_frames": 1, "num_inference_steps": 2, "guidance_scale": 1])
        #expect(abs((video.details.notes.estimate?.seconds ?? 0) - 17.2) < 1e-6 && video.details.notes.estimate?.basis == .arithmetic)
    }

    /// The names of other dialects never hide one of ours: every field that the document has is taken.
    @Test func everyFieldOfOursIsTaken() throws {
        let daemon = try DaemonUnderTest()
        let video = try daemon.create(
            "x",
            [
                "model": "mini", "size": "64x32", "width": 64, "height": 32, "num_frames": 9, "seconds": 0.5, "fps": 16, "seed": 42,
                "negative_prompt": "dull", "num_inference_steps": 7, "guidance_scale": 1.5, "flow_shift": 5, "priority": 0, "reuse": false,
                "n": 1,
            ])
        #expect(video.details.notes.ignored == [])
    }
}
