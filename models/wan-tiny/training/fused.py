"""pad_time(silu(rms_norm(x))) over channels-last tensors: plain PyTorch anywhere, one Triton kernel on CUDA.

The kernel is checked against the plain version by `self_check` before a training uses it.
"""

import math

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

USE_KERNEL = False  # switched on by `self_check`
ROWS = 256  # rows (positions) a program handles; 256 × 64 channels of float32 fit in registers


def norm_silu(x, gamma, pad):
    """`x` is `[b, t, h, w, c]`; the result is `[b, t + pad, h, w, c]` with `pad` zero frames in front."""
    if USE_KERNEL and x.is_cuda:
        return NormSilu.apply(x, gamma, pad)
    return plain(x, gamma, pad)


def plain(x, gamma, pad):
    y = F.normalize(x.float(), dim=-1, eps=1e-12) * (math.sqrt(x.shape[-1]) * gamma.view(-1))
    return F.pad(F.silu(y).to(x.dtype), (0, 0, 0, 0, 0, 0, pad, 0))


def self_check(device):
    """Switches the kernel on if it agrees with the plain version, and says so."""
    global USE_KERNEL
    if triton is None or device.type != "cuda":
        return False
    try:
        for c in (16, 32, 64):
            x = torch.randn(2, 3, 9, 7, c, device=device, dtype=torch.bfloat16)
            g = torch.rand(c, 1, 1, 1, device=device) + 0.5
            grads = []
            up = torch.randn(2, 5, 9, 7, c, device=device, dtype=torch.bfloat16)
            for fn in (plain, NormSilu.apply):
                xi, gi = x.clone().requires_grad_(), g.clone().requires_grad_()
                y = fn(xi, gi, 2)
                y.backward(up)
                grads.append((y.float(), xi.grad.float(), gi.grad.float()))
            for a, b in zip(*grads):
                err = ((a - b).norm() / a.norm()).item()
                if not err < 2e-2:
                    print("fused kernel disagrees", c, err, flush=True)
                    return False
        USE_KERNEL = True
    except Exception as e:  # any compiler trouble: the plain version is right, only slower
        print("fused kernel unavailable:", repr(e)[:300], flush=True)
    return USE_KERNEL


if triton is not None:
    @triton.jit
    def forward_kernel(x, g, y, rows, per_sample, pad_rows, root_c, C: tl.constexpr, R: tl.constexpr):
        r = tl.program_id(0) * R + tl.arange(0, R)
        c = tl.arange(0, C)
        live = (r < rows)[:, None]
        r64 = r.to(tl.int64)
        out_row = r64 + (r64 // per_sample + 1) * pad_rows
        v = tl.load(x + r64[:, None] * C + c[None, :], mask=live, other=0.0).to(tl.float32)
        length = tl.maximum(tl.sqrt(tl.sum(v * v, 1)), 1e-12)
        n = v * (root_c / length)[:, None] * tl.load(g + c)[None, :]
        s = 1.0 / (1.0 + tl.exp(-n))
        tl.store(y + out_row[:, None] * C + c[None, :], n * s, mask=live)

    @triton.jit
    def backward_kernel(x, g, dy, dx, dg, rows, per_sample, pad_rows, root_c, C: tl.constexpr, R: tl.constexpr):
        r = tl.program_id(0) * R + tl.arange(0, R)
        c = tl.arange(0, C)
        live = (r < rows)[:, None]
        r64 = r.to(tl.int64)
        out_row = r64 + (r64 // per_sample + 1) * pad_rows
        v = tl.load(x + r64[:, None] * C + c[None, :], mask=live, other=0.0).to(tl.float32)
        d = tl.load(dy + out_row[:, None] * C + c[None, :], mask=live, other=0.0).to(tl.float32)
        gamma = tl.load(g + c)[None, :]
        length = tl.maximum(tl.sqrt(tl.sum(v * v, 1)), 1e-12)
        unit = v / length[:, None]
        n = unit * root_c * gamma
        s = 1.0 / (1.0 + tl.exp(-n))
        dn = d * s * (1.0 + n * (1.0 - s))
        tl.atomic_add(dg + c, tl.sum(dn * unit * root_c, 0))
        du = dn * root_c * gamma
        dot = tl.sum(du * unit, 1)
        tl.store(dx + r64[:, None] * C + c[None, :], (du - unit * dot[:, None]) / length[:, None], mask=live)

    class NormSilu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, gamma, pad):
            x = x.contiguous()
            b, t, h, w, c = x.shape
            y = torch.empty(b, t + pad, h, w, c, device=x.device, dtype=x.dtype)
            y[:, :pad].zero_()
            rows = b * t * h * w
            ctx.sizes = (rows, t * h * w, pad * h * w, math.sqrt(c))
            forward_kernel[(triton.cdiv(rows, ROWS),)](x, gamma, y, *ctx.sizes, C=c, R=ROWS)
            ctx.save_for_backward(x, gamma)
            return y

        @staticmethod
        def backward(ctx, dy):
            x, gamma = ctx.saved_tensors
            dy, dx, dg = dy.contiguous(), torch.empty_like(x), torch.zeros_like(gamma)
            backward_kernel[(triton.cdiv(ctx.sizes[0], ROWS),)](x, gamma, dy, dx, dg, *ctx.sizes, C=x.shape[-1], R=ROWS)
            return dx, dg, None
