"""Judges generated videos.

`python evaluate.py CHECKPOINTS --count 200` samples held-out prompts with the PyTorch pipeline and judges them;
`python evaluate.py CHECKPOINTS --prompts FILE --count 200` only writes the prompts (JSON lines with their labels);
`python evaluate.py CHECKPOINTS --videos DIR --prompts FILE` judges `DIR/<id>.mp4` (or folders of PNGs `DIR/<id>/`)
made elsewhere from those prompts.
"""

import argparse
import glob
import json
import os
import random

import numpy
import torch

import captions
import scenes as world_scenes
from judge import load_judge, opinions
from scenes import FIELDS

SEED = 99
TOLD = ("subject", "colour", "background", "motion", "time", "weather", "camera")


def held_out_prompts(count, seed=SEED):
    """Prompts of held-out combinations in held-out phrasings, languages in turn: dicts `id`, `language`, `text`, labels."""
    drawn, rng, out = world_scenes.draw_scenes(count, seed, test=True, two=0.0), random.Random(seed), []
    for i in range(count):
        scene, language = world_scenes.one(drawn, i), ("en", "zh")[i % 2]
        out.append(dict(id=f"{i:04d}", language=language, text=captions.caption(scene, language, rng, test=True),
                        **{k: scene[k] for k in FIELDS}))
    return out


def read_video(path):
    """uint8 `[33, h, w, 3]` of an MP4 or a folder of PNGs; shorter clips repeat their last frame."""
    if os.path.isdir(path):
        from PIL import Image
        frames = numpy.stack([numpy.asarray(Image.open(p).convert("RGB")) for p in sorted(glob.glob(path + "/*.png"))])
    else:
        import imageio_ffmpeg
        probe = imageio_ffmpeg.read_frames(path, pix_fmt="rgb24")
        w, h = next(probe)["size"]
        frames = numpy.stack([numpy.frombuffer(f, numpy.uint8).reshape(h, w, 3) for f in probe])
    frames = torch.from_numpy(frames.copy())
    return torch.cat([frames, frames[-1:].expand(max(0, 33 - len(frames)), -1, -1, -1)])[:33]


def sharpness(video):
    """Mean of the strongest hundredth of horizontal grey steps, 0..255: edges, not noise. `[b]`."""
    grey = video.float().mean(-1)
    step = (grey[..., 1:] - grey[..., :-1]).abs().flatten(1)
    return step.topk(step.shape[1] // 100, 1).values.mean(1)


def scores(judge, videos, prompts):
    """{language: {field: percent right}} and edge sharpness."""
    said, report = opinions(judge, videos), {}
    for language in ("all", "en", "zh"):
        rows = [i for i, p in enumerate(prompts) if language in ("all", p["language"])]
        if rows:
            report[language] = {k: round(100 * float(numpy.mean([int(said[k][i]) == prompts[i][k] for i in rows])), 1) for k in TOLD}
    report["sharpness"] = round(sharpness(videos).mean().item(), 1)
    return report


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoints")
    args.add_argument("--count", type=int, default=200)
    args.add_argument("--prompts")
    args.add_argument("--videos")
    args.add_argument("--steps", type=int, default=4)
    args.add_argument("--dense", action="store_true")
    args.add_argument("--sheet")
    a = args.parse_args()
    prompts = held_out_prompts(a.count)
    if a.prompts and not a.videos:
        with open(a.prompts, "w") as f:
            f.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in prompts)
        return
    judge = load_judge(a.checkpoints)
    if a.videos:
        prompts = [json.loads(line) for line in open(a.prompts)]
        found = {p["id"]: (glob.glob(f"{a.videos}/{p['id']}*") or [None])[0] for p in prompts}
        prompts = [p for p in prompts if found[p["id"]]]
        said = [read_video(found[p["id"]]) for p in prompts]
    else:
        from sampling import Pipeline
        pipeline = Pipeline(a.checkpoints, "cuda" if torch.cuda.is_available() else "cpu")
        said = list(pipeline.text_to_video([p["text"] for p in prompts], steps=a.steps, dense=a.dense))
    if a.sheet:
        from sheets import sheet
        sheet(said[:12], a.sheet, [p["text"] for p in prompts[:12]])
    print(json.dumps(dict(count=len(said), **scores(judge, torch.stack(said), prompts))))


if __name__ == "__main__":
    main()
