"""Makes, watches, fetches and remixes clips through LiteLLM. Run by test_applications.py with a Python that has it: URL PICTURE KEY."""
import io
import pathlib
import sys
import time

import litellm

url, picture, key = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
account = {"api_key": key, "api_base": url + "/v1"}
quick = {"extra_body": {"num_frames": 5, "num_inference_steps": 1, "seed": -1}}


def finished(video):
    deadline = time.monotonic() + 120
    while video.status not in ("completed", "failed"):
        assert time.monotonic() < deadline, video
        time.sleep(0.1)
        video = litellm.video_status(video_id=video.id, custom_llm_provider="openai", **account)
    assert video.status == "completed", video
    return video


made = finished(litellm.video_generation(model="openai/sorad-mini", prompt="a red ball", size="64x64", **quick, **account))
content = litellm.video_content(video_id=made.id, custom_llm_provider="openai", **account)
assert content[4:8] == b"ftyp", content[:16]
with_picture = litellm.video_generation(
    model="openai/sorad-mini", prompt="a red ball", size="64x64", input_reference=io.BytesIO(picture.read_bytes()), **quick, **account)
finished(with_picture)
remix = litellm.video_remix(video_id=made.id, prompt="a blue ball", custom_llm_provider="openai", **account)
finished(remix)
print("made", made.id, len(content), "bytes; with a picture; remixed")
