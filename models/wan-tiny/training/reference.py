"""Fixed inputs and outputs of the shipped files in float32, so that another engine can be checked against them.

`python reference.py .. ../reference` reads the shipped folder and writes `case.json` and `io.safetensors`; and
`judge.json`: the judge's classes, what it says of two drawn patterns, and held-out prompts with what they ask for.
"""

import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

from dit import WanDit, network_time
from evaluate import held_out_prompts
from judge import load_judge, shrink
from scenes import FIELDS
from text import TextEncoder
from tokenizers import Tokenizer
from vae import WanVae
from vocabulary import encode

PROMPTS = ["A red boat moves to the left over the sea at sunset, the camera zooms in", "一只蓝色的鸟在雪地上向右移动,正在下雪"]
TEXT_ROWS = 32  # rows of the 64 that are kept; the rest are zero for these prompts
LATENT = (3, 8, 16)  # frames, rows, columns: 96 tokens, two key blocks
TIME = 0.8528953948  # third of the four sampling times
TOPK = 0.5
PATTERNS = [(224, 128), (160, 160)]  # width, height of the clips that the judge is shown
JUDGED_PROMPTS = 8


def first(x):
    return x.permute(0, 4, 1, 2, 3).contiguous()


def pattern(width, height, frames=33):
    """A clip that any language can draw: uint8 `[1, frames, height, width, 3]`."""
    t, y, x, c = torch.meshgrid(*(torch.arange(n) for n in (frames, height, width, 3)), indexing="ij")
    return (((3 * x + 5 * t) ^ (2 * y)) + 60 * c).remainder(256).to(torch.uint8)[None]


@torch.no_grad()
def judged():
    judge, cases = load_judge(os.path.join(os.path.dirname(os.path.abspath(__file__)), "judge_weights")), []
    for width, height in PATTERNS:
        said = judge(shrink(pattern(width, height)).float() / 127.5 - 1)
        cases.append(dict(width=width, height=height, logits={k: [round(x, 4) for x in v[0].tolist()] for k, v in said.items()}))
    prompts = [dict(text=p["text"], shows={k: names[p[k]] for k, names in FIELDS.items()}) for p in held_out_prompts(JUDGED_PROMPTS)]
    return dict(fields=FIELDS, patterns=cases, prompts=prompts)


def write(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


def main():
    folder, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    model = json.load(open(os.path.join(folder, "model.json")))

    def weights(name):
        return {k: v.float() for k, v in load_file(os.path.join(folder, name + ".safetensors")).items()}

    vae, dit = WanVae(model["vae"]["config"]), WanDit(model["transformer"]["config"])
    text = TextEncoder(model["text_encoder"]["config"])
    vae.load_state_dict(weights("vae"))
    dit.load_state_dict(weights("transformer"))
    text.load_state_dict(weights("text_encoder"))
    mean, std = (torch.tensor(model["vae"]["config"][k]) for k in ("latent_mean", "latent_std"))
    g = torch.Generator().manual_seed(7)
    ids = encode(Tokenizer.from_file(os.path.join(folder, "tokenizer.json")), PROMPTS)
    with torch.no_grad():
        context = text(ids)
        x = torch.randn(1, 16, *LATENT, generator=g)
        y = torch.randn(1, 20, *LATENT, generator=g)
        y[:, :4] = 0
        y[:, :4, 0] = 1
        time = network_time(torch.tensor([TIME]))
        sla, dense = (dit(x, time, context[:1], y, topk=k) for k in (TOPK, None))
        z = torch.randn(1, 16, 2, 4, 4, generator=g)
        decoded = first(vae.decode(z.permute(0, 2, 3, 4, 1) * std + mean))
        picture = torch.rand(1, 3, 1, 32, 32, generator=g) * 2 - 1
        video = torch.cat([picture, torch.zeros(1, 3, 4, 32, 32)], 2)
        condition = first((vae.encode(video.permute(0, 2, 3, 4, 1).contiguous())[0] - mean) / std)
    tensors = dict(ids=ids.int(), x=x, y=y, timestep=time.view(1, 1), z=z, first_frame=picture)
    tensors.update({"expect.embedding": context[:, :TEXT_ROWS], "expect.velocity_sla": sla, "expect.velocity_original": dense,
                    "expect.decoded": decoded, "expect.encoded_first_frame_then_zeros": condition})
    save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(out, "io.safetensors"))
    case = dict(
        note="float32 outputs of the shipped weights; x and y take the first prompt's embedding as context; latents are normalised",
        prompts=PROMPTS, text_rows=TEXT_ROWS, attention=dict(topk=TOPK, **model["attention"]), frames=5, rel_l2=1e-3)
    write(os.path.join(out, "case.json"), case)
    write(os.path.join(out, "judge.json"), judged())
    print({k: tuple(v.shape) for k, v in tensors.items()})


if __name__ == "__main__":
    main()
