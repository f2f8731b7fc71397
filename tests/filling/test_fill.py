import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from inpaint_cli import images, registry
from inpaint_cli.api.architectures import Architecture, Sizes
from inpaint_cli.cli import main
from inpaint_cli.errors import InpaintError
from inpaint_cli.filling.fill import fill_photo
from inpaint_cli.filling.hole import PhotoHole
from inpaint_cli.filling.options import (
    HoleOptions,
    RunOptions,
    options_from_dict,
    options_to_dict,
)
from inpaint_cli.models import choose as models
from inpaint_cli.models.choose import LoadedModel
from inpaint_cli.models.network import fill_tensors, make_filler
from inpaint_cli.models.weights import StoredNetwork

INVOKE = CliRunner().invoke
SIZES = Sizes()


class Mean(nn.Module):
    """Fills with the mean of what is visible, and remembers the sizes that it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, visible, mask):
        assert (visible * mask == 0).all(), "it sees what it is to invent"
        self.shown.append(tuple(visible.shape[-2:]))
        known = (1 - mask).sum((2, 3), keepdim=True).clamp(min=1)
        return (visible.sum((2, 3), keepdim=True) / known).expand_as(visible)


class Dice(nn.Module):
    def forward(self, visible, mask):
        return torch.rand_like(visible), mask


class MeanFill(Architecture):
    """Fills with the mean."""

    needs_weights = False
    build = staticmethod(lambda settings: Mean())


class DiceFill(Architecture):
    """Fills with noise."""

    needs_weights = False
    stochastic = True
    build = staticmethod(lambda settings: Dice())


@pytest.fixture(autouse=True)
def plugins(monkeypatch, tmp_path):
    offered = {"patchmatch": MeanFill, "dice": DiceFill}
    points = {
        n: [SimpleNamespace(name=n, load=lambda c=c: c, distro=None)] for n, c in offered.items()
    }
    monkeypatch.setattr(registry, "find_plugins", lambda k: points if k == "architectures" else {})
    monkeypatch.setattr(models, "config_dir", lambda: tmp_path / "home")
    monkeypatch.delenv("INPAINT_WEIGHTS", raising=False)
    monkeypatch.delenv("INPAINT_WEIGHTS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def box(height, width, *, at=(5, 7), side=(9, 11)):
    hole = np.zeros((height, width), np.bool_)
    hole[at[0] : at[0] + side[0], at[1] : at[1] + side[1]] = True
    return hole


def save(name, array):
    Image.fromarray(array).save(name)
    return name


@pytest.fixture
def pair():
    """A photo p.png of 37x53 and its mask m.png."""
    photo, hole = noise(37, 53, 3), box(37, 53)
    save("p.png", photo)
    save("m.png", hole)
    return photo, hole


def read(name):
    return np.array(Image.open(name))


# On tensors


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 8, 32]),
    st.booleans(),
    st.booleans(),
)
def test_any_size_comes_back_and_what_was_known_is_exact(height, width, multiple, square, empty):
    net, sizes = Mean(), Sizes(multiple=multiple, minimum=16, square=square)
    image, mask = torch.rand(1, 3, height, width), (torch.rand(1, 1, height, width) > 0.5).float()
    mask *= not empty
    out = fill_tensors(net, sizes, image, mask)
    assert out.shape == image.shape
    assert torch.equal(out * (1 - mask), image * (1 - mask))
    assert net.shown == [sizes.fit(height, width)]


def test_padding_mirrors_photo_and_hole_alike():
    shown = {}

    def net(visible, mask):
        shown.update(visible=visible, mask=mask)
        return visible

    image, mask = torch.rand(1, 3, 5, 6), torch.zeros(1, 1, 5, 6)
    mask[..., 3, 4] = 1
    fill_tensors(net, Sizes(multiple=8), image, mask)
    assert torch.equal(shown["visible"][..., 5:, :6], (image * (1 - mask))[..., [3, 2, 1], :])
    assert torch.equal(shown["mask"][..., :5, 6:], mask[..., [4, 3]])


def test_results_are_cut_to_the_range_of_colours():
    image, mask = torch.rand(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    assert fill_tensors(lambda v, m: v + 7, Sizes(), image, mask).max() == 1
    assert fill_tensors(lambda v, m: v - 7, Sizes(), image, mask).min() == 0
    assert fill_tensors(lambda v, m: v + torch.inf, Sizes(), image, mask).isnan().all()


# On photos


def model(net, sizes=SIZES, precisions=("full",), precision="auto"):
    network = StoredNetwork("mean", net.eval(), sizes, precisions=precisions)
    return LoadedModel("mean", make_filler(network, precision=precision))


def fill_box(net, photo, hole, options=HoleOptions(), **given):  # noqa: B008 (it is frozen)
    area = images.grow(hole, options.grow)
    return fill_photo(net, photo, PhotoHole(area, hole, options), **given)


def photo_of(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return images.read_photo(out.getvalue())


def test_windows_see_only_the_surroundings_of_the_hole():
    net = Mean()
    filled = fill_box(
        model(net, Sizes(window=64, context=8)), photo_of(noise(500, 700, 3)), box(500, 700)
    )
    assert net.shown == [(9 + 5 + 8, 11 + 7 + 8)]
    assert len(filled.windows) == 1


def test_overlapping_tiles_blend_without_a_seam():
    ramp = np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[None, :, None], 150, 0).repeat(3, 2)
    hole = box(150, 200, at=(20, 20), side=(110, 160))
    tiled = fill_box(model(Mean(), Sizes(window=64, context=16)), photo_of(ramp), hole)
    assert len(tiled.windows) > 4
    steps = np.abs(np.diff(tiled.photo.pixels[40:110, 30:170, 0].astype(int), axis=1))
    assert steps.max() <= 12


def test_tiles_of_one_colour_are_that_colour():
    flat = np.full((150, 200, 3), 77, np.uint8)
    hole = box(150, 200, at=(20, 20), side=(110, 160))
    net = model(Constant(), Sizes(window=64, context=16))
    assert (fill_box(net, photo_of(flat), hole).photo.pixels == 77).all()


def test_what_may_not_be_cut_is_shown_at_once_and_shrunk():
    ramp = np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[None, :, None], 150, 0).repeat(3, 2)
    hole, net = box(150, 200, at=(20, 20), side=(110, 160)), Mean()
    filled = fill_box(model(net, Sizes(window=64, context=16, tiles=False)), photo_of(ramp), hole)
    assert net.shown == [(48, 64)]
    assert len(filled.windows) == 1
    assert np.array_equal(filled.photo.pixels[~hole], ramp[~hole])
    assert (filled.photo.pixels[hole] != ramp[hole]).any()


class Constant(nn.Module):
    def forward(self, visible, mask):
        return torch.full_like(visible, 77 / 255)


def test_feather_blends_only_in_the_grown_band():
    photo, hole = photo_of(np.zeros((60, 60, 3), np.uint8)), box(60, 60, at=(20, 20), side=(20, 20))
    out = fill_box(model(Constant()), photo, hole, HoleOptions(grow=6, feather=6))
    line = out.photo.pixels[30, :, 0]
    assert (line[:14] == 0).all()
    assert (line[20:40] == 77).all()
    assert (np.diff(line[13:21].astype(int)) > 0).all()


def test_memory_that_does_not_suffice_halves_the_window():
    class Greedy(Mean):
        def forward(self, visible, mask):
            if visible.shape[-1] > 64:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(visible, mask)

    net, notes = Greedy(), []
    hole = box(300, 300, at=(50, 50), side=(150, 150))
    filled = fill_box(model(net), photo_of(noise(300, 300, 3)), hole, notify=notes.append)
    assert max(map(max, net.shown)) <= 64
    assert notes == [
        "a window of 300 pixels does not fit into memory; using 150",
        "a window of 150 pixels does not fit into memory; using 75",
        "a window of 74 pixels does not fit into memory; using 37",
    ]
    assert notes == filled.notes


def test_memory_that_never_suffices_is_one_sentence():
    class Hopeless(nn.Module):
        def forward(self, visible, mask):
            raise MemoryError

    with pytest.raises(InpaintError, match=r"does not fit into memory .*; try --device cpu"):
        fill_box(model(Hopeless()), photo_of(noise(99, 99, 3)), box(99, 99))


def test_other_errors_keep_their_traceback():
    class Bug(nn.Module):
        def forward(self, visible, mask):
            raise RuntimeError("shapes do not agree")

    with pytest.raises(RuntimeError, match="shapes"):
        fill_box(model(Bug()), photo_of(noise(99, 99, 3)), box(99, 99))


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_what_is_no_number_in_bf16_is_filled_again_in_full(wrong):
    class Overflow(nn.Module):
        def forward(self, visible, mask):
            return visible + (wrong if torch.is_autocast_enabled("cpu") else 0)

    notes = []
    filled = fill_box(
        model(Overflow(), precisions=("full", "bf16"), precision="bf16"),
        photo_of(noise(30, 30, 3)),
        box(30, 30),
        notify=notes.append,
    )
    assert filled.model.precision == "full"
    assert notes == ["bf16 gave values that are not finite; using full precision"]


def test_what_is_no_number_in_full_is_an_error():
    class Broken(nn.Module):
        def forward(self, visible, mask):
            return visible * torch.nan

    with pytest.raises(InpaintError, match="not finite"):
        fill_box(model(Broken()), photo_of(noise(30, 30, 3)), box(30, 30))


def test_the_seed_and_the_sample_decide():
    photo, hole = photo_of(noise(30, 30, 3)), box(30, 30)

    def run(seed, sample):
        torch.rand(3)  # history does not count
        filled = fill_box(model(Dice()), photo, hole, run=RunOptions(seed=seed), sample=sample)
        return filled.photo.pixels

    assert (run(1, 0) == run(1, 0)).all()
    assert (run(1, 0) != run(1, 1)).any()
    assert (run(1, 0) != run(2, 0)).any()


def test_options_survive_json():
    options = HoleOptions(regions=[(1, 2, 3, 4)], grow=3), RunOptions(window=128)
    assert options_from_dict(json.loads(json.dumps(options_to_dict(*options)))) == options
    with pytest.raises(TypeError):
        options_from_dict({"gorw": 3})


# On the command line


def test_a_filled_photo_lies_beside_the_photo(pair):
    photo, hole = pair
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout == "p.filled.png\n"
    assert result.stderr.splitlines()[0] == "filling on cpu in full precision: patchmatch"
    assert "no model was chosen" in result.stderr
    filled = read("p.filled.png")
    assert (filled[~hole] == photo[~hole]).all()
    assert (filled[hole] != photo[hole]).any()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (509, 521), (2, 1), (13, 1)])
def test_odd_sizes(size):
    photo, hole = noise(*size, 3), np.zeros(size, np.bool_)
    hole[0, 0] = True
    save("p.png", photo)
    save("m.png", hole)
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--verify"])
    assert result.exit_code == 0, result.output
    assert (read("p.filled.png")[~hole] == photo[~hole]).all()
    assert f"0 of {hole.size - 1} pixels outside the hole changed" in result.stderr


def test_sixteen_bits_stay_exact_outside():
    photo, hole = noise(40, 50, dtype=np.uint16), box(40, 50)
    save("p.png", photo)
    save("m.png", hole)
    assert INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--verify"]).exit_code == 0
    filled = read("p.filled.png")
    assert filled.dtype == np.uint16
    assert (filled[~hole] == photo[~hole]).all()
    assert (filled[hole] != photo[hole]).any()


def test_a_region_needs_no_mask(pair):
    photo, _ = pair
    args = ["fill", "p.png", "--region", "5,6,7,8", "--region", "30,0,100,3"]
    assert INVOKE(main, args).exit_code == 0
    changed = (read("p.filled.png") != photo).any(-1)
    hole = np.zeros((37, 53), np.bool_)
    hole[6:14, 5:12] = hole[:3, 30:] = True
    assert not changed[~hole].any()
    assert changed[hole].mean() > 0.9


def test_transparent_pixels_are_the_hole_and_become_opaque():
    photo = noise(20, 30, 4)
    photo[..., 3] = 255
    photo[3:9, 4:12, 3] = 0
    save("p.png", photo)
    assert INVOKE(main, ["fill", "p.png", "--mask", "alpha"]).exit_code == 0
    assert (read("p.filled.png")[..., 3] == 255).all()
    both = ["--mask", "alpha", "--region", "20,10,5,4", "--overwrite", "--json"]
    result = INVOKE(main, ["fill", "p.png", *both])
    assert json.loads(result.stdout)["results"][0]["hole"] == 6 * 8 + 5 * 4


def test_a_soft_eraser_leaves_no_ring_unless_a_threshold_says_so():
    photo = noise(40, 40, 4)
    away = np.hypot(*np.ogrid[-20:20, -20:20])
    photo[..., 3] = np.clip((away - 5) * 25, 0, 255)
    save("p.png", photo)
    assert INVOKE(main, ["fill", "p.png", "--mask", "alpha"]).exit_code == 0
    assert (read("p.filled.png")[..., 3] == 255).all()
    cut = ["--mask", "alpha", "--mask-threshold", "100", "--overwrite"]
    assert INVOKE(main, ["fill", "p.png", *cut]).exit_code == 0
    filled, seen = read("p.filled.png"), photo[..., 3] >= 100
    assert np.array_equal(filled[seen], photo[seen])
    assert (filled[~seen][:, 3] == 255).all()


def test_a_name_that_ends_in_a_slash_is_a_folder(pair):
    args = ["fill", "p.png", "--mask", "m.png", "-o", "new/"]
    assert INVOKE(main, args).stdout == "new/p.filled.png\n"


def test_a_card_that_is_there_is_not_replaced_unasked(pair):
    Path("x.png.card.json").write_text("mine")
    args = ["fill", "p.png", "--mask", "m.png", "-o", "x.png", "--card"]
    result = INVOKE(main, args)
    assert result.exit_code == 1
    assert "x.png.card.json exists already" in result.stderr
    assert not Path("x.png").exists()


def test_masks_of_another_size(pair):
    save("m.png", box(37, 53).repeat(2, 0).repeat(2, 1))
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png"])
    assert result.exit_code == 1
    assert "m.png is 106x74, but p.png is 53x37; resize the mask" in result.stderr
    assert INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--mask-resize"]).exit_code == 0
    assert (read("p.filled.png") == read("p.png")).all(-1)[~box(37, 53)].all()
    save("m.png", box(53, 37))
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--mask-resize", "--overwrite"])
    assert result.exit_code == 1
    assert "it is on its side; turn it by 90 degrees" in result.stderr
    save("m.png", box(53, 30))
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--mask-resize", "--overwrite"])
    assert "the proportions differ" in result.stderr


@pytest.mark.parametrize(("side", "orientation"), [(40, 6), (40, 1), (50, 6)])
def test_a_square_photo_that_is_stored_on_its_side_says_how_the_mask_is_taken(
    pair, side, orientation
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (side, 40), "green").save("p.jpg", exif=exif)
    save("m.png", box(50, 40) if side == 50 else box(40, 40))
    result = INVOKE(main, ["fill", "p.jpg", "--mask", "m.png"])
    assert result.exit_code == 0, result.output
    assert ("stored on its side" in result.stderr) == (side == 40 and orientation == 6)


def test_photos_and_folders_are_sent_to_the_command_that_takes_them(pair):
    several = INVOKE(main, ["fill", "p.png", "p.png", "--mask", "m.png"])
    assert several.exit_code == 2
    assert "`inpaint infer FOLDER` fills several" in several.stderr
    one = INVOKE(main, ["infer", "p.png", "--masks", "m.png", "-o", "out"])
    assert one.exit_code == 2
    assert "'p.png' is a photo; `inpaint fill` fills one" in one.stderr


def test_an_empty_mask_gives_the_photo_back(pair):
    photo, _ = pair
    save("m.png", np.zeros((37, 53), np.bool_))
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png"])
    assert result.exit_code == 1
    assert "there is no hole in p.png" in result.stderr
    assert (read("p.filled.png") == photo).all()


@pytest.mark.parametrize("extra", [["--mask", "m.png"], ["--region", "1,1,3,3", "--grow", "99"]])
def test_a_hole_that_is_everything_is_refused(pair, extra):
    save("m.png", np.ones((37, 53), np.bool_))
    result = INVOKE(main, ["fill", "p.png", *extra])
    assert result.exit_code == 1
    assert "nothing is left to fill it from" in result.stderr
    assert not os.path.exists("p.filled.png")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["p.png"], 2, "say where the hole is"),
        (["none.png", "--mask", "m.png"], 2, "'none.png' does not exist"),
        ([".", "--mask", "m.png"], 2, "`inpaint infer` fills the photos in it"),
        (["p.png", "--mask", "none.png"], 2, "there is no file 'none.png'"),
        (["p.png", "--mask", "alpha"], 1, "has no transparency"),
        (["p.png", "--region", "1,2,3"], 2, "'1,2,3' is not x,y,width,height"),
        (["p.png", "--region", "1,2,3,0"], 2, "no width or no height"),
        (["p.png", "--region", "99,2,3,9"], 1, "marks nothing in a photo of 53x37"),
        (["p.png", "--mask", "m.png", "-o", "p.png"], 2, "p.png is the photo itself"),
        (["p.png", "--mask", "m.png", "-o", "p.png", "--overwrite"], 2, "the photo itself"),
        (["p.png", "--mask", "m.png", "-o", "m.png"], 1, "m.png exists already"),
        (["p.png", "--mask", "m.png", "-o", "m.png/x.png"], 1, "m.png/x.png cannot be written"),
        (["p.png", "--mask", "m.png", "-o", "x.xyz"], 1, "x.xyz has no suffix of a picture"),
        (["p.png", "--mask", "alpha", "--mask-invert"], 2, "--mask-invert is for a mask file"),
        (["p.png", "--mask", "alpha", "--mask-resize"], 2, "--mask-resize is for a mask file"),
        (["p.png", "--region", "1,1,2,2", "--mask-threshold", "9"], 2, "threshold is for a mask"),
        (["p.png", "--mask", "m.png", "-n", "2"], 2, "fills a hole in one way only"),
        (["p.png", "--mask", "m.png", "-n", "2", "-o", "-"], 2, "stdout takes one photo"),
        (["p.png", "--mask", "m.png", "--json", "-o", "-"], 2, "stdout is taken"),
        (["p.png", "--mask", "m.png", "--model", "non"], 1, "no model named 'non'"),
        (["p.png", "--mask", "m.png", "--weights", "w.pt"], 1, "no weights file w.pt"),
        (["p.png", "--mask", "m.png", "--device", "tpu"], 1, "no device is called 'tpu'"),
        (["p.png", "--mask", "m.png", "--precision", "fp16"], 1, "cannot run in fp16"),
    ],
)
def test_wrong_use_is_one_sentence(pair, args, code, told):
    before = sorted(os.listdir())
    result = INVOKE(main, ["fill", *args])
    assert result.exit_code == code, result.output
    assert told in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert sorted(os.listdir()) == before


def test_nothing_is_overwritten_unless_asked(pair):
    args = ["fill", "p.png", "--mask", "m.png"]
    assert INVOKE(main, args).exit_code == 0
    again = INVOKE(main, args)
    assert again.exit_code == 1
    assert "p.filled.png exists already" in again.stderr


def test_several_samples_differ_and_repeat(pair):
    os.mkdir("out")
    args = ["fill", "p.png", "--mask", "m.png", "--model", "dice", "-n", "2", "--seed", "3"]
    result = INVOKE(main, args)
    assert result.stdout == "p.filled.1.png\np.filled.2.png\n", result.output
    assert INVOKE(main, [*args, "-o", "out"]).exit_code == 0
    one, two = (Path(f"p.filled.{n}.png").read_bytes() for n in (1, 2))
    assert one != two
    assert "hardly differ" not in result.stderr
    assert Path("out/p.filled.1.png").read_bytes() == one
    assert Path("out/p.filled.2.png").read_bytes() == two


@pytest.mark.parametrize(("share", "said"), [(0.002, True), (0.2, False)])
def test_samples_that_hardly_differ_are_told(pair, monkeypatch, share, said):
    """Whichever two: of three, the first two may be alike by chance."""
    monkeypatch.setattr(
        Dice, "forward", lambda net, visible, mask: 0.5 + share * (torch.rand_like(visible) - 0.5)
    )
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--model", "dice", "-n", "3"])
    assert result.exit_code == 0, result.output
    assert ("the fills hardly differ: by " in result.stderr) is said


def test_a_model_whose_settings_leave_no_chance_is_refused_samples(pair, monkeypatch):
    monkeypatch.setattr(DiceFill, "draws", classmethod(lambda cls, settings: False))
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--model", "dice", "-n", "2"])
    assert result.exit_code == 2
    assert "dice fills a hole in one way only" in result.stderr


def test_the_report_says_what_was_done(pair):
    result = INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--json", "--verify", "--grow", "1"])
    report = json.loads(result.stdout)
    assert report["model"] == "patchmatch"
    assert report["options"]["grow"] == 1
    (done,) = report["results"]
    assert done["output"] == "p.filled.png"
    assert done["drift"]["count"] == 0
    assert done["windows"] == [{"top": 0, "left": 0, "height": 37, "width": 53}]
    assert done["hole"] == 9 * 11 + 2 * (9 + 11)


def test_feather_alone_grows_by_as_much(pair):
    photo, hole = pair
    INVOKE(main, ["fill", "p.png", "--mask", "m.png", "--feather", "3"])
    changed = (read("p.filled.png") != photo).any(-1)
    assert not changed[~images.grow(hole, 3)].any()
    assert changed[images.grow(hole, 2) & ~hole].mean() > 0.5


def test_stdin_to_stdout(pair):
    photo, hole = pair
    result = INVOKE(main, ["fill", "-", "--mask", "m.png"], input=Path("p.png").read_bytes())
    filled = np.array(Image.open(io.BytesIO(result.stdout_bytes)))
    assert (filled[~hole] == photo[~hole]).all()


SLOW = """
import signal, sys, time, torch
from types import SimpleNamespace
from inpaint_cli import registry
from inpaint_cli.api.architectures import Architecture
from inpaint_cli.cli import main

class Slow(torch.nn.Module):
    def forward(self, visible, mask):
        print("now", file=sys.stderr, flush=True)
        time.sleep(60)

class SlowFill(Architecture):
    needs_weights = False
    build = staticmethod(lambda settings: Slow())

point = SimpleNamespace(name="slow", load=lambda: SlowFill, distro=None)
registry.find_plugins = lambda kind: {"slow": [point]} if kind == "architectures" else {}
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
main(sys.argv[1:])
"""


def test_ctrl_c_leaves_nothing_and_130(pair):
    before = sorted(os.listdir())
    args = ["fill", "p.png", "--mask", "m.png", "--model", "slow"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *args],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr
        for line in process.stderr:
            if line == "now\n":
                process.send_signal(signal.SIGINT)
                break
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert sorted(os.listdir()) == before
