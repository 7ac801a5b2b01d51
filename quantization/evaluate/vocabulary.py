"""The names that labels use. They are the rendered world's own names; README.md says how a prompt is read."""

KINDS = ("ball", "box", "cylinder", "cone", "ring", "pyramid", "star", "heart", "tree", "house", "car", "boat",
         "lamp", "chair", "candle", "dog", "balloon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black", "gray")
SIZES = ("small", "large")
PLACES = ("grass", "desert", "snow", "sea", "room", "road", "beach")
TIMES = ("day", "sunset", "night")
MOTIONS = ("stay", "left", "right", "nearer", "away", "bounce", "fall", "rise", "spin", "circle")
SPEEDS = ("slow", "fast")
SIDES = ("left", "middle", "right")
CAMERAS = ("still", "pan_left", "pan_right", "zoom_in", "zoom_out", "orbit", "rise")
RELATIONS = ("left_of", "right_of", "in_front_of", "behind", "on_top_of")
EVENTS = ("candle_out", "chair_down", "through_hoop", "dogs_run", "leaves_returns", "passes_behind")
COUNTS = (1, 2, 3, 4)

GROUP_FIELDS = {"kind": KINDS, "colour": COLOURS, "count": COUNTS, "size": SIZES, "motion": MOTIONS, "then": MOTIONS,
                "speed": SPEEDS, "side": SIDES}
SCENE_FIELDS = {"place": PLACES, "time": TIMES, "camera": CAMERAS, "event": EVENTS}
