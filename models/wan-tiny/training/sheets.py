"""Contact sheets: one column a clip, frames downwards."""

import numpy
from PIL import Image, ImageDraw

SHEET_FRAMES = (0, 8, 16, 24, 32)


def sheet(clips, path, titles=None, frames=SHEET_FRAMES, columns=6, scale=1.0):
    """`clips`: list of uint8 arrays `[t, h, w, 3]`, of one size. Rows of `columns` clips, each a column of frames.

    A `scale` below 1 also keeps six bits a colour only: such sheets are small enough for a repository.
    """
    clips = [numpy.asarray(c) for c in clips]
    columns = min(columns, len(clips))
    h, w = (round(side * scale) for side in clips[0].shape[1:3])
    head = 12 if titles else 0
    picked = [f for f in frames if f < clips[0].shape[0]]
    tall = head + h * len(picked)
    out = Image.new("RGB", (columns * w, tall * -(-len(clips) // columns)), "white")
    draw = ImageDraw.Draw(out)
    for i, clip in enumerate(clips):
        x, y = (i % columns) * w, (i // columns) * tall
        if titles:
            draw.text((x + 1, y), titles[i].encode("ascii", "replace").decode()[:w // 6], fill="black")
        for j, f in enumerate(picked):
            tile = Image.fromarray(clip[f])
            if scale < 1:
                tile = tile.resize((w, h), Image.LANCZOS).point(lambda value: value & 0xFC | value >> 6)
            out.paste(tile, (x, y + head + j * h))
    out.save(path, optimize=True)


if __name__ == "__main__":
    import sys

    import scenes
    from world import render

    drawn = scenes.draw_scenes(18, int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    video, mask = render(drawn)
    names = [" ".join(f[scenes.one(drawn, i)[k]] for k, f in scenes.FIELDS.items()) for i in range(18)]
    sheet(list(video.numpy()), sys.argv[1], names)
