"""One forward pass of a transformer of Wan 2.1 1.3B's shape, random weights: sorad next to PyTorch and OpenVINO.

    bench_peers.py --sorad .build/release/sorad-bench [--tokens 1280 4590] [--engines NAME...] [--rounds 2] [--json FILE]

Every engine runs in a process of its own, right before a sorad run of its own, with the same tokens and threads; times are the
best of all rounds. The memory of an engine is the most that its process held in memory while it ran, its loading included; what
preparing its model took at most stands next to it. Rivals compute what their published pipelines compute: 512 text rows in every forward.
sorad folds equal padding keys and keeps the prompt's keys and values, which is part of what it is; the work so saved is not
counted as its own.

Prepared models lie in --cache, some gigabytes, and are made once.
"""

import argparse
import json
import os
import subprocess
import sys
import time

GRIDS = {320: (5, 16, 16), 1280: (5, 32, 32), 4590: (9, 34, 60)}  # latent frames, height, width
ENGINES = {
    "torch-bf16": "PyTorch bf16",
    "torch-int8": "PyTorch int8 dynamic",
    "openvino-w8": "OpenVINO, weight-only int8",
    "openvino-w8a8": "OpenVINO, NNCF W8A8 static",
}


# ---- One engine, in its own process ----


def inputs(torch, tokens, dtype):
    frames, height, width = GRIDS[tokens]
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 16, frames, height, width, generator=generator)
    text = torch.randn(1, 512, 4096, generator=generator)
    return latents.to(dtype), torch.tensor([500], dtype=torch.int64), text.to(dtype)


def transformer(torch, dtype):
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model = WanTransformer3DModel(
            num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=30, in_channels=16, out_channels=16,
            text_dim=4096, freq_dim=256, cross_attn_norm=True, qk_norm="rms_norm_across_heads", patch_size=(1, 2, 2))
    # Its position tables are computed when it is made, so they must not be made without memory.
    rope = type(model.rope)(128, (1, 2, 2), 1024)
    model = model.to(dtype).to_empty(device="cpu")
    model.rope = rope
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.data.fill_(1)
        else:
            parameter.data.uniform_(-0.03, 0.03, generator=generator)
    return model.eval().requires_grad_(False)


def plain(torch, model):
    """A module with the three inputs and one output that tracing wants."""

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, latents, timestep, text):
            return self.model(latents, timestep, text, return_dict=False)[0]

    return Plain().eval()


def prepare_openvino(cache, engine):
    """The model of one engine on disk, for clips of any size: OpenVINO's own in half precision first, in a process of its own, then the
    compressed one. Calibrating holds every attention matrix at once, so it is done at 320 tokens: at 1280 it takes more than 24 GB."""
    path = os.path.join(cache, f"{engine}.xml")
    if os.path.exists(path):
        return
    os.makedirs(cache, exist_ok=True)
    import openvino

    if engine == "openvino-float":
        import torch

        example = inputs(torch, 1280, torch.float32)
        with torch.inference_mode():
            model = openvino.convert_model(plain(torch, transformer(torch, torch.float32)), example_input=example)
    else:
        import nncf
        import torch

        # Read from a mapped file: the weights are then not held in memory twice.
        model = openvino.Core().read_model(os.path.join(cache, "openvino-float.xml"))
        if engine == "openvino-w8":
            model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
        else:
            sample = [x.numpy() for x in inputs(torch, 320, torch.float32)]
            model = nncf.quantize(
                model, nncf.Dataset([sample], lambda item: item), model_type=nncf.ModelType.TRANSFORMER, subset_size=1,
                fast_bias_correction=True)
    openvino.save_model(model, path)


def runner(engine, tokens, threads, cache):
    """A function that runs one forward pass."""
    if engine.startswith("openvino"):
        import numpy
        import openvino

        frames, height, width = GRIDS[tokens]
        core = openvino.Core()
        model = core.read_model(os.path.join(cache, f"{engine}.xml"))
        shapes = [[1, 16, frames, height, width], [1], [1, 512, 4096]]
        model.reshape({port: openvino.PartialShape(shape) for port, shape in zip(model.inputs, shapes)})
        model = core.compile_model(
            model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16"})
        random = numpy.random.default_rng(1)
        feed = [
            random.standard_normal((1, 16, frames, height, width), dtype=numpy.float32), numpy.array([500], dtype=numpy.int64),
            random.standard_normal((1, 512, 4096), dtype=numpy.float32),
        ]
        request = model.create_infer_request()
        return lambda: request.infer(feed, share_inputs=True, share_outputs=True)
    import torch

    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if engine == "torch-bf16" else torch.float32
    model = transformer(torch, dtype)
    if engine == "torch-int8":
        torch.backends.quantized.engine = "onednn" if "onednn" in torch.backends.quantized.supported_engines else "x86"
        # The embeddings outside of the blocks ask their layers for the type of their weights, which quantized ones do not have.
        torch.ao.quantization.quantize_dynamic(model.blocks, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    data = inputs(torch, tokens, dtype)

    def run():
        with torch.inference_mode():
            return model(*data, return_dict=False)[0]

    return run


def measure(run, seconds=4.0):
    run()
    times = []
    while len(times) < 2 or sum(times) < seconds and len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


# ---- All of them ----


def child(command):
    """Standard output of a command, and the most it held in memory, in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return output, usage.ru_maxrss * 1024


def sorad(program, tokens, threads):
    frames, height, width = GRIDS[tokens]
    output, memory = child(
        [program, "forward", "--model", "wan-1.3b", "--json", "--threads", str(threads), "--frames", str(frames), "--height",
         str(height), "--width", str(width)])
    result = json.loads(output)
    peak = result["peak_int8_gops"]
    share = result["operations"] / result["seconds"] * 1e-9 / peak if peak else None
    return {"seconds": result["seconds"], "memory": memory, "share_of_int8_peak": share}


def table(rows):
    print(f"{'engine':30} {'tokens':>7} {'seconds':>9} {'GB':>6} {'prepared in GB':>15} {'sorad next to it':>16} {'times as fast':>14}")
    for row in rows:
        own = row.get("sorad")
        print(
            f"{row['name']:30} {row['tokens']:7} {row['seconds']:9.3f} {row['memory'] / 1e9:6.2f} "
            f"{row['prepared'] / 1e9 if row.get('prepared') else 0:15.2f} "
            f"{f'{own:.3f}' if own else '':>16} {row['seconds'] / own if own else 1:14.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sorad")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1280], choices=GRIDS)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cache", default=".venv/bench/models")
    parser.add_argument("--json")
    parser.add_argument("--prepare-only", action="store_true", help="make the models that have to be made, and end")
    parser.add_argument("--run", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", choices=[*ENGINES, "openvino-float"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare_openvino(options.cache, options.prepare)
        return
    if options.run:
        run = runner(options.run, options.tokens[0], options.threads, options.cache)
        print(json.dumps({"seconds": measure(run)}))
        return

    own = [sys.executable, os.path.abspath(__file__), "--cache", options.cache, "--threads", str(options.threads)]
    prepared = {}
    for engine in options.engines:
        if engine.startswith("openvino"):
            prepared[engine] = max(child(own + ["--prepare", step])[1] for step in ("openvino-float", engine))
    if options.prepare_only:
        return
    if not options.sorad:
        parser.error("--sorad names sorad-bench")
    rows = []
    for tokens in options.tokens:
        ours = None
        for engine in options.engines:
            best, memory, ours = float("inf"), 0, float("inf")
            for _ in range(options.rounds):
                mine = sorad(options.sorad, tokens, options.threads)
                if ours is None or mine["seconds"] < ours["seconds"]:
                    ours = mine
                output, used = child(own + ["--run", engine, "--tokens", str(tokens)])
                best, memory = min(best, json.loads(output)["seconds"]), max(memory, used)
                ours = min(ours, mine["seconds"])
            rows.append({
                "engine": engine, "name": ENGINES[engine], "tokens": tokens, "seconds": best, "memory": memory, "sorad": ours,
                "prepared": prepared.get(engine),
            })
        rows.append({"engine": "sorad", "name": "sorad", "tokens": tokens} | ours)
    table(rows)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"threads": options.threads, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
