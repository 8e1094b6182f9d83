"""Drives a running server with openai-python: files, pictures by file id, redirected downloads, webhooks, waiting.

Needs BASE (…/v1), KEY and HOOK_PORT, a free port of 127.0.0.1 that the server may send webhooks to.
"""

import http.server
import json
import os
import queue
import sys
import threading
import time
import urllib.request
import warnings

import openai

from videos import SMALL, png, refused

warnings.simplefilter("ignore", DeprecationWarning)

client = openai.OpenAI(base_url=os.environ["BASE"], api_key=os.environ["KEY"], max_retries=0)
PORT = int(os.environ["HOOK_PORT"])
PATIENCE = 240

# Of the contract, made with an implementation of its own.
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = (
    '{"id":"evt_0190f0c4a8e27c3c9d1e5b6f7a8b9c0d","object":"event","created_at":1767225600,'
    '"type":"video.completed","data":{"id":"video_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"}}'
)
HEADERS = {
    "webhook-id": "evt_0190f0c4a8e27c3c9d1e5b6f7a8b9c0d",
    "webhook-timestamp": "1767225601",
    "webhook-signature": "v1,sPBKOUWJT4LHG8mz4S0IzifKEfAucenJd+WR6Mcmoug=",
}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers the first callback with 500 and all else with 200, and hands on what came."""

    got = queue.Queue()
    failed = threading.Event()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        first = self.path == "/callback" and not Receiver.failed.is_set()
        if first:
            Receiver.failed.set()
        self.send_response(500 if first else 200)
        self.send_header("content-length", "0")
        self.end_headers()
        Receiver.got.put((self.path, dict(self.headers.items()), body, time.time(), first))

    def log_message(self, *_):
        pass


def post(path, body):
    return client.post(path, body=body, cast_to=object)


def files():
    picture = png(160, 96)
    made = client.files.create(file=("a.png", picture, "image/png"), purpose="vision")
    assert made.id.startswith("file_") and made.bytes == len(picture) and made.filename == "a.png"
    assert made.expires_at - made.created_at == 86400 and made.status == "processed"
    short = client.files.create(
        file=("b.png", picture), purpose="vision", extra_body={"expires_after": {"anchor": "created_at", "seconds": 3600}}
    )
    assert short.expires_at - short.created_at == 3600
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == picture
    listed = [file.id for file in client.files.list(limit=1)]
    assert listed[:2] == [short.id, made.id], listed
    for body in ({"image": made.id}, {"image": {"file_id": made.id}}):
        job = post("/videos/from-image", {"prompt": "x", **SMALL, **body})
        assert job["input_image"]["file_id"] == made.id, job
        finished(job["id"])
    assert client.files.delete(made.id).deleted
    refused(lambda: client.files.retrieve(made.id), openai.NotFoundError, "file_not_found")
    refused(lambda: client.files.create(file=("a.gif", b"GIF89a" + bytes(64)), purpose="vision"), openai.BadRequestError, "unsupported_image_format")
    print("files: ok")


def finished(video):
    deadline = time.time() + PATIENCE
    while (job := client.videos.retrieve(video)).status in ("queued", "in_progress"):
        assert time.time() < deadline, video
        time.sleep(0.2)
    assert job.status == "completed", job.error
    return job


def downloads(video):
    straight = client.videos.download_content(video).read()
    assert client.videos.download_content(video, extra_query={"redirect": True}).read() == straight
    sheet = client.videos.download_content(video, variant="spritesheet", extra_query={"redirect": True}) if has_sheet(video) else None
    assert sheet is None or sheet.read()[:2] == b"\xff\xd8"
    link = client.get(f"/videos/{video}/download_url?expires_in=60", cast_to=object)
    with urllib.request.urlopen(link["url"]) as answer:
        assert answer.read() == straight and answer.headers["content-type"] == "video/mp4"
    print("downloads: ok")


def has_sheet(video):
    return any(asset["variant"] == "spritesheet" for asset in client.videos.retrieve(video).assets)


def unwrap(delivery, secret):
    _, headers, body, _, _ = delivery
    return client.webhooks.unwrap(body, headers, secret=secret)


def arrived(job, path, held=[]):
    """The next delivery about the job there; those of earlier jobs may still come, and other paths are kept for later."""
    fits = lambda delivery: delivery[0] == path and json.loads(delivery[2])["data"]["id"] == job["id"]
    for delivery in held:
        if fits(delivery):
            held.remove(delivery)
            return delivery
    while not fits(delivery := Receiver.got.get(timeout=PATIENCE)):
        held.append(delivery)
    return delivery


def webhooks():
    client.webhooks.verify_signature(BODY, HEADERS, secret=SECRET, tolerance=10**10)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{PORT}"
    endpoint = post("/webhook_endpoints", {"url": f"{base}/endpoint", "events": ["video.completed"]})
    rotated = post("/webhook_endpoints/callback/rotate_secret", {"overlap_seconds": 0})
    job = post("/videos/generations", {"prompt": "x", **SMALL, "callback_url": f"{base}/callback"})
    late = arrived(job, "/callback")
    assert late[4], "it was answered with 500"
    fresh = post("/webhook_endpoints/callback/rotate_secret", {"overlap_seconds": 600})["secret"]
    told = arrived(job, "/endpoint")
    again = arrived(job, "/callback")
    for delivery, secret in ((told, endpoint["secret"]), (late, rotated["secret"]), (again, rotated["secret"]), (again, fresh)):
        event = unwrap(delivery, secret)
        assert event.type == "video.completed" and event.data.id == job["id"], event
    assert again[1]["webhook-id"] == late[1]["webhook-id"]
    assert again[1]["webhook-timestamp"] > late[1]["webhook-timestamp"]
    assert 4 <= again[3] - late[3], "the second attempt comes about five seconds later"
    assert len(again[1]["webhook-signature"].split(" ")) == 2, "both secrets sign during the overlap"
    try:
        unwrap(told, "whsec_" + "A" * 43 + "=")
        raise SystemExit("a foreign secret was accepted")
    except openai.InvalidWebhookSignatureError:
        pass
    # The next program that runs against this server has a receiver of its own.
    client.delete(f"/webhook_endpoints/{endpoint['id']}", cast_to=object)
    server.shutdown()
    server.server_close()
    print("webhooks: ok")
    return job["id"]


def main():
    print(f"openai {openai.__version__}")
    files()
    downloads(webhooks())


if __name__ == "__main__":
    sys.exit(main())
