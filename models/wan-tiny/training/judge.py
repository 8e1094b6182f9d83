"""The judge: a small 3-D network that names what a clip shows, from its frames alone.

It is trained on renders (`train_judge.py`) and used by `evaluate.py` on decoded videos.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

import checkpoint
from scenes import FIELDS

SIZE = (64, 112)  # rows, columns the judge sees
EVERY = 2  # it sees every second frame of 33


class Judge(nn.Module):
    """`[b, 17, 64, 112, 3]` in [-1, 1] to one vector of logits a field."""

    def __init__(self):
        super().__init__()
        def conv(cin, cout, kernel, stride):
            pad = tuple(k // 2 for k in kernel)
            return nn.Sequential(nn.Conv3d(cin, cout, kernel, stride, pad, bias=False), nn.BatchNorm3d(cout), nn.SiLU())

        self.body = nn.Sequential(conv(3, 32, (1, 5, 5), (1, 2, 2)), conv(32, 64, (3, 3, 3), (1, 2, 2)),
                                  conv(64, 96, (3, 3, 3), (2, 2, 2)), conv(96, 160, (3, 3, 3), (2, 2, 2)),
                                  conv(160, 64, (1, 1, 1), (1, 1, 1)))
        self.fold = nn.Linear(64 * 5 * 4 * 7, 128)
        self.heads = nn.ModuleDict({k: nn.Linear(128, len(v)) for k, v in FIELDS.items()})

    def forward(self, x):
        h = self.body(x.permute(0, 4, 1, 2, 3))
        h = F.silu(self.fold(F.dropout(h.flatten(1), 0.2, self.training)))
        return {k: head(h) for k, head in self.heads.items()}


def shrink(video):
    """uint8 `[b, 33, h, w, 3]` of any size to what the judge sees, still uint8."""
    b, t = video[:, ::EVERY].shape[:2]
    x = video[:, ::EVERY].flatten(0, 1).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, SIZE, mode="area") if x.shape[-2] >= SIZE[0] else F.interpolate(x, SIZE, mode="bilinear")
    return (x + 0.5).to(torch.uint8).permute(0, 2, 3, 1).unflatten(0, (b, t))


def load_judge(folder, device="cpu"):
    judge = Judge()
    judge.load_state_dict(checkpoint.load(folder, "judge"))
    return judge.to(device).eval()


@torch.no_grad()
def opinions(judge, video):
    """Field → predicted index `[b]` for uint8 clips `[b, 33, h, w, 3]`."""
    device = next(judge.parameters()).device
    out = {}
    for at in range(0, len(video), 16):
        logits = judge(shrink(video[at:at + 16].to(device)).float() / 127.5 - 1)
        for k, v in logits.items():
            out.setdefault(k, []).append(v.argmax(1).cpu())
    return {k: torch.cat(v) for k, v in out.items()}
