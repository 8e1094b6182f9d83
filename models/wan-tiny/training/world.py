"""Draws scenes as pixels: batched, antialiased paper-cut pictures, on the CPU or a GPU.

Lengths are in units of 128 pixels, so every aspect ratio of the 128p row shows things at the same size. Time `p`
runs from 0 to 1 over the clip. A layer is a coverage (from a signed distance) and a colour, blended in order.
"""

import torch

from scenes import BACKGROUNDS, CAMERAS, MOTIONS, SUBJECTS
from shapes import draw_subject, ellipse

PIXELS = 128.0
EDGE_ON = 0.3  # the width left of a subject that turns, seen from its edge
SUBJECT_ZOOM = 0.7  # how much of a camera zoom (as a power) subjects follow
SKY = {  # (top, bottom) of the sky by background and time
    "sea": [((80, 165, 235), (190, 228, 250)), ((104, 62, 130), (255, 168, 110)), ((14, 20, 58), (44, 62, 120))],
    "meadow": [((100, 182, 240), (206, 236, 248)), ((120, 66, 134), (255, 180, 120)), ((16, 22, 62), (50, 66, 122))],
    "desert": [((110, 190, 238), (250, 232, 200)), ((130, 60, 120), (255, 160, 90)), ((22, 20, 62), (70, 58, 118))],
    "snow": [((140, 196, 240), (226, 240, 250)), ((128, 88, 152), (255, 196, 170)), ((18, 26, 66), (58, 78, 134))],
    "city": [((120, 184, 236), (220, 232, 244)), ((110, 60, 128), (255, 158, 112)), ((16, 18, 54), (58, 54, 112))],
    "night_sky": [((20, 14, 62), (78, 50, 128))] * 3,
}
LAND = {  # far, middle, near layer by daylight
    "sea": [(96, 176, 224), (48, 138, 206), (26, 100, 176)],
    "meadow": [(150, 208, 130), (104, 182, 92), (66, 146, 72)],
    "desert": [(242, 206, 142), (232, 178, 104), (210, 144, 78)],
    "snow": [(196, 214, 236), (226, 236, 248), (246, 250, 255)],
    "city": [(164, 182, 208), (112, 128, 164), (78, 86, 110)],
    "night_sky": [(58, 42, 104), (40, 30, 80), (26, 20, 56)],
}
TINT = [(1.0, 1.0, 1.0), (0.92, 0.66, 0.62), (0.34, 0.40, 0.62)]  # on land, by time
SUBJECT_TINT = [(1.0, 1.0, 1.0), (1.0, 0.90, 0.84), (0.86, 0.88, 0.98)]  # weaker: colours stay readable
SUN = [(255, 240, 170), (255, 226, 150), (244, 244, 222)]


class Canvas:
    """The picture so far, `[b, t, h, w, 3]` in 0..1, and how much of each pixel is subject."""

    def __init__(self, b, t, h, w, device):
        self.image = torch.zeros(b, t, h, w, 3, device=device)
        self.mask = torch.zeros(b, t, h, w, device=device)

    def put(self, coverage, colour):
        """`colour`: tensor ending in 3 that broadcasts over the picture."""
        self.image = torch.lerp(self.image, colour.expand_as(self.image), coverage[..., None].expand_as(self.image))


def cover(distance, soft=1.0):
    """Coverage of a pixel from a signed distance (inside < 0) in units; `soft` widens the edge, in pixels."""
    return (0.5 - distance * (PIXELS / soft)).clamp(0, 1)


def random(seed, k):
    """A fixed hash of a number tensor to [0, 1)."""
    v = torch.sin(seed * 12.9898 + k * 78.233) * 43758.5453
    return v - v.floor()


def palette(table, index, device):
    return torch.tensor(table, device=device, dtype=torch.float32)[index] / 255.0


def per_clip(v):
    return v.view(-1, 1, 1, 1)


def hills(x, base, height, seed, wave=1.0):
    """A soft skyline: the y of the ground at `x`."""
    a, b, c = (random(seed, k) * 6.283 for k in (1.0, 2.0, 3.0))
    return base - height * (0.5 * torch.sin(1.7 * wave * x + a) + 0.3 * torch.sin(3.1 * wave * x + b)
                            + 0.2 * torch.sin(4.9 * wave * x + c))


def cells(x, width, seed):
    """(position inside the cell −0.5..0.5 in units of `width`, a per-cell seed)."""
    i = (x / width).floor()
    return x / width - i - 0.5, i * 0.731 + seed


def camera(scene, p):
    """(scale, pan) over time, `[b, t]`: the world point shown at the middle and how much larger things look."""
    c, ease = scene["camera"][:, None], p * p * (3 - 2 * p)
    amount = 0.45 + 0.2 * scene["noise"][:, 0:1]
    pan = torch.where(c == CAMERAS.index("pan_left"), -amount * (ease - 0.5), torch.zeros_like(ease))
    pan = torch.where(c == CAMERAS.index("pan_right"), amount * (ease - 0.5), pan)
    grow = 1.0 + (0.45 + 0.15 * scene["noise"][:, 1:2]) * ease
    scale = torch.where(c == CAMERAS.index("zoom_in"), grow, torch.ones_like(ease))
    scale = torch.where(c == CAMERAS.index("zoom_out"), grow.flip(1), scale)
    return scale, pan


def render(scene, width=224, height=128, frames=33, device="cpu"):
    """(video uint8 `[b, t, h, w, 3]`, subject mask uint8 `[b, t, h, w]`) of a batch of scenes."""
    scene = {k: v.to(device) for k, v in scene.items()}
    b = len(scene["subject"])
    p = torch.linspace(0, 1, frames, device=device).expand(b, frames) * ((frames - 1) / 32)
    half_w, half_h = width / 2 / PIXELS, height / 2 / PIXELS
    u = ((torch.arange(width, device=device) + 0.5) / PIXELS - half_w).view(1, 1, 1, -1)
    v = ((torch.arange(height, device=device) + 0.5) / PIXELS - half_h).view(1, 1, -1, 1)
    scale, pan = camera(scene, p)
    scale, pan = scale[:, :, None, None], pan[:, :, None, None]
    canvas = Canvas(b, frames, height, width, device)
    for index, name in enumerate(BACKGROUNDS):
        rows = (scene["background"] == index).nonzero().flatten()
        if len(rows):
            part = Canvas(len(rows), frames, height, width, device)
            sub = {k: val[rows] for k, val in scene.items()}
            background(part, name, sub, u, v, scale[rows], pan[rows], half_h, p[rows])
            canvas.image[rows] = part.image
    subjects(canvas, scene, u, v, scale, p, half_w, half_h)
    weather(canvas, scene, u, v, p)
    return (canvas.image.clamp(0, 1) * 255 + 0.5).to(torch.uint8), (canvas.mask.clamp(0, 1) * 255).to(torch.uint8)


def background(canvas, name, scene, u, v, scale, pan, half_h, p):
    device, noise, time = u.device, scene["noise"], scene["time"]
    top, bottom = (palette([c[k] for c in SKY[name]], time, device).view(-1, 1, 1, 1, 3) for k in (0, 1))
    mix = ((v / half_h + 1) / 2 / 0.75).clamp(0, 1)[..., None]
    canvas.image = (top + (bottom - top) * mix).expand_as(canvas.image).contiguous()
    tint = palette([[255 * c for c in t] for t in TINT], time, device)
    land = [(torch.tensor(c, device=device) / 255.0 * (tint if name != "night_sky" else 1.0)).expand(len(time), 3)
            .reshape(-1, 1, 1, 1, 3) for c in LAND[name]]
    seed = per_clip(noise[:, 2]) * 40.0
    horizon = 0.04 + 0.08 * per_clip(noise[:, 3])

    def world(depth):
        """World coordinates of the pixels for a layer that moves `depth` times as fast as the nearest one."""
        s = 1 + (scale - 1) * (0.4 + 0.6 * depth)
        return u / s + pan * depth, v / s

    dark = (per_clip(time) == 2) | (name == "night_sky")
    if name == "night_sky" or bool((time == 2).any()):
        x, y = world(0.15)
        fx, s1 = cells(x + seed, 0.25, seed)
        fy, s2 = cells(y, 0.25, s1 * 1.37 + 5.0)
        star = s2 * 1.7 + s1
        keep = random(star, 1.0) < (0.55 if name == "night_sky" else 0.35)
        r = 0.012 + 0.012 * random(star, 2.0)
        d = ((fx - 0.5 * (random(star, 3.0) - 0.5)) ** 2 + (fy - 0.5 * (random(star, 4.0) - 0.5)) ** 2).sqrt() * 0.25 - r
        canvas.put(cover(d) * keep * dark * (0.6 + 0.4 * random(star, 5.0)), torch.tensor((1.0, 0.97, 0.85), device=device))
    x, y = world(0.1)
    sun_x, sun_y = per_clip(noise[:, 4]) * 1.1 - 0.55, -half_h * (0.78 - 0.3 * per_clip(noise[:, 5]))
    sun_y = torch.where(per_clip(time) == 1, sun_y * 0.35, sun_y)
    d = ((x - sun_x) ** 2 + (y - sun_y) ** 2).sqrt()
    glow = palette(SUN, time, device).view(-1, 1, 1, 1, 3)
    canvas.put(torch.exp(-(d / 0.16) ** 2) * 0.45, glow)
    canvas.put(cover(d - 0.105), glow)
    if name != "night_sky":
        clouds(canvas, *world(0.2), scene, half_h, dark)
    LANDSCAPES[name](canvas, world, land, seed, horizon, scene, half_h, p)


def clouds(canvas, x, y, scene, half_h, dark):
    noise, device = scene["noise"], x.device
    tone = palette([(255, 255, 255), (255, 206, 190), (92, 104, 150)], scene["time"], device).view(-1, 1, 1, 1, 3)
    for k, shift in ((6, -0.45), (7, 0.5)):
        cx = shift + (per_clip(noise[:, k]) - 0.5) * 0.7
        cy = -half_h * (0.55 + 0.25 * per_clip(noise[:, k + 1]))
        d = torch.minimum(ellipse(x - cx, y - cy, 0.17, 0.045), ellipse(x - cx - 0.04, y - cy + 0.035, 0.09, 0.05))
        canvas.put(cover(d, 3.0) * (0.75 if k == 6 else 0.6), tone)


def box(x, y, a, b):
    return torch.maximum(x.abs() - a, y.abs() - b)


def layer(canvas, distance, colour, depth_shade=0.10):
    """A paper layer with a soft shadow above its edge and a slight gradient downwards."""
    canvas.put(torch.exp(-(distance.clamp(min=0) / 0.03) ** 2) * (distance > -0.02) * 0.18, torch.zeros(3, device=distance.device))
    shade = 1 - depth_shade * (-distance / 0.5).clamp(0, 1)[..., None]
    canvas.put(cover(distance), colour * shade)


def sea(canvas, world, land, seed, horizon, scene, half_h, p):
    phase = p[:, :, None, None] * 2.5
    for i, (depth, drop, size) in enumerate(((0.3, 0.0, 0.0), (0.6, 0.13, 0.018), (1.0, 0.30, 0.026))):
        x, y = world(depth)
        wave = size * torch.sin(x * (13 - 3 * i) + phase * (1 if i == 1 else -1) + seed)
        layer(canvas, horizon + drop + wave - y, land[i])


def meadow(canvas, world, land, seed, horizon, scene, half_h, p):
    x, y = world(0.3)
    layer(canvas, hills(x, horizon + 0.01, 0.10, seed) - y, land[0])
    x, y = world(0.6)
    ground = hills(x, horizon + 0.14, 0.06, seed + 3, 1.3)
    trees(canvas, x, y, ground, land[2] * 0.8, seed, 0.55)
    layer(canvas, ground - y, land[1])
    x, y = world(1.0)
    layer(canvas, hills(x, horizon + 0.33, 0.04, seed + 7, 1.6) - y, land[2])


def trees(canvas, x, y, ground, colour, seed, width):
    f, s = cells(x + seed, width, seed)
    cx = (random(s, 1.0) - 0.5) * 0.4
    size = 0.055 + 0.025 * random(s, 2.0)
    keep = random(s, 3.0) < 0.7
    dx = (f - cx) * width
    trunk = box(dx, y - ground + 0.04, 0.012, 0.07)
    crown = (dx ** 2 + (y - ground + 0.09 + size) ** 2).sqrt() - size
    canvas.put(cover(trunk) * keep, colour * 0.55)
    canvas.put(cover(crown) * keep, colour)


def desert(canvas, world, land, seed, horizon, scene, half_h, p):
    x, y = world(0.3)
    layer(canvas, hills(x, horizon + 0.02, 0.09, seed, 0.9) - y, land[0])
    x, y = world(0.6)
    ground = hills(x, horizon + 0.15, 0.07, seed + 3, 0.8)
    f, s = cells(x + seed, 0.8, seed)
    dx = (f - (random(s, 1.0) - 0.5) * 0.5) * 0.8
    dy = y - ground
    cactus = torch.minimum(box(dx, dy + 0.07, 0.020, 0.12), torch.minimum(
        box(dx.abs() - 0.055, dy + 0.115, 0.016, 0.035), box(dx, dy + 0.085, 0.065, 0.015))) - 0.006
    green = land[1] * torch.tensor((0.34, 0.62, 0.58), device=x.device)
    canvas.put(cover(cactus) * (random(s, 2.0) < 0.75), green)
    layer(canvas, ground - y, land[1])
    x, y = world(1.0)
    layer(canvas, hills(x, horizon + 0.34, 0.05, seed + 7) - y, land[2])


def snow_field(canvas, world, land, seed, horizon, scene, half_h, p):
    x, y = world(0.2)
    f, s = cells(x + seed, 0.62, seed)
    peak = horizon + 0.06 - 0.26 * (0.6 + 0.4 * random(s, 1.0)) * (1 - 2 * f.abs()).clamp(min=0)
    layer(canvas, (peak - y) * 0.75, land[0] * 0.82)
    x, y = world(0.6)
    ground = hills(x, horizon + 0.12, 0.05, seed + 3)
    f, s = cells(x + seed, 0.46, seed)
    dx, dy = (f - (random(s, 1.0) - 0.5) * 0.4) * 0.46, ground - y
    size = 0.8 + 0.5 * random(s, 2.0)
    pine = torch.maximum(dx.abs() * 1.0 - (0.2 * size - dy) * 0.36, -dy - 0.01)
    pine_colour = land[0] * torch.tensor((0.28, 0.52, 0.50), device=x.device)
    canvas.put(cover(pine) * (random(s, 3.0) < 0.7), pine_colour)
    layer(canvas, ground - y, land[1])
    x, y = world(1.0)
    layer(canvas, hills(x, horizon + 0.32, 0.04, seed + 7, 1.2) - y, land[2], 0.05)


def city(canvas, world, land, seed, horizon, scene, half_h, p):
    for i, (depth, width, low, high) in enumerate(((0.3, 0.17, 0.18, 0.30), (0.65, 0.27, 0.02, 0.28))):
        x, y = world(depth)
        f, s = cells(x + seed, width, seed + i)
        roof = horizon + 0.20 - low - high * random(s, 1.0)
        d = torch.maximum(f.abs() * width - width * (0.5 if i == 0 else 0.44), roof - y)
        layer(canvas, d, land[i])
        if i == 1:  # a few large windows, lit at night and at dusk
            gy, row = cells(y - roof - 0.045, 0.085, seed)
            wx = (f.abs() - 0.2) * width
            lit = random(s * 3.1 + row * 1.3 + (f > 0) * 0.37, 4.0) < 0.65
            win = torch.maximum(box(wx, gy * 0.085, 0.022, 0.020), roof + 0.03 - y)
            glass = palette([(206, 226, 240), (255, 214, 140), (255, 222, 130)], scene["time"], x.device)
            canvas.put(cover(win) * lit * (d < 0) * 0.9, glass.view(-1, 1, 1, 1, 3))
    x, y = world(1.0)
    layer(canvas, horizon + 0.26 - y, land[2])
    f, _ = cells(x + seed, 0.36, seed)
    canvas.put(cover(box(f * 0.36, y - horizon - 0.36, 0.09, 0.012)), land[2] * 0.3 + 0.55 * land[0] + 0.1)


def night_sky(canvas, world, land, seed, horizon, scene, half_h, p):
    for i, (depth, drop, height) in enumerate(((0.4, 0.26, 0.07), (1.0, 0.40, 0.05))):
        x, y = world(depth)
        layer(canvas, hills(x, horizon + drop, height, seed + i * 3, 1.2) - y, land[i + 1])


LANDSCAPES = dict(sea=sea, meadow=meadow, desert=desert, snow=snow_field, city=city, night_sky=night_sky)


def facing(motion):
    return torch.where(motion == MOTIONS.index("left"), -1.0, 1.0)


def path(motion, p, noise, half_w, half_h, size):
    """(x, y, size, width) of the subject over time, each `[b, t]`; always mostly inside the picture. Who turns does so about
    the upright axis, as paper does: the width goes from 1 to -1 and is never nothing."""
    n = noise[:, 8:14]
    one = torch.ones_like(p)
    room_w, room_h = half_w - size * 1.0, half_h - size * 1.02
    x0, y0 = (n[:, 0:1] - 0.5) * 1.3 * room_w, (n[:, 1:2] - 0.5) * 1.2 * room_h
    q = p - 0.5
    m = motion[:, None]
    reach_x = (0.55 + 0.4 * n[:, 2:3]) * 2 * room_w
    reach_y = (0.65 + 0.35 * n[:, 2:3]) * 2 * room_h
    x, y, s = x0 * one, y0 * one, size * one

    def at(name, values, other):
        return torch.where(m == MOTIONS.index(name), values, other)

    slack_x, slack_y = (room_w - reach_x / 2) * (n[:, 3:4] * 2 - 1), (room_h - reach_y / 2) * (n[:, 3:4] * 2 - 1)
    x = at("left", slack_x - reach_x * q, at("right", slack_x + reach_x * q, x))
    y = at("up", slack_y - reach_y * q, at("down", slack_y + reach_y * q, y))
    hop = torch.sin(p * 3.1416 * 3).abs() * 2 - 1  # three hops a clip
    y = at("bounces", -hop * room_h * 0.8, y)
    turn = 6.283 * (p * (1.1 + 0.3 * n[:, 4:5]) + n[:, 5:6])
    x = at("circles", x0 * 0.5 + room_h * 0.95 * torch.cos(turn), x)
    y = at("circles", room_h * 0.85 * torch.sin(turn), y)
    s = at("grows", size * (0.55 + 0.75 * p), s)
    return x, y, s, at("turns", turned(p), one)


def turned(p):
    """How wide a subject of width 1 looks that turns half round."""
    cos = torch.cos(3.1416 * p)
    return torch.where(cos < 0, -1.0, 1.0) * ((1 - EDGE_ON ** 2) * cos ** 2 + EDGE_ON ** 2).sqrt()


def retold_path(motion, start, p, noise, half_w, half_h, size):
    """As `path`, of a subject that begins where the motion `start` begins: how a picture goes on that was drawn for another
    motion."""
    usual = path(motion, p, noise, half_w, half_h, size)
    x0, y0, s0, _ = path(start, p[:, :1] * 0, noise, half_w, half_h, size)
    n, m, one = noise[:, 10:11], motion[:, None], torch.ones_like(p)
    room_w, room_h = half_w - size, half_h - size * 1.02
    x, y, s = x0 * one, y0 * one, s0 * one

    def at(name, values, other):
        return torch.where(m == MOTIONS.index(name), values, other)

    def travel(ahead, least, room):  # to the edge, or over it from near the edge
        return torch.maximum(ahead, least * room).clamp(max=2.0) * (0.8 + 0.2 * n) * p

    x = at("left", x0 - travel(x0 + room_w, 0.6, room_w), at("right", x0 + travel(room_w - x0, 0.6, room_w), x))
    y = at("up", y0 - travel(y0 + room_h, 1.1, room_h), at("down", y0 + travel(room_h - y0, 1.1, room_h), y))
    settle = (1 - p / 0.3).clamp(min=0) ** 2  # what the motion itself does not start from fades
    high, wide, tall = room_h * 0.8, room_h * 0.95, room_h * 0.85
    hops = 3.1416 * (1 + 3 * p) - torch.asin(((1 - y0 / high) / 2).clamp(0, 1))  # falls first
    hop = -(torch.sin(hops).abs() * 2 - 1) * high
    y = at("bounces", hop + (y0 - hop[:, :1]) * settle, y)
    begin = torch.asin((y0 / tall).clamp(-1, 1))
    turn = torch.where(x0 > 0, begin, 3.1416 - begin) + 6.283 * p * (1.1 + 0.3 * n)
    circle_x, circle_y = wide * torch.cos(turn), tall * torch.sin(turn)
    x = at("circles", x0 + circle_x - circle_x[:, :1], x)
    y = at("circles", circle_y + (y0 - circle_y[:, :1]) * settle, y)
    s = at("grows", s0 * (1 + 0.7 * p), s)
    other = (start != motion)[:, None]
    return tuple(torch.where(other, mine, its) for mine, its in zip((x, y, s), usual)) + (usual[3],)


def subjects(canvas, scene, u, v, scale, p, half_w, half_h):
    """Draws the moving subject, behind it the resting one; grouped by kind so that each shape is drawn once."""
    noise, tints = scene["noise"], torch.tensor(SUBJECT_TINT, device=u.device)[scene["time"]]
    size = (0.20 + 0.05 * noise[:, 14:15]) * (min(half_w, half_h) / 0.5) ** 0.5
    x, y, s, wide = retold_path(scene["motion"], scene["start"], p, noise, half_w, half_h, size)
    side = torch.where(noise[:, 15:16] < 0.5, -1.0, 1.0)
    rest = ((half_w - 0.17) * side * torch.ones_like(p), torch.full_like(p, 0.1 * half_h), 0.68 * size * torch.ones_like(p))
    faces = facing(scene["start"])
    for which, colour, place in ((scene["second"], scene["second_colour"], (*rest, torch.ones_like(p))),
                                 (scene["subject"], scene["colour"], (x, y, s, wide))):
        for index, name in enumerate(SUBJECTS):
            rows = (which == index).nonzero().flatten()
            if not len(rows):
                continue
            px, py, ps, pw = (w[rows][:, :, None, None] for w in place)
            ps = ps * scale[rows] ** SUBJECT_ZOOM  # its place stays, so that a zoom never pushes it out
            dx, dy = u - px, v - py
            part = Canvas(len(rows), *canvas.image.shape[1:4], u.device)
            part.image, part.mask = canvas.image[rows], canvas.mask[rows]
            draw_subject(part, name, dx, dy, ps, pw * per_clip(faces[rows]), colour[rows], tints[rows], p[rows])
            canvas.image[rows], canvas.mask[rows] = part.image, part.mask


def weather(canvas, scene, u, v, p):
    """Rain and snow: few large drops, in screen coordinates."""
    t = p[:, :, None, None]
    for kind in (1, 2):
        rows = (scene["weather"] == kind).nonzero().flatten()
        if not len(rows):
            continue
        seed = per_clip(scene["noise"][rows, 9]) * 20
        tt = t[rows]
        if kind == 1:
            x, y = u + 0.25 * v, v - tt * 1.6
            fx, s1 = cells(x + seed, 0.20, seed)
            fy, s2 = cells(y + random(s1, 9.0), 0.42, s1 * 1.3)
            key = s1 * 2.1 + s2
            d = box((fx - 0.5 * (random(key, 1.0) - 0.5)) * 0.20, (fy - 0.3 * (random(key, 2.0) - 0.5)) * 0.42, 0.004, 0.06) - 0.006
            tone, strength = (0.80, 0.89, 1.0), 0.75
        else:
            fx, s1 = cells(u + 0.03 * torch.sin(v * 5 + tt * 6) + seed, 0.29, seed)
            fy, s2 = cells(v - tt * 0.8 + random(s1, 9.0), 0.29, s1 * 1.3)
            key = s1 * 2.1 + s2
            dx, dy = (fx - 0.4 * (random(key, 1.0) - 0.5)) * 0.29, (fy - 0.4 * (random(key, 2.0) - 0.5)) * 0.29
            d = (dx ** 2 + dy ** 2).sqrt() - (0.018 + 0.012 * random(key, 4.0))
            tone, strength = (1.0, 1.0, 1.0), 0.92
        part = canvas.image[rows]
        c = (cover(d, 1.5) * strength)[..., None]
        canvas.image[rows] = part + (torch.tensor(tone, device=u.device) - part) * c
