"""Writes the files that ship: `python export.py CHECKPOINTS OUT`.

`CHECKPOINTS` holds `vae`, `dit` and `text` checkpoints; `--random` writes untrained weights instead.
"""

import argparse
import hashlib
import json
import os

import torch
from safetensors.torch import save_file

import checkpoint
from dit import BLOCK_K, BLOCK_Q, DIT_CONFIG, WanDit
from text import TEXT_LEN, TextEncoder, text_config
from vae import VAE_CONFIG, WanVae
from vocabulary import VOCABULARY_SIZE, build

SLA_TOPK = 0.5  # share of key blocks a query block looks at, as trained
CREATED = 1795392000  # 2026-11-23, fixed so that an export of the same weights gives the same bytes
MAX_BYTES = 32_000_000


def described(folder, file):
    data = open(os.path.join(folder, file), "rb").read()
    return dict(file=file, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def shipped(state):
    """bf16, but norms as the published files have them in float32."""
    norm = ("norm_q.weight", "norm_k.weight", "norm3.weight", "norm3.bias", "gamma")
    return {k: v.detach().to(torch.float32 if k.endswith(norm) else torch.bfloat16).contiguous() for k, v in state.items()}


def capabilities():
    return dict(
        operations=["text_to_video", "image_to_video"], best_resolution="128p", resolutions=["128p"],
        aspect_ratios=["16:9", "9:16", "4:3", "3:4", "1:1"], default_num_steps=4, default_num_frames=33, min_frames=17,
        max_frames=33, seconds=["1", "2"], default_seconds="2", attention_types=["sla", "sagesla", "original"],
        default_attention_type="sla", default_sla_topk=SLA_TOPK, default_sigma_max=80, default_image_sigma_max=80,
        prompt_languages=["en", "zh"], max_prompt_tokens=TEXT_LEN)


def export(vae, dit, text, mean, std, out):
    os.makedirs(out, exist_ok=True)
    meta = {"format": "pt"}
    save_file(shipped(vae), os.path.join(out, "vae.safetensors"), meta)
    save_file(shipped(dit), os.path.join(out, "transformer.safetensors"), meta)
    save_file(shipped(text), os.path.join(out, "text_encoder.safetensors"), meta)
    build().save(os.path.join(out, "tokenizer.json"))
    vae_config = dict(VAE_CONFIG, latent_mean=[round(float(v), 6) for v in mean], latent_std=[round(float(v), 6) for v in std])
    layers = 1 + max(int(k.split(".")[1]) for k in dit if k.startswith("blocks."))
    model = dict(
        format=1, id="wan-tiny", family="wan", owned_by="wanserve", created=CREATED,
        transformer=dict(config=dict(DIT_CONFIG, num_layers=layers), files=dict(single=described(out, "transformer.safetensors")), linear_format="bf16"),
        vae=dict(config=vae_config, file=described(out, "vae.safetensors")),
        text_encoder=dict(config=text_config(VOCABULARY_SIZE), file=described(out, "text_encoder.safetensors"),
                          tokenizer=described(out, "tokenizer.json"), max_tokens=TEXT_LEN),
        attention=dict(block_q=BLOCK_Q, block_k=BLOCK_K), capabilities=capabilities())
    with open(os.path.join(out, "model.json"), "w") as f:
        json.dump(model, f, indent=1)
        f.write("\n")
    total = sum(os.path.getsize(os.path.join(out, n + ".safetensors")) for n in ("vae", "transformer", "text_encoder"))
    print("weights:", total, "bytes")
    assert total <= MAX_BYTES


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoints", nargs="?")
    args.add_argument("out")
    args.add_argument("--random", action="store_true")
    a = args.parse_args()
    if a.random:
        torch.manual_seed(0)
        vae = WanVae()
        vae.inflate()
        dit, text = WanDit(), TextEncoder(text_config(VOCABULARY_SIZE))
        for block in dit.blocks:
            torch.nn.init.normal_(block.self_attn.attn_op.local_attn.proj_l.weight, std=0.02)
        torch.nn.init.normal_(dit.head.head.weight, std=0.02)
        export(vae.state_dict(), dit.state_dict(), text.state_dict(), [0.0] * 16, [1.0] * 16, a.out)
        return
    vae = checkpoint.load(a.checkpoints, "vae")
    mean, std = vae.pop("latent_mean"), vae.pop("latent_std")
    export(vae, checkpoint.load(a.checkpoints, "dit"), checkpoint.load(a.checkpoints, "text"), mean, std, a.out)


if __name__ == "__main__":
    main()
