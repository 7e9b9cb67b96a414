"""The table and the pictures of how hard recordings are."""

import json

import pytest

from data.traffic.road import SECTION_M
from eval.difficulty import main
from eval.statistics.intervals import rate
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


@pytest.fixture
def result(tmp_path):
    """Results about a recording of two cars, one 20 m (centre to centre) behind the other."""
    recording = tmp_path / "two.h5"
    cars = [Car(SECTION_M / 2), Car(SECTION_M / 2 + 20.0)]
    straight_recording(cars, frames=20).save(recording)
    success = rate(3, 4)
    row = {"name": "idm", "success": vars(success)}
    path = tmp_path / "two.json"
    path.write_text(json.dumps({"config": {"recordings": [str(recording)]}, "rows": [row]}))
    return path


def test_a_row_has_traffic_and_success(result, tmp_path, capsys):
    main((result,), pictures=tmp_path / "pictures")
    row = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    success = rate(3, 4)
    assert row[1] == "2" and row[4] == "0.00" and row[5] == "4"
    assert row[-1] == f"75 [{100 * success.low:.0f}, {100 * success.high:.0f}]"
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"rows": []}', '{"rows": [], "config": {}}'])
def test_other_files_are_refused_with_their_name(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json"):
        main((path,))
