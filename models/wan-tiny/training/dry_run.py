"""Every training stage on the CPU in small: `python dry_run.py CHECKPOINTS` (as `stage.py --all` lays them out).

Trains judge, teacher and student for two steps each, goes on from what they wrote, and checks that what was written is what
goes on: a former teacher and its student give back the same student where the teacher has learned nothing since. It
proves that the commands run and hand on to each other; two steps teach nothing.
"""

import os
import sys
import tempfile

import torch

import checkpoint
import data
import distil
import latents
import train_dit
import train_judge

SHAPES = [(64, 64, 9, 0.8), (96, 64, 5, 0.2)]
SMALL = ["--minutes", "30", "--steps", "2", "--report", "0", "--clips", "32", "--batch", "4"]


def run(module, *words):
    sys.argv = [module.__name__, *words]
    module.main()


def gathered(folder, *from_):
    """A folder of links to checkpoints: (folder, name) pairs."""
    os.makedirs(folder)
    for source, name in from_:
        for file in os.listdir(source):
            if file.startswith(name + "-"):
                os.symlink(os.path.abspath(os.path.join(source, file)), os.path.join(folder, file))
    return folder


def changed(a, b, name):
    a, b = checkpoint.load(a, name), checkpoint.load(b, name)
    assert a.keys() == b.keys()
    assert all(torch.isfinite(v).all() for v in b.values())
    return any(not torch.equal(a[k], b[k]) for k in a)


def main():
    given = sys.argv[1]
    latents.SHAPES[:] = SHAPES
    train_judge.SHAPES[:] = SHAPES
    data.CHUNK = 4
    train_dit.ROLE_STEPS, train_dit.ROLE_BATCH = 2, 8
    with tempfile.TemporaryDirectory() as at:
        def folder(name):
            return os.path.join(at, name)

        run(train_judge, "--minutes", "0.1", "--out", folder("judge"), "--clips", "16", "--tests", "4", "--resume", given)
        assert changed(given, folder("judge"), "judge")

        run(train_dit, given, *SMALL, "--out", folder("teacher"), "--cache", folder("bank"), "--resume", given)
        assert changed(given, folder("teacher"), "dit") and not changed(given, folder("teacher"), "text")

        run(train_dit, given, *SMALL, "--out", folder("words"), "--cache", folder("bank"), "--resume", given, "--words")
        assert changed(given, folder("words"), "dit") and changed(given, folder("words"), "text")

        stage = gathered(folder("stage"), (given, "vae"), (given, "judge"), (folder("teacher"), "dit"), (folder("teacher"), "text"))
        run(distil, stage, *SMALL, "--out", folder("student"), "--cache", folder("bank"))
        assert changed(stage, folder("student"), "dit")
        run(distil, stage, *SMALL, "--out", folder("student2"), "--cache", folder("bank"), "--resume", folder("student"))
        assert changed(folder("student"), folder("student2"), "dit") and changed(folder("student"), folder("student2"), "critic")

        student = checkpoint.load(folder("student2"), "dit")
        same = distil.moved(stage, folder("student2"), stage)
        assert all(torch.equal(student[k], same[k]) for k in student)
        words = gathered(folder("stage2"), (given, "vae"), (given, "judge"), (folder("words"), "dit"), (folder("words"), "text"))
        run(distil, words, *SMALL, "--steps", "0", "--out", folder("moved"), "--cache", folder("bank"), "--resume", given, "--former", given)
        assert not changed(folder("words"), folder("moved"), "text") and changed(given, folder("moved"), "dit")

        run(distil, stage, *SMALL, "--out", folder("student3"), "--cache", folder("bank"), "--resume", folder("student2"), "--former", given)
        assert changed(folder("student2"), folder("student3"), "dit")
    print("the stages run and hand on to each other")


if __name__ == "__main__":
    main()
