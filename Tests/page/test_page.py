"""The page in a browser: from a prompt to a clip that plays, and everything around it. What a test waits for, it waits for in the page."""
import http.server
import re
import subprocess
import tempfile
import threading
import time

from playwright.sync_api import expect

from conftest import CHROMIUM, shot

ANNA, BERT = 60_001, 60_002
PROMPT = "a red ball bounces on green grass on a sunny day"


def cards(page):
    return page.locator("#clips > li")


def make(page, prompt=PROMPT, steps="4", length="1"):
    expect(page.locator("#send")).to_be_enabled()
    page.fill("#prompt", prompt)
    if not page.locator("#steps").is_visible():
        page.click(".more summary")
    page.fill("#steps", steps)
    page.locator("#length").fill(length)
    page.click("#send")


def is_playing(video):
    """Frames were decoded, and time passes."""
    first = video.evaluate("video => [video.videoWidth, video.currentTime, video.paused]")
    time.sleep(.4)
    second = video.evaluate("video => video.currentTime")
    return first[0] > 0 and not first[2] and second != first[1]


def await_steps(page, count):
    """The page has heard of, and so has drawn, that many more steps."""
    said = page.locator("#now small").first
    for _ in range(count):
        expect(said).not_to_have_text(said.inner_text())


def test_from_a_prompt_to_a_clip_that_plays(open_page, daemon):
    page = open_page(ANNA)
    expect(page).to_have_url(daemon.url + "/")
    expect(page.locator("#state-text")).to_have_text("Ready")
    expect(page.locator("#no-clips")).to_be_visible()
    shot(page, "page-empty")
    make(page, steps="400", length="4")
    preview = page.locator("#screen img.preview")
    expect(preview).to_be_visible()
    expect(page.locator("#now small").first).to_contain_text("step")
    expect(page.locator("#progress")).to_be_visible()
    shot(page, "page-preview")
    video = page.locator("#screen video")
    expect(video).to_be_visible(timeout=120_000)
    assert is_playing(video)
    expect(page.locator("#progress")).to_be_hidden()
    expect(cards(page)).to_have_count(1)
    expect(cards(page).locator("img")).to_be_visible()
    shot(page, "page-done", full_page=True)
    with page.expect_download() as download:
        page.click("#stage-actions >> text=Download")
    assert download.value.suggested_filename == "a-red-ball-bounces-on-green-grass-on-a-sunny-day.mp4"
    with open(download.value.path(), "rb") as file:
        assert file.read(12)[4:8] == b"ftyp"


def test_cancel_in_the_stage_and_in_the_queue(open_page):
    page = open_page(ANNA)
    make(page, steps="1000", length="4")
    expect(page.locator("#stage-actions >> text=Cancel")).to_be_visible()
    make(page, "a blue box spins in the snow")
    row = page.locator("#queue-list li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("a blue box spins in the snow")
    shot(page, "page-queue")
    row.locator("text=Cancel").hover()
    page.mouse.down()
    await_steps(page, 2)
    page.mouse.up()
    expect(page.locator("#queue")).to_be_hidden()
    page.click("#stage-actions >> text=Cancel")
    expect(cards(page)).to_have_count(2)
    expect(cards(page).locator(".failed")).to_have_text(["Cancelled", "Cancelled"])
    expect(page.locator("#state-text")).to_have_text("Ready")


def test_a_reload_in_the_middle_loses_nothing(open_page):
    page = open_page(ANNA)
    make(page, steps="400", length="4")
    expect(page.locator("#screen img.preview")).to_be_visible()
    page.reload()
    expect(page.locator("#now")).to_contain_text(PROMPT)
    expect(page.locator("#screen img.preview")).to_be_visible()
    expect(page.locator("#screen video")).to_be_visible(timeout=90_000)
    expect(cards(page)).to_have_count(1)


def test_two_users_do_not_see_each_other(open_page):
    anna, bert = open_page(ANNA), open_page(BERT)
    make(anna)
    expect(cards(anna)).to_have_count(1, timeout=60_000)
    bert.reload()
    expect(bert.locator("#state-text")).to_have_text("Ready")
    expect(cards(bert)).to_have_count(0)
    make(bert, "a blue box spins in the snow")
    expect(cards(bert)).to_have_count(1, timeout=60_000)
    anna.reload()
    expect(cards(anna)).to_have_count(1)
    expect(cards(anna)).to_contain_text(PROMPT)


def test_without_a_key_it_asks_for_one(open_page, daemon):
    page = open_page()
    dialog = page.locator("#key-dialog")
    expect(dialog).to_be_visible()
    shot(page, "page-key")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.fill("#key", daemon.key("anna", ANNA))
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#state-text")).to_have_text("Ready")
    assert page.evaluate("[localStorage.length, document.cookie, sessionStorage.length]") == [0, "", 1]
    page.reload()
    expect(page.locator("#state-text")).to_have_text("Ready")
    other = page.context.new_page()
    other.goto(daemon.url)
    expect(other.locator("#key-dialog")).to_be_visible()


def test_extend_and_remix_from_a_clip(open_page):
    page = open_page(ANNA)
    make(page)
    expect(cards(page)).to_have_count(1, timeout=60_000)
    page.click("#stage-actions >> text=Extend")
    expect(page.locator("#mode-title")).to_have_text("Making this clip longer")
    shot(page, "page-extend")
    page.fill("#prompt", "the red ball bounces on")
    page.click("#send")
    expect(cards(page)).to_have_count(2, timeout=60_000)
    expect(cards(page).first).to_contain_text("1.6 s")
    expect(page.locator("#mode")).to_be_hidden()
    page.click("#stage-actions >> text=Remix")
    page.fill("#prompt", "a green ball bounces on the snow")
    page.click("#send")
    expect(cards(page)).to_have_count(3, timeout=60_000)
    expect(cards(page).first).to_contain_text("a green ball")


def test_a_story_in_scenes(open_page, daemon):
    page = open_page(ANNA)
    make(page, "a red ball")
    expect(cards(page)).to_have_count(1, timeout=60_000)
    page.click("#scenes-begin")
    expect(page.locator("#prompt-label")).to_have_text("What is in every scene?")
    expect(page.locator("#length-control")).to_be_hidden()
    rows = page.locator("#scene-list > li")
    expect(rows).to_have_count(2)
    page.click("#send")
    expect(page.locator("#trouble")).to_have_text("Every scene needs a sentence.")
    page.get_by_label("Scene 1", exact=True).fill("rolls to the right on green grass")
    page.get_by_label("Seconds of scene 1").fill("1.5")
    page.get_by_label("Scene 2", exact=True).fill("bounces on green grass")
    page.click("#scene-add")
    page.get_by_label("Remove scene 3").click()
    expect(rows).to_have_count(2)
    expect(page.locator("#scenes-length")).to_have_text("Together 3.5 s")
    shot(page, "page-scenes")
    page.click("#send")
    expect(cards(page)).to_have_count(2, timeout=60_000)
    expect(cards(page).first).to_contain_text("a red ball · rolls to the right on green grass · bounces on green grass")
    expect(cards(page).first).to_contain_text("3.6 s")
    cards(page).first.locator("button").click()
    expect(page.locator("#viewer-facts")).to_contain_text("2 s: bounces on green grass")
    page.click("#viewer-actions >> text=Use prompt")
    expect(rows).to_have_count(2)
    expect(page.locator("#prompt")).to_have_value("a red ball")
    page.fill("#prompt", "")
    page.click("#send")
    expect(cards(page)).to_have_count(3, timeout=60_000)
    page.click("#scenes-end")
    expect(page.locator("#scenes")).to_be_hidden()
    expect(page.locator("#length-control")).to_be_visible()


def test_join_two_clips(open_page):
    page = open_page(ANNA)
    make(page, "a red ball rolls to the right on green grass")
    expect(cards(page)).to_have_count(1, timeout=60_000)
    expect(page.locator("#stage-actions >> text=Extend")).to_be_visible()
    expect(page.locator("#stage-actions >> text=Join")).to_have_count(0)
    make(page, "a red ball bounces in the snow")
    expect(cards(page)).to_have_count(2, timeout=60_000)
    page.click("#stage-actions >> text=Join")
    expect(page.locator("#mode-title")).to_have_text("From this clip to another")
    choice = page.get_by_role("radio", name="a red ball rolls to the right on green grass")
    expect(choice).to_be_checked()
    expect(page.locator("#join label")).to_have_count(1)
    expect(page.locator("#join img")).to_be_visible()
    expect(page.locator("#prompt-label")).to_have_text("What happens between them?")
    shot(page, "page-join")
    page.fill("#prompt", "a red ball rolls to the right")
    page.click("#send")
    expect(cards(page)).to_have_count(3, timeout=60_000)
    # 5 frames, 7 between them (two groups less one frame), 5 frames.
    expect(cards(page).first).to_contain_text("2.1 s")
    expect(page.locator("#mode")).to_be_hidden()
    expect(page.locator("#join-control")).to_be_hidden()


def test_a_picture_is_the_first_frame(open_page, tmp_path):
    from malformed.taken import PNG
    picture = tmp_path / "ball.png"
    picture.write_bytes(PNG)
    page = open_page(ANNA)
    page.locator("#first").set_input_files(picture)
    expect(page.locator("#first-slot img")).to_be_visible()
    make(page)
    expect(cards(page)).to_have_count(1, timeout=60_000)
    page.click("#first-slot button")
    expect(page.locator("#first-slot img")).to_have_count(0)
    open_page.expects_refusal = True
    page.locator("#first").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text("input_reference")


def test_with_the_keyboard_alone(open_page):
    page = open_page(ANNA)
    expect(page.locator("#state-text")).to_have_text("Ready")
    page.keyboard.press("/")
    page.keyboard.type("a red ball")
    page.keyboard.press("Control+Enter")
    expect(cards(page)).to_have_count(1, timeout=60_000)
    cards(page).locator("button").focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    expect(viewer.locator("video")).to_be_visible()
    shot(page, "page-viewer")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    # Tab reaches every control once, and the ring is drawn.
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"prompt", "send", "length", "first", "last", "skip", "clip", "key-button"} <= reached, reached


def test_delete_asks_once_more(open_page):
    page = open_page(ANNA)
    make(page)
    expect(cards(page)).to_have_count(1, timeout=60_000)
    page.click("#stage-actions >> text=Delete")
    expect(cards(page)).to_have_count(1)
    page.click("#stage-actions >> text=Delete for good")
    expect(cards(page)).to_have_count(0)
    expect(page.locator("#screen .empty")).to_be_visible()


def test_refusals_and_an_absent_daemon_are_said(open_page, daemon):
    page = open_page(ANNA)
    expect(page.locator("#send")).to_be_enabled()
    page.click("#send")
    expect(page.locator("#trouble")).to_be_visible()
    assert daemon.ctl("drain").returncode == 0
    expect(page.locator("#state-text")).to_contain_text("Drained", timeout=15_000)


def test_on_a_phone(open_page):
    for scheme in ("light", "dark"):
        page = open_page(ANNA, color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 780})
        expect(page.locator("#state-text")).to_have_text("Ready")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing runs over the edge"
        small = page.evaluate("""[...document.querySelectorAll("button, a, select")].filter((one) => one.offsetParent && !one.matches(".word, .skip"))
            .filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.id || one.className)""")
        assert small == []
        shot(page, f"page-phone-{scheme}", full_page=True)


def test_markup_in_a_prompt_is_text(open_page):
    page = open_page(ANNA)
    make(page, '<img src=x onerror="document.title=1"> <b>ball</b>')
    expect(cards(page)).to_have_count(1, timeout=60_000)
    expect(cards(page)).to_contain_text("<b>ball</b>")
    assert page.title() == "sorad"


class Page(http.server.BaseHTTPRequestHandler):
    """A foreign page."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>foreign</title>")

    def log_message(self, *_):
        pass


def test_a_foreign_origin_and_a_rebound_name_are_refused(chromium, daemon):
    key = daemon.key("anna", ANNA)
    port = int(daemon.url.rsplit(":", 1)[1])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"http://localhost:{foreign.server_address[1]}/")
        tried = page.evaluate("""async ([url, key]) => {
            const found = [];
            for (const [method, mode] of [["GET", "cors"], ["POST", "cors"], ["GET", "no-cors"], ["POST", "no-cors"]]) {
                const options = { method, mode, headers: mode === "cors" ? { authorization: "Bearer " + key } : {} };
                if (method === "POST") options.body = JSON.stringify({ prompt: "x" });
                found.push(await fetch(url + "/v1/videos", options).then((answer) => answer.type + answer.status, () => "refused"));
            }
            return found;
        }""", [daemon.url, key])
        # What is not refused cannot be read, and does nothing.
        assert tried[:2] == ["refused", "refused"] and set(tried[2:]) <= {"opaque0", "refused"}, tried
        context.close()
        foreign.shutdown()
    assert re.search(r'"data": ?\[\]', daemon.curl("/v1/videos").stdout)


def test_a_rebound_name(daemon):
    """A name of others that leads to this machine, as the browser is made to believe."""
    with tempfile.TemporaryDirectory() as profile:
        port = daemon.url.rsplit(":", 1)[1]
        run = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", f"--user-data-dir={profile}", "--host-resolver-rules=MAP evil.example 127.0.0.1",
             "--dump-dom", f"http://evil.example:{port}/"], capture_output=True, text=True, timeout=60)
    assert "unknown_host" in run.stdout, run.stdout + run.stderr
