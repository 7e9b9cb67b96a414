"""The table of policies: what is trained for it, and how its numbers come about."""

import csv
import json
from pathlib import Path

import pytest

import train.policy
import train.world_model
from eval.reports.results import write_results
from eval.studies.outcome import Outcome
from eval.studies.table_rows import ENSEMBLE, FAMILIES, PRESETS, WORLDS
from eval.table import main, markdown, scores, slug, tabulate, trainings
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording

SEEDS = (0, 1)
OTHERS = ("replay", "reactive", "ppuu")


def planned(preset):
    scale = {"world_model": {"updates": 7}, "policy": {}, "imitation": {}}
    return trainings(Path("out"), PRESETS[preset], [Path("a.h5")], SEEDS, scale)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_is_trained_once_a_seed(preset):
    steps = planned(preset)
    models = [step for step in steps if step.module == "train.world_model"]
    policies = [step for step in steps if step.options.get("init")]
    rows = [row for row in PRESETS[preset].learned if row.method != "imitation"]
    assert len(policies) == 2 * len(rows)
    assert len({step.name for step in steps}) == len(steps)
    assert all(model.options["updates"] == 7 for model in models)
    # A policy is trained after what it needs, which has the same seed.
    made = set()
    for step in steps:
        if step in policies:
            needed = step.options["world_model"][0], step.options["init"]
            assert set(needed) <= made
            assert {run.name[-1] for run in needed} == {str(step.options["loop.seed"])}
        made.add(step.run_directory)


@pytest.mark.parametrize("preset", PRESETS)
def test_all_rows_are_driven_among_all_kinds_of_others(preset):
    replay, _, ppuu = scores(Path("out"), preset, [Path("t.h5")], SEEDS, OTHERS, 9)
    assert "protocol" in ppuu.options and "protocol" not in replay.options
    drivers = replay.options["policy"]
    assert "no-action" in drivers and len(set(drivers)) == len(drivers)
    runs = {step.run_directory for step in planned(preset)}
    driven = {driver for driver in drivers if isinstance(driver, Path)}
    assert driven <= runs and len(driven) == 2 * len(PRESETS[preset].learned)
    # A seed that failed is left out; so is what plans in its world model.
    failed = {run.name for run in runs if run.name.endswith("-seed0")}
    (rest,) = scores(Path("out"), preset, [Path("t.h5")], SEEDS, ["replay"], 9, failed)
    assert not [one for one in rest.options["policy"] if str(one).endswith("-seed0")]
    assert not [one for one in rest.options["policy"] if "world-models" in str(one)]
    assert len([one for one in rest.options["policy"] if isinstance(one, Path)]) == len(driven) / 2


def test_the_presets_that_rows_name_exist():
    for family in FAMILIES.values():
        assert family.world_model in train.world_model.PRESETS
        assert family.policy in train.policy.PRESETS
    for preset in PRESETS.values():
        for row in preset.learned:
            assert row.world in {*WORLDS, ENSEMBLE} and row.family in FAMILIES
            assert row.method in train.policy.Method.__args__


def episode(policy, vehicle, outcome, distance, at_fault="True", others="replay"):
    return {
        "policy": policy, "others": others, "recording": "r", "vehicle_id": str(vehicle),
        "outcome": outcome, "at_fault": at_fault, "distance_m": str(distance),
    }  # fmt: skip


def test_rows_pool_their_seeds():
    episodes = [
        episode("a-seed0", 1, "arrived", 200), episode("a-seed0", 2, "collision", 100),
        episode("a-seed1", 1, "arrived", 200),
        episode("a-seed1", 2, "collision", 60, at_fault="False"),
        episode("human", 1, "arrived", 210), episode("human", 2, "arrived", 190),
    ]  # fmt: skip
    rows = {"human": (["human"], "100"), "A": (["a-seed0", "a-seed1"], "7")}
    human, ours = tabulate(episodes, rows)
    assert (human["success"].value, human["distance_m"].value) == (1.0, 200.0)
    assert human["seed_deviation"] is None
    assert ours["seeds"] == 2
    assert ours["success"].value == 0.5 and ours["seed_deviation"] == 0.0
    # The hit from behind is not counted at all.
    assert ours["success_alt"].value == pytest.approx(2 / 3)
    assert ours["distance_m"].value == 140.0
    # Two scenarios, one always and one never passed: that is all we know.
    assert (ours["success"].low, ours["success"].high) == (0.0, 1.0)
    text = markdown([human, ours])
    assert "| A | replay | 50.0 (0.0-100.0) | 0.0 | 66.7" in text and text.count("\n") == 4
    assert "left out: b-seed1." in markdown([human, ours], ["b-seed1"])


def test_an_ensembles_members_are_all_seeds_of_the_first_world():
    name = f"{slug('MPUR, ensemble instead of dropout')}-seed1"
    (step,) = [step for step in planned("ablations") if step.name == name]
    members = ["tokens-stochastic-seed1", "tokens-stochastic-seed0"]
    assert [run.name for run in step.options["world_model"]] == members


def test_ppuus_episodes_are_counted_by_its_own_rules():
    struck = {
        "policy": "a", "others": "ppuu", "recording": "r", "vehicle_id": "1",
        "outcome": "collision", "alt_outcome": "arrived", "ahead_collision": "False",
        "distance_m": "50",
    }  # fmt: skip
    (row,) = tabulate([struck, struck | {"ahead_collision": "True"}], {"A": (["a"], "")})
    assert (row["success"].value, row["success_alt"].value) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"others": ("replai",)}, "--others replai"),
        ({"others": ()}, "--others"),
        ({"limit": 0}, "--limit 0"),
        ({"seeds": (0, 0)}, "--seeds 0 0: one of them twice"),
        ({"seeds": (3,), "preset": "ablations"}, "--seeds 3: --preset ablations has a row"),
        ({"test": (Path("none.h5"),)}, "none.h5"),
        ({"others": ("policy:nope",)}, "--others policy: nope"),
        ({"out": Path("a,b")}, "--out a,b"),
        ({"at_once": 0}, "--at-once 0"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_training(change, complaint, tmp_path, monkeypatch):
    recording = tmp_path / "dense.h5"
    dense_recording(per_lane=2, frames=40).save(recording)
    monkeypatch.setattr("eval.table.Pipeline.run", lambda *_: pytest.fail("training began"))
    learnt = tmp_path / "learnt.h5"
    dense_recording(per_lane=2, frames=41).save(learnt)
    words = {"recordings": (learnt,), "test": (recording,), "out": tmp_path / "out"} | change
    with pytest.raises((InputError, OSError), match=complaint):
        main(**words)


def test_what_is_learnt_from_is_not_driven_in(tmp_path, monkeypatch):
    recording = tmp_path / "dense.h5"
    dense_recording(per_lane=2, frames=40).save(recording)
    monkeypatch.setattr("eval.table.Pipeline.run", lambda *_: pytest.fail("training began"))
    with pytest.raises(InputError, match="is among --recordings"):
        main((recording,), (recording,), tmp_path / "out")


def left_by(step, drivers):
    """What ``eval.closed_loop`` would leave: each driver in two scenarios."""
    json, csv_file = step.products
    write_results(json, "eval.closed_loop", {}, [])
    rows = [
        episode(Path(driver).name, vehicle, "arrived", 215)
        for driver in drivers
        for vehicle in (1, 2)
    ]
    with open(csv_file, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_seed_that_failed_is_named_and_the_others_are_tabulated(tmp_path, monkeypatch, capsys):
    learnt, test, out = tmp_path / "learnt.h5", tmp_path / "test.h5", tmp_path / "out"
    dense_recording(per_lane=2, frames=41).save(learnt)
    dense_recording(per_lane=2, frames=40).save(test)

    def run(pipeline, steps):
        if steps[0].module == "eval.closed_loop":
            for step in steps:
                left_by(step, step.options["policy"])
            return Outcome({step.name: "done" for step in steps}, {s.name: 1.0 for s in steps})
        return Outcome({s.name: "failed" if s.name == "mpur-seed1" else "done" for s in steps})

    monkeypatch.setattr("eval.table.Pipeline.run", run)
    with pytest.raises(InputError, match="mpur-seed1 failed; see"):
        main((learnt,), (test,), out, "debug", others=("replay",))
    table = json.loads((out / "table-debug.json").read_text())
    (mpur,) = [row for row in table["rows"] if row["name"] == "MPUR"]
    assert mpur["seeds"] == 2 and table["config"]["failed"] == ["mpur-seed1"]
    assert "left out: mpur-seed1." in (out / "table-debug.md").read_text()
    # A dry run says what would be trained and driven.
    capsys.readouterr()
    main((learnt,), (test,), out, "debug", others=("replay",), dry_run=True)
    assert "mpur-seed2: run, not made yet" in capsys.readouterr().out
