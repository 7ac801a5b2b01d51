// The one table of commands and flags. Adding a command means adding an entry here and a function for its `run`.
import SoradSystem

let commandTable: [Command] = clientCommands + adminCommands + programCommands

private let clientCommands: [Command] = [
    Command(
        name: "generate", arguments: [promptArgument], flags: requestFlags + pictureFlags + waitingFlags,
        summary: "make a clip from a sentence, and perhaps pictures, and save it",
        details: """
            Sends the prompt to the daemon, shows the progress, and saves the finished MP4. What is not given takes
            the model's default. Ctrl-C cancels the job. With --json, standard output carries one JSON object a line:
            sorad.progress/1 while it runs, sorad.clip/1 at the end.
            A picture (PNG, JPEG or WebP) given with --image becomes the first frame and one given with --end-image
            the last; they are scaled to cover the clip, and what sticks out is cut off.
            """,
        examples: [
            "sorad-ctl generate \"a red ball rolls to the left on grass\" -o ball.mp4",
            "sorad-ctl generate \"a blue cube falls into the sea\" --seed 7 --size 128x128 -o - | ffplay -",
            "sorad-ctl generate \"the red ball rolls on\" --image first.png --end-image last.png",
        ],
        run: generate),
    Command(
        name: "remix", arguments: [idArgument, promptArgument], flags: requestFlags + [strengthFlag] + waitingFlags,
        summary: "make a finished clip again for another sentence, and save it",
        details: """
            Mixes the job's clip with noise and makes it over, so that what the sentence does not change stays where it is.
            The size, the length and the model are those of the clip. With --json: as generate.
            """,
        examples: ["sorad-ctl remix video_… \"a green ball rolls to the left on grass\" --strength 0.6 -o green.mp4"], run: remix),
    Command(
        name: "extend", arguments: [idArgument, promptArgument],
        flags: requestFlags + [
            Flag(name: "--backwards", summary: "add what happens before the clip"),
            Flag(name: "--loop", summary: "add what leads from its end back to its beginning"),
            Flag(name: "--join", value: .text("ID"), summary: "add what leads to the clip of another job, and that clip"),
        ] + waitingFlags,
        summary: "make a finished clip longer, and save the whole",
        details: """
            --seconds or --frames say how much is added, rounded up to whole groups of frames; the saved file holds the old
            and the new frames. With --json: as generate.
            """,
        examples: [
            "sorad-ctl extend video_… \"the ball rolls on\" --seconds 1.5 -o longer.mp4",
            "sorad-ctl extend video_… \"the ball comes back\" --seconds 1 --loop -o loop.mp4",
        ],
        run: extend),
    Command(
        name: "jobs", flags: [Flag(name: "--limit", value: .integer("N"), summary: "at most N jobs, the newest first (default 20)")],
        summary: "list the jobs, the newest first", details: "With --json: one object of schema sorad.jobs/1.", run: listJobs),
    Command(
        name: "show", arguments: [idArgument], summary: "show everything about one job",
        details: "With --json: one object of schema sorad.job/1.", run: showJob),
    Command(
        name: "watch", arguments: [idArgument],
        flags: [
            Flag(name: "--timeout", value: .number("S"), summary: "stop waiting after this many seconds"),
            Flag(name: "--quiet", short: "q", summary: "show no progress"),
        ],
        summary: "follow a job until it is over",
        details: """
            Shows the progress as it happens. Ctrl-C ends the watching and not the job. With --json, standard output carries
            one JSON object a line: sorad.progress/1 while it runs, sorad.job/1 at the end.
            """,
        run: watchJob),
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
]

private let programCommands: [Command] = [
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
    Flag(name: "--reuse", summary: "take the finished clip if this very request was made before; needs --seed"),
    Flag(name: "--priority", value: .integer("N"), summary: "a higher one goes first; above 0 for administrators alone"),
    Flag(name: "--negative", value: .text("TEXT"), summary: "what the clip shall not show"),
]

private let strengthFlag = Flag(
    name: "--strength", value: .number("S"), summary: "how much is made over, above 0 (nothing) to 1 (all)")

private let pictureFlags = [
    Flag(name: "--image", value: .text("FILE"), summary: "a picture that is the first frame"),
    Flag(name: "--end-image", value: .text("FILE"), summary: "a picture that is the last frame"),
    Flag(name: "--strength", value: .number("S"), summary: "with --image: how far the clip may move away from it (default 1)"),
]

private let waitingFlags = [
    Flag(name: "--no-wait", summary: "print the job's id and return at once"),
    Flag(name: "--timeout", value: .number("S"), summary: "stop waiting after this many seconds (the job goes on)"),
    Flag(name: "--quiet", short: "q", summary: "show no progress"),
]
