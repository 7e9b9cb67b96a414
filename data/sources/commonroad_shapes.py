"""Boxes from the shapes of CommonRoad: rectangles, circles, polygons, or several of them."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float

from ppuu.runtime.errors import InputError

from .xml_file import XmlFile

_SHAPES = ("rectangle", "circle", "polygon")


@dataclass(frozen=True)
class Box:
    """A box about an obstacle's position and orientation.

    Attributes:
        length_m, width_m: of the box.
        ahead_m, left_m: its centre.
        turn_rad: its direction; at most an eighth of a turn, so that a box that lies across keeps
            the obstacle's heading and has length and width exchanged.
    """

    length_m: float
    width_m: float
    ahead_m: float
    left_m: float
    turn_rad: float


def box(file: XmlFile, obstacle: Element) -> Box:
    """The box around an obstacle's shape: exact for a rectangle.

    A circle becomes a square; polygons, and several shapes together, the box along the obstacle's
    axes that holds them.

    Raises:
        InputError: no such shape, or one without its numbers.
    """
    shapes = [shape for shape in obstacle.findall("shape/*") if shape.tag in _SHAPES]
    if not shapes:
        raise InputError(
            f"{file.place(obstacle)}: obstacle {obstacle.get('id')} has no <shape> of "
            f"{', '.join(f'<{name}>' for name in _SHAPES)}"
        )
    if len(shapes) == 1 and shapes[0].tag == "rectangle":
        length_m, width_m, turn_rad = _rectangle(file, shapes[0])
        quarters = round(turn_rad / (0.5 * np.pi))
        if quarters % 2:
            length_m, width_m = width_m, length_m
        ahead_m, left_m = _centre(file, shapes[0]).tolist()
        return Box(length_m, width_m, ahead_m, left_m, turn_rad - quarters * 0.5 * np.pi)
    corners = np.concatenate([_corners(file, shape) for shape in shapes])
    low, high = corners.min(0), corners.max(0)
    length_m, width_m = (high - low).tolist()
    ahead_m, left_m = (0.5 * (low + high)).tolist()
    return Box(length_m, width_m, ahead_m, left_m, 0.0)


def _corners(file: XmlFile, shape: Element) -> Float[np.ndarray, "points 2"]:
    """Points, about the obstacle, whose bounding box is that of the shape."""
    if shape.tag == "polygon":
        points = [
            [file.child(point, axis) for axis in ("x", "y")] for point in shape.findall("point")
        ]
        if len(points) < 3:
            raise InputError(f"{file.place(shape)}: <polygon> has fewer than three points")
        return np.array(points)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    if shape.tag == "circle":
        return _centre(file, shape) + file.child(shape, "radius") * signs
    length_m, width_m, turn_rad = _rectangle(file, shape)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    own = 0.5 * signs * (length_m, width_m)
    return _centre(file, shape) + own @ np.array([[cos, sin], [-sin, cos]])


def _rectangle(file: XmlFile, shape: Element) -> tuple[float, float, float]:
    """Length, width and orientation, which may be left out."""
    turn_rad = 0.0 if shape.find("orientation") is None else file.child(shape, "orientation")
    return file.child(shape, "length"), file.child(shape, "width"), turn_rad


def _centre(file: XmlFile, shape: Element) -> Float[np.ndarray, "2"]:
    """Relative to the obstacle's position; may be left out."""
    if shape.find("center") is None:
        return np.zeros(2)
    return np.array([file.child(shape, f"center/{axis}") for axis in ("x", "y")])
