// Drives a running server with openai-node: text, picture, download, list, custom routes, errors, delete.
// Needs BASE (…/v1) and KEY. Never changes the library: only baseURL and apiKey differ from a program for OpenAI.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

import { png } from './png.mjs';

// Resolved from the working directory, so that one script serves several versions.
const require = createRequire(`${process.cwd()}/`);
const OpenAI = require('openai');

const frames = Number(process.env.FRAMES ?? 17);
const small = { num_frames: frames, num_steps: Number(process.env.STEPS ?? 1) };
const client = new OpenAI({ baseURL: process.env.BASE, apiKey: process.env.KEY, maxRetries: 0 });

// openai-node 6 has no poll helper for videos: this loop is what its users write.
async function finished(video) {
  const deadline = Date.now() + 600_000;
  while (video.status === 'queued' || video.status === 'in_progress') {
    assert.ok(Date.now() < deadline, `${video.id} takes too long`);
    const { data, response } = await client.videos.retrieve(video.id).withResponse();
    video = data;
    const after = Number(response.headers.get('openai-poll-after-ms') ?? 0);
    if (after > 0) await new Promise((resolve) => setTimeout(resolve, after));
  }
  return video;
}

async function refused(promise, status, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, status);
    assert.equal(error.code, code);
    assert.match(error.requestID, /^req_[0-9a-f]{32}$/);
    return true;
  });
}

async function checkFile(video) {
  const response = await client.videos.downloadContent(video.id);
  const content = Buffer.from(await response.arrayBuffer());
  assert.equal(content.subarray(4, 8).toString(), 'ftyp');
  const asset = video.assets.find((asset) => asset.variant === 'video');
  assert.equal(createHash('sha256').update(content).digest('hex'), asset.sha256);
}

const text = await finished(await client.videos.create({ prompt: 'A red ball rolls over green grass.', model: 'sora-2', ...small, seed: 7 }));
assert.equal(text.status, 'completed', JSON.stringify(text.error));
assert.equal(text.parameters.seed, 7);
await checkFile(text);
console.log('text: ok');

const picture = png(160, 96);
const file = await OpenAI.toFile(picture, 'a.png');
const upload = await finished(await client.videos.create({ prompt: 'The picture comes to life.', input_reference: file, ...small }));
assert.equal(upload.status, 'completed', JSON.stringify(upload.error));
assert.equal(upload.operation, 'image_to_video');
const image_url = `data:image/png;base64,${picture.toString('base64')}`;
const url = await client.videos.create({ prompt: 'The picture comes to life.', input_reference: { image_url }, ...small });
assert.equal(url.operation, 'image_to_video');
assert.equal(url.input_image.sha256, upload.input_image.sha256);
console.log('picture: ok');

const custom = await client.post('/videos/generations', { body: { prompt: 'A blue ball.', ...small, wait: 60 } });
assert.equal(custom.status, 'completed', JSON.stringify(custom.error));
const remix = await client.videos.remix(text.id, { prompt: 'The ball is blue now.' });
assert.equal(remix.remixed_from_video_id, text.id);
const ids = [];
for await (const video of client.videos.list({ limit: 2 })) ids.push(video.id);
for (const video of [text, upload, url, custom, remix]) assert.ok(ids.includes(video.id));
assert.equal(new Set(ids).size, ids.length);
console.log('list: ok');

await refused(client.videos.create({ prompt: 'x', num_steps: 5 }), 400, 'invalid_value');
await refused(client.videos.retrieve('../x'), 404, 'video_not_found');
await refused(client.post('/videos/generations', { body: { prompt: 'x', foo: 1 } }), 400, 'unknown_parameter');
console.log('errors: ok');

for (const video of [url, remix]) {
  await client.post(`/videos/${video.id}/cancel`).catch((error) => assert.equal(error.code, 'video_not_cancellable'));
  await finished(await client.videos.retrieve(video.id));
}
for (const video of [text, upload, url, custom, remix]) {
  assert.equal((await client.videos.delete(video.id)).deleted, true);
  await refused(client.videos.delete(video.id), 404, 'video_not_found');
}
console.log('delete: ok');
