// The page: makes clips, watches them, keeps them. No library and no build step; the daemon serves this file as it is.
// Everything comes from the API with the key of this tab. Text from outside goes into the document as text alone, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const KEY = "sorad-key";
const ACTIVE = ["queued", "in_progress"];
const EMPTY = $("screen-empty");
/** Lengths to choose from, in groups of frames: fine where most clips are, coarse up to a minute. */
const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 60, 80, 100, 120, 160, 240];

/** What models that we know the training of can show; others say only their sizes. */
const WORLDS = {
  // What scripts/ship-model writes.
  "sorad-mini": {
    text: "A small rendered world: one to three simple things in ten colors. Ask for anything else and you get a guess in its colors. " +
      "Say “to the left” or “to the right”; it does not understand “from right to left”.",
    words: {
      Color: ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"],
      Thing: ["ball", "box", "cylinder", "cone", "ring"],
      Motion: ["rolls to the left", "slides to the right", "bounces", "falls", "rises", "spins", "circles"],
      Place: ["on green grass", "in the desert", "in the snow", "on the sea", "in a room"],
      Light: ["on a sunny day", "at sunset", "at night"],
      Camera: ["the camera pans", "the camera zooms in", "the camera orbits"],
    },
  },
  // The end of it.
};

const state = {
  key: null, models: [], videos: new Map(), order: [], hasMore: false, mode: null, shown: null, viewed: null,
  streams: new Map(), previews: new Map(), blobs: new Map(), sizes: [], timer: 0, listening: true,
};

// MARK: the API

class Refusal extends Error {
  constructor(status, error) { super(error?.message ?? `the server answered ${status}`); this.status = status; this.code = error?.code; }
}

async function ask(method, path, { body, signal, raw } = {}) {
  const headers = {};
  if (state.key) headers.authorization = `Bearer ${state.key}`;
  if (body && !(body instanceof FormData)) { headers["content-type"] = "application/json"; body = JSON.stringify(body); }
  const response = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
  if (response.status === 401) { needKey(state.key ? "This key is not valid, or no longer." : ""); throw new Refusal(401, { message: "a key is needed" }); }
  if (!response.ok) throw new Refusal(response.status, (await response.json().catch(() => null))?.error);
  return raw ? response : response.status === 204 ? null : response.json();
}

/** Events of one job, as objects, until it ends. A stream that breaks is taken up by the next look at the list. */
async function follow(id) {
  if (state.streams.has(id)) return;
  const stop = new AbortController();
  state.streams.set(id, stop);
  try {
    const response = await ask("GET", `/v1/videos/${id}/events`, { raw: true, signal: stop.signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) take(block);
    }
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Refusal) && !(error instanceof TypeError)) throw error;
  } finally {
    state.streams.delete(id);
    later(200);
  }
}

function take(block) {
  let event = "message", data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data += line.slice(5).trim();
  }
  if (!data) return;
  const news = JSON.parse(data);
  if (event === "preview") { state.previews.set(news.id, news.image_url); return drawStage(); }
  if (event === "deleted") { forget(news.id); return draw(); }
  state.videos.set(news.id, { ...state.videos.get(news.id), ...news });
  if (event === "done") { state.previews.delete(news.id); draw(); loadQuota(); } else { drawStage(); drawQueue(); drawState(); }
}

async function refresh() {
  try {
    const page = await ask("GET", "/v1/videos?limit=24&order=desc");
    if (!state.order.length) state.hasMore = page.has_more;
    const fresh = page.data.map((video) => video.id);
    const oldest = page.data.at(-1);
    // What is gone between the newest and the oldest of the page was deleted elsewhere.
    const kept = state.order.filter((id) => !fresh.includes(id) && page.has_more && state.videos.get(id)?.created_at <= oldest.created_at);
    for (const id of state.order) if (!fresh.includes(id) && !kept.includes(id)) forget(id);
    for (const video of page.data) state.videos.set(video.id, video);
    state.order = [...fresh, ...kept];
    const health = await ask("GET", "/healthz");
    state.health = health;
    state.offline = false;
    const running = page.data.filter((video) => video.status === "in_progress").slice(0, 2);
    for (const video of running) follow(video.id);
    if (!state.shown) state.shown = running[0]?.id ?? page.data.find((video) => video.status === "completed")?.id ?? null;
    draw();
  } catch (error) {
    if (error instanceof Refusal) { if (error.status !== 401) sayState("bad", error.message); }
    else { state.offline = true; drawState(); }
  }
  const isBusy = state.order.some((id) => ACTIVE.includes(state.videos.get(id)?.status));
  if (!$("key-dialog").open) later(isBusy ? 1500 : 8000);
}

function later(milliseconds) {
  clearTimeout(state.timer);
  state.timer = setTimeout(refresh, document.hidden ? Math.max(milliseconds, 15000) : milliseconds);
}

function forget(id) {
  state.order = state.order.filter((other) => other !== id);
  state.videos.delete(id);
  state.previews.delete(id);
  state.streams.get(id)?.abort();
  if (state.shown === id) state.shown = null;
  for (const variant of ["video", "thumbnail"]) {
    const url = state.blobs.get(`${id}/${variant}`);
    if (typeof url === "string") URL.revokeObjectURL(url);
    state.blobs.delete(`${id}/${variant}`);
  }
}

/** The address of a file of a job, fetched once: a player cannot send a key. */
function content(id, variant) {
  const name = `${id}/${variant}`;
  if (!state.blobs.has(name)) {
    state.blobs.set(name, ask("GET", `/v1/videos/${id}/content?variant=${variant}`, { raw: true })
      .then((response) => response.blob())
      .then((blob) => { const url = URL.createObjectURL(blob); state.blobs.set(name, url); return url; })
      .catch((error) => { state.blobs.delete(name); throw error; }));
  }
  return Promise.resolve(state.blobs.get(name));
}

// MARK: keys

function needKey(trouble) {
  clearTimeout(state.timer);
  $("key-trouble").textContent = trouble;
  $("key-trouble").hidden = !trouble;
  if (!$("key-dialog").open) { $("key").value = ""; $("key-dialog").showModal(); }
  sayState("warn", "A key is needed");
}

function useKey(key) {
  state.key = key;
  if (key) sessionStorage.setItem(KEY, key); else sessionStorage.removeItem(KEY);
  $("key-button").hidden = !key;
  for (const id of [...state.order]) forget(id);
  state.shown = null;
  $("screen").replaceChildren(EMPTY);
  start();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  if (!key) return;
  $("key").value = "";
  $("key-dialog").close();
  useKey(key);
});
$("key-dialog").addEventListener("cancel", (event) => event.preventDefault());
$("key-button").addEventListener("click", () => needKey(""));

// MARK: small parts

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const seconds = (value) => value === undefined || value === null ? "" : value < 60
  ? `${value < 9.95 ? Math.round(value * 10) / 10 : Math.round(value)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
/** The scenes without the prompt that the daemon puts before each. */
const storyOf = (video) => (video.storyboard ?? []).map(({ prompt, seconds: long }) => ({
  prompt: prompt.startsWith(video.prompt) ? prompt.slice(video.prompt.length).trim() || prompt : prompt, seconds: long,
}));
/** The prompt, and those of the scenes. */
const told = (video) => [video.prompt, ...storyOf(video).map((scene) => scene.prompt)].filter(Boolean).join(" · ");
const length = (video) => seconds(video.duration_seconds ?? Number(video.seconds));
const PHASES = {
  loading: "Loading the model", encoding_text: "Reading the prompt", encoding_frames: "Reading the pictures", denoising: "Making it",
  decoding: "Drawing the frames", writing: "Writing the file",
};

function sayState(kind, text) { $("state").dataset.kind = kind; $("state-text").textContent = text; }

function drawState() {
  if (state.offline) return sayState("bad", "No answer from sorad; trying again");
  const { health } = state;
  if (!health) return;
  if (health.trouble) return sayState("bad", health.trouble);
  if (health.intake === "draining") return sayState("warn", "Drained: an administrator lets no new clips in");
  if (health.processing === "paused") return sayState("warn", "Paused: clips wait until an administrator resumes");
  if (health.running || health.queued) {
    return sayState("busy", `${health.running} being made${health.queued ? `, ${health.queued} waiting` : ""}`);
  }
  sayState("ok", health.status === "starting" ? "Starting" : "Ready");
}

async function loadQuota() {
  const { used, limits } = await ask("GET", "/v1/quota");
  const parts = [];
  if (limits.seconds_per_day !== null && limits.seconds_per_day !== undefined) {
    parts.push(`${seconds(used.seconds_per_day)} of ${seconds(limits.seconds_per_day)} of clips used in the last day`);
  }
  if (limits.jobs !== null && limits.jobs !== undefined) parts.push(`${used.jobs} of ${limits.jobs} clips under way`);
  $("quota").textContent = parts.length ? `Your quota: ${parts.join("; ")}.` : "";
}

// MARK: the composer

const model = () => state.models.find((one) => one.id === $("model").value) ?? state.models[0];

/** Shapes of about the native area, on the model's grid. */
function shapesOf(one) {
  const area = one.default_width * one.default_height;
  const found = new Map();
  const add = (name, kind, width, height) => {
    if (width <= one.max_width && height <= one.max_height && !found.has(`${width}x${height}`)) found.set(`${width}x${height}`, { name, kind });
  };
  const native = one.default_width / one.default_height;
  add(native > 1.05 ? "Wide" : native < .95 ? "Tall" : "Square", native > 1.05 ? "wide" : native < .95 ? "tall" : "", one.default_width, one.default_height);
  for (const [name, kind, ratio] of [["Wide", "wide", 16 / 9], ["Tall", "tall", 9 / 16], ["Square", "", 1]]) {
    const snap = (value) => Math.max(1, Math.round(value / one.size_multiple)) * one.size_multiple;
    add(name, kind, snap(Math.sqrt(area * ratio)), snap(Math.sqrt(area / ratio)));
  }
  return [...found].slice(0, 4);
}

function drawModel() {
  const one = model();
  if (!one) return;
  $("shapes").replaceChildren(...shapesOf(one).map(([size, { name, kind }], index) => element("label", { title: size.replace("x", "×") },
    element("input", { type: "radio", name: "shape", value: size, checked: index === 0, onchange: drawLength }),
    element("span", {}, element("i", { className: kind, "aria-hidden": "true" }), name))));
  $("steps").placeholder = one.default_num_inference_steps;
  $("guidance").placeholder = one.default_guidance_scale;
  $("pictures-control").hidden = !one.takes_conditioning_frames || state.mode !== null;
  if (!one.takes_conditioning_frames || ["remix", "join"].includes(state.mode?.kind)) setScenes([]); else drawScenes();
  const groups = (one.default_num_frames - 1) / one.frame_multiple;
  $("length").max = 1000;
  $("length").value = isLonger() ? 2 : 1 + LENGTHS.findLastIndex((length) => length <= groups);
  drawLength();
  drawAbout();
  drawWords();
}

const shape = () => document.querySelector("input[name=shape]:checked")?.value ?? "";
/** The mode adds frames to a clip. */
const isLonger = () => ["extend", "join"].includes(state.mode?.kind);
const frames = () => (isLonger() ? 0 : 1) + LENGTHS[$("length").value - 1] * model().frame_multiple;

function drawLength() {
  const one = model();
  if (!one) return;
  const [width, height] = shape().split("x").map(Number);
  // A longer clip than fits at once is made in windows, where the model can.
  const together = Math.floor(one.max_pixels / (width * height || 1));
  const most = one.window_frames && together >= one.window_frames ? one.max_num_frames : Math.min(one.max_num_frames, together);
  // Groups of the clips around the new frames.
  const used = { extend: 1, join: 4 }[state.mode?.kind] ?? 0;
  const wanted = $("length").value;
  $("length").max = 1 + Math.max(0, LENGTHS.findLastIndex((length) => length <= Math.floor((most - 1) / one.frame_multiple) - used));
  $("length").value = Math.min(wanted, $("length").max);
  $("length-text").textContent = seconds(frames() / one.fps);
}

// MARK: scenes

const sceneRows = () => [...$("scene-list").children];
/** The clip is told in scenes. */
const hasScenes = () => sceneRows().length > 0;
const scenes = () => sceneRows().map((row) => ({
  prompt: row.querySelector(".scene-text").value.trim(), seconds: Number(row.querySelector(".scene-length").value),
}));

function addScene({ prompt = "", seconds: long = 2 } = {}) {
  const row = element("li", {}, element("span", { "aria-hidden": "true" }), element("input", { className: "scene-text", maxLength: 4000, value: prompt, autocomplete: "off",
    placeholder: sceneRows().length ? "bounces on green grass" : "rolls to the right on green grass" }),
  element("input", { className: "scene-length", type: "number", min: .5, max: 60, step: .5, value: long, oninput: drawScenes }),
  element("span", { className: "unit" }, "s"),
  element("button", { className: "icon", type: "button", onclick: () => { row.remove(); drawScenes(); (sceneRows().at(-1)?.querySelector("input") ?? $("prompt")).focus(); } }, "✕"));
  $("scene-list").append(row);
  drawScenes();
  return row;
}

function drawScenes() {
  sceneRows().forEach((row, index) => {
    const [text, long] = row.querySelectorAll("input");
    row.firstChild.textContent = index + 1;
    text.setAttribute("aria-label", `Scene ${index + 1}`);
    long.setAttribute("aria-label", `Seconds of scene ${index + 1}`);
    row.querySelector("button").setAttribute("aria-label", `Remove scene ${index + 1}`);
  });
  $("scenes").hidden = !hasScenes();
  $("scenes-control").hidden = hasScenes() || !model()?.takes_conditioning_frames || ["remix", "join"].includes(state.mode?.kind);
  $("length-control").hidden = hasScenes() || state.mode?.kind === "remix";
  $("scenes-length").textContent = `Together ${seconds(scenes().reduce((sum, scene) => sum + scene.seconds, 0))}`;
  drawTitle();
}

function setScenes(list) {
  $("scene-list").replaceChildren();
  list.forEach(addScene);
  drawScenes();
}

function drawTitle() {
  const kind = state.mode?.kind;
  $("prompt-label").textContent = hasScenes() ? "What is in every scene?" : kind === "extend" ? "What happens next?" : kind === "remix" ? "What should it be instead?"
    : kind === "join" ? "What happens between them?" : "What should happen?";
}

$("scenes-begin").addEventListener("click", () => { addScene(); addScene(); sceneRows()[0].querySelector("input").focus(); });
$("scene-add").addEventListener("click", () => addScene().querySelector("input").focus());
$("scenes-end").addEventListener("click", () => { setScenes([]); $("prompt").focus(); });

function drawWords() {
  const world = WORLDS[model()?.id];
  $("words").hidden = !world || state.mode !== null;
  $("words").replaceChildren(...Object.entries(world?.words ?? {}).slice(0, 4).map(([name, list]) => element("div", {}, element("b", {}, name),
    element("span", {}, ...list.map((word) => element("button", { type: "button", className: "word", onclick: () => addWord(word) }, word))))));
}

function addWord(word) {
  const field = $("prompt");
  field.value = `${field.value.trimEnd()}${field.value.trim() ? " " : ""}${word}`;
  field.focus();
}

function drawAbout() {
  const one = model();
  const world = WORLDS[one.id];
  const rows = [
    ["Model", one.id], ["Best at", `${one.default_width}×${one.default_height} pixels, ${one.default_num_frames} frames, ${one.fps} a second`],
    ["At most", `${one.max_width}×${one.max_height} pixels; ${one.max_num_frames} frames`],
    ["Pictures", one.takes_conditioning_frames ? "as first and last frame; clips can be made longer and joined" : "no"],
    ["Prompt", one.text_length ? `the first ${one.text_length} tokens are read` : "read whole"], ["License", one.license],
    ...Object.entries(world?.words ?? {}).map(([name, list]) => [name, list.join(", ")]),
  ];
  $("about-body").replaceChildren(world ? element("p", {}, world.text) : "",
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
  $("about").hidden = false;
}

async function setMode(kind, video) {
  state.mode = kind ? { kind, video } : null;
  $("mode").hidden = !kind;
  $("shapes-control").hidden = kind !== null;
  $("direction-control").hidden = kind !== "extend";
  $("strength-control").hidden = kind !== "remix";
  $("length-label").textContent = kind === "extend" ? "How much longer" : kind === "join" ? "Between them" : "Length";
  $("send").textContent = { extend: "Extend clip", remix: "Remix clip", join: "Join clips" }[kind] ?? "Make clip";
  setScenes([]);
  drawJoin();
  if (video) {
    $("mode-title").textContent = { extend: "Making this clip longer", join: "From this clip to another" }[kind] ?? "A new clip from this one";
    $("mode-prompt").textContent = told(video);
    $("prompt").value = video.prompt;
    $("model").value = video.model;
  }
  drawModel();
  if ($("viewer").open) $("viewer").close();
  $("prompt").focus();
  $("prompt").select();
  scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  if (video) $("mode-picture").src = await content(video.id, "thumbnail");
}

/** Clips that `video` can lead to: those of its size and model. */
const others = (video) => finished().filter((one) => one.status === "completed" && one.id !== video.id && one.size === video.size && one.model === video.model);

function drawJoin() {
  const isJoin = state.mode?.kind === "join";
  $("join-control").hidden = !isJoin;
  $("join").replaceChildren(...(isJoin ? others(state.mode.video).slice(0, 24) : []).map((video, index) => {
    const screen = element("div", { className: "screen", "data-id": video.id });
    loadThumbnail(screen);
    return element("label", { title: told(video) }, element("input", { type: "radio", name: "join", value: video.id, checked: index === 0, "aria-label": told(video) }),
      screen, element("small", { "aria-hidden": "true" }, told(video)));
  }));
}

$("mode-end").addEventListener("click", () => { $("prompt").value = ""; setMode(null); });
$("model").addEventListener("change", drawModel);
$("length").addEventListener("input", drawLength);
$("strength").addEventListener("input", () => { $("strength-text").textContent = `${$("strength").value} %`; });

// Pictures: chosen, dropped or pasted.
const pictures = { first: null, last: null };

function setPicture(name, file) {
  const slot = $(`${name}-slot`);
  if (pictures[name]) URL.revokeObjectURL(pictures[name].url);
  slot.querySelector("img")?.remove();
  slot.querySelector("button")?.remove();
  pictures[name] = null;
  $(name).value = "";
  if (!file) return;
  if (!file.type.startsWith("image/")) return say("That file is no picture.");
  pictures[name] = { file, url: URL.createObjectURL(file) };
  slot.append(element("img", { src: pictures[name].url, alt: `${slot.dataset.name}: ${file.name}` }),
    element("button", { type: "button", "aria-label": `Remove the ${slot.dataset.name.toLowerCase()}`, onclick: (event) => { event.preventDefault(); setPicture(name); } }, "✕"));
}

for (const name of ["first", "last"]) {
  const slot = $(`${name}-slot`);
  $(name).addEventListener("change", (event) => { if (event.target.files[0]) setPicture(name, event.target.files[0]); });
  slot.addEventListener("dragover", (event) => { event.preventDefault(); slot.classList.add("over"); });
  slot.addEventListener("dragleave", () => slot.classList.remove("over"));
  slot.addEventListener("drop", (event) => { event.preventDefault(); slot.classList.remove("over"); setPicture(name, event.dataTransfer.files[0]); });
}
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData?.files ?? []].find((one) => one.type.startsWith("image/"));
  if (file && !$("pictures-control").hidden) { event.preventDefault(); setPicture(pictures.first ? "last" : "first", file); }
});

function say(trouble) {
  $("trouble").textContent = trouble;
  $("trouble").hidden = !trouble;
}

function request() {
  const fields = { prompt: $("prompt").value.trim() };
  const { mode } = state;
  if (state.models.length > 1 || mode) fields.model = $("model").value || model().id;
  // A short one is easier to say to somebody than the daemon's.
  fields.seed = $("seed").value.trim() || String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
  if ($("steps").value) fields.num_inference_steps = Number($("steps").value);
  if ($("guidance").value) fields.guidance_scale = Number($("guidance").value);
  if ($("negative").value.trim()) fields.negative_prompt = $("negative").value.trim();
  if (mode?.kind === "remix") {
    return ["/v1/videos/" + mode.video.id + "/remix", { ...fields, strength: Number($("strength").value) / 100 }];
  }
  if (hasScenes()) { fields.storyboard = scenes(); if (!fields.prompt) delete fields.prompt; } else fields.num_frames = frames();
  if (mode?.kind === "join") {
    // New frames between two others are whole groups less one frame.
    fields.num_frames -= 1;
    return ["/v1/videos/extensions", { ...fields, video: { id: mode.video.id }, end_video: { id: document.querySelector("input[name=join]:checked").value } }];
  }
  if (mode?.kind === "extend") {
    const direction = document.querySelector("input[name=direction]:checked").value;
    if (direction === "loop") fields.loop = true; else fields.direction = direction;
    if (direction === "loop" && !hasScenes()) fields.num_frames -= 1;
    return ["/v1/videos/extensions", { ...fields, video: { id: mode.video.id } }];
  }
  fields.size = shape();
  if (!pictures.first && !pictures.last) return ["/v1/videos", fields];
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  if (pictures.first) form.append("input_reference", pictures.first.file);
  if (pictures.last) form.append("end_image", pictures.last.file);
  return ["/v1/videos", form];
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("send").disabled) return;
  const empty = sceneRows().find((row) => !row.querySelector(".scene-text").value.trim());
  if (empty) { say("Every scene needs a sentence."); return empty.querySelector("input").focus(); }
  if (!hasScenes() && !$("prompt").value.trim()) { say("Describe the clip in a sentence first."); return $("prompt").focus(); }
  say("");
  $("send").disabled = true;
  try {
    const [path, body] = request();
    const video = await ask("POST", path, { body });
    state.videos.set(video.id, video);
    state.order = [video.id, ...state.order];
    state.shown = video.id;
    if (state.mode) { setMode(null); }
    draw();
    follow(video.id);
    later(0);
    if (innerWidth < 900) $("stage").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error.status !== 401) say(error instanceof Refusal ? sentence(error.message) : "sorad does not answer; nothing was sent.");
  } finally { $("send").disabled = false; }
});

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("viewer").open) { event.preventDefault(); $("composer").requestSubmit(); }
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key === "/" && !isTyping && !document.querySelector("dialog[open]")) { event.preventDefault(); $("prompt").focus(); }
  if ($("viewer").open && (event.key === "ArrowLeft" || event.key === "ArrowRight") && event.target.tagName !== "VIDEO") step(event.key === "ArrowLeft" ? -1 : 1);
});

// MARK: what is made now

function describe(video) {
  if (video.status === "queued") {
    return video.note ? sentence(video.note) : `Waiting for its turn${video.eta_seconds ? `, about ${seconds(video.eta_seconds)}` : ""}`;
  }
  const steps = video.phase === "denoising" && video.steps ? `, step ${video.step ?? 0} of ${video.steps}` : "";
  return `${PHASES[video.phase] ?? "Starting"}${steps}${video.eta_seconds ? ` · ${seconds(video.eta_seconds)} left` : ""}`;
}

function player(url, video, { controls = false } = {}) {
  return element("video", { src: url, loop: true, muted: true, autoplay: true, playsInline: true, controls, "aria-label": told(video) });
}

function unknownWords(video) {
  const words = [...new Set([video, ...(video.storyboard ?? [])].flatMap((one) => one.unknown_words ?? []))];
  return words.length ? element("small", { className: "unknown" }, `The model does not know ${words.slice(0, 5).map((word) => `“${word}”`).join(", ")}.`) : null;
}

/** The clip that was chosen; while that one waits for its turn, the one that is being made. */
function onStage() {
  const chosen = state.videos.get(state.shown);
  if (chosen?.status !== "queued") return chosen;
  return state.order.map((id) => state.videos.get(id)).findLast((video) => video?.status === "in_progress") ?? chosen;
}

function drawStage() {
  const video = onStage();
  const screen = $("screen");
  const isActive = video && ACTIVE.includes(video.status);
  $("progress").hidden = !isActive;
  if (!video) {
    if (screen.dataset.shows) { screen.replaceChildren(EMPTY); screen.dataset.shows = ""; }
    $("now").replaceChildren();
    $("stage-actions").dataset.of = "";
    return $("stage-actions").replaceChildren();
  }
  if (isActive) {
    $("progress").value = video.progress;
    const picture = state.previews.get(video.id);
    let image = screen.querySelector("img.preview");
    if (picture) {
      if (!image) { image = element("img", { className: "preview", alt: "Preview of the clip under way" }); screen.replaceChildren(image); }
      if (image.src !== picture) image.src = picture;
    } else if (screen.dataset.shows !== `wait ${video.id}`) {
      screen.replaceChildren(element("p", { className: "empty" }, "The first preview comes with the first steps."));
    }
    screen.dataset.shows = `wait ${video.id}`;
    $("now").replaceChildren(told(video), element("small", {}, describe(video)), unknownWords(video) ?? "");
    if ($("stage-actions").dataset.of !== `wait ${video.id}`) {
      $("stage-actions").replaceChildren(element("button", { type: "button", onclick: () => cancel(video.id) }, "Cancel"));
    }
    $("stage-actions").dataset.of = `wait ${video.id}`;
    return;
  }
  const name = `${video.status} ${video.id}`;
  if (screen.dataset.shows === name) return;
  screen.dataset.shows = name;
  $("stage-actions").dataset.of = name;
  if (video.status === "failed") {
    const isCancelled = video.error?.code === "cancelled";
    screen.replaceChildren(element("p", { className: "empty" }, isCancelled ? "Cancelled." : "This clip could not be made."));
    $("now").replaceChildren(told(video), element("small", {}, isCancelled ? "It was cancelled." : sentence(video.error?.message ?? "")));
    return $("stage-actions").replaceChildren(element("button", { type: "button", onclick: () => again(video) }, "Use this prompt"),
      removal(video));
  }
  $("now").replaceChildren(told(video), element("small", {}, facts(video)), unknownWords(video) ?? "");
  $("stage-actions").replaceChildren(...actions(video));
  content(video.id, "video").then((url) => { if (screen.dataset.shows === name) screen.replaceChildren(player(url, video)); }).catch(() => {});
}

const facts = (video) => [length(video), (video.size ?? "").replace("x", "×"), video.seed === undefined ? "" : `seed ${video.seed}`].filter(Boolean).join(" · ");

function actions(video) {
  const takes = state.models.find((one) => one.id === video.model)?.takes_conditioning_frames;
  return [
    element("button", { type: "button", className: "main", onclick: () => download(video) }, "Download"),
    takes ? element("button", { type: "button", onclick: () => setMode("extend", video) }, "Extend") : null,
    takes && others(video).length ? element("button", { type: "button", onclick: () => setMode("join", video) }, "Join") : null,
    element("button", { type: "button", onclick: () => setMode("remix", video) }, "Remix"),
    element("button", { type: "button", onclick: () => again(video) }, "Use prompt"), removal(video),
  ].filter(Boolean);
}

/** Deleting is for good, so the button asks once more. */
function removal(video) {
  const button = element("button", { type: "button", className: "danger" }, "Delete");
  button.addEventListener("click", async () => {
    if (button.dataset.sure !== "yes") {
      button.dataset.sure = "yes";
      button.textContent = "Delete for good";
      setTimeout(() => { button.dataset.sure = ""; button.textContent = "Delete"; }, 4000);
      return;
    }
    await ask("DELETE", `/v1/videos/${video.id}`).catch((error) => say(sentence(error.message)));
    if ($("viewer").open) $("viewer").close();
    forget(video.id);
    draw();
    later(0);
  });
  return button;
}

async function download(video) {
  const url = await content(video.id, "video");
  const words = told(video).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 48) || video.id;
  const link = element("a", { href: url, download: `${words}.mp4` });
  document.body.append(link);
  link.click();
  link.remove();
}

function again(video) {
  if ($("viewer").open) $("viewer").close();
  $("prompt").value = video.prompt;
  $("seed").value = "";
  setMode(null);
  setScenes(storyOf(video));
}

async function cancel(id) {
  try {
    const video = await ask("POST", `/v1/videos/${id}/cancel`);
    state.videos.set(id, video);
    // What still runs is more worth looking at.
    if (state.shown === id) state.shown = state.order.findLast((other) => state.videos.get(other)?.status === "in_progress") ?? id;
    draw();
  } catch (error) { if (error.status !== 409) say(sentence(error.message)); }
  later(0);
}

// MARK: queue and gallery

function drawQueue() {
  const waiting = state.order.map((id) => state.videos.get(id)).filter((video) => video && ACTIVE.includes(video.status) && video !== onStage()).reverse();
  $("queue").hidden = waiting.length === 0;
  const list = $("queue-list");
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  replaceUnequal(list, waiting.map((video, index) => {
    const row = rows.get(video.id) ?? element("li", { "data-id": video.id }, element("span", { className: "place" }),
      element("div", {}, element("div", { className: "what" }), element("small")),
      element("button", { type: "button", "aria-label": `Cancel: ${told(video)}`, onclick: () => cancel(video.id) }, "Cancel"));
    row.querySelector(".place").textContent = index + 1;
    row.querySelector(".what").textContent = told(video);
    row.querySelector("small").textContent = describe(video);
    return row;
  }));
}

/** An element that leaves the document, even to come back at once, loses the focus and a click that is half done. */
function replaceUnequal(list, wanted) {
  if (wanted.length !== list.children.length || wanted.some((one, index) => list.children[index] !== one)) list.replaceChildren(...wanted);
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) { seen.unobserve(target); loadThumbnail(target); }
}, { rootMargin: "300px" });

async function loadThumbnail(screen) {
  const { id } = screen.dataset;
  const url = await content(id, "thumbnail").catch(() => null);
  if (url && !screen.firstChild) screen.append(element("img", { src: url, alt: "", loading: "lazy" }));
}

function card(video) {
  const screen = element("div", { className: "screen", "data-id": video.id });
  const button = element("button", { type: "button", className: "clip", onclick: () => view(video.id) }, screen,
    element("span", { className: "text" }, told(video)), element("small", {}, `${length(video)} · ${(video.size ?? "").replace("x", "×")}`));
  if (video.status === "failed") {
    screen.append(element("p", { className: "failed" }, video.error?.code === "cancelled" ? "Cancelled" : sentence(video.error?.message ?? "Failed")));
    return element("li", { "data-id": video.id }, button);
  }
  seen.observe(screen);
  const play = async () => {
    const url = await content(video.id, "video").catch(() => null);
    if (!url || !button.matches(":hover, :focus-visible") || screen.querySelector("video")) return;
    screen.append(player(url, video));
    screen.querySelector("img")?.setAttribute("hidden", "");
  };
  const rest = () => { screen.querySelector("video")?.remove(); screen.querySelector("img")?.removeAttribute("hidden"); };
  for (const event of ["mouseenter", "focus"]) button.addEventListener(event, play);
  for (const event of ["mouseleave", "blur"]) button.addEventListener(event, rest);
  return element("li", { "data-id": video.id }, button);
}

const finished = () => state.order.map((id) => state.videos.get(id)).filter((video) => video && !ACTIVE.includes(video.status));

function drawGallery() {
  const list = $("clips");
  const cards = new Map([...list.children].map((one) => [one.dataset.id, one]));
  const videos = finished();
  replaceUnequal(list, videos.map((video) => cards.get(video.id) ?? card(video)));
  $("no-clips").hidden = videos.length > 0;
  $("gallery-count").textContent = videos.length ? `${videos.length}${state.hasMore ? "+" : ""}` : "";
  $("older").hidden = !state.hasMore;
}

$("older").addEventListener("click", async () => {
  const page = await ask("GET", `/v1/videos?limit=24&order=desc&after=${state.order.at(-1)}`);
  for (const video of page.data) { state.videos.set(video.id, video); if (!state.order.includes(video.id)) state.order.push(video.id); }
  state.hasMore = page.has_more;
  drawGallery();
});

function draw() { drawState(); drawStage(); drawQueue(); drawGallery(); }

// MARK: one clip in large

async function view(id) {
  const video = state.videos.get(id);
  if (!video) return;
  state.viewed = id;
  $("viewer-prompt").textContent = told(video);
  const rows = [
    ["Length", length(video)], ["Size", (video.size ?? "").replace("x", "×")], ["Frames", video.num_frames && `${video.num_frames}, ${video.fps} a second`],
    ["Seed", video.seed], ["Steps", video.num_inference_steps], ["Guidance", video.guidance_scale], ["Not", video.negative_prompt],
    ...storyOf(video).map((scene, index) => [`Scene ${index + 1}`, `${seconds(scene.seconds)}: ${scene.prompt}`]), ["Model", video.model],
    ["Made", new Date(video.created_at * 1000).toLocaleString()], ["Kept until", video.expires_at && new Date(video.expires_at * 1000).toLocaleDateString()],
    ["Unknown", (video.unknown_words ?? []).join(", ")], ["SHA-256", video.sha256],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  $("viewer-facts").replaceChildren(...rows.flatMap(([name, value]) => [element("dt", {}, name),
    element("dd", { className: name === "SHA-256" ? "hash" : "" }, String(value))]));
  $("viewer-actions").replaceChildren(...(video.status === "completed" ? actions(video) : [removal(video)]));
  $("viewer-screen").replaceChildren(...(video.status === "completed" ? [] : [element("p", { className: "empty" }, sentence(video.error?.message ?? "it failed"))]));
  if (!$("viewer").open) $("viewer").showModal();
  if (video.status !== "completed") return;
  const url = await content(id, "video").catch(() => null);
  if (url && state.viewed === id) $("viewer-screen").replaceChildren(player(url, video, { controls: true }));
}

function step(by) {
  const videos = finished();
  const next = videos[videos.findIndex((video) => video.id === state.viewed) + by];
  if (next) view(next.id);
}

$("viewer-close").addEventListener("click", () => $("viewer").close());
$("viewer").addEventListener("close", () => { state.viewed = null; $("viewer-screen").replaceChildren(); });
$("viewer").addEventListener("click", (event) => { if (event.target === $("viewer")) $("viewer").close(); });

// MARK: the start

async function start() {
  try {
    // Without rights it says no more than the status; asking first spares a refusal.
    if (!state.key && !("version" in await ask("GET", "/healthz"))) return needKey("");
    state.models = (await ask("GET", "/v1/models")).data.filter((one) => !one.alias_of);
    $("model").replaceChildren(...state.models.map((one) => element("option", { value: one.id }, one.id)));
    $("model-control").hidden = state.models.length < 2;
    drawModel();
    $("send").disabled = state.models.length === 0;
    await loadQuota();
    await refresh();
  } catch (error) {
    if (error.status === 401) return;
    if (!(error instanceof Refusal) && !(error instanceof TypeError)) throw error;
    state.offline = true;
    drawState();
    setTimeout(start, 3000);
  }
}

// A key in the address comes from `sorad-ctl open`; the address is cleaned at once, so that it stays out of history and screenshots.
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (location.hash) history.replaceState(null, "", location.pathname);
if (given) sessionStorage.setItem(KEY, given);
state.key = given ?? sessionStorage.getItem(KEY);
$("key-button").hidden = !state.key;
document.addEventListener("visibilitychange", () => { if (!document.hidden && !$("key-dialog").open) later(0); });
start();
