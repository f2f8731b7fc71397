"""Pictures of a fill: the coarse face, its regions, and the memory slots read for each."""

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inpaint_cli.api import to_uint8

from .model import MDRNet
from .regions import region_names

REGION_COLOURS = np.array(
    [
        *[(90, 90, 90), (240, 200, 170), (120, 70, 30), (60, 120, 220), (20, 200, 200)],
        *[(230, 120, 90), (250, 220, 60), (250, 150, 60), (210, 40, 60), (200, 160, 130)],
        *[(160, 230, 120), (110, 80, 200), (70, 40, 20), (230, 90, 220)],
    ],
    np.uint8,
)


@torch.inference_mode()
def explain_region_fill(net: MDRNet, visible: Tensor, mask: Tensor) -> list[tuple[Any, str]]:
    """Show the coarse face, its regions and the memory's slot weights for the first image."""
    trace = net.fill_traced(visible[:1], mask[:1])
    coarse = to_uint8(trace.coarse[0])
    height, width = coarse.shape[:2]
    regions = trace.regions[0].cpu().numpy().repeat(4, 0)[:height].repeat(4, 1)[:, :width]
    tinted = (coarse * 0.45 + REGION_COLOURS[regions] * 0.55).astype(np.uint8)
    how = "by a fixed template (no face parser)" if net.settings.parser == "template" else "parsed"
    pictures: list[tuple[Any, str]] = [(coarse, "coarse face"), (tinted, f"regions, {how}")]
    if trace.weights is not None:
        weights, present = trace.weights[0].cpu(), trace.present[0].cpu()
        pictures.append(
            (draw_slot_chart(net, weights, present), "weight of each memory slot, by region")
        )
    filled = torch.where(mask[0] > 0, trace.image[0], visible[0])
    return [*pictures, (to_uint8(filled), "filled")]


def draw_slot_chart(net: MDRNet, weights: Tensor, present: Tensor) -> Image.Image:
    """Draw a row for each region and a column for each slot, bluer for a higher weight."""
    line, left, cell = 22, 150, 24
    regions = region_names(net.settings.merge)
    page = Image.new("RGB", (left + cell * weights.shape[1] + 8, line * len(regions) + 8), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, name in enumerate(regions):
        y = 4 + row * line
        draw.rectangle((4, y + 4, 16, y + 16), tuple(REGION_COLOURS[row].tolist()))
        draw.text((22, y + 3), name, "black" if present[row] else "gray", font)
        filled = net.memory.filled[row].cpu()
        low, high = weights[row].min().item(), weights[row].max().item()
        for slot, weight in enumerate(weights[row].tolist()):
            box = (left + slot * cell, y, left + (slot + 1) * cell - 2, y + line - 2)
            if not filled[slot] or not present[row]:
                draw.rectangle(box, outline="lightgray")
                continue
            level = (weight - low) / max(high - low, 1e-9)
            draw.rectangle(box, tuple(int(230 - level * v) for v in (200, 120, 40)))
    return page
