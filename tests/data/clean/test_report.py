"""The report's page: whole in itself, every number in it, for one recording and for many."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from data import clean
from data.clean import CleanConfig
from data.clean.html_report import write_html_report
from data.clean.plots import histogram, time_space
from ppuu.recordings.recording import Recording, load_recordings, save_recordings

from .test_clean import join, rows


class Checked(HTMLParser):
    """Every tag that is opened is closed, in order; counts them."""

    def __init__(self):
        super().__init__()
        self.open, self.counts, self.links = [], {}, []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value for key, value in attrs if key in ("src", "href")]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def made(name: str = "test", **options) -> Recording:
    table = join(
        rows(range(60)),
        rows(range(40), vehicle=2, y_m=7.0),
        rows([*range(30), *range(33, 60)], vehicle=3, y_m=1.0, speed_mps=16.0),
        rows(range(5), vehicle=4),
    )
    found = clean.recording(replace(table, name=name), CleanConfig(**options))
    return replace(
        found,
        provenance={"raw": {"file": "<raw>.txt", "sha256": "0" * 64}} | dict(found.provenance),
    )


def page_of(tmp_path, recordings) -> tuple[str, Checked]:
    path = tmp_path / "some.report.html"
    write_html_report(recordings, path)
    text, checked = path.read_text(), Checked()
    checked.feed(text)
    assert checked.open == []
    return text, checked


def test_the_page_says_what_the_report_says(tmp_path):
    text, checked = page_of(tmp_path, [made()])
    assert "track shorter than 1 s" in text
    assert "frame filled by interpolation" in text
    assert re.search(r"<td>1 and 2</td><td>40</td><td>0.30</td>", text)
    assert "&lt;raw&gt;.txt" in text
    assert "Options of the checks: the defaults" in text
    # Six small plots, time and space, the road and its inner part.
    assert checked.counts["svg"] == 9
    # Two lanes, the scale of their colours, and the road.
    assert checked.counts["image"] == 4


def test_the_page_needs_nothing_else(tmp_path):
    text, checked = page_of(tmp_path, [made("a"), made("b", smoothing="none")])
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in checked.links)
    assert "http" not in text
    assert "url(" not in text
    assert "<script" not in text


def test_several_recordings_have_an_overview_with_links(tmp_path):
    text, checked = page_of(tmp_path, [made(f"recording {k}") for k in range(4)])
    assert [link for link in checked.links if link.startswith("#")] == ["#r0", "#r1", "#r2", "#r3"]
    assert checked.counts["section"] == 5
    assert all(f'id="r{k}"' in text for k in range(4))


def test_changed_options_are_named(tmp_path):
    text, _ = page_of(tmp_path, [made(smoothing="ppuu-mean")])
    assert "smoothing: ppuu-mean (default path)" in text
    assert "positions, smoothed</td>" in text


def test_the_page_of_a_loaded_file_is_the_same(tmp_path):
    recording = made()
    save_recordings(tmp_path / "some.h5", [recording])
    before, _ = page_of(tmp_path, [recording])
    after, _ = page_of(tmp_path, load_recordings([tmp_path / "some.h5"]))
    assert before == after


def test_a_histogram_holds_every_bin_and_the_bounds_inside_it():
    drawn = histogram({"a": [0, 9, 99]}, (0.0, 30.0), (-5.0, 15.0), "m")
    heights = re.search(r'class="a" d="M0 110.0(.*?)"', drawn)[1]
    assert heights.count("L") == 2 * 3 + 1
    assert "L100.0 55.0" in heights  # log(10) is half of log(100)
    assert drawn.count('class="limit"') == 1
    assert "M150.0 0V" in drawn


@pytest.mark.parametrize("lanes, left_out", [(3, 0), (11, 3)])
def test_the_lanes_that_are_used_most_are_shown(lanes, left_out):
    recording = made()
    lane = np.arange(recording.rows) % lanes
    image, fewer = time_space(recording, lane)
    assert fewer == left_out
    assert image.count("<image") == min(lanes, 8) + 1
