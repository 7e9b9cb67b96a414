"""Film strips by hand."""

import torch

from ppuu.perception.film_strip import coloured, difference, film_strip


def test_colours_by_hand():
    vehicles, lanes, offroad = torch.eye(3)[:, None, :]
    picture = coloured(vehicles, lanes, offroad)[0]
    assert picture.tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_differences_tell_missed_from_false_and_from_agreement():
    true, predicted = torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    missed, false, agreed, empty = difference(true, predicted)[0]
    assert missed.argmax() == 2 and false.argmax() == 0
    assert agreed.tolist() == [0.75] * 3 and empty.tolist() == [1.0] * 3


def test_pictures_are_side_by_side_in_frames():
    pictures = torch.rand(2, 3, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    strip = film_strip(pictures)
    assert strip.shape == (2 * 7, 3 * 6, 3)
    torch.testing.assert_close(strip[8:13, 13:17], pictures[1, 2])
    assert (strip[7] == strip[0, 0]).all() and (strip[:, 6] == strip[0, 0]).all()
