"""Makes clips with the Rust engine: `python engine.py PROMPTS DIR --program wanserve` writes `DIR/<id>.mp4`.

`PROMPTS` comes from `evaluate.py --write`; with `--pictures FOLDER` clips start from `FOLDER/<id>.png`. What is there
already is not made again. `--size 128x224` and `--frames 17` are handed on. The seed is the prompt's number plus `--seed`.
"""

import argparse
import json
import os
import resource
import subprocess
import time

MODELS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("prompts")
    args.add_argument("out")
    args.add_argument("--program", required=True)
    args.add_argument("--pictures")
    args.add_argument("--size")
    args.add_argument("--frames")
    args.add_argument("--steps", type=int, default=4)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--count", type=int, default=1 << 30)
    a = args.parse_args()
    os.makedirs(a.out, exist_ok=True)
    made, began = 0, time.time()
    for prompt in [json.loads(line) for line in open(a.prompts)][:a.count]:
        path = os.path.join(a.out, prompt["id"] + ".mp4")
        if os.path.exists(path):
            continue
        command = [a.program, "generate", prompt["text"], "-o", path, "--models-dir", MODELS, "--steps", str(a.steps),
                   "--seed", str(a.seed + int(prompt["id"]))]
        if a.pictures:
            command += ["--image", os.path.join(a.pictures, prompt["id"] + ".png")]
        for name, value in (("--size", a.size), ("--frames", a.frames)):
            command += [name, value] if value else []
        subprocess.run(command, check=True, capture_output=True)
        made += 1
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps(dict(clips=made, wall_s=round(time.time() - began, 1), cpu_s=round(used.ru_utime + used.ru_stime, 1),
                          largest_mib=used.ru_maxrss // 1024)))


if __name__ == "__main__":
    main()
