"""Text tables: as many fields as there must be, and numbers with the mark that is expected."""

import numpy as np
import pytest

from data.sources.table import Dialect, read_named_columns, read_pieces
from ppuu.runtime.errors import InputError

COLUMNS = {"id": (0, "i8"), "x": (1, "f8"), "name": (2, "U16")}


def read(tmp_path, lines, dialect=Dialect()) -> np.ndarray:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    (piece,) = read_pieces(path, COLUMNS, 3, dialect)
    return piece.rows


def refusal(tmp_path, lines, dialect=Dialect()) -> str:
    with pytest.raises(InputError) as error:
        read(tmp_path, lines, dialect)
    assert str(error.value).startswith(f"{tmp_path / 'table.csv'}, line 2")
    return str(error.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", None])
@pytest.mark.parametrize("count", [2, 4])
def test_a_line_with_another_number_of_fields_is_named(tmp_path, delimiter, count):
    lines = [["1", "2.5", "a", "9"][:3], ["2", "3.5", "b", "9"][:count]]
    lines = [(delimiter or " ").join(line) for line in lines]
    message = refusal(tmp_path, lines, Dialect(delimiter))
    assert f"line 2: {count} columns instead of 3" in message


def test_a_decimal_comma_without_quotes_is_a_field_too_many(tmp_path):
    assert "line 2: 4 columns instead of 3" in refusal(tmp_path, ["1,2.5,a", "2,3,5,b"])


def test_a_field_in_quotes_may_hold_the_delimiter(tmp_path):
    rows = read(tmp_path, ['1,2.5,"a,b"', '"2","3.5","say ""so"""'])
    assert rows["id"].tolist() == [1, 2] and rows["x"].tolist() == [2.5, 3.5]
    assert rows["name"].tolist() == ["a,b", 'say "so"']


@pytest.mark.parametrize("text", ['"1,5', '"1"5', '"'])
def test_quotes_that_do_not_end_are_named(tmp_path, text):
    assert "quotes" in refusal(tmp_path, ["1,2.5,a", f"2,{text},b"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("text", ["1,5", "1,500", "-0,25", "604,123.5", "1,118,846", ","])
def test_a_comma_in_a_number_is_never_passed_over(tmp_path, delimiter, text):
    lines = [delimiter.join(line) for line in (["1", "2.5", "a"], ["2", f'"{text}"', "b"])]
    message = refusal(tmp_path, lines, Dialect(delimiter, cure="ask the owner"))
    assert message.endswith(f"line 2, column 2 (x): '{text}' has a comma; ask the owner")


@pytest.mark.parametrize("text", ["1,5", "12,34", "1,5000", "1234,567", "1,234,5", ",500", "1,"])
def test_commas_that_part_no_thousands_are_refused(tmp_path, text):
    lines = ["1,2.5,a", f'2,"{text}",b']
    assert f"'{text}' has a comma" in refusal(tmp_path, lines, Dialect(thousands=True))


def test_commas_between_thousands_are_read_where_they_are_expected(tmp_path):
    lines = ['"1,118,846",2.5,a', '2,"-6,451,137.25",b', '3,"7.5",c']
    rows = read(tmp_path, lines, Dialect(thousands=True))
    assert rows["id"].tolist() == [1118846, 2, 3]
    assert rows["x"].tolist() == [2.5, -6451137.25, 7.5]


@pytest.mark.parametrize("delimiter, quote", [(";", ""), ("\t", ""), (",", '"')])
def test_a_decimal_comma_is_read_where_it_is_expected(tmp_path, delimiter, quote):
    dialect = Dialect(delimiter, decimal=",")
    texts = ["604123,456789", "-1,5", "7", "1,5e3"]
    lines = [delimiter.join([str(k), f"{quote}{t}{quote}", "a.b"]) for k, t in enumerate(texts)]
    rows = read(tmp_path, lines, dialect)
    assert rows["x"].tolist() == [604123.456789, -1.5, 7.0, 1500.0]
    assert set(rows["name"]) == {"a.b"}
    lines[1] = delimiter.join(["1", "1.5", "b"])
    assert "line 2, column 2 (x): '1.5' has a point" in refusal(tmp_path, lines, dialect)


def test_names_in_the_header_may_hold_the_delimiter(tmp_path):
    path = tmp_path / "named.csv"
    path.write_text('"id, of the track",x\n7,1.5\n')
    rows = read_named_columns(path, {"id, of the track": "i8", "x": "f8"}, "")
    assert rows.tolist() == [(7, 1.5)]
    path.write_text('"id,x\n7,1.5\n')
    with pytest.raises(InputError, match=r"line 1, header: .*correct the quotes"):
        read_named_columns(path, {"x": "f8"}, "")
