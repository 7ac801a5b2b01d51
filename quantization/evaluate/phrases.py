"""Words with which patterns are filled: for every name of the vocabulary, what people say for it.

`[verb]` inside a phrase is inflected by the pattern; `[go]` becomes the verb of the kind ("rolls", "drives", ...).
"""

KIND_VERBS = {"ball": "roll", "ring": "roll", "cylinder": "roll", "car": "drive", "boat": "sail", "dog": "run",
              "balloon": "float"}
OTHER_VERB = "slide"
IRREGULAR = {("run", "ing"): "running", ("spin", "ing"): "spinning", ("drop", "ing"): "dropping",
             ("hop", "ing"): "hopping", ("do", "s"): "does", ("go", "s"): "goes", ("sit", "ing"): "sitting",
             ("stop", "ing"): "stopping", ("approach", "s"): "approaches"}

MOTIONS = {
    "stay": ["[stay] put", "[stand] still", "[do] not move", "[remain] motionless", "[rest] in one place"],
    "left": ["[go] to the left", "[go] left", "[go] from right to left", "[go] leftward", "[move] to the left",
             "[go] toward the left side", "[head] left"],
    "right": ["[go] to the right", "[go] right", "[go] from left to right", "[go] rightward", "[move] to the right",
              "[go] toward the right side", "[head] right"],
    "nearer": ["[go] toward the camera", "[come] closer", "[go] toward us", "[come] nearer", "[go] toward the viewer"],
    "away": ["[go] away from the camera", "[go] off into the distance", "[go] away from us", "[move] away"],
    "bounce": ["[bounce]", "[bounce] up and down", "[jump] up and down", "[hop] up and down"],
    "fall": ["[fall] from above", "[drop] from above", "[fall] down", "[come] down from above"],
    "rise": ["[rise]", "[rise] into the air", "[float] upward", "[climb] into the air", "[go_] up"],
    "spin": ["[spin]", "[rotate]", "[turn] in place", "[spin] around on the spot", "[rotate] in place"],
    "circle": ["[go] in a circle", "[go] in circles", "[move] in a circle", "[go] round and round in a circle"],
}
SPEEDS = {"slow": ["slowly", "very slowly", "at a slow pace"], "fast": ["quickly", "fast", "at high speed", "rapidly"]}
MOTIONS_WITH_SPEED = ("left", "right", "nearer", "away", "rise", "spin", "circle")

STILL_KINDS = ("tree", "house")
KIND_MOTIONS = {
    "tree": ("stay", "spin"), "house": ("stay", "spin"),
    "boat": ("stay", "left", "right", "nearer", "away", "spin"),
    "dog": ("stay", "left", "right", "nearer", "away", "circle"),
    "car": ("stay", "left", "right", "nearer", "away", "circle", "spin"),
    "balloon": ("stay", "left", "right", "nearer", "away", "rise"),
    "lamp": ("stay", "left", "right", "spin", "rise", "fall"), "chair": ("stay", "left", "right", "spin", "nearer"),
    "candle": ("stay", "left", "right"),
}
THEN = {("left", "stay"), ("right", "stay"), ("stay", "left"), ("stay", "right"), ("left", "right"), ("right", "left"),
        ("fall", "left"), ("fall", "right"), ("fall", "stay"), ("fall", "spin"), ("bounce", "rise"), ("bounce", "stay"),
        ("bounce", "left"), ("bounce", "right"), ("stay", "rise"), ("stay", "bounce"), ("stay", "spin"), ("stay", "nearer"),
        ("stay", "away"), ("spin", "stay"), ("spin", "left"), ("spin", "right"), ("spin", "rise"), ("left", "spin"),
        ("right", "spin"), ("rise", "left"), ("rise", "right"), ("rise", "spin"), ("right", "rise"), ("left", "rise"),
        ("nearer", "away"), ("away", "nearer"), ("nearer", "stay"), ("away", "stay"), ("nearer", "spin"),
        ("circle", "stay"), ("circle", "left"), ("circle", "right"), ("left", "away"), ("right", "away")}
TOP_KINDS = ("ball", "box", "cone", "ring", "star", "heart", "pyramid", "lamp", "candle")
BASE_KINDS = ("box", "cylinder")

PLACES = {
    "grass": ["on the grass", "on green grass", "on a field of grass", "in the grass"],
    "desert": ["in the desert", "in a desert", "on desert sand"],
    "snow": ["in the snow", "on snow", "in deep snow", "on the white snow"],
    "sea": ["on the sea", "at sea", "out on the open sea"],
    "room": ["in a room", "in the room", "inside a room"],
    "road": ["on the road", "on a road", "on the open road"],
    "beach": ["on the beach", "on a beach", "at the beach"],
}
TIMES = {
    "day": ["by day", "during the day", "in daylight", "on a sunny day", "in the daytime"],
    "sunset": ["at sunset", "while the sun sets", "in the light of the sunset"],
    "night": ["at night", "by night", "in the night", "in the dark of night"],
}
CAMERAS = {
    "still": ["the camera does not move", "the camera stays still", "the camera is fixed"],
    "pan_left": ["the camera pans left", "the camera pans to the left", "the camera turns to the left"],
    "pan_right": ["the camera pans right", "the camera pans to the right", "the camera turns to the right"],
    "zoom_in": ["the camera zooms in", "the camera moves closer", "the camera pushes in"],
    "zoom_out": ["the camera zooms out", "the camera pulls back", "the camera moves back"],
    "orbit": ["the camera orbits around it all", "the camera goes around the scene in an orbit", "the camera circles the scene"],
    "rise": ["the camera rises", "the camera goes up", "the camera climbs higher"],
}

EVERYDAY_KINDS = {
    "ball": ["sphere", "globe", "orb", "rubber ball"], "box": ["cube", "crate", "parcel", "carton"],
    "cylinder": ["barrel", "drum", "keg", "tin can"], "cone": ["traffic cone", "party-hat cone"],
    "ring": ["donut", "doughnut", "hula hoop", "torus"], "pyramid": ["pyramid"], "star": ["five-pointed star"],
    "heart": ["valentine heart", "heart shape"], "tree": ["pine", "oak", "fir tree"],
    "house": ["cottage", "cabin", "hut", "little home"], "car": ["automobile", "jeep", "sedan", "auto"],
    "boat": ["ship", "sailboat", "yacht", "dinghy"], "lamp": ["lantern", "desk lamp", "floor lamp"],
    "chair": ["armchair", "wooden chair", "seat"], "candle": ["taper candle", "wax candle"],
    "dog": ["pup", "puppy", "doggy", "hound", "pooch"], "balloon": ["party balloon", "toy balloon"],
}
EVERYDAY_COLOURS = {
    "red": ["scarlet", "crimson", "cherry-red"], "orange": ["tangerine-orange", "pumpkin-orange"],
    "yellow": ["lemon-yellow", "canary-yellow", "buttery yellow"], "green": ["emerald", "grass-green", "lime-green"],
    "blue": ["azure", "navy blue", "sky-blue"], "purple": ["violet", "lilac", "plum-purple"],
    "pink": ["rose-pink", "bubblegum-pink"], "brown": ["chocolate-brown", "chestnut-brown"],
    "white": ["snow-white", "ivory-white", "milky white"], "black": ["jet-black", "coal-black", "ebony"],
    "gray": ["grey", "ash-gray", "slate-grey"],
}
EVERYDAY_PLACES = {
    "grass": ["on the lawn", "in a meadow", "on the turf", "in a pasture"],
    "desert": ["among the dunes", "in the Sahara", "on the sand dunes"],
    "snow": ["in a snowy field", "in a winter landscape full of snow", "on fresh snow"],
    "sea": ["on the ocean", "in the ocean waves", "out on the salt water of the ocean"],
    "room": ["in the living room", "indoors, in the parlor", "in the bedroom"],
    "road": ["on the highway", "on the street", "on the asphalt of the street"],
    "beach": ["at the seaside", "on the seashore", "on the shore by the sea"],
}
EVERYDAY_TIMES = {
    "day": ["at noon", "at midday", "under a bright midday sun"],
    "sunset": ["at dusk", "at sundown", "as the sun goes down"],
    "night": ["at midnight", "under the stars of the night", "in the moonlight", "after dark"],
}
NUMBERS = {1: ["one"], 2: ["two"], 3: ["three"], 4: ["four"]}
SIZES = {"small": ["small", "little", "tiny"], "large": ["large", "big", "huge"]}

