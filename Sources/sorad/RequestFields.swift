// The one table of the fields of requests: those of each route, and those that other services, programs and libraries have for the same
// things. To know another dialect is to add its names here; FieldTable.swift has the rules.
import SoradHTTP
import SoradJobs

enum RequestFields {
    private static let common: Set<String> = [
        "model", "prompt", "negative_prompt", "size", "width", "height", "seconds", "num_frames", "fps", "seed", "num_inference_steps",
        "guidance_scale", "guidance_scale_2", "guidance_interval", "cache", "flow_shift", "sigmas", "timesteps", "upscale", "interpolate",
        "priority", "reuse", "n",
    ]
    private static let pictureMembers = FieldTable(
        ["image_url", "file_id"],
        foreign: names(
            "image_url",
            "url uri image data base64 b64 b64_json bytes bytes_base64_encoded image_bytes inline_data file content source src path gcs_uri"
        ))
    private static let videoMembers = FieldTable(
        ["id"],
        foreign: names("id", "video_id uuid generation_id job_id").merging(
            each(
                "url uri video video_url data base64 b64_json bytes bytes_base64_encoded inline_data file gcs_uri",
                .misplaced("is not looked into; send the file or its data: URL in place of the object"))
        ) { $1 })

    static let create = FieldTable(
        common.union(["input_reference", "end_image", "strength", "storyboard", "reference_images", "conditioning_scale"]),
        members: ["input_reference": pictureMembers, "end_image": pictureMembers],
        foreign: dialects.merging([
            "video": .misplaced("belongs to /v1/videos/edits, or to /v1/videos/extensions to make a clip longer"),
            "mask": .misplaced("belongs to /v1/videos/edits"), "control_video": ofEdits,
            "direction": ofExtensions, "loop": ofExtensions, "end_video": ofExtensions,
        ]) { $1 })

    static let edit = FieldTable(
        common.union(["video", "strength", "mask", "reference_images", "conditioning_scale"]),
        members: ["video": videoMembers, "mask": pictureMembers],
        foreign: dialects.merging(ofClips) { $1 }.merging(ofStoryboards) { $1 }.merging(["control_video": .name("video")]) { $1 })

    static let remix = FieldTable(
        common.union(["strength", "mask", "reference_images", "conditioning_scale"]), members: ["mask": pictureMembers],
        foreign: dialects.merging(ofClips) { $1 }.merging(ofStoryboards) { $1 }
            .merging(["video": .unsupported("another video")]) { $1 })

    static let extend = FieldTable(
        common.union(["video", "end_video", "direction", "loop", "storyboard"]),
        members: ["video": videoMembers, "end_video": videoMembers],
        foreign: dialects.merging(ofClips) { $1 }
            .merging(["strength": .unsupported("a strength"), "mask": .unsupported("a region")]) { $1 })

    static let provenanceCheck = FieldTable(["file"], foreign: names("file", "video clip media upload input_video source"))
    static let importJob = FieldTable(["file", "priority"], foreign: names("file", "job archive folder tar upload"))
    static let list = FieldTable(
        ["after", "limit", "order"],
        foreign: names("limit", "per_page page_size count max_results").merging(
            names("after", "cursor starting_after offset page page_token")
        ) { $1 })
    static let content = FieldTable(["variant"], foreign: names("variant", "format type kind"))

    private static let ofEdits = FieldTable.Foreign.misplaced(
        "is the video of /v1/videos/edits, for a model that follows a clip")
    private static let ofExtensions = FieldTable.Foreign.misplaced("belongs to /v1/videos/extensions")
    private static let ofStoryboards = ["storyboard": FieldTable.Foreign.unsupported("several scenes")]
    private static let ofClips: [String: FieldTable.Foreign] = [
        "input_reference": .unsupported("a picture besides the video"), "end_image": .unsupported("a picture besides the video"),
        "direction": ofExtensions, "loop": ofExtensions, "end_video": ofExtensions,
    ]

    /// What others call the fields of this API, and what they have beyond it.
    private static let dialects: [String: FieldTable.Foreign] = [
        names(
            "prompt",
            """
            text text_prompt text_prompts prompt_text positive_prompt positive caption description prompts prompt_2 instruction
            edit_prompt remix_prompt
            """),
        names(
            "negative_prompt",
            """
            negative neg_prompt n_prompt neg negp sample_neg_prompt negative_text negative_prompt_text negative_prompts negative_prompt_2
            undesired_content avoid uncond
            """),
        names("model", "model_id model_name checkpoint engine ckpt_name ckpt unet_name"),
        names(
            "size",
            """
            resolution dimensions video_size frame_size image_size output_size target_size canvas_size image_dimensions aspect_ratio ratio
            aspect orientation res rs rt
            """),
        names("width", "w video_width output_width image_width frame_width pixel_width target_width"),
        names("height", "h video_height output_height image_height frame_height pixel_height target_height"),
        names(
            "seconds",
            """
            duration duration_seconds duration_sec duration_s length length_seconds video_length clip_length n_seconds num_seconds
            second secs sec time_seconds video_duration clip_duration duration_in_seconds dur total_seconds clip_seconds max_duration
            target_duration duration_ms length_ms extend_duration extension_duration extension_seconds extend_seconds extend_by
            additional_seconds extra_seconds
            """),
        names(
            "num_frames",
            """
            frames frame_num n_frames nframes num_frame frame_count frames_count number_of_frames video_frames total_frames
            target_frames max_frames length_frames sample_n_frames nb_frames num_of_frames video_frames_count
            num_new_frames extension_frames extend_frames
            """),
        names("fps", "frame_rate framerate frames_per_second frames_per_sec video_fps output_fps target_fps export_fps playback_fps"),
        names("seed", "random_seed rng_seed noise_seed manual_seed base_seed sampling_seed generator_seed fixed_seed"),
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
            unconditional_guidance_scale classifier_free_guidance embedded_guidance_scale embedded_cfg_scale prompt_strength
            """),
        names("guidance_scale_2", "guidance_scale_low low_noise_guidance_scale guidance2 cfg_2"),
        names("guidance_interval", "cfg_interval guidance_range guidance_sigma_range"),
        names("cache", "easycache easy_cache cache_threshold reuse_threshold step_cache"),
        names("flow_shift", "shift sample_shift time_shift timestep_shift schedule_shift scheduler_shift"),
        names("sigmas", "custom_sigmas sigma_list sigma_schedule noise_levels"),
        names("timesteps", "custom_timesteps timestep_list denoising_step_list dmd_denoising_steps"),
        names(
            "input_reference",
            """
            image images image_url image_urls img img_url img_path input_image input_images init_image init_images source_image
            start_image start_image_url start_frame starting_frame first_image first_image_url first_frame first_frame_image
            first_frame_url first_frame_image_url initial_image initial_frame reference_image reference_images image_reference
            image_base64 image_b64 image_data prompt_image condition_image conditioning_image src_image picture photo keyframe keyframes
            image_start seed_image base_image guide_image frame_images frame0 image_list image_uri image_uris input_image_urls
            reference_url reference_urls references ref_image ref_images ref_image_urls ref_images_url conditioning_media_paths
            """),
        names(
            "end_image",
            """
            last_image last_frame last_frame_image last_frame_url last_image_url end_image_url end_frame end_frame_image ending_frame
            final_frame final_image tail_image tail_image_url image_tail image_tail_url image_end target_image frame1
            """),
        names(
            "video",
            """
            video_url video_urls video_id input_video init_video source_video source_video_id src_video reference_video video_path
            video_base64 original_video video_uri video_list from_video continue_from extend_video base_video video_data
            """),
        names("end_video", "last_video next_video target_video tail_video join_video"),
        names("mask", "mask_image mask_url mask_image_url"),
        names("upscale", "upscaler upscale_factor upscaling"),
        names("interpolate", "frame_interpolation interpolation_factor interpolation"),
        names("storyboard", "shots multi_prompt scenes"),
        names("direction", "extend_direction extension_direction reverse forward backward forwards backwards from_start"),
        names("loop", "looping seamless seamless_loop is_loop perfect_loop"),
        names(
            "strength",
            """
            denoise denoising_strength denoise_strength image_strength img2img_strength video_strength init_image_strength
            conditioning_strength noise_strength edit_strength remix_strength structure_strength similarity variation
            """),
        names(
            "n",
            """
            num_videos num_outputs num_samples n_samples batch_size batch_count num_videos_per_prompt number_of_videos sample_count
            n_variants num_outputs_per_prompt num_generations n_outputs
            """),
        names("priority", "queue_priority job_priority"),
        [
            "loras": .unsupported("LoRA adapters"), "lora": .unsupported("LoRA adapters"), "lora_weights": .unsupported("LoRA adapters"),
            "lora_path": .unsupported("LoRA adapters"), "lora_scale": .unsupported("LoRA adapters"),
            "boundary_ratio": .unsupported("another boundary between two experts"),
            "control_video": ofEdits, "control_image": .unsupported("a control picture"),
            "controlnet": .unsupported("a control network"), "control_type": .unsupported("a control network"),
            "control_net": .unsupported("a control network"), "control_strength": .unsupported("a control network"),
            "pose_video": .name("control_video"), "depth_video": .name("control_video"), "guide_video": .name("control_video"),
            "vace_context": .unsupported("a control video"), "motion_brush": .unsupported("a motion brush"),
            "dynamic_masks": .unsupported("a motion brush"), "static_mask": .unsupported("a motion brush"),
            "trajectory": .unsupported("a motion path"), "trajectories": .unsupported("a motion path"),
            "mask_video": .name("mask"), "camera_control": camera, "camera_motion": camera, "camera_movement": camera,
            "camera_path": camera, "camera": camera, "camera_fixed": camera, "motion_bucket_id": motion, "motion_strength": motion,
            "motion_scale": motion, "movement_amplitude": motion, "noise_aug_strength": motion, "audio": sound, "generate_audio": sound,
            "with_audio": sound, "add_audio": sound, "enable_audio": sound, "audio_url": sound, "sound": sound, "voice": sound,
            "speech": sound, "music": sound, "sound_effects": sound, "characters": .unsupported("characters"),
            "character_ids": .unsupported("characters"), "subject_reference": .unsupported("characters"),
            "elements": .unsupported("characters"),
            "prompt_extend": rewriting, "prompt_optimizer": rewriting, "enhance_prompt": rewriting, "prompt_enhancer": rewriting,
            "prompt_upsampling": rewriting, "expand_prompt": rewriting, "scheduler": sampler, "sampler": sampler, "sampler_name": sampler,
            "sample_solver": sampler, "solver": sampler,
            "output_format": container, "output_codec": container, "codec": container, "container": container,
            "video_codec": container, "file_format": container, "transparent_background": .unsupported("transparency"),
            "remove_background": .unsupported("transparency"),
        ],
        wishes("LoRA adapters", "lora_url lora_strength_model lora_scale_transformer replicate_weights"),
        wishes("a mask", "mask_video_url inpaint_items masks"),
        wishes(
            "a control video",
            "control_condition pose depth depth_map canny preprocess"),
        names("conditioning_scale", "controlnet_conditioning_scale control_scale control_context_scale vace_strength context_scale"),
        names("reference_images", "src_ref_images reference_pictures"),
        wishes("a picture of a style", "ip_adapter_image style_image style_reference image_embeds"),
        wishes("upscaling", "enable_upscaling upscaling_scale super_resolution hd", instead: "send \"upscale\" with 2 or 4"),
        wishes(
            "frame interpolation",
            """
            interpolate_output num_interpolated_frames interpolator_model use_rife enable_frame_interpolation
            frame_interpolation_exp
            """, instead: "send \"interpolate\" with 2"),
        wishes("another speed of playing", "reverse_video pingpong slow_motion playback_speed", instead: "leave it out, and see \"fps\""),
        wishes("a rescaled guidance", "guidance_rescale cfg_rescale rescale_cfg min_guidance_scale max_guidance_scale"),
        wishes("a part of the schedule", "start_at_step end_at_step", instead: "send \"sigmas\" or \"strength\""),
        wishes("an amount of motion", "motion motion_mode motion_level motion_amount", instead: "describe it in the prompt"),
        wishes("another overlap", "overlap overlap_frames context_frames"),
        wishes(
            "a part of a clip", "start_time end_time trim trim_start trim_end extend_from extend_at continue_at", instead: "cut it first"),
        wishes("a second pass", "first_pass_num_inference_steps second_pass_num_inference_steps"),
        wishes("noise or embeddings of its own", "latents latent_image prompt_embeds negative_prompt_embeds prompt_embeddings"),
        wishes(
            "a prompt that is rewritten",
            "enable_prompt_expansion optimize_prompt prompt_expansion prompt_rewrite extend_prompt prompt_magic magic_prompt"),
        wishes("a ready-made effect", "template template_id effect effects effect_scene pikaffect"),
        wishes("sound", "bgm sfx add_sfx sound_effect_switch voice_id voice_list lip_sync keep_original_sound"),
        wishes("a visible watermark", "watermark water_mark wm aigc_watermark add_watermark watermark_text"),
        wishes(
            "a call when the clip is done", "webhook webhook_url callback callback_url notify_url notify_hook pubsub_topic",
            instead: "ask for the job, or read its events"),
        wishes(
            "delivery to another place", "storage_uri output_gcs_uri output_storage_uri upload_url output_path",
            instead: "fetch the clip from /v1/videos/{id}/content"),
        wishes("an answer that streams", "stream", instead: "read /v1/videos/{id}/events"),
        wishes("another file format than MP4 with H.264", "output_video_format video_output_type video_format", fine: mp4),
        // Their members would be the request's fields.
        each(
            """
            extra_body extra_params input inputs parameters params options args config arguments instances content contents messages
            payload generation_config video_config diffusers_kwargs
            """, .misplaced("is not looked into; put its members at the top of the request")),
        // Nearer to a field of ours than their meaning is.
        each(
            """
            mode user users style quality type tags name title notes site need speed concepts add_noise
            top_scale left_scale right_scale bottom_scale
            """, .harmless),
    ].reduce(into: [:]) { $0.merge($1) { first, _ in first } }

    private static let camera = FieldTable.Foreign.unsupported("a control of the camera", instead: "describe its motion in the prompt")
    private static let motion = FieldTable.Foreign.unsupported("an amount of motion", instead: "describe it in the prompt")
    private static let sound = FieldTable.Foreign.unsupported("sound")
    private static let rewriting = FieldTable.Foreign.unsupported("a prompt that is rewritten")
    private static let sampler = FieldTable.Foreign.unsupported("another sampler than the model's")
    private static let mp4: Set<String> = [
        "mp4", ".mp4", "video/mp4", "h264", "h.264", "avc", "libx264", "mp4 (h.264)", "x264 (.mp4)", "video/h264-mp4",
    ]
    private static let container = FieldTable.Foreign.unsupported("another file format than MP4 with H.264", fine: mp4)

    /// Each word of `names` asks for `what`, which nothing here can do.
    private static func wishes(
        _ what: String, _ names: String, instead: String = "leave it out", fine: Set<String> = []
    ) -> [String: FieldTable.Foreign] {
        each(names, .unsupported(what, instead: instead, fine: fine))
    }

    /// Each word of `others` is another name of `name`.
    private static func names(_ name: String, _ others: String) -> [String: FieldTable.Foreign] { each(others, .name(name)) }

    private static func each(_ names: String, _ meaning: FieldTable.Foreign) -> [String: FieldTable.Foreign] {
        Dictionary(uniqueKeysWithValues: names.split { $0 == " " || $0 == "\n" }.map { (String($0), meaning) })
    }
}
