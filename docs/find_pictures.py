"""Make the pictures of guide-find.md: `python docs/find_pictures.py`.

The photos are those that scikit-image carries; the damage is drawn by `inpaint_cli.testing.damage`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from skimage import data

import inpaint_cli as inpaint
from inpaint_cli.reports.contact_sheet import overlay_hole
from inpaint_cli.testing import damage

FOLDER = Path(__file__).parent / "find"
HEIGHT = 200  # pixels


def save(name: str, rgb: np.ndarray, mask: np.ndarray) -> None:
    """Write the photo, what was found, and the fill, side by side."""
    filled = inpaint.fill(rgb, mask, model="telea").array
    row = [Image.fromarray(part) for part in (rgb, overlay_hole(rgb, mask), filled)]
    width = round(row[0].width * HEIGHT / row[0].height)
    page = Image.new("RGB", (3 * width + 8, HEIGHT), "white")
    for n, picture in enumerate(row):
        page.paste(picture.resize((width, HEIGHT), Image.Resampling.LANCZOS), (n * (width + 4), 0))
    page.save(FOLDER / f"{name}.jpg", quality=78)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    cat, coffee, rocket = data.chelsea(), data.coffee(), data.rocket()
    rng = np.random.default_rng
    drawn = {
        "scratches": (cat, damage.draw_scratches, 3, "scratches"),
        "dust": (rocket, damage.draw_dust, 1, "dust"),
        "stamp": (rocket, damage.draw_stamp, 4, "text"),
        "caption": (coffee, damage.draw_caption, 1, "text"),
        "watermark": (cat, damage.draw_watermark, 2, "text"),
    }
    for name, (photo, draw, seed, kind) in drawn.items():
        rgb = draw(photo, rng(seed))[0]
        save(name, rgb, inpaint.find_mask(rgb, kind))
    stamped = damage.draw_stamp(rocket, rng(4))[0]
    row, column = np.argwhere(np.abs(stamped.astype(int) - rocket).sum(-1) > 250)[0]
    colour = "#{:02x}{:02x}{:02x}".format(*stamped[row, column])
    save("color", stamped, inpaint.find_mask(stamped, "color", value=colour, tolerance=30, grow=2))
    with TemporaryDirectory() as folder:
        path = Path(folder, "copy.jpg")
        Image.fromarray(damage.paint_over(cat, rng(5))[0]).save(path, quality=85)
        save("markup", cat, inpaint.find_mask(cat, "markup", marked=path))
        painted = damage.paint_over(coffee, rng(8))[0]
        save("markup-alone", painted, inpaint.find_mask(painted, "markup"))
        path = Path(folder, "other.png")
        Image.fromarray(coffee).save(path)
        there = coffee.copy()
        there[40:160, 30:150] = cat[80:200, 100:220]
        save("difference", there, inpaint.find_mask(there, "difference", other=path))
    save("object", rocket, inpaint.find_mask(rocket, "object", box=(285, 60, 85, 300)))
    shapes = ["polygon:points=60,40,200,30,150,120", "line:points=30,380,220,330,300,370,width=14",
              "ellipse:box=380,40,150,90"]  # fmt: skip
    save("shapes", coffee, np.any([inpaint.find_mask(coffee, kind) for kind in shapes], axis=0))


if __name__ == "__main__":
    main()
