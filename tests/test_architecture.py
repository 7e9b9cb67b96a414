"""Who may import whom, and what no file may do; read from the sources, nothing is run."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("ppuu", "data", "envs", "train", "eval")
ALLOWED = {
    "ppuu": set(),
    "data": {"ppuu"},
    "envs": {"ppuu"},
    "train": {"ppuu", "data", "envs"},
    "eval": {"ppuu", "data", "envs"},
}
"""Which of the other folders each one may import."""

ROOMS = (
    *(
        "runtime",
        "backends",
        "geometry",
        "units",
        "tractrix",
        "kinematics",
        "recordings",
        "perception",
    ),
    *("driving", "predictions", "costs", "encoders", "world_models", "prediction_sources"),
    *("planners", "policies", "objectives", "loading"),
)
"""The rooms of ``ppuu/``; each may import those before it, and none of those after it."""

COMMAND_LINE = {"command.py", "presets.py", "parse_errors.py"}
"""Files of ``ppuu/`` that parse the command lines of the other folders."""
NOT_IN_THE_LIBRARY = {"gymnasium", "matplotlib", "tensorboard", "cv2"}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve"}
GLOBAL_RANDOM = {
    f"{module}.{name}"
    for module, names in {
        "torch": ("manual_seed", "seed", "set_rng_state"),
        "torch.random": ("manual_seed", "seed", "set_rng_state", "fork_rng"),
        "torch.cuda": ("manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_state"),
        "np.random": ("seed", "set_state"),
        "random": ("seed", "setstate"),
    }.items()
    for name in names
}
"""What seeds or sets aside the generators that everything shares."""
OWN_MODE = {"self.train", "super().train", "self._template[0].train"}
"""A module sets its own mode, and an ensemble that of the pattern of its members."""


class Import(NamedTuple):
    """One imported module; ``level`` counts the leading dots."""

    module: str
    level: int
    line: int
    names: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        return self.module.split(".")[0] if self.level == 0 else ""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (Import(name.name, 0, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(
                node.module or "", node.level, node.lineno, tuple(name.name for name in node.names)
            )


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_lies_below_them(folder):
    forbidden = {*FOLDERS, "tests"} - {folder} - ALLOWED[folder]
    wrong = [
        f"{where(path, item.line)} imports {item.module}"
        for path in files(folder)
        for item in imports(path)
        if item.top in forbidden
    ]
    assert not wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_inside_a_folder_are_relative(folder):
    wrong = [
        f"{where(path, item.line)} imports {item.module} by its full name"
        for path in files(folder)
        for item in imports(path)
        if item.top == folder
    ]
    assert not wrong


def test_every_room_of_the_library_is_known():
    found = {p.stem for p in (ROOT / "ppuu").iterdir() if p.suffix == ".py" or any(p.glob("*.py"))}
    assert found - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_library_import_only_earlier_ones(room):
    home, later = ROOT / "ppuu", set(ROOMS[ROOMS.index(room) + 1 :])
    paths = [home / f"{room}.py"] if (home / f"{room}.py").is_file() else files(f"ppuu/{room}")
    wrong = []
    for path in paths:
        for item in imports(path):
            above = path.relative_to(home).parts[:-1]  # packages between the file and ``ppuu``
            kept = above[: len(above) + 1 - item.level]
            if item.level and not kept:
                into = {item.module.split(".")[0]} if item.module else set(item.names)
                wrong += [f"{where(path, item.line)} imports {name}" for name in into & later]
    assert not wrong


def test_the_library_stays_free_of_simulator_plots_and_pictures():
    wrong = [
        f"{where(path, item.line)} imports {item.module}"
        for path in files("ppuu")
        for item in imports(path)
        if item.top in NOT_IN_THE_LIBRARY
    ]
    assert not wrong


def test_opencv_is_imported_in_one_place():
    """So that a missing system library gives one line, and only where pictures are needed."""
    wrong = [
        where(path, item.line)
        for path in files(*FOLDERS)
        for item in imports(path)
        if item.top == "cv2"
    ]
    assert not wrong, "use ppuu.runtime.packages.import_opencv"


def test_the_library_prints_nothing_and_has_no_command_line():
    wrong = [
        where(path, node.lineno)
        for path in files("ppuu")
        for name, node in calls(path)
        if name in {"print", "input"}
    ]
    wrong += [
        where(path, item.line)
        for path in files("ppuu")
        for item in imports(path)
        if item.top in {"argparse", "tyro"} and path.name not in COMMAND_LINE
    ]
    assert not wrong


def test_no_function_refers_to_a_name_that_is_not_there():
    """The linter cannot tell: to it, jaxtyping's shapes are such names, so that rule is off."""
    wrong = []
    for path in files(*FOLDERS, "tests"):
        module = symtable.symtable(path.read_text(encoding="utf-8"), str(path), "exec")
        known = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported()}
        known |= {*dir(builtins), "__file__", "__path__"}
        known |= {table.get_name() for table in module.get_children()}
        tables = [module]
        while tables:
            table = tables.pop()
            tables += table.get_children()
            wrong += [
                f"{path.relative_to(ROOT)}: {symbol.get_name()} in {table.get_name()}"
                for symbol in table.get_symbols()
                if symbol.is_referenced()
                and symbol.is_global()
                and not symbol.is_parameter()
                and symbol.get_name() not in known
            ]
    assert not wrong


def test_no_pickle_is_read():
    wrong = [
        f"{where(path, item.line)} imports {item.module}"
        for path in files(*FOLDERS)
        for item in imports(path)
        if item.top in PICKLES
    ]
    assert not wrong


def test_loading_runs_no_code():
    wrong = []
    for path in files(*FOLDERS, "tests"):
        for name, node in calls(path):
            given = {word.arg: word.value for word in node.keywords}
            if name == "torch.load":
                safe = given.get("weights_only")
                if not (isinstance(safe, ast.Constant) and safe.value is True):
                    wrong.append(where(path, node.lineno))
            if "allow_pickle" in given:
                wrong.append(where(path, node.lineno))
    assert not wrong


def test_the_library_keeps_its_hands_off_shared_randomness_and_other_modules_modes():
    """Chances come from a generator that is handed in, replicas from masks."""
    wrong, seeded = [], []
    for path in files("ppuu"):
        for name, node in calls(path):
            if name in GLOBAL_RANDOM or name.split(".")[-1] == "fork_rng":
                seeded.append((path.name, where(path, node.lineno)))
            if isinstance(node.func, ast.Attribute) and node.func.attr == "train":
                wrong += [where(path, node.lineno)] * (name not in OWN_MODE)
        wrong += [  # or else the names above would not be told from others
            f"{where(path, node.lineno)} imports {name.name}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
            if f"{node.module}.{name.name}" in GLOBAL_RANDOM
        ]
    # ``seed_everything`` is the one place.
    wrong += [place for name, place in seeded if name != "device.py"]
    assert not wrong
    assert len(seeded) == 1


OLD_NAMES = {"Futures", "TrackFutures"}
OLD_ATTRIBUTES = {"predicts_images", "paints_images", "decoupled"}
ASKS = {"isinstance", "issubclass", "hasattr", "getattr"}


def test_no_module_asks_for_the_kind_of_a_prediction():
    """What differs between kinds is a method of ``ppuu.predictions.Prediction``."""
    predictions = files("ppuu/predictions")
    kinds = {
        node.name: node
        for path in predictions
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and "Prediction" in map(ast.unparse, node.bases)
    }
    assert len(kinds) >= 2
    fields = {
        item.target.id
        for kind in kinds.values()
        for item in kind.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    told = {*kinds, *OLD_NAMES}
    wrong = []
    for path in set(files(*FOLDERS)) - set(predictions):
        for node in ast.walk(tree(path)):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[_, kind, *_]) if name in ASKS:
                    bad = words_in(kind) & (told | fields | OLD_ATTRIBUTES)
                case ast.Compare():
                    bad = words_in(node) & told
                case ast.MatchClass(cls=kind):
                    bad = words_in(kind) & told
                case ast.Name(id=name) | ast.alias(name=name) | ast.ClassDef(name=name):
                    bad = {name} & (OLD_NAMES | (OLD_ATTRIBUTES - {"decoupled"}))
                case ast.Attribute(attr=name):
                    bad = {name} & (OLD_NAMES | OLD_ATTRIBUTES)
                case _:
                    continue
            wrong += [f"{where(path, node.lineno)} asks for {name}" for name in sorted(bad)]
    assert not wrong


def words_in(node: ast.AST) -> set[str]:
    """Variables, attributes without what stands before the dot, and strings."""
    words = set()
    for child in ast.walk(node):
        match child:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.Constant(value=str(word)):
                words.add(word)
    return words
