"""The text encoder: umT5's layer list and key names with small numbers."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT_LEN = 64  # tokens, `</s>` included
NEAR = 5.0  # position bias of a word that a head is to look at


def text_config(vocab):
    return dict(vocab=vocab, dim=256, dim_attn=256, dim_ffn=384, num_heads=4, num_layers=2, num_buckets=32,
                shared_pos=False)


class Norm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Positions(nn.Module):
    """The bias by relative distance, T5's bidirectional buckets: `[1, heads, n, n]`."""

    def __init__(self, buckets, heads):
        super().__init__()
        self.buckets = buckets
        self.embedding = nn.Embedding(buckets, heads)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, n, device):
        at = torch.arange(n, device=device)
        rel = at[None, :] - at[:, None]  # [query, key]
        half = self.buckets // 2
        base = (rel > 0).long() * half
        dist, exact = rel.abs(), half // 2
        far = exact + (torch.log(dist.float().clamp(min=1) / exact) / math.log(128 / exact) * (half - exact)).long()
        bucket = base + torch.where(dist < exact, dist, far.clamp(max=half - 1))
        return self.embedding(bucket).permute(2, 0, 1)[None]


class Attention(nn.Module):
    def __init__(self, dim, inner, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(dim, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, dim, bias=False)
        d = inner // heads
        nn.init.normal_(self.q.weight, std=(dim * d) ** -0.5)
        for m in (self.k, self.v, self.o):
            nn.init.normal_(m.weight, std=dim ** -0.5)

    def forward(self, x, bias):
        b, n, _ = x.shape
        q, k, v = (m(x).view(b, n, self.heads, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        p = (q @ k.transpose(-1, -2) + bias).float().softmax(-1)  # unscaled, as T5
        return self.o((p @ v).transpose(1, 2).reshape(b, n, -1))


class FeedForward(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.gate = nn.ModuleList([nn.Linear(dim, inner, bias=False)])
        self.fc1 = nn.Linear(dim, inner, bias=False)
        self.fc2 = nn.Linear(inner, dim, bias=False)
        for m in (self.gate[0], self.fc1):
            nn.init.normal_(m.weight, std=dim ** -0.5)
        nn.init.normal_(self.fc2.weight, std=inner ** -0.5)

    def forward(self, x):
        return self.fc2(self.fc1(x) * F.gelu(self.gate[0](x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = Norm(c["dim"]), Norm(c["dim"])
        self.attn = Attention(c["dim"], c["dim_attn"], c["num_heads"])
        self.ffn = FeedForward(c["dim"], c["dim_ffn"])
        self.pos_embedding = Positions(c["num_buckets"], c["num_heads"])

    def forward(self, x, mask):
        x = x + self.attn(self.norm1(x), self.pos_embedding(x.shape[1], x.device) + mask)
        return x + self.ffn(self.norm2(x))


class TextEncoder(nn.Module):
    """`ids` `[b, 64]`, 0 = padding, to `[b, 64, dim]` with zero rows past the real length."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config["vocab"], config["dim"])
        nn.init.normal_(self.token_embedding.weight, std=1.0)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config["num_layers"])])
        self.norm = Norm(config["dim"])

    def look_around(self):
        """Makes the first two heads of each block look at the four words before and the three after, whatever these say.

        Trained with the transformer from the start, every head looks for certain words only: scores spread by 50 to 180,
        so that no gradient reaches the positions, and the words of a prompt are read in any order."""
        with torch.no_grad():
            for block in self.blocks:
                bias, q = block.pos_embedding.embedding.weight, block.attn.q.weight
                q[:2 * len(q) // block.attn.heads] = 0
                bias[:, :2] = 0
                bias[1:5, 0] = NEAR
                bias[len(bias) // 2 + 1:len(bias) // 2 + 4, 1] = NEAR

    def forward(self, ids):
        with torch.autocast(ids.device.type, enabled=False):
            live = ids != 0
            mask = torch.zeros(ids.shape, device=ids.device).masked_fill_(~live, torch.finfo(torch.float32).min)
            x = self.token_embedding(ids)
            for block in self.blocks:
                x = block(x, mask[:, None, None])
            return self.norm(x) * live[..., None]
