// Drives a running server with openai-node where it is refused: what is tried again, what is not, and administration.
// Needs BASE (…/v1) and ADMIN. Makes a project of its own with narrow limits.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const OpenAI = require('openai');
const small = { num_frames: Number(process.env.FRAMES ?? 17), num_steps: Number(process.env.STEPS ?? 1) };

// Longer than any of these refusals takes; a client that sleeps is told to for longer.
const AT_ONCE = 5_000;

const { organization } = new OpenAI({ baseURL: process.env.BASE, apiKey: 'unused', adminAPIKey: process.env.ADMIN }).admin;
const { projects } = organization;
const project = await projects.create({ name: 'node' });
assert.equal(project.object, 'organization.project');
assert.equal((await projects.update(project.id, { name: 'node 2' })).name, 'node 2');
assert.equal((await projects.retrieve(project.id)).name, 'node 2');
const listed = [];
for await (const { id } of projects.list({ limit: 1 })) listed.push(id);
assert.ok(listed.includes(project.id));
const account = await projects.serviceAccounts.create(project.id, { name: 'node' });
const key = await projects.serviceAccounts.apiKeys.create(account.id, { project_id: project.id, scopes: ['videos.read'] });
assert.match(key.value, /^vk_proj_/);
const ids = [];
for await (const { id } of projects.apiKeys.list(project.id)) ids.push(id);
assert.deepEqual(ids.sort(), [account.api_key.id, key.id].sort());
assert.equal((await projects.apiKeys.retrieve(key.id, { project_id: project.id })).owner.service_account.id, account.id);
const admin = await organization.adminAPIKeys.create({ name: 'node', expires_in_seconds: 3600 });
assert.ok(admin.value.startsWith('vk_admin_') && admin.expires_at - admin.created_at === 3600);
assert.equal((await organization.adminAPIKeys.retrieve(admin.id)).redacted_value.includes('…'), true);
assert.equal((await organization.adminAPIKeys.delete(admin.id)).deleted, true);
const told = [];
for await (const { type } of organization.auditLogs.list({ event_types: ['api_key.created'], project_ids: [project.id] })) told.push(type);
assert.deepEqual(told, ['api_key.created', 'api_key.created']);
console.log('administration: ok');

// A client with the retries that it has by default, and the requests that it sent.
const sent = [];
const counting = (url, options) => {
  sent.push({ url: String(url), headers: new Headers(options.headers), body: options.body });
  return fetch(url, options);
};
const client = new OpenAI({ baseURL: process.env.BASE, apiKey: account.api_key.value, fetch: counting });

// Refused with that code after one request, at once, and told not to come back.
async function once(call, status, code) {
  sent.length = 0;
  const began = Date.now();
  await assert.rejects(call, (error) => {
    assert.deepEqual([error.status, error.code, error.headers.get('x-should-retry')], [status, code, 'false']);
    return true;
  });
  assert.equal(sent.length, 1, code);
  assert.ok(Date.now() - began < AT_ONCE, code);
}

const limit = (numbers) => projects.rateLimits.updateRateLimit('rl_default', { project_id: project.id, ...numbers });
const gone = async ({ id }) => {
  await client.post(`/videos/${id}/cancel`).catch((error) => assert.equal(error.code, 'video_not_cancellable'));
  while (['queued', 'in_progress'].includes((await client.videos.retrieve(id)).status));
};

// A clip of the default size takes longer than all that is asked of it here.
const job = await client.videos.create({ prompt: 'x', metadata: { order: '4711' } });
assert.deepEqual(job.metadata, { order: '4711' });
assert.ok(sent[0].body instanceof FormData);
await once(() => client.videos.remix(job.id, { prompt: 'y' }), 409, 'source_not_ready');
await once(() => client.videos.downloadContent(job.id), 409, 'video_not_ready');
await once(() => client.videos.delete(job.id), 409, 'video_in_progress');
await once(() => client.videos.edit({ prompt: 'y', video: { id: job.id } }), 400, 'operation_not_supported');
await once(() => client.videos.extend({ prompt: 'y', seconds: '2', video: { id: job.id } }), 400, 'operation_not_supported');
const clip = await OpenAI.toFile(Buffer.alloc(64), 'a.mp4');
await once(() => client.videos.createCharacter({ name: 'n', video: clip }), 400, 'operation_not_supported');
await once(() => client.videos.getCharacter('char_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d'), 400, 'operation_not_supported');
await once(() => client.videos.retrieve('../models'), 404, 'video_not_found');
assert.ok(sent[0].url.includes('%2F'));
await gone(job);
console.log('refused for good, sent once: ok');

const headers = { 'Idempotency-Key': `node-${Date.now()}` };
const first = await client.videos.create({ prompt: 'once', ...small }, { headers });
const { data: second, response } = await client.videos.create({ prompt: 'once', ...small }, { headers }).withResponse();
assert.deepEqual([second.id, response.headers.get('idempotent-replayed')], [first.id, 'true']);
await assert.rejects(client.videos.create({ prompt: 'twice', ...small }, { headers }), { status: 422, code: 'idempotency_key_reused' });
// This option of the library sends nothing.
sent.length = 0;
const plain = await client.videos.create({ prompt: 'plain', ...small }, { idempotencyKey: 'k' });
assert.equal(sent[0].headers.has('idempotency-key'), false);
await gone(first);
await gone(plain);
console.log('idempotency keys: ok');

// It sleeps for whatever time it is told: it must be told not to.
await limit({ max_gpu_seconds_per_1_day: 1 });
// A clip of the default size takes longer than a second on any machine.
await once(() => client.videos.create({ prompt: 'x' }), 429, 'insufficient_quota');
await limit({ max_gpu_seconds_per_1_day: null, max_requests_per_1_minute: 5 });
const careful = new OpenAI({ baseURL: process.env.BASE, apiKey: account.api_key.value, maxRetries: 0 });
let refusal;
for (let tries = 0; tries < 6 && !refusal; tries++) {
  const made = await careful.videos.create({ prompt: 'x' }).catch((error) => void (refusal = error));
  if (made) await careful.post(`/videos/${made.id}/cancel`).catch((error) => (refusal = error));
}
assert.deepEqual([refusal?.status, refusal?.code], [429, 'rate_limit_exceeded']);
assert.equal(refusal.headers.get('x-ratelimit-remaining-requests'), '0');
assert.ok(Number(refusal.headers.get('retry-after-ms')) <= 12_000);
console.log('limits: ok');

assert.equal((await projects.apiKeys.delete(key.id, { project_id: project.id })).deleted, true);
assert.equal((await projects.serviceAccounts.delete(account.id, { project_id: project.id })).deleted, true);
assert.equal((await projects.archive(project.id)).status, 'archived');
