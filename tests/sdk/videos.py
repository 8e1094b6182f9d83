"""Drives a running server with openai-python: text, picture, download, list, remix, cancel, errors, delete.

Needs BASE (…/v1) and KEY. Never changes the library: only base_url and api_key differ from a program for OpenAI.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

import openai

warnings.simplefilter("ignore", DeprecationWarning)

FRAMES = int(os.environ.get("FRAMES", "17"))
STEPS = int(os.environ.get("STEPS", "1"))
SMALL = {"num_frames": FRAMES, "num_steps": STEPS}

client = openai.OpenAI(base_url=os.environ["BASE"], api_key=os.environ["KEY"], max_retries=0)


def png(width, height):
    """A picture with a gradient, as PNG bytes."""
    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (255 * x // width, 255 * y // height, 128)) for y in range(height)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(call, kind, code, param="-"):
    """The error that `call` raises, which must be of this class and code."""
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, code)
        assert param == "-" or error.param == param, (error.param, param)
        assert error.request_id.startswith("req_"), error.request_id
        return error
    raise AssertionError(f"no {kind.__name__} {code}")


def check_file(video):
    """Downloads the video and compares it with what the job object says."""
    asset = next(asset for asset in video.assets if asset["variant"] == "video")
    content = client.videos.download_content(video.id).read()
    assert content[4:8] == b"ftyp", content[:16]
    assert hashlib.sha256(content).hexdigest() == asset["sha256"]
    assert len(content) == asset["bytes"]
    probe(content, video)
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    assert thumbnail[:4] == b"RIFF" and thumbnail[8:12] == b"WEBP", thumbnail[:12]


def probe(content, video):
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(content)
        file.flush()
        command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", file.name]
        streams = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]
    assert len(streams) == 1, "one stream, no audio"
    stream = streams[0]
    size = f"{stream['width']}x{stream['height']}"
    seen = (stream["codec_name"], stream["profile"], size, stream["nb_read_frames"], stream["r_frame_rate"])
    assert seen == ("h264", "High", video.size, str(FRAMES), "16/1"), seen


def from_text():
    prompt = "A red ball rolls over green grass."
    sizes = client.models.retrieve(client.models.list().data[0].id).capabilities["sizes"]
    tall = next(size for size in sizes if int(size.split("x")[0]) < int(size.split("x")[1]))
    video = client.videos.create_and_poll(prompt=prompt, model="sora-2", size=tall, extra_body={**SMALL, "seed": 7})
    assert video.size == tall and video.requested_model == "sora-2" and video.model != "sora-2", video
    assert video.status == "completed", (video.status, video.error)
    assert video.progress == 100 and video.object == "video"
    assert video.parameters["seed"] == 7 and video.parameters["num_steps"] == STEPS
    assert video.expires_at > video.completed_at >= video.created_at
    assert video.prompt == prompt and isinstance(video.seconds, str)
    check_file(video)
    return video


def from_picture():
    picture = png(160, 96)
    video = client.videos.create_and_poll(
        prompt="The picture comes to life.", input_reference=("a.png", picture, "image/png"), extra_body=SMALL
    )
    assert video.status == "completed", (video.status, video.error)
    assert video.operation == "image_to_video"
    assert video.input_image["sha256"] == hashlib.sha256(picture).hexdigest()
    check_file(video)
    bare = client.videos.create(prompt="Bare bytes do as well.", input_reference=picture, extra_body=SMALL)
    assert bare.operation == "image_to_video"
    return video, bare


def errors(video):
    refused(lambda: client.videos.create(prompt="x", extra_body={"num_steps": 5}), openai.BadRequestError, "invalid_value", "num_steps")
    refused(lambda: client.videos.create(prompt="x", extra_body={"foo": 1}), openai.BadRequestError, "unknown_parameter", "foo")
    refused(lambda: client.videos.create(prompt="x", seconds="12"), openai.BadRequestError, "invalid_value", "seconds")
    refused(lambda: client.videos.download_content(video.id, variant="x"), openai.BadRequestError, "invalid_value", "variant")
    refused(lambda: client.videos.retrieve("video_x"), openai.NotFoundError, "video_not_found")
    stranger = openai.OpenAI(base_url=os.environ["BASE"], api_key="nope", max_retries=0)
    refused(lambda: stranger.videos.list(), openai.AuthenticationError, "invalid_api_key")
    other = openai.OpenAI(base_url=os.environ["BASE"], api_key=os.environ["KEY"], project="proj_x", max_retries=0)
    refused(lambda: other.videos.list(), openai.AuthenticationError, "mismatched_project")


def pages(*known):
    asked = []
    send = client._client.send
    client._client.send = lambda request, **named: asked.append(request.url.params.get("after")) or send(request, **named)
    listed = [video.id for video in client.videos.list(limit=2)]
    client._client.send = send
    assert asked == [None, *listed[1::2]][: len(asked)] and len(asked) == -(-len(listed) // 2), asked
    assert len(listed) == len(set(listed)), "no video twice"
    assert {video.id for video in known} <= set(listed)
    assert listed == sorted(listed, reverse=True), "newest first"
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == listed[::-1]


def main():
    print(f"openai {openai.__version__}")
    names = [model.id for model in client.models.list()]
    assert names, "no model"
    assert client.models.retrieve(names[0]).id == names[0]
    text = from_text()
    print("text: ok")
    picture, bare = from_picture()
    print("picture: ok")
    remix = client.videos.remix(text.id, prompt="The ball is blue now.")
    assert remix.remixed_from_video_id == text.id and remix.parameters["seed"] == 7 and remix.size == text.size
    pages(text, picture, bare, remix)
    print("list: ok")
    errors(text)
    print("errors: ok")
    for video in (remix, bare):
        client.post(f"/videos/{video.id}/cancel", cast_to=type(video))
        client.videos.poll(video.id)
    for video in (text, picture, bare, remix):
        gone = client.videos.delete(video.id)
        assert gone.deleted and gone.object == "video.deleted" and gone.id == video.id
        refused(lambda: client.videos.delete(video.id), openai.NotFoundError, "video_not_found")
    print("delete: ok")


if __name__ == "__main__":
    sys.exit(main())
