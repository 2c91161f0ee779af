"""A knee in coronal slices, as coats of paint from the skin inwards."""

from collections.abc import Iterator

import numpy as np

from mrikit.simulate.frame import Layer, SliceFrame
from mrikit.simulate.knee_shape import KneeShape, knee_shape
from mrikit.simulate.shapes import FloatArray, chord, ellipse, intersection, profile, segment, soft_step


def knee_layers(frame: SliceFrame) -> Iterator[Layer]:
    """The tissues of one slice in the order in which they are painted."""
    shape = knee_shape(frame)
    yield from _skin_and_fat(frame, shape)
    yield from _muscles(frame, shape)
    yield from _vessels(frame, shape)
    yield from _capsule(frame, shape)
    yield from _joint(frame, shape)
    for name, distance in (("femur", shape.femur), ("tibia", shape.tibia), ("fibula", shape.fibula)):
        yield from _bone(frame, shape, name, distance)
    yield from _kneecap(frame, shape)
    yield from _bands(frame, shape)
    yield from _bone_lesion(frame, shape)


def _skin_and_fat(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    yield Layer(tissue="skin", coverage=frame.cover(shape.leg))
    inner = frame.cover(shape.leg + 1.4)
    yield Layer(tissue="subcutaneous_fat", coverage=inner, texture=frame.texture(0.07))
    # Septa: thin sheets where a field changes sign, stretched along the leg.
    sheet = np.abs(frame.field("septa", (9.0, 13.0, 4.5))) * np.float32(2.2)
    yield Layer(tissue="fascia", coverage=inner * frame.cover(sheet - 0.25) * np.float32(0.65))
    for number in range(7):
        yield Layer(tissue="slow_vessel", coverage=inner * _wandering_vessel(frame, shape, number))


def _wandering_vessel(frame: SliceFrame, shape: KneeShape, number: int) -> FloatArray:
    """A vein under the skin that winds along the leg, in and out of the slice."""
    rng = frame.rng(f"vein {number}")
    side = 1 if number % 2 else -1
    x = side * rng.uniform(42, 58) + 4 * np.sin(shape.height / rng.uniform(9, 20) + rng.uniform(0, 7))
    z = rng.uniform(-25, 25) + 9 * np.sin(shape.height / rng.uniform(11, 25) + rng.uniform(0, 7))
    distance = np.hypot(shape.across - x, np.float32(shape.depth) - z) - rng.uniform(0.7, 1.7)
    return frame.cover(distance)


def _muscles(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    inside = frame.cover(shape.muscle)
    yield Layer(tissue="fascia", coverage=frame.cover(np.abs(shape.muscle) - 0.4) * np.float32(0.8))
    yield Layer(tissue="deep_fat", coverage=inside, texture=frame.texture(0.09))
    # The thigh's muscles reach lower on the inner side; between the two groups lies fat.
    upper = profile(shape.across, {-60: -42, -30: -32, 0: -30, 30: -20, 60: -12})
    lower = profile(shape.across, {-60: 22, -30: 27, 0: 34, 30: 28, 60: 18})
    wobble = 6 * frame.field("muscle ends", 30.0) + 2 * frame.field("muscle edges", 9.0)
    ends = np.minimum(shape.height - upper, lower - shape.height) + wobble
    belly = intersection(ends * np.float32(0.7), shape.muscle + 0.9, 8.0)
    bundles = np.abs(frame.field("bundles", (12.0, 70.0, 9.0))) * np.float32(5.0)
    sheets = np.abs(frame.field("sheets", (7.0, 45.0, 4.0))) * np.float32(2.0)
    fibres = frame.fibres("fibres", 0.09, stretch=(6.0, 0.8))
    yield Layer(tissue="muscle", coverage=frame.cover(belly), texture=fibres)
    yield Layer(tissue="deep_fat", coverage=frame.cover(intersection(belly + 0.5, bundles - 0.3, 1.0)))
    thin = frame.cover(belly + 0.8) * frame.cover(sheets - 0.15) * np.float32(0.35)
    yield Layer(tissue="deep_fat", coverage=thin)


def _vessels(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    rng = frame.rng("popliteal")
    for tissue, x, z, radius in (("flow_void", -3.0, 36.0, 3.4), ("slow_vessel", 4.5, 39.0, 4.2)):
        center_x = x + rng.normal(0, 1.5) + 3 * np.sin(shape.height / 30 + rng.uniform(0, 7))
        center_z = z + 5 * np.sin(shape.height / 40 + rng.uniform(0, 7))
        distance = np.hypot(shape.across - center_x, shape.depth - center_z) - radius
        yield Layer(tissue=tissue, coverage=frame.cover(distance))
    winding = frame.field("winding", 7.0)
    for number in range(8):
        start = rng.uniform((-60, -40), (60, 40))
        end = start + rng.normal(0, 14, 2)
        near = abs(shape.depth - rng.uniform(-30, 35)) / 6
        curved = shape.height + 2.5 * winding, shape.across - 2.5 * winding
        reach = segment(*curved, tuple(start), tuple(end)) - rng.uniform(0.4, 1.0) + near
        tissue = "slow_vessel" if number % 3 else "flow_void"
        yield Layer(tissue=tissue, coverage=frame.cover(reach) * np.float32(0.6))


def _capsule(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    zone = np.abs(shape.height + 2) - 17 + 3 * frame.field("recess", 10.0)
    pouch = intersection(zone.astype(np.float32), shape.capsule, 3.0)
    lining = frame.cover(pouch) * np.float32(0.75)
    yield Layer(tissue="synovium", coverage=lining, texture=frame.texture(0.15))
    # Fat pads in the notch and in front of the joint.
    pad = ellipse(shape.height, shape.across, (-8, 0), (15, 13 + max(0.0, -(shape.depth + 12))))
    yield Layer(tissue="deep_fat", coverage=frame.cover(pad), texture=frame.texture(0.15))
    rng = frame.rng("effusion")
    amount = rng.exponential(1.0) - 0.5
    gutter = intersection(shape.femur - np.float32(amount * 2.6), -(shape.height + 46), 3.0)
    pocket = gutter + 1.3 * frame.field("effusion", 7.0)
    if amount > 0:
        yield Layer(tissue="joint_fluid", coverage=frame.cover(intersection(pocket, shape.capsule + 0.8, 2.0)))


def _joint(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    """Fluid, menisci, cruciate ligaments and cartilage between the bones."""
    gap = np.maximum(np.abs(shape.height) - 9, np.abs(shape.across) - 39)
    gap = np.maximum(gap, shape.capsule) + np.float32(1.2 * max(0.0, abs(shape.depth) - 14))
    film = np.maximum(gap, 10 - np.abs(shape.across))
    yield Layer(tissue="joint_fluid", coverage=frame.cover(film) * np.float32(0.65))
    ring = np.hypot(np.abs(shape.across) - 20, np.float32(shape.depth))
    inner = 11.5 - ring + 0.6 * frame.field("meniscus", 5.0)
    rim = np.maximum(np.maximum(np.abs(shape.across) - 40, 9 - np.abs(shape.across)), 0.6 * (ring - 22))
    outside = np.maximum(shape.cartilage_mm - shape.femur, shape.cartilage_mm - shape.tibia) + 0.25
    meniscus = np.maximum(np.maximum(inner, rim), np.maximum(outside, gap))
    yield Layer(tissue="meniscus", coverage=frame.cover(meniscus), texture=frame.texture(0.12))
    yield from _cruciates(frame, shape)
    for bone in (shape.femur, shape.tibia):
        layer = frame.cover(bone - shape.cartilage_mm)
        yield Layer(tissue="cartilage", coverage=layer, texture=frame.texture(0.07))


def _cruciates(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    """Two dark cords that cross in the notch: one runs up outwards, the other up inwards."""
    streaks = frame.fibres("cruciate", 0.3, stretch=(3.0, 0.7))
    share = np.clip((shape.depth + 14) / 28, 0, 1)
    x, y = 4 - 13 * share, 0 - 20 * share
    anterior = segment(shape.height, shape.across, (y + 6, x + 3), (y - 5, x - 3)) - 3.2 * chord(shape.depth, 16)
    yield Layer(tissue="ligament", coverage=frame.cover(anterior) * np.float32(0.8), texture=streaks)
    x, y = 8 - 9 * share, -16 + 18 * share
    posterior = ellipse(shape.height, shape.across, (y, x), (6.0, 4.6)) + 9 * (1 - chord(shape.depth - 8, 20))
    yield Layer(tissue="ligament", coverage=frame.cover(posterior), texture=streaks)


def _bone(frame: SliceFrame, shape: KneeShape, name: str, distance: FloatArray) -> Iterator[Layer]:
    yield Layer(tissue="cortical_bone", coverage=frame.cover(distance))
    inside = distance + shape.cortex_mm
    trabeculae = frame.fibres(f"{name} trabeculae", 0.10, stretch=(1.6, 0.8))
    yield Layer(tissue="yellow_marrow", coverage=frame.cover(inside), texture=trabeculae)
    islands = frame.field(f"{name} red marrow", (8.0, 9.0, 6.0)) + 0.5 * frame.field(f"{name} islands", 2.5)
    away = soft_step(np.abs(shape.height) - 30, 14)
    strength = np.float32(frame.rng(f"{name} red").uniform(0, 0.8))
    yield Layer(tissue="red_marrow", coverage=frame.cover(inside) * away * soft_step(islands, 0.9) * strength)
    # The closed growth plate: an uneven dark line across the bone.
    rng = frame.rng(f"{name} plate")
    place = (-26 if name == "femur" else 17) + 3.5 * np.cos(shape.across / 9) + 1.2 * frame.field(f"{name} scar", 6.0)
    line = np.abs(shape.height - place) - 0.45
    scar = frame.cover(line) * frame.cover(inside) * np.float32(rng.uniform(0.25, 0.8))
    if name != "fibula":
        yield Layer(tissue="bone_scar", coverage=scar * soft_step(frame.field(f"{name} gaps", 4.0) + 0.4, 0.5))
    # Nutrient vessels and dense islands.
    dots = soft_step(frame.field(f"{name} dots", (3.0, 2.4, 1.6)) - 3.2, 0.3) * frame.cover(inside)
    yield Layer(tissue="slow_vessel", coverage=dots * np.float32(0.5))


def _kneecap(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    if shape.depth > -22:
        return
    # Above the kneecap the tendon is broad, below it is a strap; both lie in front of the joint.
    half_width = profile(shape.height, {-90: 20, -40: 17, -20: 15, 5: 12, 40: 10, 60: 8})
    streaks = frame.fibres("tendon", 0.45, stretch=(6, 0.7))
    band = np.abs(shape.across) - half_width + frame.field("tendon", 12.0) + np.float32(max(0.0, shape.depth + 34) * 5)
    yield Layer(tissue="ligament", coverage=soft_step(-band, 1.5) * np.float32(0.9), texture=streaks)
    yield Layer(tissue="cartilage", coverage=frame.cover(shape.patella - 1.5))
    yield Layer(tissue="cortical_bone", coverage=frame.cover(shape.patella))
    marrow = frame.texture(0.10)
    yield Layer(tissue="yellow_marrow", coverage=frame.cover(shape.patella + 0.9), texture=marrow)


def _bands(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    """The ligaments along both sides."""
    rng = frame.rng("bands")
    bands = (
        # side, thickness, from, to, middle depth, reach
        (1, 1.3, -22, 42, 0, 12),
        (-1, 1.5, -20, 26, 11, 8),
        (-1, 1.1, -80, 8, -10, 12),
    )
    for side, thickness, top, bottom, middle, reach in bands:
        offset = shape.capsule - rng.uniform(0.8, 2.2)
        ends = np.abs(shape.height - (top + bottom) / 2) - (bottom - top) / 2
        distance = np.maximum(np.abs(offset) - thickness * chord(shape.depth - middle, reach), ends * 0.5)
        distance = np.where(shape.across * side > 0, distance, 9).astype(np.float32)
        yield Layer(tissue="ligament", coverage=frame.cover(distance) * np.float32(0.9))


def _bone_lesion(frame: SliceFrame, shape: KneeShape) -> Iterator[Layer]:
    rng = frame.rng("lesion")
    if rng.random() > 0.45:
        return
    distance = shape.femur if rng.random() < 0.5 else shape.tibia
    x = rng.uniform(12, 32) * (1 if rng.random() < 0.5 else -1)
    y = -rng.uniform(6, 20) if distance is shape.femur else rng.uniform(7, 20)
    center_z, radius = rng.uniform(-12, 14), rng.uniform(6, 15)
    away = np.hypot(np.hypot(shape.across - x, shape.height - y), shape.depth - center_z)
    cloud = soft_step(1 - away / radius + 0.35 * frame.field("lesion", 5.0), 0.6)
    inside = frame.cover(distance + shape.cortex_mm + 0.3)
    yield Layer(tissue="edema", coverage=(cloud * inside).astype(np.float32) * np.float32(0.75))
