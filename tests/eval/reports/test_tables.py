"""Tables: the same numbers as text, Markdown and HTML."""

from eval.reports.tables import Column, html_table, markdown_table, percent, plain, text_table
from eval.statistics.intervals import rate
from eval.statistics.metric import Metric

ROWS = [
    {"name": "a & b", "success": Metric(0.75, 0.5, 0.875, 8), "distance_m": 12.345},
    {"name": "idm", "success": Metric(0.5, float("nan"), float("nan"), 1), "distance_m": None},
]
COLUMNS = (*percent("success", digits=0), *plain("distance_m", digits=1))


def test_tables_align():
    text = text_table(
        [{"name": "human", "success": rate(20, 20)}, {"name": "no action", "steps_per_s": 12345.6}]
    )
    lines = text.splitlines()
    assert lines[0].split() == ["name", "success", "steps_per_s"]
    assert "1 [0.8389, 1]" in lines[2] and lines[3].endswith("12,346")
    assert text_table([]) == "(no rows)"


def test_columns_are_chosen_scaled_and_named():
    lines = text_table(ROWS, [Column("name", "driver"), *COLUMNS]).splitlines()
    assert lines[0].split() == ["driver", "success", "distance_m"]
    assert lines[2] == "a & b   75 [50, 88]        12.3"
    assert lines[3] == "idm              50"


def test_markdown_and_html_have_the_same_cells():
    text = markdown_table(ROWS, [Column("name"), *COLUMNS])
    assert text.splitlines() == [
        "| name | success | distance_m |",
        "| --- | --: | --: |",
        "| a & b | 75 [50, 88] | 12.3 |",
        "| idm | 50 |  |",
    ]
    page = html_table(ROWS, COLUMNS)
    assert "<th></th><th>success</th><th>distance m</th>" in page
    assert "<td>a &amp; b</td><td>75<small>50 – 88</small></td><td>12.3</td>" in page
    assert "<td>idm</td><td>50</td><td></td>" in page


def test_rows_read_back_from_a_file_are_the_same():
    read = [{"name": "a & b", "success": {"value": 0.75, "low": 0.5, "high": 0.875, "n": 8}}]
    read += [{"name": "none", "success": {"value": None, "low": None, "high": None, "n": 0}}]
    lines = text_table(read, [Column("name"), *COLUMNS[:1]]).splitlines()
    assert lines[2] == "a & b  75 [50, 88]"
    assert lines[3].split() == ["none", "-"]
