"""Paths, modules and links that the documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRITTEN_BY_THE_READER = {"data/sources/pathcam.py", "ppuu.sbatch"}
FOLDERS = "ppuu|data|envs|train|eval|tests"
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"  # tells what was called how at its time
)


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request):
    return request.param


def module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_files_of_the_project_exist(document):
    named = re.findall(rf"`((?:{FOLDERS})/[\w/]+(?:\.py)?/?)`", document.read_text())
    named = {name for name in named if "NAME" not in name} - WRITTEN_BY_THE_READER
    assert not [name for name in named if not (ROOT / name).exists()]


def test_commands_exist(document):
    named = re.findall(rf"python -m ((?:{FOLDERS})(?:\.\w+)+)", document.read_text())
    assert not [name for name in named if not module(name)]


def test_modules_and_their_names_exist(document):
    named = re.findall(rf"`((?:{FOLDERS})(?:\.[a-z_]\w*)+)", document.read_text())
    gone = []
    for name in set(named) - WRITTEN_BY_THE_READER:
        owner = name
        while "." in owner and not module(owner):
            owner = owner.rpartition(".")[0]
        text = ""
        if module(owner) and owner != name:  # a function or constant of a module
            path = ROOT / owner.replace(".", "/")
            file = path.with_suffix(".py")
            text = (file if file.is_file() else path / "__init__.py").read_text()
        if owner != name and name.removeprefix(owner + ".").split(".")[0] not in text:
            gone.append(name)
    assert not gone


def test_links_lead_to_files(document):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]
