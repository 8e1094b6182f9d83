// A real browser against a running server: a page of another origin makes a video and plays it, and the documentation
// page draws every route. Needs BASE (…/v1), KEY, PAGE_PORT (its origin is allowed, see run.sh) and chromium-headless-shell.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';

const { BASE, KEY, PAGE_PORT } = process.env;
const flags = ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'];

// What an app developer writes: only web standards, no SDK.
async function page(base, key) {
  const authorization = `Bearer ${key}`;
  const body = JSON.stringify({ prompt: 'A red ball rolls over green grass.', num_frames: 17, num_steps: 1, seed: 7 });
  const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'browser' };
  const created = await fetch(`${base}/videos/generations`, { method: 'POST', headers, body });
  const video = await created.json();
  const refused = await fetch(`${base}/videos/generations`, { method: 'POST', headers, body: '{}' });

  const events = [];
  const stream = await fetch(`${base}/videos/${video.id}/events`, { headers: { authorization } });
  const text = stream.body.pipeThrough(new TextDecoderStream());
  let rest = '';
  for await (const piece of text) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop();
    events.push(...lines.filter((line) => line.startsWith('event: ')).map((line) => line.slice(7)));
  }

  const play = async (source) => {
    const element = document.createElement('video');
    element.muted = true;
    element.src = source;
    document.body.append(element);
    const happens = (name) => new Promise((resolve, reject) => {
      element.addEventListener(name, resolve, { once: true });
      element.addEventListener('error', () => reject(new Error(element.error.message)), { once: true });
    });
    const ended = happens('ended');
    await element.play();
    await ended;
    const seeked = happens('seeked');
    element.currentTime = 0.5;
    await seeked;
    return { element, width: element.videoWidth, height: element.videoHeight, seconds: element.duration,
      frames: element.getVideoPlaybackQuality().totalVideoFrames };
  };
  const link = await (await fetch(`${base}/videos/${video.id}/download_url`, { headers: { authorization } })).json();
  const { element: _, ...linked } = await play(link.url);
  const content = await fetch(`${base}/videos/${video.id}/content`, { headers: { authorization } });
  const { element, ...fetched } = await play(URL.createObjectURL(await content.blob()));
  const canvas = new OffscreenCanvas(fetched.width, fetched.height).getContext('2d');
  canvas.drawImage(element, 0, 0);
  const pixels = canvas.getImageData(0, 0, fetched.width, fetched.height).data;
  const colours = new Set(Array.from({ length: pixels.length / 4 }, (_, at) => pixels.slice(4 * at, 4 * at + 3).join()));

  return {
    created: { status: created.status, id: created.headers.get('x-request-id'), location: created.headers.get('location'),
      poll: created.headers.get('openai-poll-after-ms'), left: created.headers.get('x-ratelimit-remaining-requests') },
    refused: { status: refused.status, code: (await refused.json()).error.code },
    type: stream.headers.get('content-type'), events, linked, fetched, colours: colours.size,
  };
}

const html = `<!doctype html><title>app</title><body><script type="module">
${page}
const report = await page(${JSON.stringify(BASE)}, ${JSON.stringify(KEY)}).catch((error) => ({ error: String(error.stack) }));
await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
</script>`;

// The origin of the app: its page, and the place where the page tells what it saw.
const app = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  response.setHeader('content-type', 'text/html; charset=utf-8').end(request.url === '/' ? html : '');
  if (request.url === '/report') app.emit('report', JSON.parse(Buffer.concat(chunks)));
});
app.listen(Number(PAGE_PORT), '127.0.0.1');
await once(app, 'listening');

function browse(output, ...args) {
  return spawn('chromium-headless-shell', [...flags, ...args], { stdio: ['ignore', output, 'ignore'], detached: true });
}

// With a debugging port it stays until it is killed: as a group, because Debian's program is a script around the real one.
const browser = browse('ignore', '--remote-debugging-port=0', `http://127.0.0.1:${PAGE_PORT}/`);
const [saw] = await once(app, 'report', { signal: AbortSignal.timeout(120_000) }).finally(() => process.kill(-browser.pid));
app.close();
assert.equal(saw.error, undefined);
assert.equal(saw.created.status, 200);
assert.match(saw.created.id, /^req_[0-9a-f]{32}$/);
assert.match(saw.created.location, /^\/v1\/videos\/video_/);
assert.ok(Number(saw.created.poll) > 0, 'a page may read the hint when to ask again');
assert.deepEqual(saw.refused, { status: 400, code: 'missing_required_parameter' });
assert.match(saw.type, /^text\/event-stream/);
assert.equal(saw.events.at(-1), 'video.completed', JSON.stringify(saw.events));
for (const played of [saw.linked, saw.fetched]) {
  assert.deepEqual([played.width, played.height], [224, 128]);
  assert.ok(Math.abs(played.seconds - 17 / 16) < 0.001, `${played.seconds} s`);
  assert.ok(played.frames >= 16, `${played.frames} frames were drawn`);
}
assert.ok(saw.colours > 500, `a picture has more than ${saw.colours} colours`);
console.log('page of another origin: ok');

const documentation = browse('pipe', '--virtual-time-budget=20000', '--dump-dom', BASE.replace(/\/v1$/, '/docs/'));
let drawn = '';
documentation.stdout.setEncoding('utf8').on('data', (text) => (drawn += text));
await once(documentation, 'close', { signal: AbortSignal.timeout(60_000) });
const { paths } = await (await fetch(BASE.replace(/\/v1$/, '/openapi.json'))).json();
const methods = ['get', 'put', 'post', 'delete', 'patch', 'head'];
const operations = Object.entries(paths).flatMap(([path, item]) => methods.filter((method) => item[method]).map((method) => [method, path]));
const missing = operations.filter(([, path]) => !drawn.includes(`data-path="${path}"`));
assert.ok(operations.length > 40);
assert.deepEqual(missing, [], 'the documentation page draws every route');
assert.equal(drawn.split('class="opblock-summary-path"').length - 1, operations.length);
console.log('documentation page: ok');
