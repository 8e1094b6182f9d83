"""Muon for matrices and convolutions, AdamW for the rest, as one optimizer whose step can be captured in a graph.

Gradients live in one flat buffer, so that several processes average them with one all-reduce.
"""

import torch
import torch.distributed as dist

NEWTON = (3.4445, -4.7750, 2.0315)  # the usual quintic; five steps bring singular values near one
NEWTON_STEPS = 5


class Muon:
    """`named`: (name, parameter) pairs. `use_muon(name, p)` says which go by Muon. Rates are tensors: set `lr_scale`."""

    def __init__(self, named, use_muon, muon_lr, adam_lr, momentum=0.95, betas=(0.9, 0.98), weight_decay=0.0, ema=0.999):
        named = [(n, p) for n, p in named if p.requires_grad]
        self.names, self.params = [n for n, _ in named], [p for _, p in named]
        device = self.params[0].device
        self.flat = torch.zeros(sum(p.numel() for p in self.params), device=device)
        at = 0
        for p in self.params:
            p.grad = self.flat[at:at + p.numel()].view_as(p)
            at += p.numel()
        groups = {}
        self.adam = []
        for n, p in named:
            if use_muon(n, p):
                groups.setdefault((p.shape[0], p.numel() // p.shape[0]), []).append(p)
            else:
                self.adam.append(p)
        self.groups = [(shape, ps, [torch.zeros_like(p) for p in ps]) for shape, ps in groups.items()]
        self.m, self.v = ([torch.zeros_like(p) for p in self.adam] for _ in range(2))
        self.muon_lr, self.adam_lr, self.momentum, self.betas = muon_lr, adam_lr, momentum, betas
        self.weight_decay, self.ema_decay = weight_decay, ema
        self.lr_scale = torch.zeros((), device=device)
        self.count = torch.zeros((), device=device)
        self.ema = [p.detach().clone() for p in self.params]

    def zero(self):
        self.flat.zero_()

    def average(self):
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(self.flat, op=dist.ReduceOp.AVG if self.flat.is_cuda else dist.ReduceOp.SUM)

    @torch.no_grad()
    def step(self, clip=1.0):
        norm = self.flat.norm()
        self.flat.mul_(torch.where(torch.isfinite(norm), (clip / (norm + 1e-6)).clamp(max=1.0), torch.zeros_like(norm)))
        torch.nan_to_num_(self.flat, 0.0, 0.0, 0.0)
        self.count += 1
        for (rows, cols), ps, moments in self.groups:
            grads = [p.grad for p in ps]
            torch._foreach_lerp_(moments, grads, 1 - self.momentum)
            look = torch._foreach_lerp(grads, moments, self.momentum)
            u = newton_schulz(torch.stack([g.reshape(rows, cols) for g in look]))
            u = u * (self.muon_lr * self.lr_scale * 0.2 * max(rows, cols) ** 0.5)
            if self.weight_decay:
                torch._foreach_mul_(ps, 1 - self.weight_decay * self.muon_lr * self.lr_scale)
            torch._foreach_sub_(ps, [x.reshape(p.shape) for x, p in zip(u, ps)])
        if self.adam:
            grads = [p.grad for p in self.adam]
            b1, b2 = self.betas
            torch._foreach_lerp_(self.m, grads, 1 - b1)
            torch._foreach_lerp_(self.v, torch._foreach_mul(grads, grads), 1 - b2)
            size = self.lr_scale * self.adam_lr * torch.sqrt(1 - b2 ** self.count) / (1 - b1 ** self.count)
            root = torch._foreach_sqrt(self.v)
            torch._foreach_add_(root, 1e-8)
            delta = torch._foreach_div(self.m, root)
            torch._foreach_mul_(delta, size)
            torch._foreach_sub_(self.adam, delta)
        decay = torch.clamp((self.count + 1) / (self.count + 10), max=self.ema_decay)
        torch._foreach_mul_(self.ema, decay)
        torch._foreach_add_(self.ema, torch._foreach_mul(self.params, 1 - decay))

    def ema_state(self):
        return {n: e.detach().clone() for n, e in zip(self.names, self.ema)}

    def reset_ema(self):
        with torch.no_grad():
            torch._foreach_copy_(self.ema, self.params)


def newton_schulz(g):
    """The nearest (semi-)orthogonal matrices of a stack `[n, rows, cols]`."""
    a, b, c = NEWTON
    x = g.bfloat16() if g.is_cuda else g
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(x.dtype)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    for _ in range(NEWTON_STEPS):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.mT if tall else x).float()
