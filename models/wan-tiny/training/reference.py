"""Fixed inputs and outputs of the shipped files in float32, so that another engine can be checked against them.

`python reference.py .. ../reference` reads the shipped folder and writes `case.json` and `io.safetensors`.
"""

import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file

from dit import WanDit, network_time
from text import TextEncoder
from tokenizers import Tokenizer
from vae import WanVae
from vocabulary import encode

PROMPTS = ["A red boat moves to the left over the sea at sunset, the camera zooms in", "一只蓝色的鸟在雪地上向右移动,正在下雪"]
TEXT_ROWS = 32  # rows of the 64 that are kept; the rest are zero for these prompts
LATENT = (3, 8, 16)  # frames, rows, columns: 96 tokens, two key blocks
TIME = 0.8528953948  # third of the four sampling times
TOPK = 0.5


def first(x):
    return x.permute(0, 4, 1, 2, 3).contiguous()


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
    with open(os.path.join(out, "case.json"), "w") as f:
        json.dump(case, f, indent=1, ensure_ascii=False)
        f.write("\n")
    print({k: tuple(v.shape) for k, v in tensors.items()})


if __name__ == "__main__":
    main()
