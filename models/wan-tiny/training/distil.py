"""Distils the teacher into the four-step student: its own trajectories first, then distribution matching.

`torchrun --nproc_per_node 2 distil.py CHECKPOINTS --minutes 4 --out DIR --cache /tmp/bank`; `CHECKPOINTS` holds the VAE,
the judge and the teacher (`dit`, `text`). The student is written as `dit` beside a copy of `text`
and the `critic`, which a later `--resume` needs.

Phase 1 (regression): from real latents noised to one of the four sampling times the teacher walks to clean with
guidance; the student learns that end point. Phase 2 (distribution matching): the student samples with its own four
steps; the difference between the scores of a network that follows the student and of the teacher moves it.

`--resume DIR` goes on with the matching from the student in `DIR` (and its `critic`, if that is there). Where the teacher
was trained on since, `--former DIR` names the teacher that this student was distilled from: the student starts with what
the teacher has learned added to its own weights.
"""

import argparse
import os
import time

import torch
import torch.distributed as dist

import checkpoint
import fused
from data import device_banks
from dit import compile_blocks, network_time, run_eager, sample, schedule
from evaluate import held_out_prompts, scores
from export import SLA_TOPK
from judge import load_judge
from latents import load_vae
from muon import Muon
from run import STARTED, Clock, psnr, say, share_parameters, start
from sampling import decode, guided_velocity, load_networks
from sheets import sheet
from train_dit import FIRST_FRAME_WEIGHT, random_times
from vocabulary import build, encode

SEED = 777
GUIDANCE = 3.5
REGRESSION = 0.3  # share of the time
WALK_STEPS = 6  # the teacher's guided steps from a sampling time to clean
STUDENT_RATE, CRITIC_RATE = 2e-4, 4e-4
CRITIC_WARM = 40  # steps of the second phase in which only the critic learns
CRITIC_STEPS = 2  # critic updates a student update
FRAME_ZERO = 1.0  # weight of keeping the given picture in image-to-video
STEPS = 4


def view(t):
    return t.view(-1, 1, 1, 1, 1)


class Networks:
    def __init__(self, folder, device, resume=None, former=None):
        self.student, self.text = load_networks(folder, device)
        self.teacher, _ = load_networks(folder, device)
        self.critic, _ = load_networks(folder, device)
        if resume:
            self.student.load_state_dict(moved(folder, resume, former))
            if not former and (state := checkpoint.load(resume, "critic")):
                self.critic.load_state_dict(state)
        tokenizer = build()
        with torch.no_grad():
            self.empty = self.text(encode(tokenizer, [""]).to(device))
        self.times = schedule(STEPS)

    def clean(self, x, k, context, y):
        """The student's clean prediction at sampling step `k`."""
        t = torch.full((len(x),), self.times[k], device=x.device)
        return x - self.times[k] * self.student(x, network_time(t), context, y, topk=SLA_TOPK)

    def rollout(self, shape, k, context, y):
        """What the student's sampler feeds its step `k`; no gradient."""
        with torch.no_grad():
            x = torch.randn(shape, device=context.device) * self.times[0]
            for j in range(k):
                nxt = self.times[j + 1]
                x = (1 - nxt) * self.clean(x, j, context, y) + nxt * torch.randn_like(x)
        return x


def moved(folder, resume, former):
    """The student in `resume`, plus the difference between the teachers in `folder` and `former`."""
    student = checkpoint.load(resume, "dit")
    if former:
        now, then = checkpoint.load(folder, "dit"), checkpoint.load(former, "dit")
        student = {k: v + now[k] - then[k] for k, v in student.items()}
    return student


@torch.no_grad()
def teacher_walk(nets, x, k, context, y):
    """Guided Euler steps of the teacher from sampling time `k` to clean."""
    times = torch.linspace(nets.times[k], 0, WALK_STEPS + 1).tolist()
    for t, nxt in zip(times[:-1], times[1:]):
        x = x + (nxt - t) * guided_velocity(nets.teacher, x, torch.full((len(x),), t, device=x.device), context, nets.empty, y, GUIDANCE)
    return x


def regression_loss(nets, z, y, context, k):
    x = (1 - nets.times[k]) * z + nets.times[k] * torch.randn_like(z)
    square = (nets.clean(x, k, context, y) - teacher_walk(nets, x, k, context, y)).pow(2)
    weight = torch.ones(z.shape[2], device=z.device)
    weight[0] = FIRST_FRAME_WEIGHT
    return (square * weight.view(1, 1, -1, 1, 1)).mean()


def matching_loss(nets, z, y, context, images, k):
    """(loss of the student, its clean samples for the critic)."""
    x = nets.clean(nets.rollout(z.shape, k, context, y), k, context, y)
    with torch.no_grad():
        t = random_times(len(x), x.device).clamp(0.02, 0.98)
        noisy = (1 - view(t)) * x + view(t) * torch.randn_like(x)
        real = noisy - view(t) * guided_velocity(nets.teacher, noisy, t, context, nets.empty, y, GUIDANCE)
        fake = noisy - view(t) * nets.critic(noisy, network_time(t), context, y)
        scale = (x - real).abs().mean((1, 2, 3, 4), keepdim=True).clamp(min=1e-3)
        target = x - torch.nan_to_num((fake - real) / scale)
    loss = 0.5 * (x - target).pow(2).mean()
    keep = (x[:, :, 0] - z[:, :, 0]).pow(2).mean((1, 2, 3))  # the given picture is the true first latent
    return loss + FRAME_ZERO * (keep * images).sum() / images.sum().clamp(min=1), x.detach()


def critic_loss(nets, x, y, context):
    t = random_times(len(x), x.device)
    noise = torch.randn_like(x)
    v = nets.critic((1 - view(t)) * x + view(t) * noise, network_time(t), context, y)
    return (v - (noise - x)).pow(2).mean()


@torch.no_grad()
def report(nets, vae, stats, banks, folder, device, dtype, out, count, rank):
    run_eager()
    judge = load_judge(folder, device)
    nothing = torch.zeros(32, 20, 9, 16, 28, device=device)

    def videos(prompts, net, steps, topk):
        context = nets.text(encode(build(), [p["text"] for p in prompts]).to(device))
        g, made = torch.Generator(device).manual_seed(3), []
        for i in range(0, count, 32):
            c = context[i:i + 32]
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                z = sample(net, torch.randn(len(c), 16, 9, 16, 28, device=device, generator=g), c, nothing[:len(c)], steps, topk=topk, generator=g)
            made.append(decode(vae, stats, z, dtype))
        return torch.cat(made)

    n = min(12, count)
    one, two = held_out_prompts(count), held_out_prompts(count, two=1.0)
    for name, prompts, net, steps, topk in (
            ("student4", one, nets.student, 4, SLA_TOPK), ("two-subjects", two, nets.student, 4, SLA_TOPK),
            ("student1", one, nets.student, 1, SLA_TOPK), ("student4-dense", one, nets.student, 4, None),
            ("teacher4", one, nets.teacher, 4, None)):
        made = videos(prompts, net, steps, topk)
        say(rank, name, scores(judge, made, prompts))
        if name in ("student4", "two-subjects", "student1"):
            sheet(list(made[:n].numpy()), os.path.join(out, name + ".png"), [p["text"] for p in prompts[:n]])
    bank = banks.banks[0]
    n = min(24, len(bank.c))
    y = torch.zeros(n, 20, *bank.z.shape[2:], device=device)
    y[:, :4, 0], y[:, 4:] = 1, bank.c[:n].float()
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        z = sample(nets.student, torch.randn(n, 16, *bank.z.shape[2:], device=device), nets.text(bank.ids[:n, 0]), y, 4, topk=SLA_TOPK)
    made, true = decode(vae, stats, z, dtype), decode(vae, stats, bank.z[:n].float(), dtype)
    say(rank, "image-to-video, first frame against the decoded picture:", round(psnr(made[:, :1], true[:, :1]).mean().item(), 2), "dB")
    sheet(list(true[:6].numpy()) + list(made[:6].numpy()), os.path.join(out, "i2v.png"))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoints")
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--clips", type=int, default=4000, help="a process")
    args.add_argument("--batch", type=int, default=48, help="a process")
    args.add_argument("--cache")
    args.add_argument("--resume")
    args.add_argument("--former")
    args.add_argument("--steps", type=int, default=1 << 30)
    args.add_argument("--report", type=int, default=200)
    a = args.parse_args()
    device, rank, size = start(SEED)
    cuda = device.type == "cuda"
    dtype = torch.bfloat16 if cuda else torch.float32
    fused.self_check(device)
    vae, *stats = load_vae(a.checkpoints, device, dtype)
    banks = device_banks(vae, stats, a.clips, rank, device, SEED, a.cache)
    nets = Networks(a.checkpoints, device, a.resume, a.former)
    share_parameters(nets.student)
    if cuda:
        compile_blocks()
    student = Muon(nets.student.named_parameters(), lambda n, p: False, 0.0, STUDENT_RATE, betas=(0.5, 0.98), ema=0.99)
    critic = Muon(nets.critic.named_parameters(), lambda n, p: False, 0.0, CRITIC_RATE, betas=(0.5, 0.98))
    torch.manual_seed(SEED + 1000 * rank)
    say(rank, "ready")
    reserve = 30 if a.report else 3
    clock = Clock(a.minutes * 60 - (time.time() - STARTED) - reserve, device, every=4 if cuda else 1)
    mean, critic_mean, count, phase, switched = None, None, 0, 1, 0
    while count < a.steps:
        progress = clock.progress()
        if progress >= 1:
            break
        z, y, ids, _, images = banks.batch(a.batch, main_only=count < 8)
        k = int(torch.randint(STEPS, (1,), generator=banks.shared))
        with torch.no_grad():
            context = nets.text(ids)
        matching = bool(a.resume) or (progress > REGRESSION if a.steps > 1000 else count >= a.steps // 2)
        if matching and phase == 1:
            phase, switched = 2, count
            say(rank, "matching from step", count)
        student.zero()
        with torch.autocast(device.type, torch.bfloat16):
            loss, x = matching_loss(nets, z, y, context, images, k) if matching else (regression_loss(nets, z, y, context, k), None)
        loss.backward()
        student.average()
        waiting = matching and a.steps > 1000 and count - switched < CRITIC_WARM
        student.lr_scale.fill_(0.0 if waiting else min(1.0, (count + 1) / 50) * (1 - progress) ** 0.5)
        student.step()
        for turn in range(CRITIC_STEPS if matching else 0):
            if turn > 0:
                z, y, ids, *_ = banks.batch(a.batch)
                k = int(torch.randint(STEPS, (1,), generator=banks.shared))
                with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                    context = nets.text(ids)
                    x = nets.clean(nets.rollout(z.shape, k, context, y), k, context, y)
            critic.zero()
            with torch.autocast(device.type, torch.bfloat16):
                fit = critic_loss(nets, x, y, context)
            fit.backward()
            critic.average()
            critic.lr_scale.fill_(1.0)
            critic.step()
            critic_mean = fit.detach().clone() if critic_mean is None else critic_mean.lerp_(fit.detach(), 0.05)
        mean = loss.detach().clone() if mean is None else mean.lerp_(loss.detach(), 0.05)
        count += 1
        if count % (25 if cuda else 1) == 0:
            say(rank, f"step {count} loss {mean.item():.4f} critic {-1 if critic_mean is None else critic_mean.item():.4f} progress {progress:.2f}")
    with torch.no_grad():
        for p, e in zip(student.params, student.ema):
            p.copy_(e)
    if rank == 0:
        checkpoint.save(nets.student.state_dict(), a.out, "dit", torch.bfloat16)
        checkpoint.save(nets.text.state_dict(), a.out, "text", torch.bfloat16)
        checkpoint.save(nets.critic.state_dict(), a.out, "critic", torch.bfloat16)
        if a.report:
            try:
                report(nets, vae, stats, banks, a.checkpoints, device, dtype, a.out, a.report, rank)
            except Exception as e:  # the weights are saved; a sheet is only nice to have
                say(rank, "no report:", repr(e)[:300])
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
