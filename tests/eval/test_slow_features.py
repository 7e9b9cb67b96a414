"""The study at the smallest scale, from training to table."""

import json

import pytest
import torch

from data.toys.dots import SIDE, STEP_PIXELS, DotsConfig
from eval.slow_features import main as tabulate
from ppuu.runtime.errors import InputError
from train.engine.one_cycle import descend
from train.slow_features import Study, shown
from train.slow_features import main as study

TINY = Study(
    updates=2, batch=4, steps=2, channels=(4, 4), features=8, probe_sequences=64, test_sequences=32
)
METHODS = (
    "random", "vicreg", "simclr-within", "reconstruction", "inverse-dynamics", "supervised",
    "vicreg-inverse-dynamics", "vicreg-differences",
)  # fmt: skip


def test_a_study_leaves_cells_resumes_and_makes_a_table(tmp_path, capsys):
    out, seeds = tmp_path / "cells", (0, 1)
    run = {"tasks": ("three-dots", "fixed-uniform"), "methods": METHODS, "study": TINY}
    study(out, seeds=(0,), **run)
    first = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    study(out, seeds=seeds, **run)
    assert {name: (out / name).stat().st_mtime_ns for name in first} == first
    tabulate(out, tmp_path / "table.json")
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert len(rows) == 2 * len(METHODS)
    dots = next(row for row in rows if row["name"].startswith("three"))
    assert all(
        dots[name]["n"] == len(seeds) for name in ("action dot", "random dot", "stationary dot")
    )
    assert "vicreg-inverse-dynamics" in capsys.readouterr().out
    with pytest.raises(InputError, match="another scale"):
        study(out, seeds=(0,), tasks=("three-dots",), methods=("random",), study=Study())


def test_differences_cancel_what_stays():
    """A fixed pattern leaves no trace; actions and places are those of the later image."""
    seen = [
        shown("vicreg-differences", config, 8, torch.Generator().manual_seed(0))
        for config in (DotsConfig(steps=3), DotsConfig(noise="uniform", fixed=True, steps=3))
    ]
    clean, noisy = seen
    assert clean.images.shape[1] == clean.positions.shape[1] == clean.actions.shape[1] + 1 == 4
    torch.testing.assert_close(noisy.images, clean.images, atol=1e-6, rtol=0)
    moved = clean.positions.diff(dim=1)[:, :, 0] * SIDE / STEP_PIXELS
    torch.testing.assert_close(moved, clean.actions, atol=1e-5, rtol=0)


def test_nonsense_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="steps 1"):
        Study(steps=1)
    with pytest.raises(InputError, match="nan"):
        study(tmp_path / "cells", strengths=(float("nan"),), study=TINY)
    with pytest.raises(InputError, match="at least one of each"):
        study(tmp_path / "cells", tasks=(), study=TINY)
    assert not (tmp_path / "cells").exists()
    (tmp_path / "cell.json").write_text('{"task": ')
    with pytest.raises(InputError, match=r"cell\.json: not readable"):
        tabulate(tmp_path)
    (tmp_path / "cell.json").write_text("[]")
    with pytest.raises(InputError, match=r"cell\.json: holds no JSON object"):
        tabulate(tmp_path)


def test_a_loss_that_is_no_number_ends_the_training():
    weight = torch.nn.Linear(1, 1)
    with pytest.raises(InputError, match="update 0 is nan"):
        descend(weight, lambda: weight(torch.tensor([float("nan")])).sum(), 3, 0.1)


def test_an_empty_folder_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"train\.slow_features"):
        tabulate(tmp_path)
