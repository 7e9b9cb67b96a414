"""Reading tables of recorded lanes."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from data.calibration.tables import read_columns, runs, stretches
from ppuu.runtime.errors import InputError


def table(path, text: str):
    with gzip.open(path, "wt") as file:
        file.write(text)
    return path


def test_columns_are_found_by_name(tmp_path):
    path = table(tmp_path / "t.csv.gz", "a,b,c\n1,2,3\n4,5,6\n")
    columns = read_columns(path, ("c", "a"))
    assert list(columns) == ["c", "a"]
    np.testing.assert_array_equal(columns["c"], [3, 6])
    assert list(read_columns(path, ("c",), further=True)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column c"),
        ("a,c\n1,x\n", "damaged"),
        ("a,c\n1\n", "damaged"),
        ("a,c\n", "no rows"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_bad_tables_are_named(tmp_path, text, message):
    path = table(tmp_path / "bad.csv.gz", text)
    with pytest.raises(InputError, match=message) as caught:
        read_columns(path, ("c",))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_is_no_gzip(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_columns(tmp_path / "none.csv.gz", ("a",))
    (tmp_path / "plain.csv.gz").write_text("a\n1\n")
    with pytest.raises(InputError, match="damaged"):
        read_columns(tmp_path / "plain.csv.gz", ("a",))


def test_runs_end_where_any_key_changes():
    a, b = np.array([1, 1, 1, 2, 2]), np.array([5, 5, 6, 6, 6])
    assert runs(a, b) == [slice(0, 2), slice(2, 3), slice(3, 5)]


def test_stretches_end_where_a_frame_is_missing():
    time_s = np.array([0.1, 0.2, 0.4, 0.5, 0.1])
    vehicle = np.array([3, 3, 3, 3, 4])
    assert stretches(time_s, vehicle) == [slice(0, 2), slice(2, 4), slice(4, 5)]
