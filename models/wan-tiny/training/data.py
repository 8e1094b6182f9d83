"""Batches for the DiT: latents, captions as token ids, image-to-video conditions."""

import os
import random

import torch

import captions
import scenes as world_scenes
from latents import RETOLD_SHARE, SHAPES, TURNING_SHARE, TWO_SHARE, make_latents
from vocabulary import build, encode

CAPTIONS_A_CLIP = 6
EMPTY_PROMPT = 0.1  # share of samples trained without words, for guidance
CHUNK = 16  # clips rendered and encoded at once; whole chunks only, so that convolutions are tuned once a shape
IMAGE_SHARE = 0.4  # share of samples with image-to-video's condition


def caption_ids(drawn, seed, tokenizer, per_clip=CAPTIONS_A_CLIP):
    """`[n, per_clip, 64]` token ids of captions in trained phrasings, and whose name each token is part of: 1 of the subject
    that moves, 2 of the one that rests, 0 of none."""
    rng, made = random.Random(seed), []
    for i in range(len(drawn["subject"])):
        made += captions.captions_for(world_scenes.one(drawn, i), per_clip, rng)
    ids = encode(tokenizer, [text for text, _ in made])
    roles = torch.zeros_like(ids, dtype=torch.uint8)
    for role in (1, 2):
        names = encode(tokenizer, [of[role - 1] for _, of in made]).tolist()
        for i, (line, name) in enumerate(zip(ids.tolist(), names)):
            name = [token for token in name if token > 1]  # without the end and what fills up
            at = name and next((at for at in range(64) if line[at:at + len(name)] == name), None)
            if name and at is not None:
                roles[i, at:at + len(name)] = role
    return ids.view(-1, per_clip, 64), roles.view(-1, per_clip, 64)


class Bank:
    """Clips of one shape. `z` and `c` stay in bf16 on the device."""

    def __init__(self, made, seed, tokenizer, device):
        self.z, self.c = made["z"].to(device), made["c"].to(device)
        self.ids, self.roles = (made.to(device) for made in caption_ids(made["scenes"], seed, tokenizer))
        self.retold = int((made["scenes"]["start"] != made["scenes"]["motion"]).sum())  # the first ones, for pictures only

    def batch(self, n, generator):
        """(clean latents, condition `[n, 20, t, h, w]`, token ids, their roles, which samples are image-to-video) of `n` clips."""
        device = self.z.device
        images = round(n * IMAGE_SHARE) if len(self.c) else 0
        pick = torch.cat([torch.randint(max(1, len(self.c)), (images,), generator=generator),
                          torch.randint(self.retold, len(self.z), (n - images,), generator=generator)]).to(device)
        z = self.z[pick].float()
        y = torch.zeros(n, 20, *z.shape[2:], device=device)
        y[:images, :4, 0] = 1
        if images:
            y[:images, 4:] = self.c[pick[:images]].float()
        which = torch.randint(self.ids.shape[1], (n,), generator=generator).to(device)
        ids, roles = self.ids[pick, which], self.roles[pick, which]
        empty = (torch.rand(n, generator=generator) < EMPTY_PROMPT).to(device)
        blank = torch.zeros(64, dtype=torch.long, device=device)
        blank[0] = 1
        ids = torch.where(empty[:, None], blank, ids)
        roles = torch.where(empty[:, None], 0, roles)
        return z, y, ids, roles, torch.arange(n, device=device) < images


class Banks:
    """All shapes; which one a step uses is the same on every process (`shared` generator)."""

    def __init__(self, banks, shares, rank, seed):
        self.banks, self.shares = banks, torch.tensor(shares)
        self.shared = torch.Generator().manual_seed(seed)
        self.own = torch.Generator().manual_seed(seed + 1 + rank)

    def batch(self, n, main_only=False):
        which = 0 if main_only else int(torch.multinomial(self.shares, 1, generator=self.shared))
        return self.banks[which].batch(n, self.own)


def device_banks(vae, stats, clips, rank, device, seed, cache=None):
    """Renders and encodes `clips` clips over all shapes; `cache` names a folder that a later command reads instead."""
    tokenizer, banks = build(), []
    for i, (width, height, frames, share) in enumerate(SHAPES):
        path = cache and os.path.join(cache, f"bank-{rank}-{i}.pt")
        if path and os.path.exists(path):
            made = torch.load(path, weights_only=True)
        else:
            count = max(CHUNK, int(clips * share) // CHUNK * CHUNK)
            made = make_latents(vae, stats, count, seed + 100 * rank + i, device, torch.bfloat16,
                                width, height, frames, chunk=CHUNK, two=TWO_SHARE, turning=TURNING_SHARE,
                                retold=RETOLD_SHARE)
            if path:
                os.makedirs(cache, exist_ok=True)
                torch.save({k: v.cpu() if torch.is_tensor(v) else v for k, v in made.items()}, path)
        banks.append(Bank(made, seed + 1000 + rank, tokenizer, device))
    return Banks(banks, [s[3] for s in SHAPES], rank, seed)
