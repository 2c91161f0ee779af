"""A head in axial slices, as coats of paint from the skin inwards."""

from collections.abc import Iterator

import numpy as np

from mrikit.simulate.brain_shape import BrainShape, brain_shape
from mrikit.simulate.frame import Layer, SliceFrame
from mrikit.simulate.shapes import FloatArray, chord, ellipse, intersection, segment, soft_step


def brain_layers(frame: SliceFrame) -> Iterator[Layer]:
    """The tissues of one slice in the order in which they are painted."""
    shape = brain_shape(frame)
    yield from _scalp(frame, shape)
    yield from _skull(frame, shape)
    yield from _cerebrum(frame, shape)
    yield from _deep_nuclei(frame, shape)
    yield from _ventricles(frame, shape)
    yield from _vessels(frame, shape)
    yield from _white_spots(frame, shape)
    yield from _tumor(frame, shape)


def _scalp(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    yield Layer(tissue="skin", coverage=frame.cover(shape.scalp))
    fat = frame.cover(shape.scalp + 1.4)
    yield Layer(tissue="subcutaneous_fat", coverage=fat, texture=frame.texture(0.10))
    septa = np.abs(frame.field("septa", (8.0, 4.0, 4.0))) * np.float32(2.0)
    yield Layer(tissue="fascia", coverage=fat * frame.cover(septa - 0.25) * np.float32(0.5))
    # Muscle fills the temples between fat and skull.
    flesh = intersection(shape.scalp + 4.8, -(shape.skull + 0.8), 1.0)
    fibres = frame.fibres("temporalis", 0.12, stretch=(2.5, 1.0))
    yield Layer(tissue="muscle", coverage=frame.cover(flesh), texture=fibres)
    yield Layer(tissue="fascia", coverage=frame.cover(np.abs(shape.skull + 0.4) - 0.5) * np.float32(0.8))
    for number in range(6):
        rng = frame.rng(f"scalp vessel {number}")
        angle = rng.uniform(0, 2 * np.pi) + 0.01 * shape.z
        y, x = -88 * np.cos(angle), 71 * np.sin(angle)
        spot = np.maximum(np.hypot(shape.y - y, shape.across - x) - 5, np.abs(shape.scalp + 3) - rng.uniform(0.5, 1.2))
        yield Layer(tissue="slow_vessel", coverage=frame.cover(spot) * np.float32(0.8))


def _skull(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    yield Layer(tissue="cortical_bone", coverage=frame.cover(shape.skull))
    diploe = np.maximum(shape.skull + 1.5, -(shape.skull + shape.skull_mm - 1.2))
    patchy = soft_step(frame.field("diploe", (9.0, 7.0, 7.0)) + 0.7, 0.9)
    marrow = frame.texture(0.22)
    yield Layer(tissue="diploe", coverage=frame.cover(diploe) * patchy, texture=marrow)
    inside = shape.skull + shape.skull_mm
    yield Layer(tissue="dura", coverage=frame.cover(inside))
    yield Layer(tissue="csf", coverage=frame.cover(inside + 0.9), texture=frame.texture(0.05))
    # Membranes and small vessels keep the fluid over the brain from being even.
    strands = frame.cover(np.abs(frame.field("strands", (4.0, 2.5, 2.5))) - 0.12)
    yield Layer(tissue="dura", coverage=frame.cover(inside + 0.9) * strands * np.float32(0.35))


def _cerebrum(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    cortex = shape.fluid_mm - shape.pia
    gray = frame.cover(np.maximum(cortex, shape.brain))
    yield Layer(tissue="gray_matter", coverage=gray, texture=frame.texture(0.05))
    thickness = np.maximum(2.7 + 0.45 * frame.field("cortex", 6.0), 1.6)
    white = cortex + thickness.astype(np.float32)
    tracts = frame.texture(0.05)
    # The border of gray and white is blurred over about a millimetre.
    yield Layer(tissue="white_matter", coverage=soft_step(-white, 0.7), texture=tracts)
    # Behind the ventricles and in the frontal lobes the white matter is a little brighter on T2.
    band = np.exp(-((shape.ventricles / 5) ** 2)) * soft_step(-white, 0.7)
    age = np.float32(frame.rng("age").uniform(0.05, 0.4))
    yield Layer(tissue="gliosis", coverage=(band * age).astype(np.float32))
    perivascular = soft_step(frame.field("perivascular", (3.0, 1.6, 1.1)) - 2.6, 0.35) * soft_step(-white - 2, 1)
    yield Layer(tissue="csf", coverage=perivascular * np.float32(0.5))


def _deep_nuclei(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    side = np.abs(shape.across)
    tilt = 0.25 * (shape.y + 2)
    nuclei = (
        # tissue, center (y, x), radii (y, x), middle height, reach in height
        ("deep_gray", (-21, 12.5), (8.5, 4.6), 5, 15),
        ("deep_gray", (14, 10), (13, 8.0), 3, 13),
        ("deep_gray", (-3, 27), (16, 5.6), 3, 13),
        ("pallidum", (0, 20.5), (8.5, 3.6), 1, 9),
        ("gray_matter", (-2, 33.2), (15, 0.8), 3, 13),
    )
    for number, (tissue, center, radii, middle, reach) in enumerate(nuclei):
        share = chord(shape.z - middle, reach)
        if share == 0:
            continue
        rough = 0.8 * frame.field(f"nucleus {number}", 7.0)
        slanted = side - tilt if center[1] > 18 else side
        outline = ellipse(shape.y, slanted, center, (radii[0] * share, radii[1] * share)) + rough
        inside = soft_step(-outline.astype(np.float32), 0.8)
        yield Layer(tissue=tissue, coverage=inside, texture=frame.texture(0.04))
    # Fibre bundles of the internal capsule streak the nuclei.
    streaks = soft_step(frame.field("streaks", (6.0, 1.5, 5.0)) - 1.3, 0.5)
    box = frame.cover(ellipse(shape.y, side, (-2, 20), (26, 13)))
    yield Layer(tissue="white_matter", coverage=streaks * box * np.float32(0.35))


def _ventricles(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    wall = shape.ventricles + 0.4 * frame.field("ependyma", 6.0)
    yield Layer(tissue="csf", coverage=frame.cover(wall), texture=frame.texture(0.03))
    share = chord(shape.z - 6, 13)
    if share > 0:
        plexus = segment(shape.y, np.abs(shape.across), (18, 9), (31, 19)) - np.float32(2.0 * share)
        tuft = plexus + 0.8 * frame.field("plexus", (5.0, 2.5, 2.5))
        yield Layer(tissue="choroid", coverage=frame.cover(np.maximum(tuft, wall + 0.6)), texture=None)


def _vessels(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    # The falx, and the great sinus at its back end.
    fissure = np.maximum(np.abs(shape.across) - 0.45, shape.skull + shape.skull_mm)
    clear = 42 * chord(min(max(shape.z, 0.0), 60.0), 30) if shape.z > 0 else 42.0
    fissure = np.maximum(fissure, np.float32(clear) - np.abs(shape.y - 4))
    yield Layer(tissue="dura", coverage=frame.cover(fissure) * np.float32(0.85))
    table = shape.skull + shape.skull_mm
    back = np.maximum(np.abs(shape.across) - 4.5 + 0.5 * np.maximum(-table, 0), np.maximum(table, -table - 7))
    for half in (shape.y, -1.6 * shape.y):
        sinus = np.maximum(back + np.where(half is shape.y, 0, 1.5), 20 - half)
        yield Layer(tissue="venous_blood", coverage=frame.cover(sinus))
    near_surface = _in_fluid(frame, shape)
    for number in range(26):
        rng = frame.rng(f"vessel {number}")
        tissue = "venous_blood" if number % 3 else "flow_void"
        yield Layer(tissue=tissue, coverage=frame.cover(_winding(shape, rng)) * near_surface)


def _winding(shape: BrainShape, rng: np.random.Generator) -> FloatArray:
    """A vessel that rises through the slices, seen as a dot or a short line."""
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.95)
    drift = rng.normal(0, 0.25, 2) * (shape.z - 20)
    y, x = -74 * radius * np.cos(angle) + drift[0], 58 * radius * np.sin(angle) + drift[1]
    reach = rng.normal(0, 4, 2)
    line = segment(shape.y, shape.across, (y, x), (float(y + reach[0]), float(x + reach[1])))
    return np.asarray(line - np.float32(rng.uniform(0.5, 1.1)))


def _in_fluid(frame: SliceFrame, shape: BrainShape) -> FloatArray:
    return soft_step(shape.fluid_mm + 1.2 - shape.pia, 1.0) * frame.cover(shape.skull + shape.skull_mm)


def _white_spots(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    """Small bright scars in the white matter, more of them in some patients."""
    rng = frame.rng("white spots")
    deep = soft_step(shape.pia - shape.fluid_mm - 3.5, 0.8) * soft_step(shape.ventricles, 0.8)
    for _ in range(min(rng.poisson(rng.exponential(9.0)), 30)):
        y, x, z = rng.uniform(-48, 52), rng.uniform(-38, 38), rng.uniform(-5, 45)
        radius = rng.uniform(1.2, 3.6)
        away = np.hypot(np.hypot(shape.y - np.float32(y), shape.across - np.float32(x)), np.float32(shape.z - z))
        if abs(shape.z - z) < radius:
            spot = soft_step(np.float32(radius) - away, 0.8) * deep
            yield Layer(tissue="gliosis", coverage=spot * np.float32(0.85))


def _tumor(frame: SliceFrame, shape: BrainShape) -> Iterator[Layer]:
    """In one patient of six: a mass with an enhancing rim in a cloud of edema."""
    rng = frame.rng("tumor")
    if rng.random() > 1 / 6:
        return
    side = 1 if rng.random() < 0.5 else -1
    y, x, z = rng.uniform(-42, 42), side * rng.uniform(22, 42), rng.uniform(5, 35)
    radius = rng.uniform(6, 14)
    away = np.hypot(np.hypot(shape.y - y, shape.across - x), shape.z - z) + 1.6 * frame.field("tumor", 7.0)
    white = soft_step(shape.pia - shape.fluid_mm - 3.0, 1.2) * soft_step(shape.ventricles, 1.0)
    edema = soft_step(np.float32(radius + 9) - away - 3 * frame.field("edema", 8.0), 5.0) * white
    yield Layer(tissue="gliosis", coverage=edema.astype(np.float32) * np.float32(0.7))
    inside = soft_step(-shape.brain - 1, 1.0)
    rim = frame.cover(away - radius) * inside
    core = frame.cover(away - radius + 2.2) * inside
    yield Layer(tissue="tumor_rim", coverage=rim, texture=frame.texture(0.12))
    yield Layer(tissue="tumor_core", coverage=core, texture=frame.texture(0.15))
