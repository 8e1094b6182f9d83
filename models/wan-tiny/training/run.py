"""What every training shares: processes, the clock that ends a stage in time, captured steps, the clip bank."""

import os
import time

import torch
import torch.distributed as dist

import scenes as world_scenes
from world import render

STARTED = time.time()


def start(seed):
    """(device, rank, processes). Works alone on a CPU and under torchrun on several GPUs."""
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(seed + 1000 * rank)
    return device, rank, size


def say(rank, *words):
    if rank == 0:
        print(f"[{time.time() - STARTED:6.1f}s]", *words, flush=True)


class Clock:
    """Progress 0..1 of a time budget, the same number on every process (asked from the first one every few steps)."""

    def __init__(self, seconds, device, every=8):
        self.begin, self.seconds, self.every, self.calls, self.value = time.time(), seconds, every, 0, 0.0
        self.device = device

    def progress(self):
        if self.calls % self.every == 0:
            value = (time.time() - self.begin) / self.seconds
            if dist.is_initialized():
                t = torch.tensor([value], device=self.device, dtype=torch.float64)
                dist.broadcast(t, 0)
                value = t.item()
            self.value = value
        self.calls += 1
        return self.value


class Step:
    """Gradient and optimizer step, captured as CUDA graphs where that works. `loss` reads fixed input buffers."""

    def __init__(self, loss, optimizer, rank, capture=True):
        self.loss, self.opt = loss, optimizer
        self.graph = self.update = None
        if capture and torch.cuda.is_available():
            try:
                self.capture()
            except Exception as e:  # slower but right
                say(rank, "no CUDA graph:", repr(e)[:300])
                self.graph = self.update = None
                torch.cuda.synchronize()

    def gradient(self):
        self.opt.zero()
        out = self.loss()
        out[0].backward()
        return [o.detach() for o in out]

    def capture(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        keep = self.opt.lr_scale.clone(), self.opt.count.clone()
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.gradient()
            saved = [m.clone() for g in self.opt.groups for m in g[2]] + [x.clone() for x in self.opt.m + self.opt.v + self.opt.ema]
            self.opt.lr_scale.zero_()
            self.opt.zero()
            self.opt.step()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        self.graph, self.update = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.out = self.gradient()
        with torch.cuda.graph(self.update, capture_error_mode="thread_local"):
            self.opt.step()
        live = [m for g in self.opt.groups for m in g[2]] + self.opt.m + self.opt.v + self.opt.ema
        for a, b in zip(live, saved):
            a.copy_(b)
        self.opt.lr_scale.copy_(keep[0])
        self.opt.count.copy_(keep[1])

    def __call__(self, lr_scale):
        self.opt.lr_scale.fill_(lr_scale)
        if self.graph is None:
            out = self.gradient()
            self.opt.average()
            self.opt.step()
            return out
        self.graph.replay()
        self.opt.average()
        self.update.replay()
        return self.out


def share_parameters(module):
    if dist.is_initialized():
        for p in module.state_dict().values():
            dist.broadcast(p, 0)


def make_bank(count, seed, device, width=224, height=128, frames=33, chunk=32, reduce=None, **kind):
    """(video, mask, scenes): `count` rendered clips as uint8 on `device`, each piece passed through `reduce`."""
    drawn = world_scenes.draw_scenes(count, seed, **kind)
    video = mask = None
    for at in range(0, count, chunk):
        v, m = render(world_scenes.rows_of(drawn, slice(at, at + chunk)), width, height, frames, device)
        if reduce is not None:
            v, m = reduce(v, m)
        if video is None:
            video = torch.empty(count, *v.shape[1:], dtype=torch.uint8, device=device)
            mask = torch.empty(count, *m.shape[1:], dtype=torch.uint8, device=device)
        video[at:at + chunk], mask[at:at + chunk] = v, m
    return video, mask, drawn


def to_pixels(video, dtype):
    """uint8 to [-1, 1]."""
    return video.to(dtype) / 127.5 - 1


def to_bytes(x):
    """[-1, 1] to uint8."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5 + 0.5).to(torch.uint8)


def psnr(a, b):
    """dB between uint8 videos, over all but the first dimension."""
    mse = (a.float() - b.float()).pow(2).flatten(1).mean(1).clamp(min=1e-3)
    return 10 * torch.log10(255.0 ** 2 / mse)
