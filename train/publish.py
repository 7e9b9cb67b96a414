"""``python -m train.publish``: put a world model and a policy into the package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ppuu.runtime import pretrained
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.command import run
from ppuu.runtime.files import atomic_write, sha256


def main(world_model: Path, policy: Path) -> None:
    """Copies two trained runs into ppuu/pretrained_runs, without the state that resuming needs.

    Describe in the README there how they were trained.

    Args:
        world_model: run directory of train.world_model.
        policy: run directory of train.policy.
    """
    hashes = {}
    pretrained.FOLDER.mkdir(exist_ok=True)
    for kind, source in (("world_model", world_model), ("policy", policy)):
        target = pretrained.FOLDER / f"{kind}.pt"
        replace(Checkpoint.load(source, kind), training={}).save(target)
        hashes[kind] = sha256(target)
        print(f"{target}: {target.stat().st_size / 2**10:.0f} KiB, SHA-256 {hashes[kind]}")
    with atomic_write(pretrained.HASHES) as temporary:
        temporary.write_text(json.dumps(hashes, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
