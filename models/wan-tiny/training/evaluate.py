"""Judges generated videos.

`python evaluate.py CHECKPOINTS --count 200` samples held-out prompts with the PyTorch pipeline and judges them.
`python evaluate.py CHECKPOINTS --write FILE --count 200` only writes the prompts (JSON lines with their labels), for
`engine.py`; `python evaluate.py CHECKPOINTS --prompts FILE --videos DIR` judges `DIR/<id>.mp4` made from them.
`--against DIR` compares with other clips of the same prompts. `--pictures DIR` is image-to-video: with `--write` the first
frames of the prompts' renders are written there, else every clip starts from `DIR/<id>.png`. `--retold` asks of these
pictures a motion other than the one they were drawn for. `--two` gives every scene a second subject. `--renders 128x224x17`
judges the renderer's own clips of the prompts' scenes, of that size and number of frames: what a perfect model would get.
"""

import argparse
import glob
import json
import os
import random

import numpy
import torch
from PIL import Image

import captions
import scenes as world_scenes
from judge import load_judge, opinions
from run import psnr
from scenes import FIELDS, MOTIONS
from world import render

SEED = 99
TOLD = ("subject", "colour", "background", "motion", "time", "weather", "camera")
OTHER = dict(left="circles", right="bounces", up="turns", down="grows", bounces="right", circles="left", grows="bounces", turns="circles")


def held_out_prompts(count, seed=SEED, retold=False, two=0.0):
    """Prompts of held-out combinations in held-out phrasings, languages in turn: dicts `id`, `language`, `text`, labels."""
    drawn, rng, out = world_scenes.draw_scenes(count, seed, test=True, two=two), random.Random(seed), []
    for i in range(count):
        scene, language = world_scenes.one(drawn, i), ("en", "zh")[i % 2]
        if retold:
            scene["motion"] = MOTIONS.index(OTHER[MOTIONS[scene["motion"]]])
        out.append(dict(id=f"{i:04d}", language=language, text=captions.caption(scene, language, rng, test=True),
                        **{k: scene[k] for k in FIELDS}))
    return out


def renders(count, width=224, height=128, frames=33, two=0.0, seed=SEED):
    """The renderer's clips of the scenes of `held_out_prompts`, one by one: `[1, frames, height, width, 3]`."""
    drawn = world_scenes.draw_scenes(count, seed, test=True, two=two)
    for i in range(count):
        yield render(world_scenes.rows_of(drawn, slice(i, i + 1)), width, height, frames)[0]


def write_pictures(folder, prompts):
    """The first frame of each prompt's render as `<id>.png`."""
    os.makedirs(folder, exist_ok=True)
    for prompt, video in zip(prompts, renders(len(prompts))):
        Image.fromarray(video[0, 0].numpy()).save(os.path.join(folder, prompt["id"] + ".png"))


def read_picture(path):
    return torch.from_numpy(numpy.asarray(Image.open(path).convert("RGB")).copy())


def read_video(path):
    """uint8 `[33, h, w, 3]` of an MP4; shorter clips repeat their last frame."""
    import imageio_ffmpeg
    probe = imageio_ffmpeg.read_frames(path, pix_fmt="rgb24")
    w, h = next(probe)["size"]
    return lengthened(torch.from_numpy(numpy.stack([numpy.frombuffer(f, numpy.uint8).reshape(h, w, 3) for f in probe]).copy()))


def lengthened(frames):
    return torch.cat([frames, frames[-1:].expand(max(0, 33 - len(frames)), -1, -1, -1)])[:33]


def sharpness(video):
    """Mean of the strongest hundredth of horizontal grey steps, 0..255: edges, not noise. `[b]`."""
    grey = video.float().mean(-1)
    step = (grey[..., 1:] - grey[..., :-1]).abs().flatten(1)
    return step.topk(step.shape[1] // 100, 1).values.mean(1)


def right(judge, videos, prompts):
    """Field → bool `[n]`: whether the judge sees what the prompt says."""
    said = opinions(judge, videos)
    return {k: said[k] == torch.tensor([p[k] for p in prompts]) for k in TOLD}


def scores(judge, videos, prompts):
    """{language: {field: percent right}}, the same on captions moved by one clip, and edge sharpness."""
    def percent(good, rows):
        return {k: round(100 * good[k][rows].float().mean().item(), 1) for k in TOLD}

    good, report = right(judge, videos, prompts), {}
    for language in ("all", "en", "zh"):
        rows = [i for i, p in enumerate(prompts) if language in ("all", p["language"])]
        if rows:
            report[language] = percent(good, rows)
    report["shuffled"] = percent(right(judge, videos, prompts[1:] + prompts[:1]), slice(None))
    report["sharpness"] = round(sharpness(videos).mean().item(), 1)
    return report


def pairs(judge, ours, theirs, prompts):
    """Field → (clips right only in ours, only in theirs); and in how many clips ours has the sharper edges."""
    a, b = right(judge, ours, prompts), right(judge, theirs, prompts)
    report = {k: (int((a[k] & ~b[k]).sum()), int((b[k] & ~a[k]).sum())) for k in TOLD}
    return dict(only_one_right=report, sharper=int((sharpness(ours) > sharpness(theirs)).sum()), of=len(prompts))


def label(prompt):
    return "{}: {} {} {}".format(prompt["language"], *(FIELDS[k][prompt[k]] for k in ("colour", "subject", "motion")))


def first_frames(videos, pictures):
    """dB between each clip's first frame and the picture that it was given."""
    db = psnr(videos[:, :1], pictures[:, None])
    return dict(mean=round(db.mean().item(), 2), least=round(db.min().item(), 2), below_24=int((db < 24).sum()))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoints")
    args.add_argument("--count", type=int, default=200)
    args.add_argument("--write")
    args.add_argument("--prompts")
    args.add_argument("--videos")
    args.add_argument("--against")
    args.add_argument("--pictures")
    args.add_argument("--retold", action="store_true")
    args.add_argument("--two", action="store_true")
    args.add_argument("--renders")
    args.add_argument("--steps", type=int, default=4)
    args.add_argument("--dense", action="store_true")
    args.add_argument("--sheet")
    a = args.parse_args()
    if a.prompts:
        prompts = [json.loads(line) for line in open(a.prompts)]
        prompts = [p for p in prompts if all(os.path.exists(f"{d}/{p['id']}.mp4") for d in (a.videos, a.against) if d)]
    else:
        prompts = held_out_prompts(a.count, retold=a.retold, two=float(a.two))
    if a.write:
        with open(a.write, "w") as f:
            f.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in prompts)
        if a.pictures:
            write_pictures(a.pictures, prompts)
        return
    judge, texts = load_judge(a.checkpoints), [p["text"] for p in prompts]
    pictures = a.pictures and torch.stack([read_picture(f"{a.pictures}/{p['id']}.png") for p in prompts])
    if a.renders:
        made = renders(len(prompts), *(int(n) for n in a.renders.split("x")), two=float(a.two))
        videos = torch.stack([lengthened(video[0]) for video in made])
    elif a.videos:
        videos = torch.stack([read_video(f"{a.videos}/{p['id']}.mp4") for p in prompts])
    else:
        from sampling import Pipeline
        pipeline = Pipeline(a.checkpoints, "cuda" if torch.cuda.is_available() else "cpu")
        if a.pictures:
            videos = pipeline.image_to_video(texts, pictures, steps=a.steps, dense=a.dense)
        else:
            videos = pipeline.text_to_video(texts, steps=a.steps, dense=a.dense)
    if a.sheet:
        from sheets import sheet
        sheet(list(videos[:12].numpy()), a.sheet, [label(p) for p in prompts[:12]], frames=(0, 11, 22, 32), scale=0.6)
    report = dict(count=len(videos), **scores(judge, videos, prompts))
    if a.pictures:
        report["first_frame_db"] = first_frames(videos, pictures)
    if a.against:
        report["against"] = pairs(judge, videos, torch.stack([read_video(f"{a.against}/{p['id']}.mp4") for p in prompts]), prompts)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
