// The official Node SDK with nothing but a base URL and a key: every call of its `videos` that this API has.
// node node_client.mjs MODULE BASE_URL KEY PICTURE; MODULE is what `npm install openai` brings.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [module, baseURL, apiKey, picture] = process.argv.slice(2);
const { default: OpenAI, AuthenticationError, toFile } = await import(pathToFileURL(module));
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

function check(holds, what) {
  if (!holds) throw new Error(what);
}

// The SDK has no call that waits.
async function ended(created) {
  let video = await created;
  while (!["completed", "failed"].includes(video.status)) {
    await new Promise((done) => setTimeout(done, 100));
    video = await client.videos.retrieve(video.id);
  }
  return video;
}

const video = await ended(client.videos.create({ model: "sora-2", prompt: "a red ball bounces", size: "1280x720", seconds: "4" }));
check(video.status === "completed" && video.model === "sorad-mini", JSON.stringify(video));
for (const [variant, at, mark] of [[undefined, 4, "ftyp"], ["thumbnail", 8, "WEBP"], ["spritesheet", 0, "\u00ff\u00d8\u00ff"]]) {
  const answer = await client.videos.downloadContent(video.id, variant && { variant });
  const bytes = Buffer.from(await answer.arrayBuffer());
  check(bytes.toString("latin1", at, at + mark.length) === mark, `${variant}: ${bytes.subarray(0, 12)}`);
}
const given = await toFile(fs.createReadStream(picture), "ball.png", { type: "image/png" });
const shown = await ended(client.videos.create({ model: "sora-2", prompt: "a red ball", seconds: "4", input_reference: given }));
check(shown.status === "completed", JSON.stringify(shown));
const remixed = await client.videos.remix(video.id, { prompt: "a blue ball bounces" });
check((await ended(remixed)).remixed_from_video_id === video.id, "the remix names its source");
const extended = await client.videos.extend({ video: { id: video.id }, prompt: "a red ball bounces", seconds: "4" });
check((await ended(extended)).status === "completed", "the extension");
const edited = await client.videos.edit({ video: { id: video.id }, prompt: "a green ball bounces" });
check((await ended(edited)).status === "completed", "the edit");
const seen = [];
for await (const one of client.videos.list({ limit: 2 })) seen.push(one.id);
check(seen.length === 5 && new Set(seen).size === 5, `pages: ${seen}`);
check((await client.videos.delete(remixed.id)).deleted === true, "deleted");
check((await client.models.retrieve("sora-2")).alias_of === "sorad-mini", "the alias");
try {
  await new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).videos.list();
  throw new Error("a wrong key was taken");
} catch (error) {
  check(error instanceof AuthenticationError && error.code === "invalid_api_key", String(error));
}
try {
  await client.videos.create({ prompt: "" });
  throw new Error("an empty prompt was taken");
} catch (error) {
  check(error.status === 400 && error.param === "prompt", String(error));
}
console.log("made");
