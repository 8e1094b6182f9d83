"""Trains the teacher: DiT and text encoder together, flow matching with guidance dropout, SLA in the last part.

`torchrun --nproc_per_node 2 train_dit.py CHECKPOINTS --minutes 5 --out DIR --cache /tmp/bank` (the folder
`CHECKPOINTS` holds the VAE, and the judge if it is to be heard). `--resume DIR` trains on from the teacher there, at
lower rates and with its words as they are; `--words` trains these on, too.
"""

import argparse
import copy
import os
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

import checkpoint
import fused
from data import device_banks
from dit import DIT_CONFIG, WanDit, compile_blocks, network_time, run_eager
from evaluate import held_out_prompts, scores
from export import SLA_TOPK
from judge import load_judge
from latents import load_vae
from muon import Muon
from run import STARTED, Clock, say, share_parameters, start
from sampling import decode, guided
from sheets import sheet
from text import TextEncoder, text_config
from vocabulary import VOCABULARY_SIZE, build, encode

SEED = 31337
MUON_RATE, ADAM_RATE = 3e-3, 1.5e-3
RESUMED_RATE = 0.5  # of these
WARM_STEPS = 150
FLAT = 0.35  # share of the time at the full rate, then straight to zero
SLA_FROM = 0.7  # progress after which steps use SLA
DENSE_AFTER = 0.2  # share of dense steps after that, so that `original` attention stays good
FIRST_FRAME_WEIGHT = 1.5
TIME_SHIFT = 3.0
ROLE_WEIGHT = 0.1  # of telling whose name a word is part of, beside the velocity's error
ROLE_STEPS, ROLE_BATCH = 800, 128  # of a text encoder that is trained on, before its transformer is
ROLE_RATE, PLACE_RATE = 5e-4, 1e-2
GUIDANCE = 3.5


def random_times(n, device):
    """Flow times: half logit-normal, half uniform, shifted towards noise."""
    u = torch.where(torch.rand(n, device=device) < 0.5, torch.sigmoid(torch.randn(n, device=device)), torch.rand(n, device=device))
    return TIME_SHIFT * u / (1 + (TIME_SHIFT - 1) * u)


def velocity_loss(net, z, y, context, topk):
    """Mean square error of the velocity on a batch of clean latents, frame 0 counting a little more."""
    t = random_times(len(z), z.device)
    noise = torch.randn_like(z)
    tt = t.view(-1, 1, 1, 1, 1)
    v = net((1 - tt) * z + tt * noise, network_time(t), context, y, topk=topk)
    square = (v - (noise - z)).pow(2)
    weight = torch.ones(z.shape[2], device=z.device)
    weight[0] = FIRST_FRAME_WEIGHT
    return (square * (weight / weight.mean()).view(1, 1, -1, 1, 1)).mean()


def use_muon(name, p):
    return p.dim() == 2 and ".embedding." not in name and name.startswith(("dit.blocks.", "text.blocks."))


class Both(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.dit = WanDit(dict(DIT_CONFIG, num_layers=layers))
        self.text = TextEncoder(text_config(VOCABULARY_SIZE))
        self.role = torch.nn.Linear(256, 1)  # not kept: it only asks the words to say it


def role_loss(model, words, roles):
    """Whether a word of a name is of the subject that moves or of the one that rests: without that a picture of two cannot
    be right, and the velocity's error alone hardly asks for it."""
    named = roles > 0
    said = model.role(words).float()[..., 0]
    error = F.binary_cross_entropy_with_logits(said, (roles == 2).float(), reduction="none")
    return (error * named).sum() / named.sum().clamp(min=1)


def learn_roles(model, banks, rank):
    """The text encoder alone learns to read words in their order, and stays close to what the transformer reads so far."""
    former = copy.deepcopy(model.text)
    model.text.look_around()
    places = [p for name, p in model.text.named_parameters() if "pos_embedding" in name]
    others = [p for name, p in model.text.named_parameters() if "pos_embedding" not in name]
    opt = torch.optim.Adam([dict(params=[*others, *model.role.parameters()], rate=ROLE_RATE), dict(params=places, rate=PLACE_RATE)])
    for step in range(ROLE_STEPS):
        _, _, ids, roles, _ = banks.batch(ROLE_BATCH)
        words = model.text(ids)
        with torch.no_grad():
            before = former(ids)
        error = role_loss(model, words, roles)
        moved = (words - before).pow(2).mean() / before.pow(2).mean()
        for group in opt.param_groups:
            group["lr"] = group["rate"] * (1 - step / ROLE_STEPS)
        opt.zero_grad()
        (error + moved).backward()
        opt.step()
        if step % 200 == 199:
            say(rank, f"roles step {step + 1} error {error.item():.4f} moved {moved.item():.4f}")


def save(state, out):
    checkpoint.save({k[4:]: v for k, v in state.items() if k.startswith("dit.")}, out, "dit", torch.bfloat16)
    checkpoint.save({k[5:]: v for k, v in state.items() if k.startswith("text.")}, out, "text", torch.bfloat16)


@torch.no_grad()
def report(model, vae, stats, folder, device, dtype, out, count, rank, steps=30):
    """Samples held-out prompts, of one subject and of two, with guidance and asks the judge."""
    run_eager()
    judge = load_judge(folder, device)
    for kind, two in (("teacher", 0.0), ("teacher2", 1.0)):
        prompts = held_out_prompts(count, two=two)
        videos = guided_videos(model, vae, stats, prompts, device, dtype, steps)
        n = min(12, count)
        sheet(list(videos[:n].numpy()), os.path.join(out, kind + ".png"), [p["text"] for p in prompts[:n]])
        say(rank, kind + ":", scores(judge, videos, prompts))


def guided_videos(model, vae, stats, prompts, device, dtype, steps):
    """Clips of prompts by the teacher with guidance, in `steps` steps: uint8 `[n, 33, 128, 224, 3]`."""
    count, tokenizer = len(prompts), build()
    context = model.text(encode(tokenizer, [p["text"] for p in prompts]).to(device))
    empty = model.text(encode(tokenizer, [""]).to(device))
    g = torch.Generator(device).manual_seed(5)
    videos = []
    for i in range(0, count, 24):
        c = context[i:i + 24]
        noise = torch.randn(len(c), 16, 9, 16, 28, device=device, generator=g)
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            z = guided(model.dit, noise, c, empty, torch.zeros(len(c), 20, 9, 16, 28, device=device), GUIDANCE, steps)
        videos.append(decode(vae, stats, z, dtype))
    return torch.cat(videos)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoints")
    args.add_argument("--minutes", type=float, required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--clips", type=int, default=8000, help="a process")
    args.add_argument("--batch", type=int, default=64, help="a process")
    args.add_argument("--layers", type=int, default=DIT_CONFIG["num_layers"])
    args.add_argument("--cache")
    args.add_argument("--resume")
    args.add_argument("--words", action="store_true")
    args.add_argument("--steps", type=int, default=1 << 30)
    args.add_argument("--report", type=int, default=96, help="clips to judge at the end")
    a = args.parse_args()
    device, rank, size = start(SEED)
    cuda = device.type == "cuda"
    dtype = torch.bfloat16
    fused.self_check(device)
    vae, *stats = load_vae(a.checkpoints, device, dtype if cuda else torch.float32)
    banks = device_banks(vae, stats, a.clips, rank, device, SEED, a.cache)
    say(rank, "banks", [len(b.z) for b in banks.banks], "conditions", [len(b.c) for b in banks.banks])
    torch.manual_seed(SEED)
    model = Both(a.layers).to(device)
    if a.resume:
        model.dit.load_state_dict(checkpoint.load(a.resume, "dit"))
        model.text.load_state_dict(checkpoint.load(a.resume, "text"))
        model.text.requires_grad_(a.words)  # else a student of the former teacher reads the same words
    share_parameters(model)
    torch.manual_seed(SEED + 7 + 1000 * rank)
    if cuda:
        compile_blocks()
    learns_words = not a.resume or a.words
    if a.words:
        learn_roles(model, banks, rank)
    slow = RESUMED_RATE if a.resume else 1.0
    opt = Muon(model.named_parameters(), use_muon, MUON_RATE * slow, ADAM_RATE * slow, ema=0.999 if cuda else 0.98)

    def forward(z, y, ids, roles, topk):
        with torch.autocast(device.type, dtype):
            words = model.text(ids)
            loss = velocity_loss(model.dit, z, y, words, topk)
            return loss + ROLE_WEIGHT * role_loss(model, words, roles) if learns_words else loss

    for topk in (None, SLA_TOPK) if cuda else ():  # compile both before the clock starts
        z, y, ids, roles, _ = banks.batch(a.batch, main_only=True)
        opt.zero()
        forward(z, y, ids, roles, topk).backward()
    say(rank, "warm")
    clock = Clock(a.minutes * 60 - (time.time() - STARTED) - (30 if a.report else 3), device, every=8 if cuda else 1)
    mean, count, begin, saved = None, 0, time.time(), time.time()
    while count < a.steps:
        progress = clock.progress()
        if progress >= 1:
            break
        z, y, ids, roles, _ = banks.batch(a.batch, main_only=cuda and count < 16)
        dense = progress < SLA_FROM or float(torch.rand((), generator=banks.shared)) < DENSE_AFTER
        opt.zero()
        loss = forward(z, y, ids, roles, None if dense else SLA_TOPK)
        loss.backward()
        opt.average()
        opt.lr_scale.fill_(min(1.0, (count + 1) / WARM_STEPS) * min(1.0, (1 - progress) / (1 - FLAT)))
        opt.step()
        mean = loss.detach().clone() if mean is None else mean.lerp_(loss.detach(), 0.02 if cuda else 0.05)
        count += 1
        if count % (100 if cuda else 10) == 0:
            say(rank, f"step {count} loss {mean.item():.4f} progress {progress:.2f} {count / (time.time() - begin):.2f} it/s")
        if rank == 0 and time.time() - saved > 120:
            save(model.state_dict() | opt.ema_state(), a.out)
            saved = time.time()
    with torch.no_grad():
        for p, e in zip(opt.params, opt.ema):
            p.copy_(e)
    if rank == 0:
        save(model.state_dict(), a.out)
        say(rank, "steps", count)
        if a.report:
            try:
                report(model.eval(), vae, stats, a.checkpoints, device, dtype if cuda else torch.float32, a.out, a.report, rank)
            except Exception as e:  # the weights are saved; a sheet is only nice to have
                say(rank, "no report:", repr(e)[:300])
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
