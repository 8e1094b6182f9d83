"""Trains the judge on renders of every size and length that are degraded at random, as a small VAE degrades them.

`python train_judge.py --minutes 1.7 --out DIR [--device cuda:1] [--resume DIR]`; the device has its number.
"""

import argparse
import time

import torch
import torch.nn.functional as F

import checkpoint
from evaluate import lengthened
from judge import Judge, load_judge, shrink
from run import STARTED, make_bank, say
from scenes import FIELDS

SEED = 4242
BATCH = 96
RATE = 2e-3
RESUMED_RATE = 0.5  # of this
RETOLD = 0.3  # share of clips that begin as those of another motion, as image-to-video's do
TWO = 0.25  # share of clips with a second, resting subject: the judge names the moving one
SHAPES = [  # (width, height, frames, share of the clips): what the judge sees of each is squeezed to one size
    (224, 128, 33, 0.36), (192, 144, 33, 0.08), (160, 160, 33, 0.12), (144, 192, 33, 0.12), (128, 224, 33, 0.14),
    (224, 128, 17, 0.14), (128, 224, 17, 0.04)]
TEST_SEED = 1000 + SEED


def degrade(x):
    """Random blur, noise, tone and shift of `[b, t, h, w, 3]` in [-1, 1]; one strength a batch."""
    b, t, h, w, _ = x.shape
    if torch.rand(()) < 0.6:
        k = 1 + 2 * int(torch.randint(3, ()))
        y = x.flatten(0, 1).permute(0, 3, 1, 2)
        blur = F.avg_pool2d(F.pad(y, (k // 2,) * 4, mode="replicate"), k, 1)
        amount = torch.rand(b, device=x.device).repeat_interleave(t).view(-1, 1, 1, 1)
        x = (y + (blur - y) * amount).permute(0, 2, 3, 1).unflatten(0, (b, t))
    shape = (b, 1, 1, 1, 1)
    x = x + torch.randn_like(x) * 0.12 * torch.rand(shape, device=x.device)
    x = x * (1 + 0.12 * torch.randn(shape, device=x.device)) + 0.05 * torch.randn(b, 1, 1, 1, 3, device=x.device)
    dy, dx = (int(v) for v in torch.randint(-3, 4, (2,)))
    return torch.roll(x, (dy, dx), (2, 3))


def seen(count, seed, device, shapes, **kind):
    """(what the judge sees `[n, 17, 64, 112, 3]`, labels) of about `count` clips, shared out over `shapes`."""
    def reduce(v, m):
        return shrink(torch.stack([lengthened(clip) for clip in v])), m[:, :1, :1, :1]

    videos, labels = [], []
    for i, (width, height, frames, share) in enumerate(shapes):
        clips = max(1, round(count * share))
        video, _, drawn = make_bank(clips, seed + i, device, width, height, frames, reduce=reduce, **kind)
        videos.append(video)
        labels.append(drawn)
    return torch.cat(videos), {k: torch.cat([drawn[k] for drawn in labels]) for k in FIELDS}


def tests(count, device):
    """Yields (name, video, labels) of held-out combinations: every shape, two subjects, another motion's beginning."""
    main = SHAPES[0][:3]
    kinds = [("{}x{}x{}".format(*shape[:3]), shape[:3], dict(two=0.0)) for shape in SHAPES]
    kinds += [("two subjects", main, dict(two=1.0)), ("retold", main, dict(two=0.0, retold=1.0))]
    for name, shape, kind in kinds:
        yield name, *seen(count, TEST_SEED, device, [(*shape, 1.0)], test=True, **kind)


def accuracy(judge, video, scenes, shuffled=False):
    judge.eval()
    right = {}
    order = torch.randperm(len(video)) if shuffled else torch.arange(len(video))
    with torch.no_grad():
        for at in range(0, len(video), 64):
            logits = judge(video[at:at + 64].float() / 127.5 - 1)
            for k, v in logits.items():
                right.setdefault(k, []).append((v.argmax(1).cpu() == scenes[k][order[at:at + 64]]).float())
    judge.train()
    return {k: round(torch.cat(v).mean().item() * 100, 1) for k, v in right.items()}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--clips", type=int, default=12288)
    args.add_argument("--tests", type=int, default=400, help="unseen clips of each kind; 0: none")
    args.add_argument("--resume")
    args.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    a = args.parse_args()
    device = torch.device(a.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.manual_seed(SEED)

    video, labels = seen(a.clips, SEED, device, SHAPES, two=TWO, retold=RETOLD)
    labels = {k: v.to(device) for k, v in labels.items()}
    say(0, "judge bank", len(video))
    judge, rate = Judge().to(device), RATE
    if a.resume:
        judge.load_state_dict(checkpoint.load(a.resume, "judge"))
        rate *= RESUMED_RATE
    opt = torch.optim.AdamW(judge.parameters(), lr=rate, weight_decay=0.02)
    begin, budget, steps = time.time(), max(1.0, a.minutes * 60 - (time.time() - STARTED) - 5), 0
    while True:
        progress = (time.time() - begin) / budget
        if progress >= 1:
            break
        for group in opt.param_groups:
            group["lr"] = rate * min(1.0, steps / 50) * (1 - progress)
        pick = torch.randint(len(video), (min(BATCH, len(video)),), device=device)
        x = degrade(video[pick].float() / 127.5 - 1)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = judge(x)
        loss = sum(F.cross_entropy(v.float(), labels[k][pick]) for k, v in logits.items())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        steps += 1
        if steps % 200 == 0:
            say(0, "judge", steps, round(loss.item(), 3))
    say(0, "judge steps", steps)
    state = {k: v for k, v in judge.state_dict().items()}
    checkpoint.save(state, a.out, "judge", torch.bfloat16)
    if a.tests:
        judge = load_judge(a.out, device)  # as it was written
        for name, test, truth in tests(a.tests, device):
            say(0, "judge", name, accuracy(judge, test, truth), "shuffled", accuracy(judge, test, truth, shuffled=True))


if __name__ == "__main__":
    main()
