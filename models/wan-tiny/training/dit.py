"""The diffusion transformer: Wan's layers and key names, 36 input channels, SLA or dense self-attention.

A block runs as three functions (`before`, attention, `after`) so that each can be compiled alone. Residuals follow
the activation dtype; norms, softmax and modulation are computed in float32.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

HEAD_DIM = 128
BLOCK_Q, BLOCK_K = 128, 64  # tokens a query block and a key block of the sparse attention

DIT_CONFIG = dict(dim=256, ffn_dim=768, num_heads=2, num_layers=10, model_type="i2v", in_dim=36, out_dim=16,
                  freq_dim=256, text_len=64, text_dim=256, eps=1e-6)


def layer_norm(x, weight=None, bias=None):
    return F.layer_norm(x.float(), x.shape[-1:], weight, bias, 1e-6).to(x.dtype)


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight).to(x.dtype)


class LayerNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias)


def rope_table(frames, rows, cols, device):
    """(cos, sin), each `[frames·rows·cols, 64]`: 22 pairs for time, 21 for rows, 21 for columns."""
    def angles(n, dim):
        omega = 10000.0 ** (-torch.arange(0, dim, 2, device=device).float() / dim)
        return torch.arange(n, device=device).float()[:, None] * omega

    t, h, w = angles(frames, 44), angles(rows, 42), angles(cols, 42)
    a = torch.cat([t[:, None, None].expand(-1, rows, cols, -1), h[None, :, None].expand(frames, -1, cols, -1),
                   w[None, None].expand(frames, rows, -1, -1)], -1).reshape(frames * rows * cols, 64)
    return a.cos(), a.sin()


def rotate(x, rope):
    """`x` `[b, l, heads, 128]`, adjacent elements are a pair."""
    cos, sin = rope
    a, b = x.float().unflatten(-1, (64, 2)).unbind(-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2).to(x.dtype)


class LinearBranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj_l = nn.Linear(HEAD_DIM, HEAD_DIM)
        nn.init.zeros_(self.proj_l.weight)
        nn.init.zeros_(self.proj_l.bias)


class SlaOperator(nn.Module):
    def __init__(self):
        super().__init__()
        self.local_attn = LinearBranch()


def block_mean(x, block):
    """Means over blocks of tokens, a short last block by its true size: `[b, h, l, d]` to `[b, h, n, d]`."""
    length = x.shape[2]
    n = -(-length // block)
    total = F.pad(x.float(), (0, 0, 0, n * block - length)).unflatten(2, (n, block)).sum(3)
    counts = torch.full((n,), block, device=x.device, dtype=torch.float32)
    counts[-1] = length - (n - 1) * block
    return total / counts[:, None]


@torch.no_grad()
def chosen_blocks(q, k, ratio):
    """Which key blocks each query block looks at: bool `[b, h, n_q, n_k]`."""
    with torch.autocast(q.device.type, enabled=False):  # in float32: rounded scores would tie
        score = block_mean(q, BLOCK_Q) @ block_mean(k.float() - k.float().mean(2, keepdim=True), BLOCK_K).mT
    n_k = score.shape[-1]
    keep = min(n_k, max(1, int(ratio * n_k)))
    return torch.zeros_like(score, dtype=torch.bool).scatter_(-1, score.topk(keep, -1).indices, True)


def sla(q, k, v, chosen, w_l, b_l):
    """Sparse softmax over the chosen blocks plus a linear branch over all keys; `[b, h, l, 128]`."""
    length = q.shape[2]
    at = torch.arange(length, device=q.device)
    live = chosen[:, :, at // BLOCK_Q][..., at // BLOCK_K]  # [b, h, l, l]
    s = (q @ k.mT).float() * (HEAD_DIM ** -0.5)
    p = s.masked_fill(~live, float("-inf")).softmax(-1).to(v.dtype)
    fq, fk = q.float().softmax(-1), k.float().softmax(-1)
    kv = fk.to(v.dtype).mT @ v
    linear = (fq.to(v.dtype) @ kv).float() / (1e-5 + (fq * fk.sum(2, keepdim=True)).sum(-1, keepdim=True))
    return p @ v + F.linear(linear.to(v.dtype), w_l, b_l)


class SelfAttention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim), RmsNorm(dim)
        self.attn_op = SlaOperator()


class CrossAttention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim), RmsNorm(dim)


class Block(nn.Module):
    def __init__(self, dim, ffn_dim):
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim ** 0.5)
        self.self_attn, self.cross_attn = SelfAttention(dim), CrossAttention(dim)
        self.norm3 = LayerNorm(dim)
        self.ffn = nn.ModuleList([nn.Linear(dim, ffn_dim), nn.Identity(), nn.Linear(ffn_dim, dim)])


def modulate(x, shift, scale):
    return (layer_norm(x).float() * (1 + scale) + shift).to(x.dtype)


def before(block, x, e0, rope):
    a, e = block.self_attn, block.modulation.float() + e0
    h = modulate(x, e[:, 0:1], e[:, 1:2])
    q, k, v = (y.unflatten(-1, (-1, HEAD_DIM)) for y in (a.norm_q(a.q(h)), a.norm_k(a.k(h)), a.v(h)))
    return rotate(q, rope).transpose(1, 2), rotate(k, rope).transpose(1, 2), v.transpose(1, 2)


def after(block, x, o, e0, context):
    c, e = block.cross_attn, block.modulation.float() + e0
    x = x + (block.self_attn.o(o) * e[:, 2:3]).to(x.dtype)
    q = c.norm_q(c.q(block.norm3(x))).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
    k = c.norm_k(c.k(context)).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
    v = c.v(context).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
    x = x + c.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).to(x.dtype)
    h = modulate(x, e[:, 3:4], e[:, 4:5])
    h = block.ffn[2](F.gelu(block.ffn[0](h), approximate="tanh"))
    return x + (h * e[:, 5:6]).to(x.dtype)


EAGER = dict(before=before, sla=sla, after=after)
FUNCTIONS = dict(EAGER)  # what a forward pass calls


def compile_blocks(backend="inductor"):
    """Compiles the three parts; one graph serves all blocks and all clip shapes."""
    torch._dynamo.config.recompile_limit = 64
    for name, fn in EAGER.items():
        FUNCTIONS[name] = torch.compile(fn, backend=backend, dynamic=True)


def run_eager():
    """Back to plain functions: for a few passes of other shapes compiling does not pay."""
    FUNCTIONS.update(EAGER)


class HeadLinear(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.head = nn.Linear(dim, out)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim ** 0.5)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class WanDit(nn.Module):
    """`topk=None` is dense attention; a number is SLA's ratio of key blocks."""

    def __init__(self, config=DIT_CONFIG):
        super().__init__()
        self.config, d = config, config["dim"]
        self.patch_embedding = nn.Linear(config["in_dim"] * 4, d)
        self.text_embedding = nn.ModuleList([nn.Linear(config["text_dim"], d), nn.Identity(), nn.Linear(d, d)])
        self.time_embedding = nn.ModuleList([nn.Linear(config["freq_dim"], d), nn.Identity(), nn.Linear(d, d)])
        self.time_projection = nn.ModuleList([nn.Identity(), nn.Linear(d, 6 * d)])
        self.blocks = nn.ModuleList([Block(d, config["ffn_dim"]) for _ in range(config["num_layers"])])
        self.head = HeadLinear(d, config["out_dim"] * 4)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                if m.weight.abs().sum() > 0:
                    nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)
        for block in self.blocks:
            nn.init.zeros_(block.self_attn.attn_op.local_attn.proj_l.weight)
        nn.init.zeros_(self.head.head.weight)
        nn.init.normal_(self.time_embedding[0].weight, std=0.02)
        nn.init.normal_(self.time_embedding[2].weight, std=0.02)
        self.ropes = {}  # tables by shape: they never change

    def rope(self, *key):
        if key not in self.ropes:
            self.ropes[key] = rope_table(*key)
        return self.ropes[key]

    def forward(self, x, time, context, y, topk=None):
        """`x` `[b, 16, t, h, w]`, `time` `[b]` = bf16(1000·t), `context` `[b, 64, text]`, `y` `[b, 20, t, h, w]`.

        Returns the velocity (noise − clean), float32, in the shape of `x`.
        """
        b, _, t, h, w = x.shape
        device = x.device.type
        rows, cols = h // 2, w // 2
        tokens = torch.cat([x, y], 1).reshape(b, -1, t, rows, 2, cols, 2)
        tokens = tokens.permute(0, 2, 3, 5, 1, 4, 6).reshape(b, t * rows * cols, -1)  # features (c, kh, kw)
        z = self.patch_embedding(tokens)
        with torch.autocast(device, enabled=False):
            half = self.config["freq_dim"] // 2
            freq = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float64) / half)
            angle = time.double()[:, None] * freq
            emb = torch.cat([angle.cos(), angle.sin()], 1).float()
            e = self.time_embedding[2](F.silu(self.time_embedding[0](emb)))  # [b, d]
            e0 = self.time_projection[1](F.silu(e)).unflatten(1, (6, -1))  # [b, 6, d]
        context = self.text_embedding[2](F.gelu(self.text_embedding[0](context), approximate="tanh"))
        rope = self.rope(t, rows, cols, x.device)
        for block in self.blocks:
            q, k, v = FUNCTIONS["before"](block, z, e0, rope)
            if topk is None:
                o = F.scaled_dot_product_attention(q, k, v)
            else:
                p = block.self_attn.attn_op.local_attn.proj_l
                o = FUNCTIONS["sla"](q, k, v, chosen_blocks(q, k, topk), p.weight, p.bias)
            z = FUNCTIONS["after"](block, z, o.transpose(1, 2).flatten(2), e0, context)
        with torch.autocast(device, enabled=False):
            e = self.head.modulation.float() + e[:, None]
            out = self.head.head(layer_norm(z).float() * (1 + e[:, 1:2]) + e[:, 0:1])
        out = out.reshape(b, t, rows, cols, 2, 2, -1)  # features (kh, kw, c)
        return out.permute(0, 6, 1, 2, 4, 3, 5).reshape(b, -1, t, h, w)


TRIG_STEPS = (1.5, 1.4, 1.0)


def schedule(steps, sigma_max=80.0):
    """Flow times of an rCM sampling, `steps` + 1 values ending in 0."""
    trig = [math.atan(sigma_max), *TRIG_STEPS][:steps] + [0.0]
    return [math.sin(a) / (math.cos(a) + math.sin(a)) for a in trig]


def network_time(t):
    """What the network is told for flow time `t` (a tensor): 1000·t rounded to bf16."""
    return (1000 * t.float()).bfloat16().float()


@torch.no_grad()
def sample(net, noise, context, y, steps=4, sigma_max=80.0, topk=None, ode=False, generator=None):
    """rCM sampling from unit noise `[b, 16, t, h, w]` to normalised latents."""
    times = schedule(steps, sigma_max)
    x = noise.double() * times[0]
    for t, nxt in zip(times[:-1], times[1:]):
        tt = torch.full((x.shape[0],), t, device=x.device)
        v = net(x.float(), network_time(tt), context, y, topk=topk).double()
        if ode:
            x = x - (t - nxt) * v
        else:
            fresh = torch.randn(x.shape, device=x.device, generator=generator)
            x = (1 - nxt) * (x - t * v) + nxt * fresh.double()
    return x.float()
