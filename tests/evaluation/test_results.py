"""Tables of results."""

from dataclasses import replace

import pytest
from eval_sets import folders, run

from inpaint_cli.errors import DataError
from inpaint_cli.evaluation import protocols, results


def test_published_rows_stand_beside_ours(tmp_path):
    paths = folders(tmp_path, count=4, side=64)
    used = protocols.read_protocol("mdrnets-table1", features="none")
    used = replace(used, protocol=used.protocol.model_copy(update={"size": 64}))
    result, _ = run(paths, used)
    tables = results.published_tables(result, "FFHQ")
    assert [table.head[0] for table in tables] == ["l1 % ↓", "psnr dB ↑", "ssim-ec ↑"]
    assert tables[1].rows[-2][0] == "MDRNets"
    assert tables[1].rows[-1][0] == "ours (here)"
    assert tables[1].rows[-1][1] == results.score_text(
        result.table["psnr"]["[1, 20)"], bounds=False
    )
    assert tables[1].rows[-1][2] == "-"  # no hole was that large
    with pytest.raises(DataError, match="it has: CelebA-HQ, FFHQ"):
        results.published_tables(result, "Places2")
