// The one table of commands and flags. Adding a command means adding an entry here and a function for its `run`.
import SoradSystem

let commandTable: [Command] = [
    Command(
        name: "generate", arguments: [promptArgument], flags: requestFlags + waitingFlags,
        summary: "make a clip from a sentence and save it",
        details: """
            Sends the prompt to the daemon, shows the progress, and saves the finished MP4. What is not given takes
            the model's default. Ctrl-C cancels the job. With --json, standard output carries one JSON object a line:
            sorad.progress/1 while it runs, sorad.clip/1 at the end.
            """,
        examples: [
            "sorad-ctl generate \"a red ball rolls to the left on grass\" -o ball.mp4",
            "sorad-ctl generate \"a blue cube falls into the sea\" --seed 7 --size 128x128 -o - | ffplay -",
        ],
        run: generate),
    Command(
        name: "jobs", flags: [Flag(name: "--limit", value: .integer("N"), summary: "at most N jobs, the newest first (default 20)")],
        summary: "list the jobs, the newest first", details: "With --json: one object of schema sorad.jobs/1.", run: listJobs),
    Command(
        name: "show", arguments: [idArgument], summary: "show everything about one job",
        details: "With --json: one object of schema sorad.job/1.", run: showJob),
    Command(
        name: "get", arguments: [idArgument],
        flags: [
            outputFlag,
            Flag(
                name: "--variant", value: .choice(["video", "thumbnail", "spritesheet"]), summary: "which file of the job (default video)"),
        ],
        summary: "download a finished clip",
        details: "Saves the MP4, its WebP thumbnail or its JPEG contact sheet. With --json: one object of schema sorad.file/1.",
        examples: ["sorad-ctl get video_… --variant thumbnail -o ball.webp"], run: getContent),
    Command(
        name: "cancel", arguments: [idArgument], summary: "stop a queued or running job",
        details: "With --json: one object of schema sorad.job/1.", run: cancelJob),
    Command(
        name: "delete", arguments: [idArgument], summary: "delete a job and its files",
        details: "With --json: one object of schema sorad.deleted/1.", run: deleteJob),
    Command(
        name: "status", summary: "say whether the daemon runs and what it is doing",
        details: "With --json: one object of schema sorad.status/1.", run: showStatus),
    Command(
        name: "models", summary: "list the models and their limits", details: "With --json: one object of schema sorad.models/1.",
        run: listModels),
    Command(
        name: "version", summary: "print the version of this program", details: "With --json: one object of schema sorad.version/1.",
        run: showVersion),
    Command(
        name: "help", arguments: [Argument(name: "COMMAND", summary: "the command to explain", isOptional: true)],
        summary: "explain the program or one command", run: showHelp),
]

private let promptArgument = Argument(name: "PROMPT", summary: "what the clip shall show, in quotes; - reads it from standard input")
private let idArgument = Argument(name: "ID", summary: "the job, as generate and jobs print it")
private let outputFlag = Flag(
    name: "--output", short: "o", value: .text("FILE"),
    summary: "where to save it; - is standard output (default: the job's id in this folder)")

/// Flags that become fields of the request.
private let requestFlags = [
    outputFlag,
    Flag(name: "--model", value: .text("NAME"), summary: "the model to use", environment: "SORAD_MODEL"),
    Flag(name: "--size", value: .size, summary: "width and height in pixels"),
    Flag(name: "--seconds", value: .number("S"), summary: "length of the clip"),
    Flag(name: "--frames", value: .integer("N"), summary: "number of frames; wins over --seconds"),
    Flag(name: "--fps", value: .integer("N"), summary: "frames a second"),
    Flag(name: "--seed", value: .integer("N"), summary: "the same seed gives the same clip (default: a new one)"),
    Flag(name: "--steps", value: .integer("N"), summary: "denoise steps: more are slower and often better"),
    Flag(name: "--guidance", value: .number("G"), summary: "how strictly to follow the prompt; 1 is fastest"),
    Flag(name: "--flow-shift", value: .number("S"), summary: "where in the noise the steps lie"),
    Flag(name: "--negative", value: .text("TEXT"), summary: "what the clip shall not show"),
]

private let waitingFlags = [
    Flag(name: "--no-wait", summary: "print the job's id and return at once"),
    Flag(name: "--timeout", value: .number("S"), summary: "stop waiting after this many seconds (the job goes on)"),
    Flag(name: "--quiet", short: "q", summary: "show no progress"),
]
