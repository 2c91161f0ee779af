"""The outlines of a head cut in the axial plane: scalp, skull, folded cortex and the fluid spaces."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from mrikit.simulate.fields import periodic_field
from mrikit.simulate.frame import SliceFrame
from mrikit.simulate.shapes import FloatArray, chord, segment, soft_step, union

_TURN = 640
"""Samples around the head of the map of sulci."""
_DEPTH_STEP_MM = 0.5
_DEEPEST_MM = 36.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BrainShape:
    """Distances, (y, x) float32 millimetres, of one slice."""

    y: FloatArray
    """Front (negative) to back, 0 at the middle of the brain."""
    across: FloatArray
    """Right to left, 0 in the fissure between the hemispheres."""
    z: float
    """Height over the middle of the ventricles, millimetres."""
    scalp: FloatArray
    """Signed distance to the surface of the head."""
    skull: FloatArray
    """Signed distance to the outer table of the skull."""
    skull_mm: FloatArray
    """Thickness of the skull."""
    brain: FloatArray
    """Signed distance to the hull of the brain, sulci ignored."""
    pia: FloatArray
    """Distance, positive, from the nearest surface of the brain, sulci and fissures included."""
    ventricles: FloatArray
    """Signed distance to the ventricles."""
    fluid_mm: FloatArray
    """Half width of the fluid in the sulci."""


def brain_shape(frame: SliceFrame) -> BrainShape:
    """Cut one patient's head at one slice."""
    rng = frame.rng("brain shape")
    z = frame.z
    half_y, half_x = 93 + rng.normal(0, 2.5), 75 + rng.normal(0, 2.0)
    atrophy = float(rng.beta(1.5, 3.5))
    scalp, angle = _outline(frame, half_y, half_x)
    fat_mm = 3.4 * float(np.exp(rng.normal(0, 0.25))) * (1 + 0.22 * frame.field("scalp", 22.0))
    temple = np.exp(-(((np.abs(np.sin(angle)) - 0.95) / 0.25) ** 2)) * soft_step(-frame.y + 18, 14)
    fat_mm = fat_mm + np.float32(7.0 / (1 + np.exp((z - 14) / 7))) * temple + 1.6 * soft_step(frame.y - 60, 20)
    skull = scalp + np.maximum(fat_mm, 1.8).astype(np.float32) + np.float32(1.5)
    skull_mm = (5.6 + rng.normal(0, 0.6)) * (1 + 0.2 * frame.field("skull", 20.0)) + 1.5 * soft_step(
        np.abs(frame.y) - 62, 14
    )
    skull_mm = np.maximum(skull_mm, 3.6).astype(np.float32)
    space = 1.1 + 2.0 * atrophy + 0.5 * frame.field("space", 16.0) + 1.2 * atrophy * soft_step(-frame.y - 20, 30)
    brain = skull + skull_mm + np.maximum(space, 0.7).astype(np.float32)

    across = (frame.x + 1.3 * frame.field("midline", 40.0)).astype(np.float32)
    width = 0.35 + 0.9 * atrophy + 0.30 * frame.field("sulcus width", 12.0)
    ventricles = _ventricles(frame.y, np.abs(across), z, size=0.65 + 0.75 * atrophy + 0.15 * rng.random())
    pia = np.minimum(-brain, _sulci(frame, brain, angle, (half_y + half_x) / 2 - 14))
    pia = np.minimum(pia, _fissures(frame, across))
    return BrainShape(
        y=frame.y,
        across=across,
        z=z,
        scalp=scalp,
        skull=skull,
        skull_mm=skull_mm,
        brain=brain,
        pia=np.maximum(pia, 0).astype(np.float32),
        ventricles=ventricles.astype(np.float32),
        fluid_mm=np.maximum(width, 0.12).astype(np.float32),
    )


def _outline(frame: SliceFrame, half_y: float, half_x: float) -> tuple[FloatArray, FloatArray]:
    """Signed distance to a head-shaped curve, and the angle about its middle, 0 at the front."""
    rng = frame.rng("outline")
    share = max(0.12, chord(frame.z - 4, 98) ** 0.9)
    v, u = frame.y / np.float32(half_y * share), frame.x / np.float32(half_x * share)
    angle = np.arctan2(u, -v)
    # Wider behind than in front, and a little irregular.
    bulge = 1 - 0.035 * np.cos(angle) * np.sin(angle) ** 2 * 2
    for order in (2, 3, 4, 5):
        bulge = bulge + rng.normal(0, 0.008 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    radius = np.hypot(v, u)
    slope = np.hypot(v / np.float32(half_y * share), u / np.float32(half_x * share)) / np.maximum(radius, 1e-3)
    return ((radius - bulge) / np.maximum(slope, 1e-3)).astype(np.float32), angle


def _sulci(frame: SliceFrame, brain: FloatArray, angle: FloatArray, radius_mm: float) -> FloatArray:
    """Distance to thin sheets that enter the brain from its surface and end at different depths.

    The sheets are the zeros of a random field over (angle, depth) whose features are long in depth. Near a zero the
    distance is value over slope; beyond the end of a sheet the way to its end counts too.
    """
    depths = np.arange(0, _DEEPEST_MM, _DEPTH_STEP_MM, dtype=np.float32)
    distance = np.full((len(depths), _TURN), np.inf, np.float32)
    for name, nodes, long, deepest, variation in (("primary", 88, 26.0, 19.0, 5.5), ("secondary", 140, 16.0, 8.5, 4.0)):
        key = (*frame.key, name)
        field = periodic_field(key, depths, _TURN, frame.z, scale=(13.0, long), num_nodes=nodes)
        end = deepest + variation * periodic_field(
            (*key, "end"), depths[:1], _TURN, frame.z, scale=(14.0, 30.0), num_nodes=nodes // 2
        )
        circumference = 2 * np.pi * np.maximum(radius_mm - depths[:, None], 20) / _TURN
        around = (np.roll(field, -1, 1) - np.roll(field, 1, 1)) / (2 * circumference)
        inwards = np.gradient(field, _DEPTH_STEP_MM, axis=0)
        sheet = np.abs(field) / np.sqrt(around**2 + inwards**2 + np.float32(1e-4))
        distance = np.minimum(distance, np.hypot(sheet, np.maximum(depths[:, None] - end, 0)))
    # Repeat the first column behind the last one, so that interpolation closes the turn.
    closed = np.concatenate([distance, distance[:, :1]], axis=1)
    bend = 2.2 * frame.field("gyral bend", 7.0)
    turn = np.mod(angle / (2 * np.pi) + bend / (2 * np.pi * 60), 1) * _TURN
    index = np.stack([np.clip(-brain, 0, _DEEPEST_MM - 1) / _DEPTH_STEP_MM, turn])
    return np.asarray(map_coordinates(closed, index, order=1, mode="nearest", output=np.float32))


def _fissures(frame: SliceFrame, across: FloatArray) -> FloatArray:
    """Distance to the fissure between the hemispheres and to the two lateral (Sylvian) ones."""
    z, y = frame.z, frame.y
    # Below the top of the corpus callosum the midline is open in front and behind only.
    bridge = 40 * chord(min(max(z, 0.0), 60.0), 27) if z > 0 else 40.0
    gate = np.maximum(np.float32(bridge) - np.abs(y - 4), 0) if bridge > 0 else np.float32(0)
    nearest = np.hypot(across, gate)
    share = chord(z - 3, 17)
    if share > 0:
        side = np.abs(across) + 1.5 * frame.field("sylvian", 14.0)
        insula = segment(y, side, (-18, 36), (14, 40))
        stem = segment(y, side, (-4, 38.5), (-12, 75))
        nearest = np.minimum(nearest, np.minimum(insula, stem) + np.float32(5 * (1 - share)))
    return np.asarray(nearest, np.float32)


def _ventricles(y: FloatArray, across: FloatArray, z: float, *, size: float) -> FloatArray:
    """Signed distance to the lateral ventricles, horn by horn, and the third ventricle."""
    horns = (
        # from (y, x), to (y, x), radius, middle height, reach in height
        ((-32, 12.5), (-24, 8.5), 3.1, 2, 15),
        ((-24, 8.5), (-10, 5.0), 3.6, 4, 16),
        ((-10, 5.0), (4, 5.5), 3.2, 13, 12),
        ((4, 5.5), (18, 9), 3.4, 14, 11),
        ((18, 9), (27, 15.5), 4.2, 9, 14),
        ((27, 15.5), (35, 22), 4.8, 4, 14),
        ((35, 22), (48, 19.5), 2.9, 1, 11),
    )
    nearest = np.full_like(y, 30)
    for start, end, radius, middle, reach in horns:
        share = chord(z - middle, reach * (0.8 + 0.2 * size))
        if share > 0:
            nearest = union(nearest, segment(y, across, start, end) - np.float32(radius * size * share), 4.0)
    third = segment(y, across, (2, 0), (20, 0)) - np.float32(1.1 * size * chord(z + 2, 11))
    return np.minimum(nearest, third) if chord(z + 2, 11) > 0 else nearest
