"""Lays out a checkpoint folder from what ships: `python stage.py OUT` copies the VAE (with its latent mean and std), the
judge and, with `--all`, the DiT and the text encoder."""

import argparse
import json
import os

import torch
from safetensors.torch import load_file

import checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("out")
    args.add_argument("--all", action="store_true")
    a = args.parse_args()
    shipped = os.path.dirname(HERE)
    model = json.load(open(os.path.join(shipped, "model.json")))
    vae = load_file(os.path.join(shipped, "vae.safetensors"))
    vae.update({k: torch.tensor(model["vae"]["config"][k]) for k in ("latent_mean", "latent_std")})
    checkpoint.save(vae, a.out, "vae")
    checkpoint.save(checkpoint.load(os.path.join(HERE, "judge_weights"), "judge"), a.out, "judge")
    if a.all:
        for name, file in (("dit", "transformer"), ("text", "text_encoder")):
            checkpoint.save(load_file(os.path.join(shipped, file + ".safetensors")), a.out, name, torch.bfloat16)


if __name__ == "__main__":
    main()
