"""The whole pipeline in PyTorch: words and pictures to uint8 videos. What the Rust engine does, for training and checks."""

import torch

import checkpoint
from dit import DIT_CONFIG, WanDit, network_time, sample
from export import SLA_TOPK
from latents import condition_of, load_vae
from run import to_bytes
from text import TextEncoder, text_config
from vocabulary import VOCABULARY_SIZE, build, encode


def load_networks(folder, device, name="dit"):
    """(DiT, text encoder); the number of blocks is read from the checkpoint."""
    state = checkpoint.load(folder, name)
    layers = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks."))
    dit, text = WanDit(dict(DIT_CONFIG, num_layers=layers)), TextEncoder(text_config(VOCABULARY_SIZE))
    dit.load_state_dict(state)
    text.load_state_dict(checkpoint.load(folder, "text"))
    return dit.to(device), text.to(device)


@torch.no_grad()
def guided(net, noise, context, empty, y, scale, steps=30, shift=3.0, topk=None):
    """The teacher's sampling: Euler steps with classifier-free guidance."""
    x, times = noise.clone(), torch.linspace(1, 0, steps + 1)
    times = (shift * times / (1 + (shift - 1) * times)).tolist()
    for t, nxt in zip(times[:-1], times[1:]):
        x = x + (nxt - t) * guided_velocity(net, x, torch.full((len(x),), t, device=x.device), context, empty, y, scale, topk)
    return x


def guided_velocity(net, x, t, context, empty, y, scale, topk=None):
    """Two passes of the same shape, so that compiled blocks serve training and guidance alike."""
    v = net(x, network_time(t), context, y, topk=topk)
    u = net(x, network_time(t), empty.expand_as(context), y, topk=topk)
    return u + scale * (v - u)


@torch.no_grad()
def decode(vae, stats, z, dtype, chunk=4):
    """Normalised latents `[b, 16, t, h, w]` to uint8 clips on the CPU."""
    out = []
    for at in range(0, len(z), chunk):
        part = z[at:at + chunk].permute(0, 2, 3, 4, 1) * stats[1] + stats[0]
        out.append(to_bytes(vae.decode(part.to(dtype).contiguous())).cpu())
    return torch.cat(out)


class Pipeline:
    def __init__(self, folder, device="cpu"):
        self.device = torch.device(device)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.vae, *self.stats = load_vae(folder, self.device, self.dtype)
        self.dit, self.text = load_networks(folder, self.device)
        self.dit.eval().requires_grad_(False)
        self.tokenizer = build()

    @torch.no_grad()
    def contexts(self, texts):
        return self.text(encode(self.tokenizer, texts).to(self.device))

    def generate(self, texts, y, shape, steps, dense, seed, chunk):
        g = torch.Generator(self.device).manual_seed(seed)
        context, out = self.contexts(texts), []
        for at in range(0, len(texts), chunk):
            n = len(texts[at:at + chunk])
            noise = torch.randn(n, 16, *shape, device=self.device, generator=g)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                z = sample(self.dit, noise, context[at:at + n], y[at:at + n], steps, topk=None if dense else SLA_TOPK, generator=g)
            out.append(decode(self.vae, self.stats, z, self.dtype))
        return torch.cat(out)

    def text_to_video(self, texts, width=224, height=128, frames=33, steps=4, dense=False, seed=1, chunk=8):
        shape = (1 + (frames - 1) // 4, height // 8, width // 8)
        return self.generate(texts, torch.zeros(len(texts), 20, *shape, device=self.device), shape, steps, dense, seed, chunk)

    def image_to_video(self, texts, images, frames=33, steps=4, dense=False, seed=1, chunk=8):
        """`images` uint8 `[b, h, w, 3]`."""
        with torch.no_grad():
            c = torch.cat([condition_of(self.vae, self.stats, images[i:i + 1].to(self.device), frames, self.dtype)
                           for i in range(len(images))]).float()
        y = torch.zeros(len(texts), 20, *c.shape[2:], device=self.device)
        y[:, :4, 0], y[:, 4:] = 1, c
        return self.generate(texts, y, tuple(c.shape[2:]), steps, dense, seed, chunk)
