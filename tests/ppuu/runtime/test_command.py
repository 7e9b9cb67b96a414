"""Commands: typed options, presets, and one line with status 2 for every mistake."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

import eval.closed_loop
import eval.open_loop.__main__ as open_loop
import train.policy
import train.world_model
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class Inner:
    learning_rate: float = 0.1

    def __post_init__(self):
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate {self.learning_rate} must be positive")


@dataclass(frozen=True)
class Config:
    inner: Inner = Inner()
    batch: int = 4

    @property
    def summary(self):
        return f"{self.batch} clips"


PRESETS = {"small": Config(), "large": Config(Inner(0.01), 64)}


def caught(argv, presets=PRESETS, fails=None):
    """What the command was called with."""
    calls = []

    def main(
        out: Path,
        config: Annotated[Config, tyro.conf.arg(name="")],
        names: tuple[str, ...] = (),
        kind: Literal["small", "large"] = "small",
        pair: tuple[int, int] = (0, 1),
    ) -> None:
        """A command.

        Args:
            out: where to.
            config: what.
            names: whom.
            kind: of them.
            pair: two.
        """
        calls.append((out, config, names))
        if fails:
            raise fails

    run(main, argv, presets)
    return calls[0]


def test_presets_and_overrides():
    assert caught(["--out", "x"]) == (Path("x"), Config(), ())
    assert caught(["--out", "x", "--preset", "large"])[1] == PRESETS["large"]
    assert caught(["--preset=large", "--out", "x"])[1] == PRESETS["large"]
    changed = caught(["--out", "x", "--preset", "large", "--inner.learning-rate", "0.5"])[1]
    assert changed == Config(Inner(0.5), 64)
    assert caught(["--out", "x", "--names", "a", "b"])[2] == ("a", "b")


def test_the_help_lists_every_preset(capsys):
    with pytest.raises(SystemExit):
        caught(["--help"])
    lines = [" ".join(line.strip("│").split()) for line in capsys.readouterr().out.splitlines()]
    assert lines.count("--preset NAME one of") == 1
    assert {"small: 4 clips", "large: 64 clips"} <= set(lines)


def test_a_configuration_file_is_what_options_change(tmp_path):
    file = tmp_path / "config.json"
    config = Config(Inner(0.07), 9)
    file.write_text(json.dumps(to_json(config) | {"data": {"split": "train"}, "method": "mpur"}))
    assert caught(["--out", "x", "--config", str(file)])[1] == config
    changed = caught(["--out", "x", f"--config={file}", "--batch", "2"])[1]
    assert changed == Config(Inner(0.07), 2)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({"bach": 3}, [], "unknown key 'bach'; did you mean 'batch'?"),
        ({"type": "Inner"}, [], "type 'Inner' where Config is expected"),
        ({}, ["--preset", "large"], "--preset large and --config"),
        ([], [], "holds no JSON object"),
    ],
)
def test_configuration_files_that_do_not_fit(capsys, tmp_path, content, options, words):
    (tmp_path / "config.json").write_text(json.dumps(content))
    argv = ["--out", "x", "--config", str(tmp_path / "config.json"), *options]
    error = failed(capsys, argv)
    assert words in error and error.count("\n") == 1


def failed(capsys, argv, status=2, fails=None):
    with pytest.raises(SystemExit) as end:
        caught(argv, fails=fails)
    assert end.value.code == status
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--out", "x", "--bach", "3"], ["--bach", "--batch"]),
        (
            ["--out", "x", "--inner.learning-rat=3"],
            ["--inner.learning-rat", "--inner.learning-rate"],
        ),
        (["--out", "x", "--inner.learning-rate", "-1"], ["learning_rate -1.0 must be positive"]),
        (["--out", "x", "--preset", "lage"], ["--preset lage", "mean large?", "small, large"]),
        (["--out", "x", "--preset=lage"], ["--preset lage", "mean large?", "small, large"]),
        (["--out", "x", "--preset"], ["--preset NAME: value missing"]),
        (["--out", "x", "--config", "no.json"], ["--config no.json: no such file"]),
        (["--out", "x", "--kind", "smal"], ["--kind smal", "mean small?", "small, large"]),
        (["--out", "x", "--pair", "1"], ["--pair INT INT: value missing"]),
        (["--out", "x", "y"], ["unexpected y"]),
        (["--names", "x", "--bach", "3"], ["--bach", "--batch"]),
        (["--out", "x", "--batch", "many"], ["--batch", "'many'", "see --help"]),
        ([], ["missing --out PATH; see --help"]),
        (["--out"], ["--out", "see --help"]),
    ],
)
def test_mistakes_end_with_one_line(capsys, argv, words):
    error = failed(capsys, argv)
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_errors_while_running(capsys):
    error = failed(capsys, ["--out", "x"], fails=InputError("file.h5: broken;\n make it again"))
    assert error == "error: file.h5: broken; make it again\n"
    assert "again to go on" in failed(capsys, ["--out", "x"], 130, KeyboardInterrupt())
    # A mistake of ours is not dressed up as one of the user's.
    with pytest.raises(ZeroDivisionError):
        caught(["--out", "x"], fails=ZeroDivisionError())


COMMANDS = {
    "train.world_model": (train.world_model.main, train.world_model.PRESETS, ["--out", "run"]),
    "train.policy": (
        train.policy.main, train.policy.PRESETS, ["--out", "run", "--method", "imitation"],
    ),
    "eval.closed_loop": (eval.closed_loop.main, None, ["--policy", "idm", "--json", "run"]),
    "eval.open_loop": (open_loop.main, None, ["--world-model", "no", "--json", "run"]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (["--recordings", "no.h5", "--sed", "3"], ["unknown option --sed"]),
        (["--recordings", "no.h5"], ["no such", "no"]),
    ],
)
def test_the_commands_write_nothing_after_a_mistake(
    capsys, tmp_path, monkeypatch, name, mistake, words
):
    monkeypatch.chdir(tmp_path)
    main, presets, argv = COMMANDS[name]
    with pytest.raises(SystemExit) as end:
        run(main, argv + mistake, presets)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    for word in words:
        assert word in error
    assert list(tmp_path.iterdir()) == []


def test_unknown_presets_of_the_commands(capsys):
    for name in ("train.world_model", "train.policy"):
        main, presets, argv = COMMANDS[name]
        with pytest.raises(SystemExit) as end:
            run(main, [*argv, "--recordings", "no.h5", "--preset", "smal"], presets)
        assert end.value.code == 2
        assert "debug, small, medium, large" in capsys.readouterr().err


def test_the_usage_line_names_the_module(capsys):
    with pytest.raises(SystemExit):
        run(open_loop.main, ["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m eval.open_loop ")


def test_a_module_that_is_run_is_called_by_its_name():
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "data.generate", "--help"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m data.generate ")
    assert str(root) not in done.stdout
