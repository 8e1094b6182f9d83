"""The video VAE: Wan 2.1's layer list and key names, with its own (small) widths.

Tensors are channels-last throughout: `[batch, frames, height, width, channels]`. The whole sequence goes through
at once; every causal convolution sees two zero frames in front, which equals the published frame-by-frame cache.
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from fused import norm_silu

VAE_CONFIG = dict(dim=16, decoder_dim=16, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                  temperal_downsample=[False, True, True])


class CausalConv3d(nn.Module):
    """A convolution over (frames, height, width) that never looks at a later frame.

    `padded=True` in `forward` says the caller already put the two zero frames in front.
    """

    def __init__(self, cin, cout, kernel, spatial_pad=0, time_stride=1):
        super().__init__()
        self.kernel, self.spatial_pad, self.time_stride = kernel, spatial_pad, time_stride
        self.weight = nn.Parameter(torch.empty(cout, cin, *kernel))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.normal_(self.weight, std=1.0 / math.sqrt(cin * kernel[0] * kernel[1] * kernel[2]))
        self.as_2d = False  # three shifted frames as channels of one 2-D convolution: set by `pick_convolutions`

    def forward(self, x, padded=False, pad_time=True):
        if pad_time and not padded and self.kernel[0] > 1:
            x = F.pad(x, (0, 0, 0, 0, 0, 0, self.kernel[0] - 1, 0))
        return self.run(x, self.as_2d)

    def run(self, x, as_2d):
        w, b = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if as_2d and self.kernel == (3, 3, 3):
            n, t, h, wd, c = x.shape
            t -= 2
            stacked = torch.cat([x[:, :t], x[:, 1:t + 1], x[:, 2:]], -1).reshape(n * t, h, wd, 3 * c)
            w2 = w.permute(0, 2, 1, 3, 4).reshape(w.shape[0], 3 * c, 3, 3)
            y = F.conv2d(stacked.permute(0, 3, 1, 2), w2.contiguous(memory_format=torch.channels_last), b, padding=1)
            return y.permute(0, 2, 3, 1).contiguous().view(n, t, h, wd, -1)
        y = F.conv3d(x.permute(0, 4, 1, 2, 3), w.contiguous(memory_format=torch.channels_last_3d), b,
                     stride=(self.time_stride, 1, 1), padding=(0, self.spatial_pad, self.spatial_pad))
        return y.permute(0, 2, 3, 4, 1).contiguous()


class Conv2d(nn.Module):
    """A per-frame convolution; input `[b, t, h, w, c]`."""

    def __init__(self, cin, cout, kernel, stride=1, pad=0):
        super().__init__()
        self.stride, self.pad = stride, pad
        self.weight = nn.Parameter(torch.empty(cout, cin, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.normal_(self.weight, std=1.0 / math.sqrt(cin * kernel * kernel))

    def forward(self, x):
        b, t = x.shape[:2]
        x = x.reshape(b * t, *x.shape[2:]).permute(0, 3, 1, 2)
        y = F.conv2d(x, self.weight.to(x.dtype).contiguous(memory_format=torch.channels_last), self.bias.to(x.dtype),
                     stride=self.stride, padding=self.pad)
        y = y.permute(0, 2, 3, 1).contiguous()
        return y.view(b, t, *y.shape[1:])


class Gamma(nn.Module):
    """The learned scale of one RMS norm over channels; stored `[c, 1, 1, 1]` (or `[c, 1, 1]` in the attention)."""

    def __init__(self, channels, ones=3):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *([1] * ones)))


class ResidualBlock(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.residual = nn.ModuleList([
            Gamma(cin), nn.Identity(), CausalConv3d(cin, cout, (3, 3, 3), 1),
            Gamma(cout), nn.Identity(), nn.Identity(), CausalConv3d(cout, cout, (3, 3, 3), 1)])
        nn.init.normal_(self.residual[6].weight, std=0.5 / math.sqrt(cout * 27))
        self.shortcut = CausalConv3d(cin, cout, (1, 1, 1)) if cin != cout else None

    def forward(self, x):
        h = self.shortcut(x) if self.shortcut is not None else x
        y = norm_silu(x, self.residual[0].gamma, 2)
        y = self.residual[2](y, padded=True)
        y = norm_silu(y, self.residual[3].gamma, 2)
        return h + self.residual[6](y, padded=True)


class AttentionBlock(nn.Module):
    """Single-head attention over the positions of one frame."""

    def __init__(self, channels):
        super().__init__()
        self.norm = Gamma(channels, ones=2)
        self.to_qkv = Conv2d(channels, channels * 3, 1)
        self.proj = Conv2d(channels, channels, 1)
        nn.init.normal_(self.proj.weight, std=0.1 / math.sqrt(channels))

    def forward(self, x):
        b, t, h, w, c = x.shape
        y = F.normalize(x.float(), dim=-1) * math.sqrt(c) * self.norm.gamma.view(-1)
        qkv = self.to_qkv(y.to(x.dtype)).reshape(b * t, 1, h * w, 3 * c)
        q, k, v = qkv.chunk(3, -1)
        o = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj(o.reshape(b, t, h, w, c))


class Resample(nn.Module):
    """One of `upsample2d`, `upsample3d`, `downsample2d`, `downsample3d`."""

    def __init__(self, channels, mode):
        super().__init__()
        self.mode, up = mode, mode.startswith("up")
        conv = Conv2d(channels, channels // 2, 3, pad=1) if up else Conv2d(channels, channels, 3, stride=2)
        self.resample = nn.ModuleList([nn.Identity(), conv])
        self.time_conv = None
        if mode.endswith("3d"):
            self.time_conv = CausalConv3d(channels, channels * 2 if up else channels, (3, 1, 1),
                                          time_stride=1 if up else 2)

    def forward(self, x):
        if self.mode == "upsample3d" and x.shape[1] > 1:
            b, _, h, w, c = x.shape
            y = self.time_conv(x[:, 1:])  # [b, t-1, h, w, 2c]: frame 0 is not visible to it
            y = y.view(b, -1, h, w, 2, c).permute(0, 1, 4, 2, 3, 5).reshape(b, -1, h, w, c)
            x = torch.cat([x[:, :1], y], 1)  # [b, 2t-1, h, w, c]
        if self.mode.startswith("up"):
            b, t, h, w, c = x.shape
            x = x.view(b, t, h, 1, w, 1, c).expand(b, t, h, 2, w, 2, c).reshape(b, t, 2 * h, 2 * w, c)
            return self.resample[1](x)
        x = self.resample[1](F.pad(x, (0, 0, 0, 1, 0, 1)))
        if self.mode == "downsample3d" and x.shape[1] > 1:
            x = torch.cat([x[:, :1], self.time_conv(x, pad_time=False)], 1)
        return x

    def inflate(self):
        """Makes `time_conv` the identity on its newest tap, so that an image model starts as a video model."""
        if self.time_conv is None:
            return
        w = self.time_conv.weight
        c = w.shape[1]
        with torch.no_grad():
            w.zero_()
            for part in range(w.shape[0] // c):
                w[part * c:(part + 1) * c, :, 2, 0, 0] = torch.eye(c)


class Head(nn.ModuleList):
    def __init__(self, cin, cout):
        super().__init__([Gamma(cin), nn.Identity(), CausalConv3d(cin, cout, (3, 3, 3), 1)])

    def forward(self, x):
        return self[2](norm_silu(x, self[0].gamma, 2), padded=True)


def middle(c):
    return nn.ModuleList([ResidualBlock(c, c), AttentionBlock(c), ResidualBlock(c, c)])


class Encoder(nn.Module):
    def __init__(self, dim, z2, mult, blocks, time_down):
        super().__init__()
        dims = [dim * m for m in [1] + mult]
        self.conv1 = CausalConv3d(3, dims[0], (3, 3, 3), 1)
        layers = []
        for i, (cin, cout) in enumerate(zip(dims[:-1], dims[1:])):
            for _ in range(blocks):
                layers.append(ResidualBlock(cin, cout))
                cin = cout
            if i != len(mult) - 1:
                layers.append(Resample(cout, "downsample3d" if time_down[i] else "downsample2d"))
        self.downsamples = nn.ModuleList(layers)
        self.middle = middle(dims[-1])
        self.head = Head(dims[-1], z2)

    def forward(self, x):
        x = self.conv1(x)
        for layer in [*self.downsamples, *self.middle]:
            x = layer(x)
        return self.head(x)


class Decoder(nn.Module):
    def __init__(self, dim, z, mult, blocks, time_up):
        super().__init__()
        dims = [dim * m for m in [mult[-1]] + mult[::-1]]
        self.conv1 = CausalConv3d(z, dims[0], (3, 3, 3), 1)
        self.middle = middle(dims[0])
        layers = []
        for i, (cin, cout) in enumerate(zip(dims[:-1], dims[1:])):
            if i in (1, 2, 3):
                cin = cin // 2
            for _ in range(blocks + 1):
                layers.append(ResidualBlock(cin, cout))
                cin = cout
            if i != len(mult) - 1:
                layers.append(Resample(cout, "upsample3d" if time_up[i] else "upsample2d"))
        self.upsamples = nn.ModuleList(layers)
        self.head = Head(dims[-1], 3)

    def forward(self, z):
        x = self.conv1(z)
        for layer in [*self.middle, *self.upsamples]:
            x = layer(x)
        return self.head(x)


class WanVae(nn.Module):
    """`encode` gives (mean, log variance) `[b, T, h, w, 16]`; `decode` gives pixels `[b, F, H, W, 3]` in [-1, 1]."""

    def __init__(self, config=VAE_CONFIG):
        super().__init__()
        self.config, z = config, config["z_dim"]
        args = (config["dim_mult"], config["num_res_blocks"])
        self.encoder = Encoder(config["dim"], 2 * z, *args, config["temperal_downsample"])
        self.conv1 = CausalConv3d(2 * z, 2 * z, (1, 1, 1))
        self.conv2 = CausalConv3d(z, z, (1, 1, 1))
        self.decoder = Decoder(config["decoder_dim"], z, *args, config["temperal_downsample"][::-1])

    def encode(self, video):
        return self.conv1(self.encoder(video)).float().chunk(2, -1)

    def decode(self, z):
        return self.decoder(self.conv2(z))

    def inflate(self):
        """Zeroes the two older time taps everywhere: what is then trained on images works on videos at once."""
        with torch.no_grad():
            for m in self.modules():
                if isinstance(m, CausalConv3d) and m.kernel == (3, 3, 3):
                    m.weight[:, :, :2] = 0
                    m.weight[:, :, 2] *= math.sqrt(3.0)
                if isinstance(m, Resample):
                    m.inflate()
