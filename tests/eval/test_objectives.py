"""The table of objectives: what is run for a row, and what is read from what was found."""

import csv
import json
from pathlib import Path

import pytest

import train.encoder
import train.policy
import train.world_model
from eval.objectives import ROWS, Scale, compared, markdown, plan, result, run_dir, table
from eval.reports.results import write_results
from eval.statistics.intervals import rate
from eval.studies.records import Fingerprints, Record
from ppuu.runtime.errors import InputError

SCALE = Scale(updates=10, policy_updates=5)


def test_every_row_names_presets_that_exist():
    for row in ROWS.values():
        if row.module == "train.encoder":
            assert row.options["objective"] in train.encoder.OBJECTIVES
        else:
            assert row.module == "train.world_model"
            assert row.options["preset"] in train.world_model.PRESETS
        assert row.policy in train.policy.PRESETS
    # Every objective has its row, on the default architecture; those for debugging have none.
    kinds = ("-vector", "-impala", "-vit")
    plain = {name for name in train.encoder.OBJECTIVES if not name.endswith(kinds)}
    assert plain - set(ROWS) == {"debug"}


@pytest.mark.parametrize("name", ROWS)
def test_what_is_evaluated_is_what_was_trained(tmp_path, name):
    steps = plan(tmp_path, name, 3, [tmp_path / "a"], [tmp_path / "b"], SCALE)
    model, *rest = steps
    assert model.run_directory == run_dir(tmp_path, name, 3)
    assert model.options["updates"] == round(10 * ROWS[name].relative_updates)
    made = set(model.products)
    for step in rest:
        # Directly or through the policy trained in it.
        assert made & set(step.inputs)
        made |= set(step.products)
        trains = step.module == "train.policy"
        assert step.options["recordings"] == (tmp_path / ("a" if trains else "b"),)
    assert len(steps) == (6 if ROWS[name].driven else 3)
    assert len({step.name for step in steps}) == len(steps)


def found(out, name, seed, r2, outcomes):
    """What the judging commands would have left."""
    run = run_dir(out, name, seed)
    run.mkdir(parents=True)
    lines = [{"step": s, "seconds": 2.0 * s, "rank": 4.0, "warning_copying": 1.0} for s in (5, 10)]
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    probes = [
        {"name": run.name, "probe": probe, "target": target, "r2": rate(r2, 10)}
        for probe in ("linear", "mlp")
        for target in ("fast", "slow")
    ]
    write_results(result(out, "probe", name, seed), "eval.probe", {}, probes)
    ahead = [{"name": "model", "vehicle_iou_2s": rate(1, 2), "cost_error_2s": rate(1, 4)}]
    write_results(result(out, "open-loop", name, seed), "eval.open_loop", {}, ahead)
    path = result(out, "planner", name, seed)
    write_results(path, "eval.closed_loop", {}, [])
    with open(path.with_suffix(".episodes.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("policy", "others", "recording", "vehicle_id", "outcome", "at_fault", "distance_m")
        )
        for vehicle, outcome in enumerate(outcomes):
            for policy in ("human", "planner:x"):
                end = "arrived" if policy == "human" else outcome
                writer.writerow((policy, "replay", "r", vehicle, end, "True", 100.0))


def test_seeds_are_put_together_and_the_human_left_out(tmp_path):
    found(tmp_path, "vicreg", 0, 2, ("arrived", "collision"))
    found(tmp_path, "vicreg", 1, 4, ("arrived", "arrived"))
    found(tmp_path, "pixels", 0, 5, ("offroad", "offroad"))
    joint, pixels = table(tmp_path)
    assert (joint["name"], joint["seeds"], pixels["seeds"]) == ("vicreg", 2, 1)
    assert joint["fast_linear"].value == pytest.approx(0.3)
    assert joint["planner_success"].value == pytest.approx(0.75)
    assert joint["train_s"].value == 20.0
    assert joint["warnings"] == "copying"
    assert pixels["planner_success"].value == 0.0
    assert "vicreg | 2 | 20" in markdown([joint, pixels])
    # The same two scenarios: one seed of two fails in one of them, the other model in both.
    (difference,) = compared(tmp_path, [joint, pixels])
    assert difference["name"] == "vicreg - pixels"
    assert difference["success_difference"].value == pytest.approx(0.75)
    assert compared(tmp_path, [joint]) == []
    assert "MPUR" not in markdown([joint, pixels])
    assert "Failed: probe-x." in markdown([joint, pixels], ["probe-x"])


def test_seeds_that_drove_different_scenarios_are_not_put_together(tmp_path):
    found(tmp_path, "vicreg", 0, 2, ("arrived", "arrived"))
    found(tmp_path, "vicreg", 1, 2, ("arrived",))
    with pytest.raises(InputError, match="another list of scenarios"):
        table(tmp_path)


def test_seeds_of_different_scales_are_not_put_together(tmp_path):
    """But recordings may lie elsewhere."""
    for seed, where, updates in ((0, "x", 10), (1, "y", 10), (2, "x", 20)):
        found(tmp_path, "vicreg", seed, 2, ("arrived",))
        step, *_ = plan(tmp_path, "vicreg", seed, [Path(where)], [Path("t")], Scale(updates))
        Fingerprints().record(step, None).save(Record.beside(step.products[0]))
        if updates == 10:
            assert table(tmp_path)[0]["seeds"] == seed + 1
    with pytest.raises(InputError, match="seeds 0 and 2 of vicreg"):
        table(tmp_path)


def test_a_row_that_is_not_judged_yet_is_no_row(tmp_path):
    found(tmp_path, "vicreg", 0, 2, ("arrived",))
    result(tmp_path, "planner", "vicreg", 0).unlink()
    assert table(tmp_path) == []
    # Nobody drives by what was distracted.
    found(tmp_path, "vicreg-distracted", 0, 2, ())
    result(tmp_path, "planner", "vicreg-distracted", 0).unlink()
    assert [row["name"] for row in table(tmp_path)] == ["vicreg-distracted"]


def test_a_scale_of_nothing_is_refused():
    with pytest.raises(InputError):
        Scale(scenarios=0)
