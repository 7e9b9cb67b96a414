"""Which scenarios a benchmark consists of, so that all policies drive the same ones."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from envs.core.scenario import Scenarios
from envs.tasks.registry import TASKS
from ppuu.recordings.recording import Recording
from ppuu.runtime.config import from_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json

from .scenario_set import ScenarioSet
from .success import SUCCESSES

_SAME_M = 0.05
"""Fingerprints of the same recording differ by less."""
_ASIDE_M, _SPEED_RATIO = 0.3, 0.05
"""Largest changes of a start, to either side."""


@dataclass(frozen=True)
class ManifestRecording:
    """A recording that a benchmark drives in.

    Attributes:
        name: as the recording says.
        rows, vehicles: how many it has.
        fingerprint_m: sums of all coordinates with signs drawn at random.  A hash would not do:
            processors with other instructions generate the same traffic to 2 nanometres.
        source: how to get it.
    """

    name: str
    rows: int
    vehicles: int
    fingerprint_m: tuple[float, ...]
    source: str

    @classmethod
    def of(cls, recording: Recording) -> ManifestRecording:
        """What identifies a recording."""
        return cls(
            recording.name, recording.rows, recording.vehicles, _fingerprint_m(recording),
            _source(recording),
        )  # fmt: skip

    def is_of(self, recording: Recording) -> bool:
        """Whether this is the recording; one that differs by 0.05 m in one row is not."""
        if (self.rows, self.vehicles) != (recording.rows, recording.vehicles):
            return False
        found = np.array(_fingerprint_m(recording))
        return bool((np.abs(found - np.array(self.fingerprint_m)) < _SAME_M).all())


@dataclass(frozen=True)
class ManifestScenario:
    """One episode.

    Attributes:
        recording: index into the manifest's recordings.
        vehicle_id: of the ego.
        start_frame: where it starts.
        aside_m, speed_ratio: how its start differs from the human's, see ``Scenarios``.
    """

    recording: int
    vehicle_id: int
    start_frame: int
    aside_m: float = 0.0
    speed_ratio: float = 1.0


@dataclass(frozen=True)
class ScenarioManifest:
    """The scenarios of a benchmark.

    Attributes:
        task: what the ego has to do.
        rule: how the scenarios were chosen, in words.
        recordings: in the order in which scenarios count them.
        scenarios: in the order in which they are driven.
    """

    task: str
    rule: str
    recordings: tuple[ManifestRecording, ...]
    scenarios: tuple[ManifestScenario, ...]

    @property
    def digest(self) -> str:
        """Identifies the manifest."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def of(cls, scenario_set: ScenarioSet, task: str, rule: str) -> ScenarioManifest:
        """All scenarios of a set."""
        recordings = tuple(map(ManifestRecording.of, scenario_set.recordings))
        listed = scenario_set.scenarios
        columns = (listed.recording, listed.vehicle_id, listed.start_frame)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return cls(task, rule, recordings, tuple(ManifestScenario(*row) for row in rows))

    def save(self, path: Path) -> None:
        """Writes JSON, one scenario a line, with its digest."""
        scenarios = [list(asdict(one).values()) for one in self.scenarios]
        head = asdict(replace(self, scenarios=())) | {"digest": self.digest}
        del head["scenarios"]
        body = ",\n".join(f"  {json.dumps(row)}" for row in scenarios)
        text = json.dumps(head, indent=1)[:-2] + f',\n "scenarios": [\n{body}\n ]\n}}\n'
        with atomic_write(path) as temporary:
            temporary.write_text(text)

    @classmethod
    def load(cls, path: Path) -> ScenarioManifest:
        """Reads what ``save`` has written.

        Raises:
            InputError: the file is missing, no manifest, or was changed.
        """
        content, where = read_json(path), f"{path}: recordings"
        try:
            found = cls(
                content["task"],
                content["rule"],
                from_json(tuple[ManifestRecording, ...], content["recordings"], where),
                tuple(ManifestScenario(*row) for row in content["scenarios"]),
            )
            digest = content["digest"]
        except (KeyError, TypeError):
            raise InputError(f"{path}: no manifest; eval.scenarios writes one") from None
        if found.digest != digest or found.task not in TASKS:
            raise InputError(f"{path}: was changed since eval.scenarios wrote it; get it anew")
        return found

    def choose(self, scenario_set: ScenarioSet) -> ScenarioSet:
        """The set with the manifest's scenarios.

        Raises:
            InputError: a recording is missing, or a scenario starts in another frame.
        """
        number = [self._find(one, scenario_set.recordings) for one in self.recordings]
        listed = scenario_set.scenarios
        places = {
            key: place
            for place, key in enumerate(
                zip(
                    listed.recording.tolist(), listed.vehicle_id.tolist(),
                    listed.start_frame.tolist(), strict=True,
                )
            )
        }  # fmt: skip
        keys = [(number[one.recording], one.vehicle_id, one.start_frame) for one in self.scenarios]
        lost = [key for key in keys if key not in places]
        if lost:
            raise InputError(
                f"vehicle {lost[0][1]} of the manifest does not start in frame {lost[0][2]}: a "
                "policy observes a longer history than the manifest is for, or rules have changed"
            )
        chosen: Scenarios = listed[np.array([places[key] for key in keys])]
        starts = {
            "aside_m": np.array([one.aside_m for one in self.scenarios]),
            "speed_ratio": np.array([one.speed_ratio for one in self.scenarios]),
        }
        return replace(scenario_set, scenarios=replace(chosen, **starts, digest=self.digest))

    @staticmethod
    def _find(one: ManifestRecording, recordings: Sequence[Recording]) -> int:
        for number, recording in enumerate(recordings):
            if one.is_of(recording):
                return number
        raise InputError(f"--recordings: '{one.name}' of the manifest is missing; {one.source}")

    def screened(
        self, episodes: Path, failing: Sequence[str], succeeding: Sequence[str]
    ) -> ScenarioManifest:
        """Those scenarios in which some drivers fail and others succeed.

        Args:
            episodes: file of all episodes that ``eval.closed_loop`` wrote, of one traffic.
            failing, succeeding: policies in it.

        Raises:
            InputError: a policy has not driven them all.
        """
        outcome: dict[tuple[str, str, int], str] = {}
        with open(episodes, newline="") as file:
            for row in csv.DictReader(file):
                outcome[row["policy"], row["recording"], int(row["vehicle_id"])] = row["outcome"]

        def succeeded(policy: str, one: ManifestScenario) -> bool:
            key = policy, self.recordings[one.recording].name, one.vehicle_id
            if key not in outcome:
                raise InputError(f"{episodes}: {policy} has not driven vehicle {one.vehicle_id}")
            return outcome[key] in SUCCESSES

        kept = tuple(
            one
            for one in self.scenarios
            if all(succeeded(policy, one) for policy in succeeding)
            and not any(succeeded(policy, one) for policy in failing)
        )
        return replace(self, scenarios=kept)

    def perturbed(self, starts: int, seed: int) -> ScenarioManifest:
        """Every scenario from so many other starts: 0.3 m aside and 5 % of speed at most."""
        random = np.random.default_rng(seed)
        moved = tuple(
            replace(
                one,
                aside_m=round(float(random.uniform(-_ASIDE_M, _ASIDE_M)), 4),
                speed_ratio=round(float(random.uniform(1 - _SPEED_RATIO, 1 + _SPEED_RATIO)), 4),
            )
            for one in self.scenarios
            for _ in range(starts)
        )
        return replace(self, scenarios=moved)


def _fingerprint_m(recording: Recording) -> tuple[float, ...]:
    """Eight sums; rounding errors of some nanometres a row do not show."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (4, recording.rows))
    sums = signs @ np.stack([recording.x_m, recording.y_m], axis=1)
    return tuple(np.round(sums.flatten(), 3).tolist())


def _source(recording: Recording) -> str:
    facts = recording.provenance
    preset = facts.get("preset")
    if isinstance(preset, dict):
        return (
            f"make it with: python -m data.generate {preset['name']} --seconds "
            f"{facts['seconds']:g} --seed {facts['seed']} --out {recording.name}.h5"
        )
    return f"it comes from {facts.get('source', 'an unknown source')}"
