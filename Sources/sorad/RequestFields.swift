// The one table of the fields of requests: those of each route, and those that other services, programs and libraries have for the same
// things. To know another dialect is to add its names here; FieldTable.swift has the rules.
import SoradHTTP
import SoradJobs

enum RequestFields {
    private static let common: Set<String> = [
        "model", "prompt", "negative_prompt", "size", "width", "height", "seconds", "num_frames", "fps", "seed", "num_inference_steps",
        "guidance_scale", "flow_shift", "priority", "reuse", "n",
    ]
    private static let pictureMembers: Set<String> = ["image_url", "file_id"]
    private static let videoMembers: Set<String> = ["id"]

    static let create = FieldTable(
        common.union(["input_reference", "end_image", "strength"]),
        members: ["input_reference": pictureMembers, "end_image": pictureMembers],
        foreign: dialects.merging([
            "video": .misplaced("belongs to /v1/videos/edits, or to /v1/videos/extensions to make a clip longer"),
            "direction": ofExtensions, "loop": ofExtensions, "end_video": ofExtensions,
        ]) { $1 })

    static let edit = FieldTable(
        common.union(["video", "strength"]), members: ["video": videoMembers], foreign: dialects.merging(ofClips) { $1 })

    static let remix = FieldTable(
        common.union(["strength"]),
        foreign: dialects.merging(ofClips) { $1 }.merging(["video": .unsupported("another video")]) { $1 })

    static let extend = FieldTable(
        common.union(["video", "end_video", "direction", "loop"]), members: ["video": videoMembers, "end_video": videoMembers],
        foreign: dialects.merging(ofClips) { $1 }.merging(["strength": .unsupported("a strength")]) { $1 })

    static let provenanceCheck = FieldTable(["file"], foreign: names("file", "video clip media upload input_video source"))
    static let list = FieldTable(
        ["after", "limit", "order"],
        foreign: names("limit", "per_page page_size count max_results").merging(
            names("after", "cursor starting_after offset page page_token")
        ) { $1 })
    static let content = FieldTable(["variant"], foreign: names("variant", "format type kind"))

    private static let ofExtensions = FieldTable.Foreign.misplaced("belongs to /v1/videos/extensions")
    private static let ofClips: [String: FieldTable.Foreign] = [
        "input_reference": .unsupported("a picture besides the video"), "end_image": .unsupported("a picture besides the video"),
        "direction": ofExtensions, "loop": ofExtensions, "end_video": ofExtensions,
    ]

    /// What others call the fields of this API, and what they have beyond it.
    private static let dialects: [String: FieldTable.Foreign] = [
        names("prompt", "text text_prompt prompt_text positive_prompt positive caption description prompts instruction"),
        names("negative_prompt", "negative neg_prompt n_prompt sample_neg_prompt negative_text undesired_content avoid"),
        names("model", "model_id model_name checkpoint engine ckpt_name"),
        names("size", "resolution dimensions video_size frame_size image_size output_size aspect_ratio ratio aspect orientation"),
        names("width", "w video_width"),
        names("height", "h video_height"),
        names(
            "seconds",
            """
            duration duration_seconds duration_sec duration_s length length_seconds video_length clip_length n_seconds num_seconds
            second secs sec time_seconds video_duration clip_duration duration_in_seconds
            """),
        names(
            "num_frames",
            """
            frames frame_num n_frames nframes num_frame frame_count frames_count number_of_frames video_frames total_frames
            target_frames max_frames length_frames sample_n_frames
            """),
        names("fps", "frame_rate framerate frames_per_second video_fps output_fps target_fps export_fps"),
        names("seed", "random_seed rng_seed noise_seed manual_seed base_seed sampling_seed generator_seed"),
        names(
            "num_inference_steps",
            """
            steps step num_steps n_steps step_count inference_steps num_inference_step sampling_steps sample_steps num_sampling_steps
            sampler_steps infer_steps denoise_steps denoising_steps diffusion_steps ddim_steps
            """),
        names(
            "guidance_scale",
            """
            cfg cfg_scale cfg_strength guidance guide_scale sample_guide_scale guidance_strength true_cfg_scale text_guidance_scale
            unconditional_guidance_scale classifier_free_guidance embedded_guidance_scale prompt_strength
            """),
        names("flow_shift", "shift sample_shift time_shift timestep_shift schedule_shift scheduler_shift"),
        names(
            "input_reference",
            """
            image images image_url image_urls img img_url img_path input_image input_images init_image init_images source_image
            start_image start_image_url start_frame starting_frame first_image first_image_url first_frame first_frame_image
            first_frame_url first_frame_image_url initial_image initial_frame reference_image reference_images image_reference
            image_base64 image_b64 image_data prompt_image condition_image conditioning_image src_image picture photo keyframe keyframes
            """),
        names(
            "end_image",
            """
            last_image last_frame last_frame_image last_frame_url last_image_url end_image_url end_frame end_frame_image ending_frame
            final_frame final_image tail_image tail_image_url image_tail image_end target_image
            """),
        names(
            "video",
            """
            video_url video_urls video_id input_video init_video source_video source_video_id src_video reference_video video_path
            video_base64 original_video
            """),
        names("end_video", "last_video next_video target_video tail_video join_video"),
        names("direction", "extend_direction extension_direction"),
        names("loop", "looping seamless seamless_loop is_loop perfect_loop"),
        names(
            "strength",
            """
            denoise denoising_strength denoise_strength image_strength img2img_strength video_strength init_image_strength
            conditioning_strength noise_strength edit_strength remix_strength
            """),
        names(
            "n", "num_videos num_outputs num_samples n_samples batch_size batch_count num_videos_per_prompt number_of_videos sample_count"),
        names("priority", "queue_priority job_priority"),
        [
            "loras": .unsupported("LoRA adapters"), "lora": .unsupported("LoRA adapters"), "lora_weights": .unsupported("LoRA adapters"),
            "lora_path": .unsupported("LoRA adapters"), "lora_scale": .unsupported("LoRA adapters"),
            "guidance_scale_2": .unsupported("a second guidance scale"), "boundary_ratio": .unsupported("a second expert"),
            "control_video": .unsupported("a control video"), "control_image": .unsupported("a control picture"),
            "controlnet": .unsupported("a control network"), "control_type": .unsupported("a control network"),
            "control_net": .unsupported("a control network"), "control_strength": .unsupported("a control network"),
            "pose_video": .unsupported("a control video"), "depth_video": .unsupported("a control video"),
            "vace_context": .unsupported("a control video"), "motion_brush": .unsupported("a motion brush"),
            "dynamic_masks": .unsupported("a motion brush"), "static_mask": .unsupported("a motion brush"),
            "trajectory": .unsupported("a motion path"), "trajectories": .unsupported("a motion path"),
            "mask": .unsupported("a mask"), "mask_image": .unsupported("a mask"), "mask_video": .unsupported("a mask"),
            "mask_url": .unsupported("a mask"), "camera_control": camera, "camera_motion": camera, "camera_movement": camera,
            "camera_path": camera, "camera": camera, "camera_fixed": camera, "motion_bucket_id": motion, "motion_strength": motion,
            "motion_scale": motion, "movement_amplitude": motion, "noise_aug_strength": motion, "audio": sound, "generate_audio": sound,
            "with_audio": sound, "add_audio": sound, "enable_audio": sound, "audio_url": sound, "sound": sound, "voice": sound,
            "speech": sound, "music": sound, "sound_effects": sound, "characters": .unsupported("characters"),
            "character_ids": .unsupported("characters"), "subject_reference": .unsupported("characters"),
            "elements": .unsupported("characters"), "upscale": .unsupported("upscaling"), "upscaler": .unsupported("upscaling"),
            "upscale_factor": .unsupported("upscaling"), "interpolate": .unsupported("frame interpolation"),
            "frame_interpolation": .unsupported("frame interpolation"), "interpolation_factor": .unsupported("frame interpolation"),
            "prompt_extend": rewriting, "prompt_optimizer": rewriting, "enhance_prompt": rewriting, "prompt_enhancer": rewriting,
            "prompt_upsampling": rewriting, "expand_prompt": rewriting, "storyboard": .unsupported("several scenes"),
            "shots": .unsupported("several scenes"), "multi_prompt": .unsupported("several scenes"),
            "scheduler": sampler, "sampler": sampler, "sampler_name": sampler, "sample_solver": sampler, "solver": sampler,
            "output_format": container, "output_codec": container, "codec": container, "container": container,
            "video_codec": container, "file_format": container, "transparent_background": .unsupported("transparency"),
            "remove_background": .unsupported("transparency"),
        ],
        // Their members would be the request's fields.
        Dictionary(
            uniqueKeysWithValues: [
                "extra_body", "extra_params", "input", "inputs", "parameters", "params", "options", "args", "config", "arguments",
            ]
            .map { ($0, .misplaced("is not looked into; put its members at the top of the request")) }),
        // Nearer to a field of ours than their meaning is.
        Dictionary(
            uniqueKeysWithValues: [
                "mode", "user", "users", "style", "quality", "type", "tags", "name", "title", "notes", "site", "need", "speed",
            ]
            .map { ($0, .harmless) }),
    ].reduce(into: [:]) { $0.merge($1) { first, _ in first } }

    private static let camera = FieldTable.Foreign.unsupported("a control of the camera; describe its motion in the prompt")
    private static let motion = FieldTable.Foreign.unsupported("an amount of motion; describe it in the prompt")
    private static let sound = FieldTable.Foreign.unsupported("sound")
    private static let rewriting = FieldTable.Foreign.unsupported("a prompt that is rewritten")
    private static let sampler = FieldTable.Foreign.unsupported("another sampler than the model's")
    private static let container = FieldTable.Foreign.unsupported("another file format than MP4 with H.264")

    /// Each word of `others` is another name of `name`.
    private static func names(_ name: String, _ others: String) -> [String: FieldTable.Foreign] {
        Dictionary(uniqueKeysWithValues: others.split { $0 == " " || $0 == "\n" }.map { (String($0), .name(name)) })
    }
}
