"""Fills Chinese sentence patterns: the same slots as patterns.py, with measure words and without inflection."""

from . import phrases
from .patterns import Filling
from .vocabulary import CAMERAS, COLOURS, KINDS, MOTIONS, PLACES, SPEEDS, TIMES

KIND_WORDS = {
    "ball": ("个", ["球", "圆球"]), "box": ("个", ["盒子", "箱子", "方块"]), "cylinder": ("个", ["圆柱", "圆柱体"]),
    "cone": ("个", ["圆锥", "圆锥体"]), "ring": ("个", ["圆环"]), "pyramid": ("座", ["金字塔"]), "star": ("颗", ["星星"]),
    "heart": ("颗", ["心", "爱心"]), "tree": ("棵", ["树"]), "house": ("座", ["房子"]), "car": ("辆", ["汽车", "车"]),
    "boat": ("艘", ["船"]), "lamp": ("盏", ["灯"]), "chair": ("把", ["椅子"]), "candle": ("根", ["蜡烛"]),
    "dog": ("只", ["狗"]), "balloon": ("个", ["气球"]),
}
COLOUR_WORDS = {
    "red": ["红色的"], "orange": ["橙色的", "橘色的"], "yellow": ["黄色的"], "green": ["绿色的"], "blue": ["蓝色的"],
    "purple": ["紫色的"], "pink": ["粉色的", "粉红色的"], "brown": ["棕色的", "褐色的"], "white": ["白色的"],
    "black": ["黑色的"], "gray": ["灰色的"],
}
PLACE_WORDS = {"grass": ["草地上", "草坪上"], "desert": ["沙漠里", "沙漠中"], "snow": ["雪地里", "雪地上"], "sea": ["海面上", "大海上"],
               "room": ["房间里", "屋子里"], "road": ["公路上", "马路上"], "beach": ["沙滩上", "海滩上"]}
TIME_WORDS = {"day": ["白天", "大白天"], "sunset": ["日落时分", "夕阳西下"], "night": ["夜里", "夜晚", "晚上"]}
CAMERA_WORDS = {"still": ["镜头不动", "固定镜头"], "pan_left": ["镜头向左摇", "镜头往左边转"], "pan_right": ["镜头向右摇", "镜头往右边转"],
                "zoom_in": ["镜头推近", "镜头慢慢拉近"], "zoom_out": ["镜头拉远", "镜头向后拉"], "orbit": ["镜头环绕拍摄", "镜头绕着转一圈"],
                "rise": ["镜头上升", "镜头慢慢升高"]}
GOING = {"ball": "滚", "ring": "滚", "cylinder": "滚", "car": "开", "boat": "驶", "dog": "跑", "balloon": "飘"}
OTHER_GOING = "滑"
# `~` stands for the verb of the kind.
MOTION_WORDS = {
    "stay": ["一动不动", "静止不动"], "left": ["向左~", "往左~", "从右边~到左边"], "right": ["向右~", "往右~", "从左边~到右边"],
    "nearer": ["朝镜头~过来", "向我们~来"], "away": ["~远了", "~向远处"], "bounce": ["上下弹跳", "一跳一跳"],
    "fall": ["从上面掉下来", "从天上落下来"], "rise": ["升起来", "往上升"], "spin": ["原地旋转", "在原地转动"], "circle": ["~着转圈", "绕着圈~"],
}
SPEED_WORDS = {"slow": "慢慢", "fast": "飞快地"}
NUMBER_WORDS = {2: "两", 3: "三", 4: "四"}


class ChineseFilling(Filling):
    def new_group(self, slot: str, kinds: str | None) -> str:
        rng = self.rng
        kind, colour = rng.choice(kinds.split(",") if kinds else KINDS), rng.choice(COLOURS)
        measure, nouns = KIND_WORDS[kind]
        group: dict = {"kind": kind, "colour": colour}
        noun = rng.choice(COLOUR_WORDS[colour]) + rng.choice(nouns)
        if slot == "k":
            group["count"] = rng.choice(list(NUMBER_WORDS))
        self.groups.append(group)
        return {"n": "", "a": "一" + measure, "k": NUMBER_WORDS.get(group.get("count"), "") + measure}[slot] + noun

    def motion_phrase(self, index: int, form: str, second: bool, names: str | None) -> str:
        group, rng = self.groups[index], self.rng
        allowed = [m for m in phrases.KIND_MOTIONS.get(group["kind"], MOTIONS) if not names or m in names.split(",")]
        if second:
            allowed = [m for m in allowed if (group["motion"], m) in phrases.THEN]
        if not allowed:
            raise LookupError("no motion fits")
        motion = rng.choice(allowed)
        group["then" if second else "motion"] = motion
        text = rng.choice(MOTION_WORDS[motion]).replace("~", GOING.get(group["kind"], OTHER_GOING))
        if not second and motion in ("left", "right") and rng.random() < 0.2:
            group["speed"] = rng.choice(SPEEDS)
            text = SPEED_WORDS[group["speed"]] + text
        return text

    def slot(self, match) -> str:
        name, names = match[1], match[3]
        tables = {"in": ("place", PLACES, PLACE_WORDS), "at": ("time", TIMES, TIME_WORDS),
                  "cam": ("camera", CAMERAS, CAMERA_WORDS)}
        if name not in tables:
            return super().slot(match)
        field, all_names, words = tables[name]
        self.scene[field] = self.rng.choice(names.split(",") if names else all_names)
        return self.rng.choice(words[self.scene[field]])
