"""What the judge tells apart, in the order of its outputs."""

from ..vocabulary import CAMERAS, COLOURS, EVENTS, KINDS, MOTIONS, PLACES, SIZES, SPEEDS, TIMES

NONE = "none"
THING_HEADS = {"colour": tuple(COLOURS), "motion": tuple(MOTIONS), "then": (NONE, *MOTIONS),
               "speed": ("slow", "normal", "fast"), "size": ("small", "normal", "large")}
CLIP_HEADS = {"place": tuple(PLACES), "time": tuple(TIMES), "camera": tuple(CAMERAS), "event": (NONE, *EVENTS)}
KINDS = tuple(KINDS)
assert set(SIZES) <= set(THING_HEADS["size"]) and set(SPEEDS) <= set(THING_HEADS["speed"])
