"""Downloads a public data set: ``python -m data.download --help``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import sha256


@dataclass(frozen=True)
class Dataset:
    """Location of a data set: an archive inside a Python package.

    Attributes:
        package: name and version for pip.
        archive: path of the zip file inside the wheel.
        sha256: of that zip file.
        trajectories: path inside it of the file that data.prepare reads.
        size: download and disk space, in words.
        licence: text to print.
        source: name of the reader.
    """

    package: str
    archive: str
    sha256: str
    trajectories: str
    size: str
    licence: str
    source: str


DATASETS = {
    "dlr-highway": Dataset(
        package="tasi==0.15.4",
        archive="tasi/dataset/data/DLR-Highway-Traffic-dataset_v1-1-0.zip",
        sha256="d55300b9f6fdae30cb04578b310aa22b51c247df9d1900515ce5e893576e2cdd",
        trajectories=(
            "DLR-Highway-Traffic-dataset_v1-1-0/raw_data/trajectories/"
            "trajectories_241007-060000_241007-060500.csv"
        ),
        size="50 MB to fetch, 170 MB on disk",
        licence=(
            "DLR Highway Traffic Dataset v1.1.0, German Aerospace Center (DLR); licence "
            "CC BY-NC-SA 4.0: name the source, no commercial use, share alike "
            "(https://creativecommons.org/licenses/by-nc-sa/4.0/)"
        ),
        source="dlr-highway",
    ),
    "dlr-urban": Dataset(
        package="tasi==0.15.4",
        archive="tasi/dataset/data/DLR-Urban-Traffic-dataset_v1-2-0.zip",
        sha256="470616b2d180dd939db17fb1b519805952938761f2d1ad3e959b8e0542c12988",
        trajectories=(
            "DLR-Urban-Traffic-dataset_v1-2-0/raw_data/trajectories/"
            "trajectories_230924-120000_230924-121500.csv"
        ),
        size="50 MB to fetch, 190 MB on disk",
        licence=(
            "DLR Urban Traffic Dataset v1.2.0, German Aerospace Center (DLR); licence "
            "CC BY-NC-SA 4.0: name the source, no commercial use, share alike "
            "(https://creativecommons.org/licenses/by-nc-sa/4.0/)"
        ),
        source="dlr-urban",
    ),
}


def main(
    name: tyro.conf.Positional[Literal["dlr-highway", "dlr-urban"]],
    /,
    to: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
) -> None:
    """Fetches a public data set, checks it, unpacks it, and says what to type next.

    dlr-highway: five minutes of a German motorway near Braunschweig, 6.4 km, both directions,
    445 vehicles (50 MB to fetch, 170 MB on disk; licence CC BY-NC-SA 4.0).

    dlr-urban: fifteen minutes of one intersection in Braunschweig, 567 motor vehicles (50 MB to
    fetch, 190 MB on disk; licence CC BY-NC-SA 4.0).

    Both lie inside a Python package and come through pip.

    A second call finds what the first one fetched.

    Args:
        name: which data set.
        to: where the data sets lie; $PPUU_DATA by default, or else ~/.cache/ppuu.
    """
    dataset = DATASETS[name]
    root = to or Path(os.environ.get("PPUU_DATA") or Path.home() / ".cache" / "ppuu")
    folder = root / name
    if (folder / dataset.trajectories).is_file():
        print(f"{folder}: already there")
    else:
        print(f"fetching {name}: {dataset.size}")
        _fetch(dataset, folder)
    print(dataset.licence)
    raw = folder / dataset.trajectories
    command = ["python", "-m", "data.prepare", dataset.source, str(raw), "--out", f"{name}.h5"]
    print(f"next: {shlex.join(command)}")


def _fetch(dataset: Dataset, folder: Path) -> None:
    """Downloads, checks and unpacks, atomically."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        work = Path(temporary)
        wheel = _download(dataset.package, work)
        with (
            zipfile.ZipFile(wheel) as package,
            package.open(dataset.archive) as packed,
            (work / "archive.zip").open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
        unpack(work / "archive.zip", dataset.sha256, work / "whole")
        if folder.exists():
            shutil.rmtree(folder)  # incomplete: the trajectories are missing
        os.replace(work / "whole", folder)


def _download(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise InputError(
            f"pip could not fetch {package}: {lines[-1]}; check the connection and try again"
        )
    return wheels[0]


def unpack(archive: Path, expected: str, folder: Path) -> None:
    """Unpacks a zip file after checking its SHA-256.

    Raises:
        InputError: another SHA-256.
    """
    found = sha256(archive)
    if found != expected:
        raise InputError(
            f"the archive's SHA-256 is {found}, expected {expected}: damaged or changed; try again"
        )
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)


if __name__ == "__main__":
    run(main)
