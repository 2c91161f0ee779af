"""The outlines of a knee cut in the coronal plane: leg, femur, tibia, fibula, patella and the joint between them."""

from dataclasses import dataclass

import numpy as np

from mrikit.simulate.frame import SliceFrame
from mrikit.simulate.shapes import FloatArray, chord, ellipse, intersection, profile, soft_step, union

# Half widths and thicknesses (millimetres) against the height y over the joint line: negative towards the hip.
_LEG_WIDTH = {-95: 66, -60: 62, -30: 57, 0: 53, 25: 51, 55: 54, 95: 55}
_FEMUR_WIDTH = {-95: 14.5, -62: 15.5, -48: 18, -35: 26, -24: 35.5, -14: 39.5, -4: 37, 6: 33}
_TIBIA_WIDTH = {-6: 36, 3: 38.5, 9: 38, 18: 34.5, 30: 27, 45: 20, 65: 16, 95: 14}
_CAPSULE_WIDTH = {-50: 24, -32: 35, -16: 41.5, 0: 41, 10: 40.5, 24: 35, 45: 24}
_CORTEX = {-95: 4.2, -65: 3.4, -45: 1.9, -25: 0.85, -5: 0.6, 8: 0.65, 22: 0.9, 40: 1.9, 65: 3.4, 95: 4.2}


@dataclass(frozen=True, kw_only=True, slots=True)
class KneeShape:
    """Signed distances, (y, x) float32 millimetres, negative inside, of one slice."""

    height: FloatArray
    """Height over the joint line, negative towards the hip."""
    across: FloatArray
    """Position across the leg, positive on the inner (medial) side."""
    depth: float
    """Position from front (negative) to back, millimetres."""
    leg: FloatArray
    muscle: FloatArray
    """Inside the fascia, below the subcutaneous fat."""
    femur: FloatArray
    tibia: FloatArray
    fibula: FloatArray
    patella: FloatArray
    capsule: FloatArray
    """Inside the joint capsule, seen from the sides."""
    cortex_mm: FloatArray
    """Thickness of the dense outer bone."""
    cartilage_mm: FloatArray
    """Thickness of the cartilage where the bones bear on each other, 0 elsewhere."""


def knee_shape(frame: SliceFrame) -> KneeShape:
    """Cut one patient's knee at one slice."""
    rng = frame.rng("knee shape")
    side = 1.0 if rng.random() < 0.5 else -1.0
    girth, fat, bone = np.exp(rng.normal(0, (0.05, 0.3, 0.03)))
    height, across = frame.y, frame.x * np.float32(side)
    depth = frame.z + rng.normal(0, 2.0)
    ripple = frame.field("bone outline", 6.0) * np.float32(0.35)

    width = np.float32(girth * (0.35 + 0.65 * chord(depth, 68))) * profile(height, _LEG_WIDTH)
    # The calf bulges outwards below, the thigh inwards above.
    lean = profile(height, {-95: 5, -40: 2, 0: 0, 60: -3, 95: -5})
    leg = np.abs(across - lean) - np.minimum(width, np.float32(62)) + frame.field("leg outline", 20.0)
    fat_mm = profile(height, {-95: 9, -40: 7.5, 0: 5.0, 40: 6.5, 95: 7}) * np.float32(fat)
    fat_mm = fat_mm * (1 + np.float32(0.18) * frame.field("fat thickness", 25.0)) * (1 + 0.15 * np.sign(across))

    femur = _femur(height, across, depth, bone) + ripple
    tibia = _tibia(height, across, depth, bone) + ripple
    fibula = ellipse(height, across, (62, -31 + 2 * bone), (47 + 2 * bone, max(8.0 * chord(depth - 14, 11), 0.3))) + (
        0 if abs(depth - 14) < 11 else 30
    )
    patella_width = 23 * chord(depth + 36, 13)
    patella = ellipse(height, across, (-20, 1), (22 * max(patella_width, 1) / 23, max(patella_width, 1)))
    capsule = np.abs(across) - profile(height, _CAPSULE_WIDTH) * np.float32(bone * (0.4 + 0.6 * chord(depth, 38)))
    return KneeShape(
        height=height,
        across=across,
        depth=depth,
        leg=leg,
        muscle=leg + np.maximum(fat_mm, 2.2) + np.float32(1.4),
        femur=femur,
        tibia=tibia,
        fibula=fibula,
        patella=patella if abs(depth + 36) < 13 else np.full_like(femur, 50),
        capsule=capsule + frame.field("capsule", 9.0) * np.float32(0.8),
        cortex_mm=profile(height, _CORTEX) * (1 + np.float32(0.15) * frame.field("cortex", 7.0)),
        cartilage_mm=_cartilage(height, across, frame),
    )


def _femur(height: FloatArray, across: FloatArray, depth: float, bone: float) -> FloatArray:
    reach = profile(height, {-60: 17, -40: 20, -25: 24, -10: 26})
    middle = profile(height, {-60: -5, -25: -3, 0: -2})
    share = np.clip(1 - np.abs((np.float32(depth) - middle) / reach) ** 2.6, 0, 1) ** 0.5
    width = profile(height, _FEMUR_WIDTH) * np.float32(bone) * share * (1 + 0.03 * np.tanh(across / 10))
    # Where the slice misses the bone its share is 0; then no pixel may be inside.
    sides = (np.abs(across) - width) * np.float32(0.85) + np.where(share > 0, 0, 20)
    arc = ((np.abs(across) - 21) / 21) ** 2
    notch_mm = 5 + 19 / (1 + np.exp(-(depth + 11) / 4))
    notch = np.float32(notch_mm) * np.exp(-((across / np.float32(9.5)) ** 4))
    lower = -2.2 - 6.0 * arc - notch - 0.010 * (depth - 3) ** 2 - 1.0 * np.tanh(-across / 10)
    body = intersection(sides, (height - lower) * np.float32(0.9), 9.0)
    # Behind, the condyles are two balls of their own.
    share = chord(depth - 8, 27)
    if share == 0:
        return body
    balls = ellipse(height, np.abs(across), (-19.5, 21.5 * bone), (17.0 * share, 16.5 * share * bone))
    return union(body, balls, 4.0)


def _tibia(height: FloatArray, across: FloatArray, depth: float, bone: float) -> FloatArray:
    reach = profile(height, {0: 27, 12: 26, 30: 19, 60: 15})
    share = np.clip(1 - np.abs(np.float32(depth + 1) / reach) ** 2.6, 0, 1) ** 0.5
    width = profile(height, _TIBIA_WIDTH) * np.float32(bone) * share
    sides = (np.abs(across) - width) * np.float32(0.9) + np.where(share > 0, 0, 20)
    spines = 8.0 * np.exp(-(((np.abs(across) - 5) / 4) ** 2)) * np.exp(-((depth / 11) ** 2))
    upper = 2.6 + 1.2 * np.cos((np.abs(across) - 20) / 9) * soft_step(38 - np.abs(across), 4) - spines
    upper = upper + 2.2 * soft_step(np.abs(across) - 33, 5) + 0.003 * depth**2 - 1.0 * np.tanh(-across / 10)
    return intersection(sides, upper.astype(np.float32) - height, 5.0)


def _cartilage(height: FloatArray, across: FloatArray, frame: SliceFrame) -> FloatArray:
    bearing = soft_step(np.abs(across) - 8, 3) * soft_step(37 - np.abs(across), 4)
    bearing = bearing * soft_step(height + 18, 5) * soft_step(14 - height, 4)
    thickness = 1.9 + 0.3 * frame.field("cartilage", 8.0)
    return np.asarray(np.maximum(thickness, 0.4) * bearing).astype(np.float32)
