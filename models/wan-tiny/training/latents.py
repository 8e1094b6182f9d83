"""Normalised latents of rendered clips, with their scenes, and image-to-video's conditions."""

import torch

import checkpoint
import scenes as world_scenes
from run import to_pixels
from vae import WanVae
from world import render

SHAPES = [  # (width, height, frames, share of the bank): mostly the default clip, a little of every other one
    (224, 128, 33, 0.62), (128, 224, 33, 0.09), (160, 160, 33, 0.07), (192, 144, 33, 0.06), (144, 192, 33, 0.06),
    (224, 128, 17, 0.10)]
CONDITION_SHARE = 0.4  # part of the clips that also get image-to-video's condition
RETOLD_SHARE = 0.16  # part of them all, each with the condition: pictures that were drawn for another motion
TURNING_SHARE = 0.2  # turning is harder to learn than any other motion
TWO_SHARE = 0.45  # of scenes with a second subject: which colour and which motion is whose is learned from these alone


def load_vae(folder, device, dtype):
    """(VAE, latent mean, latent std)."""
    state = checkpoint.load(folder, "vae")
    mean, std = state.pop("latent_mean").to(device), state.pop("latent_std").to(device)
    vae = WanVae()
    vae.load_state_dict(state)
    return vae.to(device, dtype).eval().requires_grad_(False), mean, std


def normalised(vae, stats, video, dtype):
    """uint8 or [-1, 1] clips `[b, f, h, w, 3]` to latents `[b, 16, t, h/8, w/8]`."""
    x = to_pixels(video, dtype) if video.dtype == torch.uint8 else video.to(dtype)
    z = (vae.encode(x)[0] - stats[0]) / stats[1]
    return z.permute(0, 4, 1, 2, 3).contiguous()


def condition_of(vae, stats, first, frames, dtype):
    """Image-to-video's condition latents: the encoding of the picture followed by mid grey."""
    x = torch.zeros(len(first), frames, *first.shape[1:], device=first.device, dtype=dtype)
    x[:, 0] = to_pixels(first, dtype)
    return normalised(vae, stats, x, dtype)


@torch.no_grad()
def make_latents(vae, stats, count, seed, device, dtype, width=224, height=128, frames=33, chunk=8,
                 condition=CONDITION_SHARE, **kind):
    """A dict: `z` `[n, 16, t, h, w]`, `c` `[m, …]` conditions of the first m clips (bf16), `scenes`."""
    drawn = world_scenes.draw_scenes(count, seed, **kind)
    z, c = [], []
    for at in range(0, count, chunk):
        video, _ = render(world_scenes.rows_of(drawn, slice(at, at + chunk)), width, height, frames, device)
        z.append(normalised(vae, stats, video, dtype).bfloat16())
        if at < count * condition:
            c.append(condition_of(vae, stats, video[:, 0], frames, dtype).bfloat16())
    return dict(z=torch.cat(z), c=torch.cat(c) if c else z[0][:0], scenes=drawn)
