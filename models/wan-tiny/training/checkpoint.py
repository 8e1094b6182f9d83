"""Checkpoints as safetensors in parts small enough to travel one by one."""

import glob
import os

import torch
from safetensors.torch import load_file, save_file

PART_BYTES = 16_000_000


def save(state, folder, name, dtype=torch.float32):
    """Writes `state` (name → tensor) as `name-0.safetensors`, `name-1.safetensors` …"""
    os.makedirs(folder, exist_ok=True)
    parts, size = [{}], 0
    for key, value in state.items():
        value = value.detach().to("cpu", dtype).contiguous().clone()
        bytes_ = value.numel() * value.element_size()
        if parts[-1] and size + bytes_ > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][key] = value
        size += bytes_
    for old in glob.glob(os.path.join(folder, name + "-*.safetensors")):
        os.remove(old)
    for i, part in enumerate(parts):
        save_file(part, os.path.join(folder, f"{name}-{i}.safetensors"))


def load(folder, name):
    """The merged state in float32, or None where there is none."""
    state = {}
    for path in sorted(glob.glob(os.path.join(folder, name + "-*.safetensors"))):
        state.update({k: v.float() for k, v in load_file(path).items()})
    return state or None
