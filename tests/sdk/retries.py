"""Drives a running server with openai-python where it is refused: what is tried again, what is not, and what is a replay.

Needs BASE (…/v1) and ADMIN, a key of `wanserve keys create --kind admin`. Makes a project of its own with narrow limits.
"""

import os
import sys
import threading
import time
import uuid
import warnings

import openai

from videos import SMALL, png, refused

warnings.simplefilter("ignore", DeprecationWarning)

BASE = os.environ["BASE"]
# Longer than any of these refusals takes, shorter than any wait that a client would be sent into.
AT_ONCE = 5
organization = openai.OpenAI(base_url=BASE, api_key="unused", admin_api_key=os.environ["ADMIN"]).admin.organization
project = organization.projects.create(name="retries")
account = organization.projects.service_accounts.create(project_id=project.id, name="retries")


def client(**options):
    """A client with the retries that it has by default, unless told otherwise, and the requests that it sent."""
    made = openai.OpenAI(base_url=BASE, api_key=account.api_key.value, **options)
    sent = []
    request = made._client.send
    made._client.send = lambda *args, **named: sent.append(args[0]) or request(*args, **named)
    return made, sent


def limit(**numbers):
    typed = {name: numbers.pop(name) for name in list(numbers) if name.startswith("max_requests")}
    set_ = organization.projects.rate_limits.update_rate_limit(
        "rl_default", project_id=project.id, **typed, extra_body=numbers or None
    )
    assert set_.object == "project.rate_limit" and set_.max_tokens_per_1_minute == 0, set_


def once(call, kind, code, sent):
    """Refused with that code after one request, at once, and told not to come back."""
    sent.clear()
    began = time.monotonic()
    error = refused(call, kind, code)
    assert len(sent) == 1 and time.monotonic() - began < AT_ONCE, (code, len(sent))
    assert error.response.headers["x-should-retry"] == "false", code
    return error


def gone(c, job):
    """Cancels a job, unless it was faster, and waits for its end."""
    try:
        c.post(f"/videos/{job}/cancel", cast_to=object)
    except openai.ConflictError as error:
        assert error.code == "video_not_cancellable", error
    c.videos.poll(job)


def what_is_no_use_is_not_repeated():
    c, sent = client()
    # A clip of the default size takes longer than all that is asked of it here.
    job = c.videos.create(prompt="x")
    assert len(sent) == 1 and sent[0].headers["content-type"].startswith("multipart/form-data"), sent[0].headers
    once(lambda: c.videos.remix(job.id, prompt="y"), openai.ConflictError, "source_not_ready", sent)
    assert sent[0].headers["content-type"] == "application/json"
    once(lambda: c.videos.download_content(job.id), openai.ConflictError, "video_not_ready", sent)
    once(lambda: c.videos.delete(job.id), openai.ConflictError, "video_in_progress", sent)
    by_id = {"video": openai.NOT_GIVEN, "extra_body": {"video": {"id": job.id}}}
    unsupported = (openai.BadRequestError, "operation_not_supported", sent)
    once(lambda: c.videos.edit(prompt="y", **by_id), *unsupported)
    once(lambda: c.videos.extend(prompt="y", seconds="2", **by_id), *unsupported)
    once(lambda: c.videos.create_character(name="n", video=("a.mp4", b"\0" * 64)), *unsupported)
    once(lambda: c.videos.get_character("char_0190f0c4a1b27c3c9d1e5b6f7a8b9c0d"), *unsupported)
    once(lambda: c.videos.retrieve("../models"), openai.NotFoundError, "video_not_found", sent)
    assert "%2F" in str(sent[0].url), sent[0].url
    gone(c, job.id)
    print("refused for good, sent once: ok")


def what_is_in_brackets_is_read():
    c, sent = client(max_retries=0)
    metadata = {"order": "4711", "名": "雪"}
    job = c.videos.create(prompt="x", extra_body={**SMALL, "ode": True, "seed": None, "metadata": metadata})
    assert job.metadata == metadata and job.parameters["ode"] is True and job.parameters["seed"] is not None
    assert isinstance(job.seconds, str)
    url = "data:image/png;base64," + __import__("base64").b64encode(png(160, 96)).decode()
    sent.clear()
    for call in (
        lambda: c.videos.create(prompt="x", input_reference={"image_url": url}),
        lambda: c.videos.edit(prompt="x", video={"id": job.id}),
        lambda: c.videos.extend(prompt="x", seconds="2", video={"id": job.id}),
    ):
        try:
            call()
            raise SystemExit("the library sends what it refused to send before: the documentation need not go around it")
        except RuntimeError:
            assert not sent, "refused before anything is sent"
    still = c.videos.create(prompt="x", extra_body={**SMALL, "input_reference": {"image_url": url}})
    assert still.operation == "image_to_video"
    for made in (job, still):
        gone(c, made.id)
    print("extra bodies: ok")


def a_key_makes_one_job():
    c, _ = client()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    create = lambda prompt="once": c.videos.with_raw_response.create(prompt=prompt, extra_headers=key, extra_body=SMALL)
    first, second = create(), create()
    assert first.parse().id == second.parse().id and second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    refused(lambda: create("twice"), openai.UnprocessableEntityError, "idempotency_key_reused", None)
    key["Idempotency-Key"] = uuid.uuid4().hex
    # On a busy machine the first may need longer than the few tries that are made by default.
    c, made = client(max_retries=60)[0], []
    threads = [threading.Thread(target=lambda: made.append(create("at once").parse().id)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Those that met the first are told 409 to come back, and do so by themselves.
    assert len(made) == 4 and len(set(made)) == 1, made
    for job in {first.parse().id, *made}:
        gone(c, job)
    print("idempotency keys: ok")


def limits():
    c, sent = client()
    limit(max_active_jobs=2)
    active = [c.videos.create(prompt="x") for _ in range(2)]
    careful, _ = client(max_retries=0)
    error = refused(lambda: careful.videos.create(prompt="x"), openai.RateLimitError, "concurrency_limit_exceeded")
    assert int(error.response.headers["retry-after"]) >= 1 and error.type == "rate_limit_error", error.type
    for job in active:
        gone(c, job.id)
    limit(max_active_jobs=None, max_gpu_seconds_per_1_day=1)
    # A clip of the default size takes longer than a second on any machine.
    error = once(lambda: c.videos.create(prompt="x"), openai.RateLimitError, "insufficient_quota", sent)
    assert error.type == "insufficient_quota", error.type
    limit(max_gpu_seconds_per_1_day=None, max_requests_per_1_minute=5)
    # What was asked for before is not in the new bucket: it begins full.
    seen = []
    while not seen or seen[-1] is None:
        assert len(seen) < 6, "the limit does not hold"
        try:
            made = careful.videos.create(prompt="x")
            careful.post(f"/videos/{made.id}/cancel", cast_to=object)
            seen.append(None)
        except openai.RateLimitError as error:
            seen.append(error)
    error = seen[-1]
    headers = error.response.headers
    assert error.code == "rate_limit_exceeded" and headers["x-ratelimit-remaining-requests"] == "0", headers
    assert headers["x-ratelimit-limit-requests"] == "5" and headers["x-should-retry"] == "true", headers
    wait = int(headers["retry-after-ms"])
    assert 0 < wait <= 12_000 and int(headers["retry-after"]) == -(-wait // 1000), headers
    limit(max_requests_per_1_minute=600)
    print("limits: ok")


def main():
    print(f"openai {openai.__version__}")
    what_is_no_use_is_not_repeated()
    what_is_in_brackets_is_read()
    a_key_makes_one_job()
    limits()
    organization.projects.archive(project.id)


if __name__ == "__main__":
    sys.exit(main())
