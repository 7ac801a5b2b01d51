// The one table of commands and options. To add a command, add a row here and a function for its `run`.
import SoradSystem

let commandTable = CommandTable(
    "sorad-ctl", summary: "make short videos from text with the sorad daemon on this machine",
    clientCommands + adminCommands + accessCommands + [
        Command(
            "sorad-ctl version", summary: "print the version of this program",
            details: "With --json: one object of schema sorad.version/1.",
            run: showVersion)
    ],
    common: [
        Option(
            "socket", .text("PATH"), default: "the system's, then your own", variable: "SORAD_SOCKET", "the daemon's socket"),
        Option("json", "print JSON with a schema name on standard output"),
    ],
    notes: "Data go to standard output, progress and errors to standard error.\n" + SoradError.exitStatusHelp)

private let clientCommands: [Command] = [
    Command(
        "sorad-ctl generate", [promptArgument], options: requestOptions + [sceneOption] + pictureOptions + waitingOptions,
        summary: "make a clip from a prompt, optionally with pictures, and save it",
        details: """
            Sends the prompt to the daemon, shows the progress, and saves the finished MP4. Options that are left out
            have the model's defaults. Ctrl-C cancels the job. With --json, standard output carries one JSON object a line:
            sorad.progress/1 while it runs, sorad.clip/1 at the end.
            A picture (PNG, JPEG, WebP and others) given with --image becomes the first frame and one given with --end-image
            the last; they are scaled to cover the clip, and the overhang is cut off.
            With --scene the clip has several prompts one after the other; the PROMPT is put before each of them.
            """,
        examples: [
            "sorad-ctl generate \"a red ball rolls to the left on grass\" -o ball.mp4",
            "sorad-ctl generate \"a blue cube falls into the sea\" --seed 7 --size 128x128 -o - | ffplay -",
            "sorad-ctl generate \"the red ball rolls on\" --image first.png --end-image last.png",
            "sorad-ctl generate \"a red ball\" --scene \"2:rolls to the left on grass\" --scene \"2:bounces on grass\"",
        ],
        run: generate),
    Command(
        "sorad-ctl remix", [idArgument, promptArgument],
        options: requestOptions + [
            strengthOption("how much of the clip is replaced, above 0 (nothing) to 1 (all)", "0.7"),
            Option("mask", .text("FILE"), "a picture, white where the clip may change"),
        ] + waitingOptions,
        summary: "make a finished clip again for another prompt, and save it",
        details: """
            Mixes the job's clip with noise and denoises it for the new prompt, so that unchanged things stay where they are.
            The size, the length and the model are those of the clip. With --mask, only what is white in the picture changes.
            With --json: as generate.
            """,
        examples: ["sorad-ctl remix video_… \"a green ball rolls to the left on grass\" --strength 0.6 -o green.mp4"], run: remix),
    Command(
        "sorad-ctl extend", [idArgument, promptArgument],
        options: requestOptions + [
            sceneOption, Option("backwards", "add frames before the clip"),
            Option("loop", "add frames that lead from its end back to its beginning"),
            Option("join", .text("ID"), "add frames that lead to the clip of another job, and that clip"),
        ] + waitingOptions,
        summary: "make a finished clip longer, and save all of it",
        details: """
            --seconds or --frames set the added length, rounded up to whole groups of frames; the saved file holds the old
            and the new frames. With --json: as generate.
            """,
        examples: [
            "sorad-ctl extend video_… \"the ball rolls on\" --seconds 1.5 -o longer.mp4",
            "sorad-ctl extend video_… \"the ball comes back\" --seconds 1 --loop -o loop.mp4",
        ],
        run: extend),
    Command(
        "sorad-ctl jobs", options: [Option("limit", .wholeNumber("N"), default: "20", "at most N jobs, the newest first")],
        summary: "list the jobs, the newest first", details: "With --json: one object of schema sorad.jobs/1.", run: listJobs),
    Command(
        "sorad-ctl show", [idArgument], summary: "show everything about one job",
        details: "With --json: one object of schema sorad.job/1.", run: showJob),
    Command(
        "sorad-ctl watch", [idArgument], options: [timeoutOption, quietOption], summary: "follow a job to its end",
        details: """
            Shows the progress as it happens. Ctrl-C stops the watching, not the job. With --json, standard output carries
            one JSON object a line: sorad.progress/1 while it runs, sorad.job/1 at the end.
            """,
        run: watchJob),
    Command(
        "sorad-ctl get", [idArgument],
        options: [
            outputOption, Option("variant", .choice(["video", "thumbnail", "spritesheet"]), default: "video", "file of the job"),
        ],
        summary: "download a finished clip",
        details: "Saves the MP4, its WebP thumbnail or its JPEG contact sheet. With --json: one object of schema sorad.file/1.",
        examples: ["sorad-ctl get video_… --variant thumbnail -o ball.webp"], run: getContent),
    Command(
        "sorad-ctl cancel", [idArgument], summary: "stop a queued or running job",
        details: "With --json: one object of schema sorad.job/1.", run: cancelJob),
    Command(
        "sorad-ctl delete", [idArgument], summary: "delete a job and its files",
        details: "With --json: one object of schema sorad.deleted/1.", run: deleteJob),
    Command(
        "sorad-ctl status", summary: "show the state of the daemon and its workers",
        details: "With --json: one object of schema sorad.status/1.", run: showStatus),
    Command(
        "sorad-ctl usage", summary: "show your quota and how much of it is used",
        details: "With --json: one object of schema sorad.usage/1.", run: showUsage),
    Command(
        "sorad-ctl models", summary: "list the models and their limits", details: "With --json: one object of schema sorad.models/1.",
        run: listModels),
]

private let promptArgument = Argument("PROMPT", "text prompt, in quotes; - reads it from standard input")
private let idArgument = Argument("ID", "the job, as generate and jobs print it")
private let outputOption = Option(
    "output", short: "o", .text("FILE"), default: "the job's id in this folder", "file to save; - is standard output")

/// Options that become fields of the request.
private let requestOptions = [
    outputOption,
    Option("model", .text("NAME"), variable: "SORAD_MODEL", "the model"),
    Option("size", .size, "width and height in pixels"),
    Option("seconds", .number("S"), "length of the clip"),
    Option("frames", .wholeNumber("N"), "number of frames, instead of --seconds"),
    Option("fps", .wholeNumber("N"), "frames a second"),
    Option("seed", .wholeNumber("N"), default: "a random one", "the same seed gives the same clip"),
    Option("steps", .wholeNumber("N"), "denoise steps: more are slower and often better"),
    Option("guidance", .number("G"), "classifier-free guidance scale; 1 is none and fastest"),
    Option("flow-shift", .number("S"), "timestep shift of the flow-matching schedule"),
    Option("upscale", .wholeNumber("N"), default: "1", "2 or 4: times the sides, by the model's upscaler"),
    Option("interpolate", .wholeNumber("N"), default: "1", "2: times the frames a second, by the model's interpolator"),
    Option("reuse", "take the finished clip of an identical earlier request; needs --seed"),
    Option("priority", .wholeNumber("N"), "order in the queue, higher first; above 0 for administrators only"),
    Option("negative", .text("TEXT"), "negative prompt: things to keep out of the clip"),
]

private let sceneOption = Option(
    "scene", .text("SECONDS:PROMPT"), isList: true, "a scene of the clip with its own length and prompt")

private func strengthOption(_ summary: String, _ standard: String) -> Option {
    Option("strength", .number("S"), default: standard, summary)
}

private let pictureOptions = [
    Option("image", .text("FILE"), "a picture that is the first frame"),
    Option("end-image", .text("FILE"), "a picture that is the last frame"),
    strengthOption("with --image: how far the clip may differ from it", "1"),
]

private let timeoutOption = Option("timeout", .number("S"), "stop waiting after this many seconds; the job continues")
private let quietOption = Option("quiet", short: "q", "show no progress")
private let waitingOptions = [Option("no-wait", "print the job's id and return at once"), timeoutOption, quietOption]
