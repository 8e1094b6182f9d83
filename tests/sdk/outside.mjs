// Drives a running server with openai-node: files, pictures by file id, redirected downloads, webhooks.
// Needs BASE (…/v1), KEY and HOOK_PORT, a free port of 127.0.0.1 that the server may send webhooks to.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import { png } from './png.mjs';

const require = createRequire(`${process.cwd()}/`);
const OpenAI = require('openai');
const small = { num_frames: Number(process.env.FRAMES ?? 17), num_steps: Number(process.env.STEPS ?? 1) };
const client = new OpenAI({ baseURL: process.env.BASE, apiKey: process.env.KEY, maxRetries: 0 });

const bytes = async (response) => Buffer.from(await response.arrayBuffer());

const picture = png(160, 96);
const made = await client.files.create({
  file: await OpenAI.toFile(picture, 'a.png'),
  purpose: 'vision',
  expires_after: { anchor: 'created_at', seconds: 3600 },
});
assert.match(made.id, /^file_[0-9a-f]{32}$/);
assert.equal(made.expires_at - made.created_at, 3600);
assert.deepEqual(await client.files.retrieve(made.id), made);
assert.deepEqual(await bytes(await client.files.content(made.id)), picture);
const listed = [];
for await (const file of client.files.list({ limit: 1 })) listed.push(file.id);
assert.equal(listed[0], made.id);
const animated = await client.videos.create({ prompt: 'x', input_reference: { file_id: made.id }, ...small });
assert.equal(animated.input_image.file_id, made.id);
assert.equal((await client.files.delete(made.id)).deleted, true);
await assert.rejects(client.files.retrieve(made.id), (error) => error.status === 404 && error.code === 'file_not_found');
console.log('files: ok');

const got = [];
let arrived = () => {};
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  response.writeHead(200).end();
  got.push({ path: request.url, headers: request.headers, body });
  arrived();
});
await new Promise((resolve) => server.listen(Number(process.env.HOOK_PORT), '127.0.0.1', resolve));
const base = `http://127.0.0.1:${process.env.HOOK_PORT}`;
const endpoint = await client.post('/webhook_endpoints', { body: { url: `${base}/endpoint`, events: ['video.completed'] } });
const callback = await client.post('/webhook_endpoints/callback/rotate_secret', { body: { overlap_seconds: 0 } });
const job = await client.post('/videos/generations', { body: { prompt: 'x', ...small, callback_url: `${base}/callback` } });
const mine = () => got.filter(({ body }) => JSON.parse(body).data.id === job.id);
await new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('no webhooks came')), 240_000);
  arrived = () => mine().length >= 2 && (clearTimeout(timer), resolve());
  arrived();
});
for (const { path, headers, body } of mine()) {
  const secret = path === '/endpoint' ? endpoint.secret : callback.secret;
  const event = await client.webhooks.unwrap(body, headers, secret);
  assert.equal(event.type, 'video.completed');
  await assert.rejects(client.webhooks.unwrap(`${body} `, headers, secret));
}
await client.delete(`/webhook_endpoints/${endpoint.id}`);
server.close();
console.log('webhooks: ok');

const straight = await bytes(await client.videos.downloadContent(job.id));
assert.deepEqual(await bytes(await client.videos.downloadContent(job.id, {}, { query: { redirect: true } })), straight);
const link = await client.get(`/videos/${job.id}/download_url`);
assert.deepEqual(await bytes(await fetch(link.url)), straight);
console.log('downloads: ok');
