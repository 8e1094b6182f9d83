"""The six subjects as layers of signed distances, in their own coordinates (about −1..1, y down, facing right)."""

import torch

COLOUR_RGB = dict(red=(226, 44, 44), orange=(250, 134, 24), yellow=(252, 218, 40), green=(36, 166, 64),
                  blue=(36, 92, 226), purple=(140, 54, 190), pink=(250, 124, 180), white=(250, 250, 248))
OUTLINE = 0.085  # in subject units: about two pixels
SHADOW = (0.10, 0.14)  # offset of the soft shadow


def ellipse(x, y, a, b):
    return (((x / a) ** 2 + (y / b) ** 2).sqrt() - 1) * min(a, b)


def box(x, y, a, b, r=0.0):
    dx, dy = x.abs() - a + r, y.abs() - b + r
    return torch.maximum(dx, dy).clamp(max=0) + (dx.clamp(min=0) ** 2 + dy.clamp(min=0) ** 2).sqrt() - r


def half(x, y, nx, ny, offset):
    """The half plane nx·x + ny·y < offset, for a unit normal."""
    return nx * x + ny * y - offset


def any_of(*d):
    out = d[0]
    for other in d[1:]:
        out = torch.minimum(out, other)
    return out


def all_of(*d):
    out = d[0]
    for other in d[1:]:
        out = torch.maximum(out, other)
    return out


def ball(x, y, p):
    body = (x ** 2 + y ** 2).sqrt() - 0.95
    stripe = all_of(body, box(x, y, 0.24, 2.0))
    return body, [(body, "main"), (stripe, "light"), ((x ** 2 + y ** 2).sqrt() - 0.2, "dark")]


def boat(x, y, p):
    hull = all_of(half(x, y, 0.0, -1.0, -0.36), half(x, y, 0.0, 1.0, 0.86), half(x, y, 0.77, 0.64, 0.98), half(x, y, -0.77, 0.64, 0.98))
    mast = box(x + 0.02, y + 0.2, 0.06, 0.75)
    right = all_of(half(x, y, -1.0, 0.0, -0.10), half(x, y, 0.0, 1.0, 0.24), half(x, y, 0.78, -0.62, 0.62))
    left = all_of(half(x, y, 1.0, 0.0, -0.14), half(x, y, 0.0, 1.0, 0.24), half(x, y, -0.80, -0.60, 0.52))
    return any_of(hull, mast, right, left), [(mast, "wood"), (hull, "main"), (right, "light"), (left, "main")]


def bird(x, y, p):
    flap = torch.sin(p[:, :, None, None] * 6.283 * 3) * 0.35
    body = ellipse(x + 0.05, y - 0.08, 0.68, 0.46)
    head = ((x - 0.55) ** 2 + (y + 0.26) ** 2).sqrt() - 0.34
    tail = all_of(half(x, y, 1.0, 0.0, -0.50), half(x, y, -1.0, 0.0, 1.02), half(x, y, 0.45, 0.89, 0.02), half(x, y, 0.35, -0.93, 0.08))
    beak = all_of(half(x, y, -1.0, 0.0, -0.80), half(x, y, 0.5, 0.866, 0.40), half(x, y, 0.5, -0.866, 0.80))
    wx, wy = x + 0.12, y + 0.10 + flap * (-(x + 0.12) * 0.2 + 0.55)
    wing = ellipse(wx + 0.08, wy + 0.1, 0.40, 0.30)
    eye = ((x - 0.64) ** 2 + (y + 0.32) ** 2).sqrt() - 0.085
    return any_of(body, head, tail, beak, wing), [(tail, "dark"), (beak, "beak"), (body, "main"), (head, "main"), (wing, "dark"), (eye, "black")]


def car(x, y, p):
    body = box(x, y - 0.18, 1.0, 0.30, 0.14)
    cabin = all_of(box(x + 0.05, y + 0.30, 0.62, 0.34, 0.16))
    window = box((x + 0.05).abs() - 0.28, y + 0.28, 0.20, 0.19, 0.05)
    wheel = ((x.abs() - 0.56) ** 2 + (y - 0.46) ** 2).sqrt() - 0.27
    hub = ((x.abs() - 0.56) ** 2 + (y - 0.46) ** 2).sqrt() - 0.11
    lamp = ((x - 0.90) ** 2 + (y - 0.10) ** 2).sqrt() - 0.10
    return any_of(body, cabin, wheel), [(any_of(body, cabin), "main"), (window, "glass"), (lamp, "lamp"), (wheel, "black"), (hub, "grey")]


def balloon(x, y, p):
    bag = all_of(ellipse(x, y + 0.30, 0.72, 0.72))
    neck = all_of(half(x, y, 0.86, 0.51, 0.54), half(x, y, -0.86, 0.51, 0.54), half(x, y, 0.0, 1.0, 0.60), half(x, y, 0.0, -1.0, 0.0))
    stripe = all_of(any_of(bag, neck), ellipse(x, y + 0.25, 0.28, 0.92))
    ropes = box(x.abs() - 0.14, y - 0.62, 0.035, 0.14)
    basket = box(x, y - 0.83, 0.22, 0.16, 0.04)
    return any_of(bag, neck, ropes, basket), [(ropes, "wood"), (any_of(bag, neck), "main"), (stripe, "light"), (basket, "wood")]


def fish(x, y, p):
    wag = torch.sin(p[:, :, None, None] * 6.283 * 2) * 0.12
    body = ellipse(x - 0.15, y, 0.78, 0.52)
    ty = y + wag
    tail = all_of(half(x, ty, -1.0, 0.0, 1.02), half(x, ty, 1.0, 0.0, -0.35), (ty.abs() + (x + 0.40) * 0.95) * 0.72 - 0.08)
    fin = all_of(ellipse(x - 0.05, y + 0.45, 0.34, 0.26), half(x, y, 0.0, 1.0, -0.2))
    stripe = all_of(body, box(x - 0.12, y, 0.13, 2.0))
    eye = ((x - 0.60) ** 2 + (y + 0.12) ** 2).sqrt() - 0.15
    pupil = ((x - 0.63) ** 2 + (y + 0.12) ** 2).sqrt() - 0.075
    return any_of(body, tail, fin), [(tail, "dark"), (fin, "dark"), (body, "main"), (stripe, "light"), (eye, "white"), (pupil, "black")]


SHAPES = dict(ball=ball, boat=boat, bird=bird, car=car, balloon=balloon, fish=fish)
FIXED = dict(wood=(136, 92, 56), beak=(255, 176, 40), black=(40, 40, 52), grey=(206, 210, 218), lamp=(255, 240, 150),
             glass=(196, 226, 246), white=(255, 255, 255))


def draw_subject(canvas, name, dx, dy, size, width, colour, tint, p):
    """Draws one kind of subject on a batch; `dx`, `dy` are units from its middle, `size` units for its half height. A `width`
    below 1 squeezes it, below 0 it faces left."""
    x, y = dx / (size * width), dy / size
    pixels = size * 128.0 * width.abs().sqrt()  # pixels a subject unit, between its width and its height

    def cover(distance, soft=1.0):
        return (0.5 - distance * pixels / soft).clamp(0, 1)

    device = dx.device
    main = torch.tensor(list(COLOUR_RGB.values()), device=device)[colour] / 255.0  # [b, 3]
    tones = dict(main=main, light=main * 0.42 + 0.58, dark=main * 0.72)
    white = (colour == list(COLOUR_RGB).index("white"))[:, None]
    tones["light"] = torch.where(white, main * 0.84, tones["light"])
    tones.update({k: torch.tensor(v, device=device).expand_as(main) / 255.0 for k, v in FIXED.items()})

    def paint(tone):
        return (tones[tone] * tint).view(-1, 1, 1, 1, 3)

    outline, layers = SHAPES[name](x, y, p)
    shape = SHAPES[name]
    shadow = shape(x - SHADOW[0], y - SHADOW[1], p)[0]
    canvas.put(torch.exp(-(shadow.clamp(min=0) / 0.16) ** 2) * 0.30, torch.zeros(3, device=device))
    edge = cover(outline - OUTLINE)
    canvas.put(edge, (main * tint * 0.40).view(-1, 1, 1, 1, 3))
    for distance, tone in layers:
        shade = 1.06 - 0.14 * (y * 0.5 + 0.5).clamp(0, 1)[..., None]
        canvas.put(cover(distance), (paint(tone) * shade).clamp(max=1))
    canvas.mask = torch.maximum(canvas.mask, edge)
