"""From a server to the table, the pictures and the model card, on a server that sends tiny rendered clips and a judge that sees by their file name."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from sorad_mini import caption_words, wordings  # noqa: E402

from evaluate import card, client, compare, measure, modes, pictures, roundtrip, words  # noqa: E402
from evaluate.judge import report  # noqa: E402
from evaluate.judge.sight import Seen  # noqa: E402
from evaluate.tests.test_client import service, write_lines  # noqa: E402, F401

INFO = {"id": "sorad-mini", "sha256": "0" * 64, "license": "Apache-2.0", "defaultWidth": 128, "defaultHeight": 128, "defaultNumFrames": 17,
        "fps": 8, "maxNumFrames": 481, "defaultNumInferenceSteps": 16, "defaultGuidanceScale": 3.0, "textLength": 128}
ABOUT = {"model": "sorad-mini", "size": "128x128", "num_frames": 17, "num_inference_steps": 16}


def record(group: str, number: int, strict: bool, things: int = 1, extras: int = 0) -> dict:
    return {"file": f"{group}-{number}.mp4", "group": group, "prompt": f"{group} | number {number}", "seed": 0, "things": things, "border": 1.0,
            "roughness": float(number), "extras": extras, "strict": strict, "statements": {"0.kind": strict, "place": True}, "seen": "red ball"}


def test_chinese_is_compared_with_plain_prompts_of_as_many_things():
    clips = [record("one_object", n, n < 9) for n in range(10)] + [record("two_objects", n, n < 5, 2) for n in range(10)]
    clips += [record("chinese", n, True, 1 + n % 2) for n in range(4)]
    assert report.plain_share(clips, "chinese") == pytest.approx(0.7)
    assert report.plain_share(clips + [record("chinese", 9, True, 3)], "chinese") is None, "nothing to compare three things with"


def test_the_table_says_what_holds():
    low, high = report.share([True] * 95 + [False] * 5), report.share([True] * 2 + [False] * 98)
    assert report.row("camera", low | {"wanted": 0.8}).endswith("wanted  80.0: holds")
    assert report.row("camera", high | {"wanted": 0.8}).endswith("fails")
    assert report.row("camera", report.share([True] * 4 + [False]) | {"wanted": 0.8}).endswith("holds, but for chance")


def test_pictures_are_drawn_by_rule():
    clips = [record("one_object", n, n % 2 == 0, extras=n == 0) for n in range(6)] + [record("camera", 1, False), record("camera", 2, True)]
    assert [c["file"] for c in pictures.drawn(pictures.ranked(clips, True), 3)] == ["one_object-2.mp4", "camera-2.mp4", "one_object-4.mp4"]
    worst = pictures.drawn(pictures.ranked(clips, False), 2)
    assert [c["file"] for c in worst] == ["one_object-5.mp4", "camera-1.mp4"]
    old = [record("one_object", 4, False), record("camera", 2, False)]
    assert [(a["strict"], b["file"]) for a, b in pictures.shared(clips, old, 9)] == [(False, "one_object-4.mp4"), (False, "camera-2.mp4")]


def test_every_word_of_the_table_and_the_page_is_one_of_the_captions():
    known = {caption_words.stem(word) for word in caption_words.words_of(caption_words.captions(4000))}
    said = " ".join(text for _, text in words.rows()[:-1]) + " " + " ".join(" ".join(list_) for list_ in words.page()["words"].values())
    unknown = {word for word in caption_words.WORD.findall(said.lower()) if caption_words.stem(word) not in known}
    # What the captions that are drawn here lack by chance is in the lists all the same; of words that tell about the words, these.
    listed = {caption_words.stem(word) for _, list_ in wordings.lists() for entry in list_.all() for word in caption_words.WORD.findall(entry.lower())}
    assert {word for word in unknown if caption_words.stem(word) not in listed} <= {"kind", "kinds"}
    assert len(words.page()["words"]["Thing"]) == 17 and "/" not in said and "{" not in said


def test_the_card_has_what_was_measured(tmp_path):
    clips = [record("one_object", n, n < 9) for n in range(10)] + [record("three_objects", 1, False, 3)]
    strict = {name: report.share([c["strict"] for c in clips if c["group"] == name]) for name in ("one_object", "three_objects")}
    strict["one_object"]["wanted"] = 0.92
    found = {"about": ABOUT, "strict": strict, "statements": {"kind": report.share([True, False])}, "swaps": report.share([True]) | {"median": 12.0},
             "border_ratio": 1.07, "clips": clips}
    chosen = {"best": clips[:1], "worst": clips[-1:], "editions": [{"prompt": "a <b>"}]}
    (tmp_path / "facts.json").write_text(json.dumps({"transformer.pt": {"state": {"step": 6937, "spent": 7200}}, "same": {}}))
    text = card.card(INFO, 57_000_000, found, chosen, "images", {"strict": 0.99, "clips": 500, "colour": {"true": 0.995}}, tmp_path)
    assert "| one thing | 90 % | 60–98 % | 10 | 92 % |" in text and "57.0 MB" in text and "| transformer | 6,937 | 2.0 |" in text
    assert "three things: right in 0 %" in text and "one thing: right" not in text
    assert "images/mini-best.webp" in text and "(wrong: kind)" in text and "a &lt;b>" in text and "colour 99.5 %" in text and "1.07 of those" in text
    assert all(len(line) <= 100 or line.startswith(("|", "!", "- “", "<!--")) for line in text.splitlines())
    assert text.index("## Marks") < text.index("## Words") < text.index("## What it cannot do") < text.index("## Best and worst")
    with pytest.raises(SystemExit, match="num_inference_steps 8"):
        card.matching(found | {"about": ABOUT | {"num_inference_steps": 8}}, INFO)
    card.matching(found, INFO)


def write_clip(path: Path, level: int) -> bytes:
    frames = np.full((17, 64, 64, 3), level, np.uint8)
    frames[:, 20:40, 20:40] = (200, 30, 30)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x64", "-r", "8", "-i", "-", str(path)],
                   input=frames.tobytes(), check=True)
    return path.read_bytes()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_from_a_server_to_the_pictures(service, tmp_path, monkeypatch, capsys):  # noqa: F811
    """Everything but what the judge sees, twice: the second folder stands for the earlier edition."""
    where, _ = service
    monkeypatch.setattr(report, "load", lambda path: None)
    monkeypatch.setattr(report, "see", lambda model, windows: [Seen([], {"place": "grass", "time": "day", "camera": "still", "event": "none"})])
    content, sent = client.Server.call, write_clip(tmp_path / "sent.mp4", 90)

    def call(self, method, path, *rest, **more):
        headers, data = content(self, method, path, *rest, **more)
        return (headers, sent) if path.endswith("/content") else (headers, data)
    monkeypatch.setattr(client.Server, "call", call)
    one = write_lines(tmp_path / "one_object.jsonl", {"prompt": "grass", "expect": {"place": "grass"}}, {"prompt": "snow", "expect": {"place": "snow"}})
    swaps = write_lines(tmp_path / "swaps.jsonl", {"a": "x", "b": "y", "expect_a": {"place": "sea"}, "expect_b": {}})
    for name in ("new", "old"):
        assert measure.main([*where, "--out", str(tmp_path / name), "--prompts", one, swaps]) == 0
    said = capsys.readouterr().out
    assert "one_object           50.0 %" in said and "swaps below 20 dB     0.0 %" in said and "border ratio" in said
    found = json.loads((tmp_path / "new" / "report.json").read_text())
    assert [clip["strict"] for clip in found["clips"] if clip["group"] == "one_object"].count(True) == 1
    assert found["strict"]["one_object"]["wanted"] == 0.92 and found["swaps"]["count"] == 1
    pictures.main([str(tmp_path / "new"), "--old", str(tmp_path / "old"), "--out", str(tmp_path / "images"), "--side", "32"])
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["mini-best.webp", "mini-editions.webp", "mini-worst.webp"]
    chosen = json.loads((tmp_path / "new" / "pictures.json").read_text())
    assert [clip["prompt"] for clip in chosen["best"]] == ["grass"] and [clip["prompt"] for clip in chosen["worst"]] == ["snow"]
    assert len(chosen["editions"]) == 2
    size = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", tmp_path / "images" / "mini-best.webp"],
                          capture_output=True, text=True, check=True).stdout
    assert size.strip() == f"{5 * 32},32"
    pictures.main([str(tmp_path / "new"), "--out", str(tmp_path / "eye"), "--side", "16", "--sample", "3"])
    lines = (tmp_path / "eye" / "sample.txt").read_text().splitlines()
    assert len(lines) == 3 and "sheet 0 row 3 [ ]" in lines[2] and (tmp_path / "eye" / "sample-00.webp").stat().st_size > 0
    assert [one["number"] for one in json.loads((tmp_path / "eye" / "sample.json").read_text())] == [0, 1, 2]


def moving(frames: int, cut: int | None = None) -> np.ndarray:
    """A red square that moves two pixels a frame, and jumps by forty at `cut`."""
    clip = np.full((frames, 64, 64, 3), 90, np.uint8)
    for f in range(frames):
        x = (2 * f + (40 if cut is not None and f >= cut else 0)) % 48
        clip[f, 20:36, x:x + 16] = (200, 30, 30)
    return clip


def test_a_seam_is_compared_with_the_steps_next_to_it():
    assert modes.seam(moving(24), 12) == pytest.approx(1.0, abs=0.05)
    assert modes.seam(moving(20, cut=10), 10) > 1.5
    assert modes.seam(moving(20, cut=10), 5) < 1.1


def test_pictures_are_alike_by_their_coarse_parts():
    rng = np.random.default_rng(1)
    picture = np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    noisy = np.clip(picture + rng.normal(0, 30, picture.shape), 0, 255).astype(np.uint8)
    assert modes.correlation(picture, noisy) > 0.9 > 0.3 > modes.correlation(picture, picture[::-1, ::-1])


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_every_mode_is_measured(tmp_path, monkeypatch):
    """On a server that answers with clips of the right lengths: the seam of joins is bad there, everything else holds."""
    asked = []
    monkeypatch.setattr(modes, "MINUTE", 4)

    class Answers:
        def call(self, method, path, body=None, headers=None):
            if method == "POST":
                fields = json.loads(body)
                new = 33 if fields.get("seconds") == "4" else 17
                if path.endswith("extensions"):
                    new = {"loop": 17 + 7, "join": 17 + 7 + 17}.get("loop" if "loop" in fields else "join" if "end_video" in fields else "", 25)
                asked.append((path, fields))
                clip = moving(new, cut=17 if "end_video" in fields else None)
                subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x64", "-r", "8", "-i", "-", "-c:v", "libx264rgb",
                                "-qp", "0", str(tmp_path / f"{len(asked)}.mp4")], input=clip.tobytes(), check=True)
                return {}, json.dumps({"id": str(len(asked)), "status": "completed", "num_frames": new, "fps": 8, "height": 64}).encode()
            return {}, (tmp_path / f"{path.split('/')[2]}.mp4").read_bytes()
    prompts = [("grass", {"expect": {"place": "grass"}}), ("snow", {"expect": {"place": "snow"}})]
    (tmp_path / "photos").mkdir()
    photo = modes.picture_url(moving(1)[0], tmp_path / "photos" / "a.png")
    assert photo["image_url"].startswith("data:image/png;base64,")
    server = modes.Server(Answers(), tmp_path / "out", {"num_inference_steps": 1})
    seen = Seen([], {"place": "grass", "time": "day", "camera": "still", "event": "none"})
    found = modes.measure(server, prompts, [tmp_path / "photos" / "a.png"], lambda clip, start: seen, 2)
    assert found["first frame"] == [True, True] and found["subject kept"] == [True, True] and found["photograph kept"] == [False], "the square went away"
    assert found["a minute"] == [True, False] and found["seam forwards"] == [True, True] and found["seam join"][0] is False
    assert len(found["seam loop"]) == len(found["seam join"]) == 4
    said = modes.table(found)
    assert "a minute" in said and "wanted  80.0" in said and "seam join, times: median" in said
    count = len(asked)
    assert all(fields["num_inference_steps"] == 1 for _, fields in asked) and {path for path, _ in asked} == {"/videos", "/videos/extensions"}
    modes.measure(server, prompts, [], lambda clip, start: seen, 2)
    assert len(asked) == count, "what is there is not made again"


def disk(frames: int, radius) -> tuple[np.ndarray, np.ndarray]:
    """A red disk on a grey ground that moves four pixels a frame, and its mask."""
    y, x = np.mgrid[:64, :128]
    masks = np.stack([(x - 24 - 4 * f) ** 2 + (y - 32) ** 2 < 12 ** 2 for f in range(frames)])
    shown = np.stack([(x - 24 - 4 * f) ** 2 + (y - 32) ** 2 < radius(f) ** 2 for f in range(frames)])
    return np.where(shown[..., None], (200, 30, 30), (90, 90, 90)).astype(np.uint8), masks


def test_a_ball_that_breathes_is_noticed():
    clip, masks = disk(17, lambda f: 12)
    assert roundtrip.area_variation(clip, clip, masks) == 0
    assert 0.05 < roundtrip.area_variation(disk(17, lambda f: 12 + f % 2)[0], clip, masks) < 0.15
    grows, larger = disk(17, lambda f: 12 + f / 8)
    assert roundtrip.area_variation(grows, grows, larger) == 0 and roundtrip.areas(grows, larger)[16] > roundtrip.areas(grows, larger)[0]
    assert roundtrip.areas(clip, np.stack([masks[0]] * 17)) == {}, "no background is seen behind a thing that rests"
    rng = np.random.default_rng(0)
    rest = np.full((9, 32, 32, 3), 100, np.uint8)
    noisy = (rest + rng.integers(-3, 4, rest.shape)).astype(np.uint8)
    all_of_it = np.ones(rest.shape[:3], bool)
    assert roundtrip.flicker(rest, all_of_it) == 0 and roundtrip.flicker(noisy, all_of_it) > 1


def test_two_reports_are_compared_in_pairs(tmp_path, capsys):
    base = {"clips": [record("camera", n, n < 8) for n in range(10)] + [record("counts", 0, True)]}
    other = {"clips": [record("camera", n, 1 <= n < 9) for n in range(10)] + [record("then", 0, True)]}
    for name, found in (("base", base), ("other", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    paths = [str(tmp_path / "base.json"), str(tmp_path / "other.json")]
    assert compare.main([*paths, "--within", "1"]) == 0 and "all                  +0.0 points" in capsys.readouterr().out
    other["clips"] = [record("camera", n, n < 7) for n in range(10)]
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert compare.main([*paths, "--within", "1"]) == 1 and "camera              -10.0 points" in capsys.readouterr().out
    assert compare.main([*paths, "--within", "10"]) == 0
