"""pyproject.toml, constraints.txt and environment.yml agree, and name what the code imports."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import ppuu

# In the standard library from Python 3.11 on; before that, pytest brings it as tomli.
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SUPPORTED = ["3.10", "3.11", "3.12", "3.13"]


def bounds() -> dict[str, Requirement]:
    """Every direct dependency: run time, extras and build."""
    lines = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        lines += extra
    lines += PROJECT["build-system"]["requires"]
    return {canonicalize_name(item.name): item for item in map(Requirement, lines)}


def pins(python: str) -> dict[str, str]:
    """Name to exact version, for one Python version."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        item = Requirement(line)
        if item.marker and not item.marker.evaluate({"python_version": python}):
            continue
        exact = re.fullmatch(r"==([^*,]+)", str(item.specifier))
        assert exact, f"constraints.txt: '{line}' is not an exact version"
        name = canonicalize_name(item.name)
        assert name not in found, f"constraints.txt: {name} is pinned twice for Python {python}"
        found[name] = exact[1]
    return found


@pytest.mark.parametrize("python", SUPPORTED)
def test_every_dependency_is_pinned_once(python):
    assert set(pins(python)) == set(bounds())


@pytest.mark.parametrize("python", SUPPORTED)
def test_every_pin_satisfies_its_bound(python):
    for name, version in pins(python).items():
        assert bounds()[name].specifier.contains(version, prereleases=True), name


def test_every_dependency_has_a_lower_bound_and_no_upper_one():
    """But for tyro: ``ppuu.runtime.parse_errors`` gets its errors as data by a private hook."""
    for name, item in bounds().items():
        operators = sorted(bound.operator for bound in item.specifier)
        assert operators == (["<", ">="] if name == "tyro" else [">="]), name


def test_everything_imported_is_a_dependency():
    """Or an extra for users: what needs one says so where it is missing."""
    extras = PROJECT["project"]["optional-dependencies"]
    groups = [PROJECT["project"]["dependencies"]] + [
        extras[name] for name in extras if name != "dev"
    ]
    declared = {canonicalize_name(Requirement(line).name) for lines in groups for line in lines}
    distribution = {"cv2": "opencv-python", "PIL": "pillow"}
    own = {"ppuu", "data", "envs", "train", "eval"}
    missing = set()
    for path in (path for folder in own for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            for top in {module.split(".")[0] for module in modules}:
                if top in sys.stdlib_module_names or top in own:
                    continue
                if canonicalize_name(distribution.get(top, top)) not in declared:
                    missing.add(f"{path.relative_to(ROOT)} imports {top}")
    assert not missing


def test_environment_yml_installs_the_project_with_the_constraints():
    text = (ROOT / "environment.yml").read_text()
    conda, pip = text.split("  - pip:\n")
    assert re.findall(r"^ +- (.+)$", pip, re.M) == ["-c constraints.txt", "-e .[dev]"]
    packages = re.findall(r"^  - (.+)$", conda.split("dependencies:")[1], re.M)
    assert [re.split("[=<>]", item)[0] for item in packages] == ["python", "pip"]
    python = packages[0].partition("=")[2]
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(python)
    assert python in SUPPORTED


def test_the_version_has_one_source():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "ppuu/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", citation, re.M) == [ppuu.__version__]


def test_a_wheel_holds_the_library_alone_and_is_typed():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["ppuu"]
    assert (ROOT / "ppuu/py.typed").is_file()


def test_git_ignores_no_source():
    for line in (ROOT / ".gitignore").read_text().splitlines():
        assert line.strip("/* ") not in {"data", "envs", "train", "eval", "ppuu", "tests"}, line
