"""Sentences that describe a scene, in many English and Chinese wordings.

Invariant: a caption says nothing that the scene does not show. It may leave things out (place, time, camera,
colour, motion); what is left out is free for the model to choose.
"""
from __future__ import annotations

import numpy as np

from .world import Scene, Thing

SHAPE_EN = {
    "ball": ("ball", "ball", "ball", "sphere", "round ball"), "box": ("box", "box", "cube", "cube", "block", "crate"),
    "cylinder": ("cylinder", "cylinder", "cylinder", "drum", "barrel"), "cone": ("cone",) * 3 + ("pointed cone",),
    "ring": ("ring", "ring", "ring", "torus", "donut", "hoop"),
}
SHAPE_ZH = {
    "ball": ("球", "球", "小球", "圆球", "皮球"), "box": ("盒子", "方块", "立方体", "箱子", "正方体"),
    "cylinder": ("圆柱", "圆柱体", "圆筒"), "cone": ("圆锥", "圆锥体", "锥体"), "ring": ("圆环", "圆环", "环", "圈"),
}
COLOUR_EN = {
    "red": ("red",) * 4 + ("crimson",), "orange": ("orange",), "yellow": ("yellow",) * 4 + ("lemon yellow",),
    "green": ("green",) * 4 + ("emerald",), "blue": ("blue",) * 4 + ("deep blue",),
    "purple": ("purple",) * 3 + ("violet",), "pink": ("pink",) * 4 + ("rosy pink",),
    "brown": ("brown",) * 4 + ("chocolate brown",), "white": ("white",) * 4 + ("snow-white",),
    "black": ("black",) * 4 + ("pitch-black",),
}
COLOUR_ZH = {
    "red": ("红色", "红色", "红", "大红色"), "orange": ("橙色", "橙色", "橘色", "橙"), "yellow": ("黄色", "黄色", "黄"),
    "green": ("绿色", "绿色", "绿"), "blue": ("蓝色", "蓝色", "蓝"), "purple": ("紫色", "紫色", "紫"),
    "pink": ("粉色", "粉红色", "粉"), "brown": ("棕色", "棕色", "褐色", "咖啡色"), "white": ("白色", "白色", "白"),
    "black": ("黑色", "黑色", "黑"),
}
PLACE_EN = {
    "grass": ("on grass", "on the grass", "on a green lawn", "in a meadow", "in a grassy field", "in a park"),
    "desert": ("in the desert", "in a desert", "on sand", "on the sand", "in a sandy desert", "among the dunes"),
    "snow": ("on snow", "in the snow", "on a snowy field", "on snowy ground", "in a winter landscape"),
    "sea": ("on the sea", "at sea", "in the ocean", "on the water", "on the ocean", "in the water"),
    "room": ("in a room", "indoors", "in a room", "inside a room", "on a wooden floor", "in a house"),
}
PLACE_ZH = {
    "grass": ("草地上", "草坪上", "绿色的草地上", "田野里"), "desert": ("沙漠里", "沙漠中", "沙地上"),
    "snow": ("雪地里", "雪地上", "雪中"), "sea": ("海上", "海面上", "水面上", "大海上"),
    "room": ("房间里", "屋子里", "室内", "木地板上"),
}
TIME_EN = {
    "day": ("during the day", "by day", "in daylight", "in bright sunshine", "at noon", "on a sunny day"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening", "at golden hour", "in the evening light"),
    "night": ("at night", "at night", "by night", "in the dark", "at midnight", "under the moon"),
}
TIME_ZH = {
    "day": ("白天", "白天", "中午", "阳光下"), "sunset": ("日落时", "黄昏", "傍晚", "夕阳下"),
    "night": ("夜晚", "夜里", "晚上", "月光下"),
}
CAMERA_EN = {
    "still": ("the camera is still", "static camera", "the camera does not move", "fixed shot"),
    "pan_left": ("the camera pans left", "the camera pans to the left", "camera pan left", "panning left"),
    "pan_right": ("the camera pans right", "the camera pans to the right", "camera pan right", "panning right"),
    "zoom_in": ("the camera zooms in", "zooming in", "a slow zoom in", "camera zoom in"),
    "zoom_out": ("the camera zooms out", "zooming out", "a slow zoom out", "camera zoom out"),
    "orbit": ("the camera orbits around", "the camera circles around the scene", "orbiting camera", "orbit shot"),
    "rise": ("the camera rises", "the camera moves up", "rising camera", "crane shot upwards"),
}
CAMERA_ZH = {
    "still": ("镜头不动", "固定镜头", "镜头静止"), "pan_left": ("镜头向左摇", "镜头左移", "镜头向左转"),
    "pan_right": ("镜头向右摇", "镜头右移", "镜头向右转"), "zoom_in": ("镜头拉近", "镜头推近", "画面放大"),
    "zoom_out": ("镜头拉远", "镜头推远", "画面缩小"), "orbit": ("镜头环绕", "镜头绕着拍摄", "环绕镜头"),
    "rise": ("镜头上升", "镜头升高", "镜头向上移动"),
}
# (finite verb, participle) for each motion; travelling verbs depend on whether the object rolls
STILL_MOTION_EN = {
    "stay": (("stays still", "staying still"), ("stands still", "standing still"), ("rests", "resting"),
             ("does not move", "that does not move")),
    "bounce": (("bounces", "bouncing"), ("bounces up and down", "bouncing up and down"), ("jumps", "jumping"),
               ("hops up and down", "hopping up and down")),
    "fall": (("falls", "falling"), ("falls down", "falling down"), ("drops", "dropping"),
             ("falls from the sky", "falling from the sky"), ("drops down from above", "dropping down from above")),
    "rise": (("rises", "rising"), ("rises into the air", "rising into the air"), ("floats up", "floating up"),
             ("flies up", "flying up"), ("lifts off", "lifting off")),
    "spin": (("spins", "spinning"), ("rotates", "rotating"), ("turns around", "turning around"),
             ("spins in place", "spinning in place")),
    "circle": (("circles around", "circling around"), ("moves in a circle", "moving in a circle"),
               ("goes round in circles", "going round in circles")),
}
DIRECTION_EN = {
    "left": ("left", "to the left", "to the left", "from right to left"),
    "right": ("right", "to the right", "to the right", "from left to right"),
    "nearer": ("nearer", "closer", "towards the camera", "toward us", "towards the viewer"),
    "away": ("away", "away from the camera", "into the distance", "away from us"),
}
STILL_MOTION_ZH = {
    "stay": ("静止不动", "不动", "停着", "静静地待着"), "bounce": ("弹跳", "上下弹跳", "跳动", "蹦跳"),
    "fall": ("落下", "掉下来", "从空中落下", "下落"), "rise": ("上升", "升起", "飞起来", "升到空中"),
    "spin": ("旋转", "原地旋转", "转动"), "circle": ("绕圈", "转圈移动", "绕着圈运动"),
}
DIRECTION_ZH = {"left": ("向左", "往左", "从右向左"), "right": ("向右", "往右", "从左向右"),
                "nearer": ("向镜头", "朝我们", "由远及近"), "away": ("向远处", "往远方", "远离镜头")}
NUMBER_EN = {2: "two", 3: "three"}
NUMBER_ZH = {2: "两", 3: "三"}
SIDES_EN = {2: ("on the left", "on the right"), 3: ("on the left", "in the middle", "on the right")}
SIDES_ZH = {2: ("左边", "右边"), 3: ("左边", "中间", "右边")}


def pick(options, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def noun_en(thing: Thing, rng: np.random.Generator, colour: bool = True) -> str:
    shape = pick(SHAPE_EN[thing.shape], rng)
    return article(f"{pick(COLOUR_EN[thing.colour], rng)} {shape}" if colour else shape)


def motion_en(thing: Thing, place: str, rng: np.random.Generator) -> tuple[str, str]:
    """(finite verb, participle) with direction."""
    if thing.motion in STILL_MOTION_EN:
        if thing.motion == "stay" and place == "sea":
            return pick((("floats", "floating"), ("drifts in place", "drifting in place")), rng)
        return pick(STILL_MOTION_EN[thing.motion], rng)
    where = pick(DIRECTION_EN[thing.motion], rng)
    if thing.rolls:
        verb = pick((("rolls", "rolling"), ("rolls", "rolling"), ("moves", "moving")), rng)
    elif place == "sea":
        verb = pick((("drifts", "drifting"), ("floats", "floating"), ("moves", "moving")), rng)
    else:
        verb = pick((("slides", "sliding"), ("slides", "sliding"), ("moves", "moving"), ("glides", "gliding")), rng)
    if thing.motion == "nearer" and rng.random() < 0.25:
        verb = ("comes", "coming")
    return f"{verb[0]} {where}", f"{verb[1]} {where}"


def motion_zh(thing: Thing, place: str, rng: np.random.Generator) -> str:
    if thing.motion in STILL_MOTION_ZH:
        if thing.motion == "stay" and place == "sea":
            return pick(("漂浮着", "浮在水面"), rng)
        return pick(STILL_MOTION_ZH[thing.motion], rng)
    verb = pick(("滚动", "滚", "移动") if thing.rolls else (("漂", "漂动", "移动") if place == "sea"
                                                    else ("滑动", "滑行", "移动")), rng)
    return pick(DIRECTION_ZH[thing.motion], rng) + verb


def subject_en(scene: Scene, rng: np.random.Generator) -> str:
    """The things and what they do."""
    order = list(rng.permutation(len(scene.things)))
    things = [scene.things[k] for k in order]
    if len(things) == 1:
        thing = things[0]
        noun = noun_en(thing, rng, rng.random() > 0.05)
        finite, participle = motion_en(thing, scene.place, rng)
        form = rng.random()
        return noun if form < 0.05 else (f"{noun} {finite}" if form < 0.65 else f"{noun} {participle}")
    sides = rng.random() < 0.4
    parts = []
    for thing in things:
        where = " " + SIDES_EN[len(things)][thing.slot] if sides else ""
        finite, participle = motion_en(thing, scene.place, rng)
        said = rng.random() < (0.35 if thing.motion == "stay" else 0.9)
        parts.append(noun_en(thing, rng) + where + (f" {pick((finite, participle), rng)}" if said else ""))
    if rng.random() < 0.15:
        return f"{NUMBER_EN[len(parts)]} objects: " + ", ".join(parts)
    return (", ".join(parts[:-1]) + " and " + parts[-1]) if len(parts) > 2 or rng.random() < 0.7 \
        else f"{parts[0]} {pick(('next to', 'with', 'beside', 'while'), rng)} {parts[1]}"


def caption_en(scene: Scene, rng: np.random.Generator) -> str:
    text = subject_en(scene, rng)
    place = pick(PLACE_EN[scene.place], rng) if rng.random() < 0.88 else ""
    when = pick(TIME_EN[scene.time], rng) if rng.random() < (0.55 if scene.time == "day" else 0.85) else ""
    camera = pick(CAMERA_EN[scene.camera], rng) if rng.random() < (0.25 if scene.camera == "still" else 0.9) else ""
    if when and rng.random() < 0.15:
        text = f"{when}, {text} {place}".rstrip()
    elif place and rng.random() < 0.1:
        text = f"{place}, {text} {when}".rstrip()
    else:
        text = " ".join(word for word in (text, place, when) if word)
    if camera:
        text = f"{camera}, {text}" if rng.random() < 0.1 else f"{text}, {camera}"
    if rng.random() < 0.12:
        text = pick(("a video of ", "a short clip of ", "video: ", "an animation of "), rng) + text
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
        text += "." if rng.random() < 0.7 else ""
    return text


def caption_zh(scene: Scene, rng: np.random.Generator) -> str:
    order = list(rng.permutation(len(scene.things)))
    several = len(order) > 1
    sides = several and rng.random() < 0.4
    parts = []
    for k in order:
        thing = scene.things[k]
        colour = pick(COLOUR_ZH[thing.colour], rng) if several or rng.random() > 0.05 else ""
        link = "的" if colour.endswith("色") and rng.random() < 0.7 else ""
        noun = pick(("一个", "一个", "一只", ""), rng) + colour + link + pick(SHAPE_ZH[thing.shape], rng)
        motion = motion_zh(thing, scene.place, rng)
        said = rng.random() < ((0.35 if thing.motion == "stay" else 0.9) if several else 0.95)
        parts.append((SIDES_ZH[len(order)][thing.slot] if sides else "") + noun + (motion if said and several else ""))
        if not several:
            verb = motion if said else ""
    place = pick(PLACE_ZH[scene.place], rng) if rng.random() < 0.88 else ""
    when = pick(TIME_ZH[scene.time], rng) if rng.random() < (0.55 if scene.time == "day" else 0.85) else ""
    camera = pick(CAMERA_ZH[scene.camera], rng) if rng.random() < (0.25 if scene.camera == "still" else 0.9) else ""
    if several:
        body = pick(("，", "和", "、"), rng).join(parts)
        text = when + place + ("，" if (when or place) and rng.random() < 0.5 else "") + body
    elif place and rng.random() < 0.6:
        text = when + parts[0] + "在" + place + verb
    else:
        text = when + place + ("，" if (when or place) and rng.random() < 0.3 else "") + parts[0] + verb
    if camera:
        text += "，" + camera
    if rng.random() < 0.3:
        text += "。"
    return text


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One caption; English three times in four."""
    return caption_en(scene, rng) if rng.random() < 0.75 else caption_zh(scene, rng)
