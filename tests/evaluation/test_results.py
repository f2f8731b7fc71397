"""Tables of results."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
from eval_sets import folders, plan, run

from inpaint_cli.errors import DataError, InpaintError
from inpaint_cli.evaluation import protocols, results
from inpaint_cli.evaluation.protocols import PublishedTable


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


def test_a_published_table_says_itself_what_is_not_comparable(tmp_path):
    results_folder, truth, masks = folders(tmp_path, count=4, side=64)
    used = protocols.read_protocol("spn-table2", features="none")
    fields = {"size": 64, "samples": 1, "best": None}
    used = replace(used, protocol=used.protocol.model_copy(update=fields))
    result, _ = run((results_folder, truth, masks), used)
    caption = results.published_tables(result, "CelebA-HQ")[0].caption
    assert caption.startswith("CelebA-HQ, as published; 2,800 images, here 4; masks from masks;")
    assert "the paper: NVIDIA's irregular test set, 12,000 masks; the list" in caption
    assert results.results_table(result).caption.startswith("masks from masks; the paper: NVIDIA")
    assert results.results_data(result)["masks"] == "from masks"
    narrow = results.published_caption(
        result, PublishedTable(data="x", columns=("[0, 20)",), rows={}, images=9)
    )
    assert narrow.startswith("x, as published; 9 images, here ")
    in_bin = result.table["psnr"]["[0, 20)"].count
    assert narrow.split("; ")[1] == f"9 images, here {in_bin}"
    without, _ = run((results_folder, truth, None), used)
    assert results.results_table(without).caption == results.CONFIDENCE


def test_what_a_protocol_does_not_measure_is_printed_in_the_report(tmp_path):
    paths = folders(tmp_path, count=2, side=64)
    used = protocols.read_protocol("gmsrm-table2", features="none")
    used = replace(used, protocol=used.protocol.model_copy(update={"size": 64}))
    result, samples = run(paths, used)
    results.write_results(result, samples, tmp_path / "out", worst=1)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "votes of 50 people" in page
    assert "60.92" in page


def test_scores_that_depend_on_the_number_of_images_say_so(tmp_path):
    result, _ = run(folders(tmp_path, count=3), plan())
    titles = [row[0] for row in results.results_table(result).rows]
    assert "colours ↓, of 3 images only" in titles
    assert "psnr dB ↑" in titles
    (note,) = [note for note in results.result_notes(result) if "2,048" in note]
    assert note.startswith("colours: of fewer than 2,048 images")
    assert results.results_data(result)["metrics"]["colours"]["note"] == "of 3 images only"
    subsets = results.Score(0.0123, float("nan"), float("nan"), 9, 0.0021)
    assert results.score_text(subsets, bounds=True) == "0.0123 ± 0.0021"
    assert results.score_text(subsets, bounds=False) == "0.0123"


def test_images_without_a_score_are_counted_with_the_reason(tmp_path):
    result, _ = run(folders(tmp_path, count=3, side=6), plan())
    notes = results.result_notes(result)
    (note,) = [note for note in notes if note.startswith("ssim: ")]
    assert note == "ssim: 3 of 3 images have no score, those smaller than its window of 7 pixels"
    assert not any(note.startswith("psnr: ") for note in notes)


def test_results_that_were_cut_off_are_written_again_and_others_are_not(tmp_path, monkeypatch):
    result, samples = run(folders(tmp_path, count=2, side=64), plan())
    folder = tmp_path / "out"
    monkeypatch.setattr(results, "worst_sheet", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        results.write_results(result, samples, folder)
    monkeypatch.undo()
    assert (folder / "result.json").exists()
    results.check_results_free(folder, overwrite=False)
    results.write_results(result, samples, folder)
    assert {path.name for path in folder.iterdir()} == {*results.RESULT_FILES}
    with pytest.raises(InpaintError, match="exists already"):
        results.check_results_free(folder, overwrite=False)
