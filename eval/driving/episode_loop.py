"""The loop that drives episodes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from tqdm import tqdm

from envs.core.scenario import Scenarios
from envs.core.simulator import Simulator
from ppuu.policies import Policy

from .decision import choose_action
from .observer import EpisodeObserver


@torch.no_grad()
def drive_episodes(
    policy: Policy,
    simulator: Simulator,
    scenarios: Scenarios,
    slots: int,
    observers: Sequence[EpisodeObserver],
    label: str = "",
) -> None:
    """Drives every scenario once, at most ``slots`` of them at a time.

    A slot whose episode has ended takes the next scenario, so the batch stays full.

    Args:
        policy: the driver.
        simulator: of the scenarios' recordings; whatever it held before is replaced.
        scenarios: at least one.
        slots: size of the batch.
        observers: called in this order.
        label: shown beside the progress bar.
    """
    slots = min(slots, len(scenarios))
    all_slots = torch.arange(slots)
    episode = all_slots.clone()
    started = slots
    simulator.reset(scenarios[:slots])
    policy.reset(torch.ones(slots, dtype=torch.bool))
    for observer in observers:
        observer.begin(simulator, all_slots, episode)
    bar = tqdm(total=len(scenarios), desc=f"drive {label}", disable=not sys.stderr.isatty())
    with bar:
        while not bool(simulator.done.all()):
            action = choose_action(policy, simulator)
            for observer in observers:
                observer.decide(simulator, policy)
            result = simulator.step(action)
            for observer in observers:
                observer.step(simulator, result)
            ended = (result.moved & simulator.done).nonzero()[:, 0]
            if not len(ended):
                continue
            for observer in observers:
                observer.end(simulator, ended, episode[ended])
            bar.update(len(ended))
            refilled = ended[: len(scenarios) - started]
            if not len(refilled):
                continue
            episode[refilled] = torch.arange(started, started + len(refilled))
            started += len(refilled)
            simulator.replace(refilled, scenarios[episode[refilled].numpy()])
            policy.reset(torch.isin(all_slots, refilled))
            for observer in observers:
                observer.begin(simulator, refilled, episode[refilled])
