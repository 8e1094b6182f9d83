"""What the drawn world contains, and how a scene is drawn at random: attributes as small integers, no pixels."""

import zlib

import torch

SUBJECTS = ["ball", "boat", "bird", "car", "balloon", "fish"]
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white"]
BACKGROUNDS = ["sea", "meadow", "desert", "snow", "city", "night_sky"]
TIMES = ["day", "sunset", "night"]
WEATHERS = ["clear", "rain", "snow"]
MOTIONS = ["left", "right", "up", "down", "bounces", "circles", "grows", "turns"]
CAMERAS = ["still", "pan_left", "pan_right", "zoom_in", "zoom_out"]

FIELDS = dict(subject=SUBJECTS, colour=COLOURS, background=BACKGROUNDS, time=TIMES, weather=WEATHERS, motion=MOTIONS,
              camera=CAMERAS)
NIGHT_SKY, NIGHT, CLEAR = BACKGROUNDS.index("night_sky"), TIMES.index("night"), WEATHERS.index("clear")
TWO_SUBJECTS = 0.15  # share of scenes with a second, resting subject
HELD_OUT_EVERY = 10  # one (subject, colour, background, motion) combination in ten is never trained on
NOISE_NUMBERS = 16  # uniform numbers a scene draws its free choices (positions, sizes, hills …) from


def held_out(subject, colour, background, motion):
    key = f"{SUBJECTS[subject]}/{COLOURS[colour]}/{BACKGROUNDS[background]}/{MOTIONS[motion]}"
    return zlib.crc32(key.encode()) % HELD_OUT_EVERY == 0


def held_out_table():
    """Bool `[6, 8, 6, 8]`."""
    sizes = [len(SUBJECTS), len(COLOURS), len(BACKGROUNDS), len(MOTIONS)]
    flat = [held_out(s, c, b, m) for s in range(sizes[0]) for c in range(sizes[1]) for b in range(sizes[2])
            for m in range(sizes[3])]
    return torch.tensor(flat).view(sizes)


def draw_scenes(count, seed, test=False, two=TWO_SUBJECTS, turning=0.0, retold=0.0):
    """A dict of CPU tensors `[count]` (and `noise` `[count, 16]`); `test=True` draws held-out combinations only.

    `turning` is a share of scenes that turn, whatever else would; the first `retold` of all begin where another motion
    (`start`) begins, as a given picture may.
    """
    g = torch.Generator().manual_seed(seed)
    table = held_out_table()
    pool = (table if test else ~table).nonzero()
    pick = pool[torch.randint(len(pool), (count,), generator=g)]
    if turning:
        turns = pool[pool[:, 3] == MOTIONS.index("turns")]
        rows = torch.rand(count, generator=g) < turning
        pick[rows] = turns[torch.randint(len(turns), (int(rows.sum()),), generator=g)]

    def weighted(weights):
        return torch.multinomial(torch.tensor(weights), count, True, generator=g)

    s = dict(subject=pick[:, 0], colour=pick[:, 1], background=pick[:, 2], motion=pick[:, 3],
             time=weighted([0.44, 0.28, 0.28]), weather=weighted([0.64, 0.18, 0.18]),
             camera=weighted([0.48, 0.13, 0.13, 0.13, 0.13]), noise=torch.rand(count, NOISE_NUMBERS, generator=g))
    s["time"] = torch.where(s["background"] == NIGHT_SKY, NIGHT, s["time"])
    second = torch.rand(count, generator=g) < two
    s["second"] = torch.where(second, (s["subject"] + 1 + weighted([1.0] * 5)) % 6, -1)
    s["second_colour"] = (s["colour"] + 1 + weighted([1.0] * 7)) % 8
    other = (s["motion"] + 1 + torch.randint(len(MOTIONS) - 1, (count,), generator=g)) % len(MOTIONS)
    s["start"] = torch.where(torch.arange(count) < count * retold, other, s["motion"])
    return s


def rows_of(scenes, index):
    return {k: v[index] for k, v in scenes.items()}


def one(scenes, i):
    """The attributes of scene `i` as plain integers (without `noise`)."""
    return {k: int(v[i]) for k, v in scenes.items() if k != "noise"}
