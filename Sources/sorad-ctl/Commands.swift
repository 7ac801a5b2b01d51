// The one table of commands and options. To add a command, add a row here and a function for its `run`. Help, parser, completions and
// docs/CLI.md are made from it.
import SoradSystem

let commandTable = CommandTable(
    "sorad-ctl", summary: "make short videos from text with the sorad daemon on this machine",
    [
        .init("Make clips", clipCommands + otherClipCommands), .init("Jobs", jobCommands), .init("The service", serviceCommands),
        .init("Administration", adminCommands + operatorCommands + accessCommands), .init("This program", programCommands),
    ],
    common: [
        Option(
            "socket", .text("PATH"), default: "the system's, then your own", variable: "SORAD_SOCKET", "the daemon's socket"),
        Option("json", "print JSON with a schema name on standard output, and errors as JSON on standard error"),
        Option("color", .choice(["auto", "always", "never"]), default: "auto, and never with NO_COLOR", "colors in texts"),
    ],
    notes: """
        An ID may be shortened to a beginning or an end that only one job has; latest is your newest job.
        Commands and options may be shortened too. Data go to standard output, progress and errors to standard error.

        """ + SoradError.exitStatusHelp)

private let clipCommands: [Command] = [
    Command(
        "sorad-ctl generate", [optionalPrompt], options: requestOptions + [sceneOption] + pictureOptions + batchOptions + waitingOptions,
        summary: "make a clip from a prompt, optionally with pictures, and save it",
        details: """
            Sends the prompt to the daemon, shows the progress, and saves the finished MP4. Options that are left out \
            have the model's defaults. Ctrl-C cancels the job. With --json, standard output carries one JSON object a line:
            sorad.progress/1 while it runs, sorad.clip/1 at the end.
            A picture (PNG, JPEG, WebP and others) given with --image becomes the first frame and one given with --end-image \
            the last; they are scaled to cover the clip, and the overhang is cut off.
            With --scene the clip has several prompts one after the other; the PROMPT is put before each of them.
            """,
        examples: [
            "sorad-ctl generate \"a red ball rolls to the left on grass\" -o ball.mp4",
            "sorad-ctl generate \"a blue cube falls into the sea\" --seed 7 --size 128x128 -o - | ffplay -",
            "sorad-ctl generate \"the red ball rolls on\" --image first.png --end-image last.png",
            "sorad-ctl generate \"a red ball\" --scene \"2:rolls to the left on grass\" --scene \"2:bounces on grass\"",
            "sorad-ctl generate \"a red ball bounces\" --count 4 --seed 1 -o ball.gif",
        ],
        run: generate),
    Command(
        "sorad-ctl remix", [idArgument, promptArgument],
        options: requestOptions + [
            strengthOption("how much of the clip is replaced, above 0 (nothing) to 1 (all)", "0.7"),
            Option("mask", .text("FILE"), "a picture, white where the clip may change; a clip too for models that follow clips"),
        ] + followingOptions + waitingOptions,
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
            --seconds or --frames set the added length, rounded up to whole groups of frames; the saved file holds the old \
            and the new frames. With --json: as generate.
            """,
        examples: [
            "sorad-ctl extend video_… \"the ball rolls on\" --seconds 1.5 -o longer.mp4",
            "sorad-ctl extend video_… \"the ball comes back\" --seconds 1 --loop -o loop.mp4",
        ],
        run: extend),
]

private let otherClipCommands: [Command] = [
    Command(
        "sorad-ctl run", [Argument("PROMPT", isOptional: true, "the first prompt")],
        options: requestOptions.filter { $0.name != "output" } + [timeoutOption, quietOption, previewOption],
        summary: "make clips one after the other: a sentence, the clip, the next sentence",
        details: """
            Lines that begin with / change the next clips: /seed, /size, /seconds, /steps, /again, /save; /help lists them. Ctrl-C \
            cancels the clip that is being made, Ctrl-D ends the loop. Without a terminal each line of standard input is a prompt.
            """,
        examples: ["sorad-ctl run", "sorad-ctl run \"a red ball bounces on grass\" --preview blocks"],
        schemas: ["sorad.progress/1", "sorad.job/1"], run: runLoop),
    Command(
        "sorad-ctl edit", [Argument("FILE", "a clip of at most 256 MiB, or the ID of a job"), promptArgument],
        options: requestOptions + [
            strengthOption("how much of the clip is replaced, above 0 (nothing) to 1 (all)", "0.7"),
            Option("mask", .text("FILE"), "a picture, white where the clip may change; a clip too for models that follow clips"),
        ] + followingOptions + waitingOptions,
        summary: "make a clip of your own again for a prompt, and save it",
        details: """
            The clip is mixed with noise and denoised for the prompt. A model that follows clips (VACE) follows it instead:
            where it is white in the mask, or everywhere without one, and mixes it with noise only with --strength.
            """,
        examples: ["sorad-ctl edit holiday.mp4 \"a snowy field\" --strength 0.5 -o snow.mp4"],
        schemas: ["sorad.progress/1", "sorad.clip/1"], run: editClip),
    Command(
        "sorad-ctl retry", [latestArgument], options: requestOptions + waitingOptions,
        summary: "make the clip of a job again, by the same request",
        details:
            "Options that are given replace those of the request; --seed -1 takes another seed. Pictures and clips that came along are not kept.",
        examples: ["sorad-ctl retry latest --seed -1"], schemas: ["sorad.progress/1", "sorad.clip/1"], run: retryJob),
]

private let jobCommands: [Command] = [
    Command(
        "sorad-ctl jobs",
        options: [
            Option("limit", short: "n", .wholeNumber("N"), default: "20", "at most N jobs, the newest first"),
            Option("status", .choice(JobFilter.statuses), "only jobs in this state"),
            Option("user", .text("NAME"), "only this user's; for administrators, who see everybody's"),
            Option("mine", "only your own; for administrators"),
            Option("older-than", .text("AGE"), "only those made longer ago than this: 90s, 30m, 12h, 7d, 2w"),
            Option("watch", short: "w", "show them again once a second"),
        ],
        summary: "list the jobs, the newest first",
        details: "In a narrow terminal an id is its last eight digits, which every command takes. ps lists those that wait or run.",
        examples: ["sorad-ctl jobs --status failed --json", "sorad-ctl ps --watch"],
        aliases: ["ls", "list", .init("ps", ["--status", "active"])], schemas: ["sorad.jobs/1"], run: listJobs),
    Command(
        "sorad-ctl show", [repeatedIDArgument], summary: "show everything about a job", aliases: ["info"], schemas: ["sorad.job/1"],
        run: showJob),
    Command(
        "sorad-ctl watch", [latestArgument], options: [timeoutOption, quietOption, previewOption], summary: "follow a job to its end",
        details: "Shows the progress as it happens. Ctrl-C stops the watching, not the job.",
        schemas: ["sorad.progress/1", "sorad.job/1"], run: watchJob),
    Command(
        "sorad-ctl wait", [repeatedIDArgument], options: [timeoutOption], summary: "wait until jobs have ended",
        details:
            "Prints the state of each at its end. The exit status is 0 when all are completed. Ctrl-C stops the waiting, not the jobs.",
        examples: ["sorad-ctl wait $(sorad-ctl generate \"a red ball\" --no-wait) && echo done"], schemas: ["sorad.job/1"],
        run: waitForJobs),
    Command(
        "sorad-ctl get", [latestArgument],
        options: [
            outputOption, Option("variant", .choice(["video", "thumbnail", "spritesheet"]), default: "video", "file of the job"),
        ],
        summary: "download a finished clip", details: "Saves the MP4, its WebP thumbnail or its JPEG contact sheet.",
        examples: ["sorad-ctl get latest -o ball.mp4", "sorad-ctl get video_… --variant thumbnail -o ball.webp"], aliases: ["download"],
        schemas: ["sorad.file/1"], run: getContent),
    Command(
        "sorad-ctl export", [idArgument, Argument("FOLDER", isOptional: true, "a new folder; the job's id if none is named")],
        summary: "write a job into a folder, from which another machine can continue it",
        details: """
            The folder has the job's plan, its given files and its checkpoints, or the finished clip. sorad-worker --once FOLDER makes \
            the clip there without a daemon, and sorad-ctl import FOLDER hands it to another one: the same frames. The job here continues; \
            cancel it if the other one is to make the clip.
            """,
        examples: ["sorad-ctl export latest job", "scp -r job box: && ssh box sorad-ctl import job"], schemas: ["sorad.export/1"],
        run: exportJob),
    Command(
        "sorad-ctl import", [Argument("FOLDER", "of sorad-ctl export or sorad-worker --once")],
        options: [Option("priority", .wholeNumber("N"), "order in the queue, higher first; above 0 for administrators only")],
        summary: "continue a job that another machine began",
        details: "It has a new id here. Where model file and version are the same, it continues from its checkpoint.",
        examples: ["sorad-ctl watch $(sorad-ctl import job)"], schemas: ["sorad.job/1"], run: importJob),
    Command(
        "sorad-ctl cancel", [selectedIDArgument], options: selectingOptions + [yesOption], summary: "stop queued or running jobs",
        details: "Without IDs, --all, --mine, --older-than or --status choose among the queued and running ones.",
        examples: ["sorad-ctl cancel latest", "sorad-ctl cancel --all --status queued"], aliases: ["stop"], schemas: ["sorad.job/1"],
        run: cancelJobs),
    Command(
        "sorad-ctl delete", [selectedIDArgument], options: selectingOptions + [yesOption], summary: "delete jobs and their files",
        details: """
            Without IDs, --all, --mine, --older-than or --status choose among the finished ones, and a question is asked first unless \
            --yes is given.
            """,
        examples: ["sorad-ctl delete video_…", "sorad-ctl rm --mine --older-than 7d --yes"], aliases: ["rm", "remove"],
        schemas: ["sorad.deleted/1"], run: deleteJobs),
]

private let serviceCommands: [Command] = [
    Command(
        "sorad-ctl status", summary: "show the state of the daemon and its workers", schemas: ["sorad.status/1"], run: showStatus),
    Command(
        "sorad-ctl top", summary: "show the state and the jobs, again once a second",
        details: "q or Ctrl-C ends it. Elsewhere than in a terminal it prints them once.", schemas: ["sorad.top/1"], run: showTop),
    Command(
        "sorad-ctl doctor", options: adminOptions, summary: "look for what is wrong, and name the remedy of each finding",
        details: "Exit status 0: nothing is wrong; 1: something is.", schemas: ["sorad.doctor/1"], run: doctor),
    Command("sorad-ctl models", summary: "list the models and their limits", schemas: ["sorad.models/1"], run: listModels),
    Command(
        "sorad-ctl models show", [Argument("NAME", "the model, as models lists it")],
        options: ["size", "seconds", "frames", "steps", "guidance"].compactMap { name in requestOptions.first { $0.name == name } },
        summary: "show everything about a model, and what a clip takes of this machine",
        details: "The clip is the model's own, or as the options say. Its time follows from clips like it, else from parts of the model.",
        examples: ["sorad-ctl models show sorad-mini --size 256x256 --frames 33"],
        schemas: ["sorad.model/1"], run: showModel),
    Command(
        "sorad-ctl check", [Argument("FILE", "an MP4 file")], summary: "find out where a clip comes from",
        details: "Looks for the marks of generated media; a file that this sorad made is known by its SHA-256. Marks can be removed.",
        schemas: ["sorad.check/1"], run: checkFile),
]

private let operatorCommands: [Command] = [
    Command(
        "sorad-ctl logs", [latestIDOfLogs],
        options: [
            Option("follow", short: "f", "show new lines as they come"),
            Option("lines", short: "n", .wholeNumber("N"), default: "100, or all of a job", "the last N lines"),
        ],
        summary: "show the daemon's log, or the lines about one job",
        details: "Reads the journal; members of the group systemd-journal and root see all of it. With --json: the journal's own JSON.",
        examples: ["sorad-ctl logs latest", "sorad-ctl logs -f"], run: showLogs),
    Command(
        "sorad-ctl bugreport",
        options: [Option("output", short: "o", .text("FILE"), "file to save; without it, standard output")] + adminOptions,
        summary: "gather what helps to find a fault",
        details:
            "A text with versions, machine, findings of doctor, state, jobs, settings and the log; without prompts, names of users and clips.",
        run: bugReport),
    Command(
        "sorad-ctl config show", options: configOptions, summary: "show every setting and where it comes from",
        details: "In the environment and for the user of this command; a running daemon may have been started with another.",
        schemas: ["sorad.config/1"], run: showConfig),
    Command(
        "sorad-ctl config check", options: configOptions, summary: "find out what is wrong in the settings",
        schemas: ["sorad.config-check/1"], run: checkConfig),
    Command(
        "sorad-ctl models verify", [Argument("NAME", isOptional: true, isRepeated: true, "a model or a file; without it, all")],
        options: adminOptions, summary: "read model files whole, and compare them with what the daemon opened",
        schemas: ["sorad.model-check/1"], run: verifyModels),
    Command(
        "sorad-ctl models import", [Argument("FILE|FOLDER", "a .gguf of sorad, or a checkpoint that sorad-quantize reads")],
        options: [
            Option("name", .text("NAME"), default: "that of the file", "name of the model file, and of a model that is converted"),
            Option("force", "replace a file of that name"),
        ] + adminOptions, summary: "put a model where the daemon finds it",
        details: "Returns when the daemon lists the model. Two models of one name are refused.",
        examples: ["sudo sorad-ctl models import wan-1.3b.gguf"], schemas: ["sorad.model-import/1"], run: importModel),
    Command(
        "sorad-ctl models rm", [Argument("NAME", "the model, as models lists it")], options: [yesOption] + adminOptions,
        summary: "remove a model file", schemas: ["sorad.model-removal/1"], run: removeModel),
]

private let programCommands: [Command] = [
    Command(
        "sorad-ctl completion", [Argument("SHELL", "bash, zsh or fish")], summary: "print completions for a shell",
        examples: ["source <(sorad-ctl completion bash)", "sorad-ctl completion fish > ~/.config/fish/completions/sorad-ctl.fish"],
        run: printCompletion),
    Command(
        "sorad-ctl schema", [Argument("NAME", isOptional: true, "e.g. jobs or sorad.jobs/1; without it, all are listed")],
        summary: "print the JSON Schema of what --json prints", run: showSchema),
    Command("sorad-ctl reference", summary: "print this reference as Markdown, as in docs/CLI.md", run: printReference),
    Command("sorad-ctl version", summary: "print the version of this program", schemas: ["sorad.version/1"], run: showVersion),
]

private let optionalPrompt = Argument("PROMPT", isOptional: true, "text prompt, in quotes; - reads it from standard input")
private let batchOptions = [
    Option("count", short: "n", .wholeNumber("N"), default: "1", "make N clips, with seeds that count up from --seed"),
    Option("batch", .text("FILE"), "make a clip of each line: a prompt, or a JSON object of request fields with output, the file to save"),
]
private let promptArgument = Argument("PROMPT", "text prompt, in quotes; - reads it from standard input")
private let idArgument = Argument("ID", "the job, as generate and jobs print it")
private let latestIDOfLogs = Argument("ID", isOptional: true, "a job; without it, everything")
private let configOptions = [
    Option("config", .text("FILE"), default: "/etc/sorad/sorad.conf where it is there", "settings file"),
    Option("user", "of a daemon that you start yourself"),
]
private let latestArgument = Argument("ID", isOptional: true, "the job; without it, your newest")
private let repeatedIDArgument = Argument("ID", isRepeated: true, "the job, as generate and jobs print it; may be repeated")
private let selectedIDArgument = Argument("ID", isOptional: true, isRepeated: true, "the job; may be repeated")
private let yesOption = Option("yes", short: "y", "do not ask")
private let outputOption = Option(
    "output", short: "o", .text("FILE"), default: "the job's id in this folder",
    "file to save; - is standard output; .gif, .webp and .png are animated pictures made by ffmpeg")

/// Options that become fields of the request.
let requestOptions = [
    outputOption,
    Option("model", .text("NAME"), variable: "SORAD_MODEL", "the model"),
    Option("size", .size, "width and height in pixels"),
    Option("seconds", .number("S"), "length of the clip"),
    Option("frames", .wholeNumber("N"), "number of frames, instead of --seconds"),
    Option("fps", .wholeNumber("N"), "frames a second"),
    Option("seed", .wholeNumber("N"), default: "a random one", "the same seed gives the same clip"),
    Option("steps", .wholeNumber("N"), "denoise steps: more are slower and often better"),
    Option("guidance", .number("G"), "classifier-free guidance scale; 1 is none and fastest"),
    Option("guidance-2", .number("G"), "guidance scale of the second of two experts, for low noise"),
    Option("guidance-interval", .text("LOW,HIGH"), "noise levels of the steps that are guided, within 0,1; the others take half the time"),
    Option("cache", .text("TOLERANCE"), default: "off", "leave out steps that change little, e.g. 0.05; for 20 steps and more"),
    Option("flow-shift", .number("S"), "timestep shift of the flow-matching schedule"),
    Option("sigmas", .text("LIST"), default: "the model's schedule", "noise level before each step, falling from 1, e.g. 1,0.9,0.7"),
    Option("timesteps", .text("LIST"), "the same in timesteps of training, e.g. 1000,757,522"),
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

private let pictureOptions =
    [
        Option("image", .text("FILE"), "a picture that is the first frame"),
        Option("end-image", .text("FILE"), "a picture that is the last frame"),
        strengthOption("with --image: how far the clip may differ from it", "1"),
    ] + followingOptions

/// For models that follow a clip (VACE).
private let followingOptions = [
    Option("reference", .text("FILE"), isList: true, "a picture of what is to be seen, for models that follow clips"),
    Option("conditioning-scale", .number("S"), default: "1", "how closely such a model follows what is given, 0 to 4"),
]

private let timeoutOption = Option("timeout", .number("S"), "stop waiting after this many seconds; the job continues")
private let quietOption = Option("quiet", short: "q", "show no progress")
private let previewOption = Option(
    "preview", .choice(["auto", "kitty", "sixel", "blocks", "off"]), default: "what the terminal shows", variable: "SORAD_PREVIEW",
    "pictures of the clip while it is made")
private let waitingOptions = [Option("no-wait", "print the job's id and return at once"), timeoutOption, quietOption, previewOption]
