"""Protocols as files: their fields, fingerprints, errors, and the commands that show them."""

import json
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from inpaint_cli.cli import main
from inpaint_cli.errors import RecipeError
from inpaint_cli.evaluation import protocols
from inpaint_cli.recipe.schema import Data, Named


def test_every_protocol_reads_and_has_a_fingerprint_of_its_own():
    names = protocols.protocol_names()
    assert {"house", "edgeconnect", "lama-2021", "mdrnets-table1", "gmsrm-table1"} < {*names}
    assert {"gmsrm-table2", "spn-table1", "spn-celeba", "spn-table2", "in2-table5"} < {*names}
    plans = [protocols.read_protocol(name) for name in names]
    assert len({p.fingerprint for p in plans}) == len(names)
    assert [p.fingerprint for p in plans] == [protocols.read_protocol(n).fingerprint for n in names]


def test_published_rows_are_whole_and_some_are_known():
    for name in protocols.protocol_names():
        for table in protocols.read_protocol(name).protocol.published:
            for methods in table.rows.values():
                assert {len(values) for values in methods.values()} == {len(table.columns)}
    faces = protocols.read_protocol("mdrnets-table1").protocol.published[0]
    assert faces.rows["psnr"]["MDRNets"] == (35.772, 28.669, 24.177)
    paris = protocols.read_protocol("spn-table1").protocol.published[1]
    assert paris.rows["mae"]["SPN-D"] == (0.0109, 0.0282, 0.0154)
    assert (
        protocols.read_protocol("in2-table5").protocol.published[0].rows["lpips"]["IN2"][1] == 0.056
    )
    assert protocols.read_protocol("gmsrm-table2").protocol.published[1].rows["lmse"]["GM-SRM"] == (
        0.008,
        0.022,
    )


@pytest.mark.parametrize(
    ("interval", "ratio", "expected"),
    [
        ("(20, 30]", 0.3, True),
        ("(20, 30]", 0.300001, False),
        ("(30, 40]", 0.300001, True),
        ("(20, 30]", 0.2, False),
        ("[20, 40)", 0.2, True),
        ("[20, 40)", 0.4, False),
        ("[40, 60]", 0.6, True),
        ("[1, 20)", 0.0099, False),
        ("(20, 30]", 0.1 + 0.2, True),
    ],
)
def test_bins_are_as_open_as_they_are_written(interval, ratio, expected):
    assert protocols.in_interval(interval, ratio) is expected


def test_the_fingerprint_follows_conventions_and_not_prose(tmp_path):
    text = (protocols.protocols_dir() / "mdrnets-table1.yaml").read_text()

    def fingerprint(old, new, features="published"):
        (tmp_path / "own.yaml").write_text(text.replace(old, new))
        return protocols.read_protocol(str(tmp_path / "own.yaml"), features=features).fingerprint

    base = fingerprint("", "")
    assert fingerprint("summary: Faces", "summary: Photos") == base
    assert fingerprint("35.772", "35.8") == base
    assert fingerprint("levels: round", "levels: truncate") != base
    assert fingerprint("size: 51", "size: 11") != base
    assert fingerprint("", "", "random") != base
    assert fingerprint("", "", "none") != base


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("levels: round", "levels: floor"), r"own.yaml:\d+: levels: .*'round', 'truncate'"),
        (("[1, 20)", "1 to 20"), r"own.yaml:\d+: bins.0: '1 to 20' is not an interval"),
        (("window:", "windows:"), r"no setting named 'windows'; did you mean 'window'\?"),
        (("size: 256", "size: 256\nsamples: 5"), "`best` must name a metric"),
        (("kind: fid", "kind: fud"), "no metric named 'fud'; did you mean 'fid'"),
    ],
)
def test_an_error_names_the_line_of_the_protocol(tmp_path, change, says):
    text = (protocols.protocols_dir() / "mdrnets-table1.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text.replace(*change))
    with pytest.raises(Exception, match=says):
        protocols.read_protocol(str(tmp_path / "own.yaml"))
    with pytest.raises(RecipeError, match="did you mean 'house'"):
        protocols.read_protocol("hause")


def invoke(*args, code=0):
    result = CliRunner().invoke(main, ["protocols", *map(str, args)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_protocols_are_listed_without_torch():
    assert "mdrnets-table1" in invoke().stdout
    listed = json.loads(invoke("--json").stdout)
    assert [protocol["name"] for protocol in listed] == protocols.protocol_names()
    assert all(protocol["summary"] for protocol in listed)
    script = "import sys; from inpaint_cli.cli import main; main(['protocols'])"
    command = [sys.executable, "-X", "importtime", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "torch" not in {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_a_protocol_is_shown_with_all_defaults_and_its_fingerprint():
    shown = json.loads(invoke("show", "house", "--json").stdout)
    plan = protocols.read_protocol("house")
    assert shown["fingerprint"] == plan.fingerprint
    assert shown["metrics"]["psnr"]["pooling"] == "image"
    assert json.loads(json.dumps(plan.conventions)).items() <= shown.items()
    assert yaml.safe_load(invoke("show", "house").stdout) == shown
    assert shown == protocols.show_protocol("house")
    assert "did you mean 'house'" in invoke("show", "hause", code=1).output


def test_shapes_exclude_a_size_and_bins_of_masks():
    with pytest.raises(ValueError, match="cannot be combined with `size` or `per_bin`"):
        protocols.Protocol(
            summary="s", size=8, shapes=("8x8",), metrics={"psnr": Named(kind="psnr")}
        )


def test_the_sizes_of_in2s_tables_are_a_protocol():
    protocol = protocols.read_protocol("in2-table5", features="none").protocol
    printed = [column for table in protocol.published for column in table.columns]
    assert {*printed} == {*protocol.shapes}
    assert len(protocol.shapes) == 8


def test_the_authors_resize_belongs_to_the_protocol():
    resizes = {n: protocols.load_protocol(n)[0].resize for n in protocols.protocol_names()}
    assert {n: how for n, how in resizes.items() if how != "antialias"} == {
        "spn-table1": "opencv",
        "spn-celeba": "opencv",
        "spn-table2": "nearest",
    }
    plan = protocols.read_protocol("house", features="none")
    trained = Data(size=64, fit="stretch", resize="opencv")
    placed = protocols.plan_at_size(plan, 64, trained).protocol
    assert (placed.size, placed.fit, placed.resize) == (64, "stretch", "opencv")
    assert protocols.plan_at_size(plan, 64, Data(fit="margins")).protocol.fit == "cover"
