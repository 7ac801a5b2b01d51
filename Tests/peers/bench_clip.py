"""One whole clip, from prompt to MP4, by Wan 2.1 T2V 1.3B with random weights: sorad next to PyTorch, OpenVINO and stable-diffusion.cpp.

    python quantization/reference/write_full_size.py FOLDER/wan
    sorad-quantize FOLDER/wan FOLDER/taew2_1.safetensors -o MODEL.gguf
    bench_clip.py --build .build/release --checkpoint FOLDER/wan --model MODEL.gguf [--size 480x272] [--frames 33] [--steps 3]
                  [--openvino openvino-w8a8.xml] [--sd-cli "PROGRAM --diffusion-model … --t5xxl … --tae …"] [--json FILE]

Steps are Euler's without guidance, the decoder is taew2_1. Each engine runs in processes of its own, all files in the page cache before.
`whole` is from the start of the program, or for sorad from the request to a daemon without a worker, to the MP4; `loaded` leaves out
reading and compiling the model, which a program that stays would do once. PyTorch computes in bfloat16. OpenVINO runs the transformer that
bench_peers.py has quantized (W8A8); text and decoder are PyTorch's next to it, since nobody publishes them for it.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROMPT = "a red ball rolls in the grass, the sea at the left"
SHIFT = 3.0


class Stages:
    """Seconds of each stage, printed as JSON at the end."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def done(self, name: str):
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0) + now - self.last
        self.last = now


def write_mp4(frames, path: str, fps: int = 16):
    """frames: uint8 [F, H, W, 3]."""
    count, height, width, _ = frames.shape
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
         "-pix_fmt", "yuv420p", path], input=frames.tobytes(), check=True)


def rival(options) -> None:
    """PyTorch, or OpenVINO's transformer between PyTorch's text encoder and decoder."""
    stages = Stages()
    import torch
    from diffusers import WanTransformer3DModel
    from safetensors.torch import load_file
    from transformers import UMT5EncoderModel

    sys.path.insert(0, str(HERE.parents[1] / "quantization" / "reference"))
    from write_full_size import TAEW
    from taehv_reference import ReferenceTAEHV

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    folder, (width, height) = pathlib.Path(options.checkpoint), options.size
    shape = (1, 16, (options.frames + 3) // 4, height // 8, width // 8)
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16).eval()
    if options.rival == "openvino":
        import openvino

        core = openvino.Core()
        model = core.read_model(options.openvino)
        model.reshape({port: openvino.PartialShape(list(s)) for port, s in zip(model.inputs, [shape, (1,), (1, 512, 4096)])})
        compiled = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": "bf16"})
        request = compiled.create_infer_request()
        run = lambda x, t, text: torch.from_numpy(request.infer([x.numpy(), t.numpy(), text.float().numpy()])[0].copy())
    else:
        transformer = WanTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.bfloat16).eval()
        run = lambda x, t, text: transformer(x.bfloat16(), t, text, return_dict=False)[0].float()
    decoder = taehv(ReferenceTAEHV, TAEW, load_file(folder.parent / "taew2_1.safetensors"))
    stages.done("loading")
    # Tokens of the prompt, then padding, whose embeddings diffusers sets to zero.
    ids = torch.randint(5, 250_000, (1, options.tokens), generator=torch.Generator().manual_seed(1))
    text = torch.zeros(1, 512, 4096, dtype=torch.bfloat16)
    text[:, :options.tokens] = encoder(ids).last_hidden_state
    stages.done("text")
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    sigmas = torch.linspace(1, 0, options.steps + 1)
    sigmas = SHIFT * sigmas / (1 + (SHIFT - 1) * sigmas)
    for now, then in zip(sigmas[:-1], sigmas[1:]):
        x = x + (then - now) * run(x, (now * 1000).reshape(1).to(torch.int64), text)
    stages.done("denoising")
    frames = decoder(x[0].bfloat16())[-options.frames:]
    frames = frames.float().clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    stages.done("decoding")
    write_mp4(frames, options.output)
    stages.done("writing")
    print(json.dumps(stages.seconds))


def taehv(kind, description, tensors):
    """Latents [16, T, h, w] to frames [F, 3, H, W], in bfloat16."""
    import torch

    model = kind(description).eval()
    model.load_state_dict(tensors)
    model = model.to(torch.bfloat16)
    return lambda latents: model.decode(latents.transpose(0, 1))


def measured(command: list[str], environment=None) -> tuple[str, float, int]:
    """Standard output, seconds, and the most bytes in memory of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return output, time.perf_counter() - began, usage.ru_maxrss * 1024


def sorad(options, folder: str) -> dict:
    sys.path.insert(0, str(HERE.parent / "bench"))
    from full_size import Anonymous, request

    build, socket = pathlib.Path(options.build), f"{folder}/s"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SORAD_")} | {"SORAD_STATE_DIR": f"{folder}/state"}
    daemon = subprocess.Popen([build / "sorad", "--socket", socket, "--model", options.model], stderr=subprocess.DEVNULL, env=environment)
    try:
        curl = ["curl", "-s", "--unix-socket", socket, "http://localhost/v1/models"]
        while not (models := subprocess.run(curl, capture_output=True, text=True).stdout) or not json.loads(models).get("data"):
            time.sleep(0.1)
        watch = Anonymous(daemon.pid)
        watch.start()
        width, height = options.size
        _, whole, video = request(socket, dict(
            prompt=PROMPT, size=f"{width}x{height}", num_frames=options.frames, num_inference_steps=options.steps, guidance_scale=1, seed=7))
        watch.ended = True
        watch.join()
        if video["status"] != "completed":
            raise SystemExit(f"sorad: {video.get('error')}")
        return {"whole": whole, "loaded": whole, "stages": video["timings"], "anonymous": watch.most["together"] * 1024}
    finally:
        daemon.terminate()
        daemon.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=".build/release")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--openvino")
    parser.add_argument("--sd-cli")
    parser.add_argument("--size", default="480x272", type=lambda text: tuple(int(side) for side in text.split("x")))
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=16, help="of the prompt that PyTorch encodes; about as many as sorad's has")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json")
    parser.add_argument("--rival", choices=("torch", "openvino"), help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rival:
        return rival(options)
    (width, height), rows = options.size, {}

    def keep(name: str, row: dict):
        print(name, json.dumps(row), flush=True)
        if name not in rows or row["whole"] < rows[name]["whole"]:
            rows[name] = row

    with tempfile.TemporaryDirectory(prefix="sorad-peers-") as folder:
        clip = f"{folder}/clip.mp4"
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=folder) as own:
                keep("sorad", sorad(options, own))
            for name in ["torch"] + (["openvino"] if options.openvino else []):
                command = [sys.executable, __file__, "--rival", name, "--output", clip]
                for option in ("checkpoint", "model", "openvino", "frames", "steps", "tokens", "threads"):
                    if getattr(options, option) is not None:
                        command += [f"--{option}", str(getattr(options, option))]
                output, whole, memory = measured(command + ["--size", f"{width}x{height}"])
                stages = json.loads(output.splitlines()[-1])
                keep(name, {"whole": whole, "loaded": sum(stages.values()) - stages["loading"], "stages": stages, "memory": memory})
            if options.sd_cli:
                output, whole, memory = measured(shlex.split(options.sd_cli) + [
                    "-M", "vid_gen", "-p", PROMPT, "-W", str(width), "-H", str(height), "--video-frames", str(options.frames), "--steps",
                    str(options.steps), "--cfg-scale", "1", "--sampling-method", "euler", "--flow-shift", str(SHIFT), "-t",
                    str(options.threads), "-o", f"{folder}/clip.avi"])
                keep("stable-diffusion.cpp", {"whole": whole, "memory": memory})
    best = rows["sorad"]["whole"]
    print(f"{'engine':24} {'whole s':>8} {'loaded s':>9} {'times as long':>14}")
    for name, row in rows.items():
        loaded = f"{row['loaded']:.1f}" if "loaded" in row else ""
        print(f"{name:24} {row['whole']:8.1f} {loaded:>9} {row['whole'] / best:14.2f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"size": [width, height], "frames": options.frames, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
