"""Trains the VAE: single frames first, then 33-frame crops, then whole 33-frame clips.

`torchrun --nproc_per_node 2 train_vae.py --minutes 9 --out DIR` (or plain python; `--smoke` is a dry run on a CPU).
`--resume DIR` continues from a checkpoint with whole clips only.
"""

import argparse
import time

import torch
import torch.distributed as dist

import checkpoint
import fused
from muon import Muon
from run import STARTED, Clock, Step, make_bank, psnr, say, share_parameters, start, to_bytes, to_pixels
from sheets import sheet
from vae import CausalConv3d, WanVae

SEED = 20261123
KL = 2e-5  # weight of the divergence, nats a latent value
SUBJECT_WEIGHT = 4.0  # extra weight of subject pixels in the loss
FIRST_FRAME_WEIGHT = 2.0  # extra weight of frame 0, which image-to-video rests on
MUON_RATE, ADAM_RATE = 4e-3, 2e-3
STAGES = [  # share of the time, (clips, frames, height, width) a GPU, rate at the start, peak and end
    dict(share=0.20, shape=(48, 1, 128, 224), rates=(0.1, 1.0, 0.35), warm=0.05),
    dict(share=0.40, shape=(6, 33, 96, 112), rates=(0.08, 0.75, 0.70), warm=0.12),
    dict(share=0.40, shape=(2, 33, 128, 224), rates=(0.70, 0.70, 0.0), warm=0.02),
]
RESUMED = [dict(share=1.0, shape=(2, 33, 128, 224), rates=(0.1, 0.6, 0.0), warm=0.08)]
SMOKE = [dict(share=0.5, shape=(2, 1, 32, 48), rates=(0.1, 1.0, 0.35), warm=0.05),
         dict(share=0.5, shape=(1, 5, 32, 48), rates=(0.1, 1.0, 0.0), warm=0.1)]


def rate(stage, local):
    a, peak, end = stage["rates"]
    if local < stage["warm"]:
        return a + (peak - a) * local / stage["warm"]
    return peak + (end - peak) * (local - stage["warm"]) / (1 - stage["warm"])


def losses(vae, video, mask, dtype):
    """(total, mean square error in [-1, 1], divergence) of one batch of uint8 clips."""
    x = to_pixels(video, dtype)
    mean, logvar = vae.encode(x)
    logvar = logvar.clamp(-20, 10)
    z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
    y = vae.decode(z.to(dtype)).float()
    x = x.float()
    weight = 1 + SUBJECT_WEIGHT * mask.float()[..., None] / 255
    weight[:, :1] *= FIRST_FRAME_WEIGHT
    weight = weight / weight.mean()
    diff = y - x
    square, absolute = (weight * diff.pow(2)).mean(), (weight * diff.abs()).mean()
    edges = (weight[:, :, 1:] * (diff[:, :, 1:] - diff[:, :, :-1]).abs()).mean() \
        + (weight[:, :, :, 1:] * (diff[:, :, :, 1:] - diff[:, :, :, :-1]).abs()).mean()
    kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
    return 3 * square + 0.2 * absolute + 0.1 * edges + KL * kl, diff.pow(2).mean(), kl


class Batches:
    """Fills fixed buffers with random crops of the bank."""

    def __init__(self, bank, shape, device):
        self.bank, self.shape = bank, shape
        self.video = torch.zeros(*shape, 3, dtype=torch.uint8, device=device)
        self.mask = torch.zeros(*shape, dtype=torch.uint8, device=device)

    def fill(self):
        video, mask = self.bank
        n, t, h, w = self.shape
        if t == 1:
            clips = torch.randint(len(video), (n,), device=video.device)
            frames = torch.randint(video.shape[1], (n,), device=video.device)
        y = torch.randint(video.shape[2] - h + 1, (n,)).tolist()
        x = torch.randint(video.shape[3] - w + 1, (n,)).tolist()
        if t == 1 and h == video.shape[2] and w == video.shape[3]:
            self.video.copy_(video[clips, frames][:, None])
            self.mask.copy_(mask[clips, frames][:, None])
            return
        for i, c in enumerate(torch.randint(len(video), (n,)).tolist()):
            f = 0 if t > 1 else int(torch.randint(video.shape[1], (1,)))
            self.video[i].copy_(video[c, f:f + t, y[i]:y[i] + h, x[i]:x[i] + w])
            self.mask[i].copy_(mask[c, f:f + t, y[i]:y[i] + h, x[i]:x[i] + w])


def pick_convolutions(vae, shape, device, rank):
    """Times every convolution both ways (3-D, or 2-D over stacked frames) and keeps the faster."""
    if device.type != "cuda":
        return
    seen, choices = {}, {}
    convs = [m for m in vae.modules() if isinstance(m, CausalConv3d) and m.kernel == (3, 3, 3)]
    hooks = [m.register_forward_pre_hook(lambda m, a: seen.__setitem__(m, a[0].shape)) for m in convs]
    with torch.no_grad():
        x = torch.zeros(*shape, 3, device=device, dtype=torch.bfloat16)
        vae.decode(vae.encode(x)[0].bfloat16())
    for h in hooks:
        h.remove()
    for m in convs:
        key = (tuple(seen[m]), m.weight.shape[0])
        if key not in choices:
            s = list(seen[m])
            if m in (vae.encoder.conv1, vae.decoder.conv1):
                s[1] += 2
            x = torch.randn(s, device=device, dtype=torch.bfloat16, requires_grad=True)
            spent = []
            for as_2d in (False, True):
                up = torch.randn_like(m.run(x, as_2d))
                for i in range(5):
                    if i == 2:
                        torch.cuda.synchronize()
                        t = time.time()
                    torch.autograd.grad(m.run(x, as_2d), [x, m.weight], up)
                torch.cuda.synchronize()
                spent.append((time.time() - t) / 3 * 1e3)
            choices[key] = spent
    flags = [choices[(tuple(seen[m]), m.weight.shape[0])] for m in convs]
    flags = [f[1] < f[0] for f in flags]
    if dist.is_initialized():
        dist.broadcast_object_list(flags, 0)
    for m, f in zip(convs, flags):
        m.as_2d = f
    say(rank, "convolution ms 3d/2d:", {f"{k[0][1:]}>{k[1]}": f"{a:.2f}/{b:.2f}" for k, (a, b) in choices.items()})


@torch.no_grad()
def evaluate(vae, count, device, dtype, frames, out=None, seed=777, **size):
    """Reconstructs unseen clips; returns a report and writes a sheet of originals over reconstructions."""
    video, mask, drawn = make_bank(count, seed, device, frames=frames, chunk=8, test=True, **size)
    made = torch.cat([to_bytes(vae.decode(vae.encode(to_pixels(video[i:i + 2], dtype))[0].to(dtype)))
                      for i in range(0, count, 2)])
    db = psnr(video, made).cpu()
    m = (mask > 127)[..., None].float()
    subject = 10 * torch.log10(255 ** 2 / (((video.float() - made.float()).pow(2) * m).flatten(1).sum(1)
                                           / (3 * m.flatten(1).sum(1)).clamp(min=1))).cpu()
    report = {n: round(db[drawn["weather"] == i].mean().item(), 2) for i, n in enumerate(("clear", "rain", "snow"))}
    report.update(all=round(db.mean().item(), 2), min=round(db.min().item(), 2), subject=round(subject.mean().item(), 2),
                  first=round(psnr(video[:, :1], made[:, :1]).mean().item(), 2),
                  last=round(psnr(video[:, -1:], made[:, -1:]).mean().item(), 2))
    if out:
        n = min(6, count)
        sheet(list(video[:n].cpu().numpy()) + list(made[:n].cpu().numpy()), out,
              [f"{d:.1f} dB" for d in db[:n].tolist()] + ["decoded"] * n, columns=n)
    return report


@torch.no_grad()
def latent_statistics(vae, bank, device, dtype, count):
    z = torch.cat([vae.encode(to_pixels(bank[0][i:i + 2], dtype))[0].float() for i in range(0, min(count, len(bank[0])), 2)])
    z = z.flatten(0, -2)
    return z.mean(0), z.std(0)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--clips", type=int, default=3072)
    args.add_argument("--resume")
    args.add_argument("--smoke", action="store_true")
    a = args.parse_args()
    device, rank, size = start(SEED)
    stages = SMOKE if a.smoke else RESUMED if a.resume else STAGES
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    say(rank, device, size, "fused kernel:", fused.self_check(device))
    torch.manual_seed(SEED)
    vae = WanVae().to(device)
    vae.inflate()
    if a.resume:
        state = checkpoint.load(a.resume, "vae")
        vae.load_state_dict({k: v for k, v in state.items() if not k.startswith("latent_")})
    share_parameters(vae)
    torch.manual_seed(SEED + 7 + 1000 * rank)
    pick_convolutions(vae, stages[-1]["shape"], device, rank)
    where = dict(width=64, height=48, frames=9) if a.smoke else {}
    video, mask, _ = make_bank(a.clips, SEED + 31 * (rank + 1), device, **where)
    say(rank, "bank", tuple(video.shape))

    plain = ("encoder.conv1.", "decoder.conv1.", "decoder.head.", "encoder.head.")
    opt = Muon(vae.named_parameters(), lambda n, p: p.dim() >= 4 and p.numel() > p.shape[0] and not n.startswith(plain)
               and not n.startswith(("conv1.", "conv2.")), MUON_RATE, ADAM_RATE, ema=0.998)
    reserve = 0 if a.smoke else 25  # seconds for evaluation and files
    clock = Clock(a.minutes * 60 - reserve - (time.time() - STARTED), device)
    done = 0.0
    for stage in stages:
        batches = Batches((video, mask), stage["shape"], device)
        batches.fill()
        step = Step(lambda: losses(vae, batches.video, batches.mask, dtype), opt, rank)
        count, begin, mean = 0, time.time(), None
        while True:
            local = (clock.progress() - done) / stage["share"]
            if local >= 1 or (a.smoke and count >= 20):
                break
            batches.fill()
            out = step(rate(stage, max(local, 0.0)))
            mean = out[1].clone() if mean is None else mean.lerp_(out[1], 0.05)
            count += 1
            if count % (5 if a.smoke else 100) == 0:
                db = (10 * torch.log10(4 / mean)).item()
                say(rank, f"{stage['shape']} step {count} train {db:.2f} dB kl {out[2].item():.2f} "
                          f"{count / (time.time() - begin):.1f} it/s")
        done += stage["share"]
        if rank == 0:
            checkpoint.save(opt.ema_state(), a.out, "vae")
            say(rank, "stage done:", count, "steps")
    with torch.no_grad():
        for p, e in zip(opt.params, opt.ema):
            p.copy_(e)
    mean, std = latent_statistics(vae, (video, mask), device, dtype, 4 if a.smoke else 256)
    if rank == 0:
        checkpoint.save({**vae.state_dict(), "latent_mean": mean, "latent_std": std}, a.out, "vae")
        say(rank, "latent std", [round(s, 2) for s in std.tolist()])
        frames = 5 if a.smoke else 33
        say(rank, "unseen:", evaluate(vae, 2 if a.smoke else 24, device, dtype, frames, f"{a.out}/vae.png", **({} if not a.smoke else dict(width=64, height=48))))
        if not a.smoke:
            say(rank, "portrait:", evaluate(vae, 8, device, dtype, frames, width=128, height=224))
            say(rank, "17 frames:", evaluate(vae, 8, device, dtype, 17))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
