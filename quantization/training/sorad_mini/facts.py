"""What a caption says about a scene, chosen before it is worded.

Owns `Facts`, the choice of facts for a wanted length, the exchange of one of them, and `Draw`, the stream of choices.
Invariant: facts are true of the scene they are chosen from.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace

from .wordings import INVERSE, PLAIN_KIND_EN, Words
from .world import COLOURS, KINDS, PLACES, TIMES, Scene


@dataclass
class GroupFacts:
    """What a caption says about one group; None where it says nothing."""
    group: int                     # index into Scene.groups
    kind: str | None = None
    colour: str | None = None
    size: str | None = None
    motion: str | None = None
    then: str | None = None
    speed: str | None = None
    count: int | None = None       # 1 for any singular noun; None for a plural without a number
    side: str | None = None        # left, middle, right
    # For the wording only, true of the scene though not said:
    many: bool = field(default=False, compare=False)
    travel: str = field(default="slide", compare=False)     # key of TRAVEL_EN
    place: str = field(default="grass", compare=False)


@dataclass
class Facts:
    """What a caption says, groups in order of mention."""
    groups: list[GroupFacts]
    place: str | None = None
    time: str | None = None
    camera: str | None = None
    stance: tuple[str, int, int] | None = None      # a relation as it is worded: (key of RELATION_EN, a, b), a < b in `groups`
    event: str | None = None
    actors: tuple[int, int | None] = (0, None)      # positions of the groups that the event is about
    denied: tuple[str, str | None] | None = None    # a true negation: (people | moves | others | kind | colour, value)
    filler: int = field(default=0, compare=False)   # words (English) or clauses (Chinese) that mean nothing here

    @property
    def relation(self) -> tuple[str, int, int] | None:
        """(one of RELATIONS, a, b): group a of the order of mention is so to group b. "Next to" states none of them."""
        if self.stance is None or self.stance[0] == "next_to":
            return None
        name, a, b = self.stance
        return ("on_top_of", b, a) if name == "under" else self.stance


class Draw:
    """A stream of choices: SplitMix64. One number per choice, whatever the list, so that equal seeds keep equal wordings."""

    def __init__(self, seed: int, judge: bool = False) -> None:
        self.state, self.judge = seed & 0xFFFFFFFFFFFFFFFF, judge

    def unit(self) -> float:
        self.state = (self.state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)

    def chance(self, p: float) -> bool:
        return self.unit() < p

    def one(self, options):
        return options[int(self.unit() * len(options))]

    def pick(self, words: Words) -> str:
        return self.one(words.judge if self.judge else words.train)

    def shuffled(self, options) -> list:
        out = list(options)
        for k in range(len(out) - 1, 0, -1):
            j = int(self.unit() * (k + 1))
            out[k], out[j] = out[j], out[k]
        return out

    def weighted(self, options, weights):
        at = self.unit() * sum(weights)
        for option, weight in zip(options, weights):
            at -= weight
            if at < 0:
                return option
        return options[-1]

    def fork(self, tag: int) -> Draw:
        """A stream of its own, so that what one part draws does not shift another."""
        other = Draw(self.state ^ (0xD1342543DE82EF95 * (tag + 1)), self.judge)
        other.unit()
        return other


# --- What is said ----------------------------------------------------------------------------------------------------

def travel_of(kind: str | None, rolls: bool, place: str) -> str:
    """The manner in which a thing moves along: a key of TRAVEL_EN."""
    if kind is None:
        return "move"
    if kind == "balloon":
        return "float"
    if place == "sea":
        return "sail" if kind == "boat" else "drift"
    if rolls:
        return "roll"
    return {"car": "drive", "dog": "run"}.get(kind, "slide")


def sides(scene: Scene) -> list[str | None]:
    """Per group: left, middle or right, where all groups stand apart and in the order of their slots."""
    count = len(scene.groups)
    calm = all(g.motion not in ("left", "right", "circle") and g.then not in ("left", "right", "circle") for g in scene.groups)
    if count < 2 or count > 3 or not calm or scene.event or (scene.relation and scene.relation[0] not in ("left_of", "right_of")):
        return [None] * count
    spans = [(min(scene.things[i].slot for i in g.members), max(scene.things[i].slot for i in g.members)) for g in scene.groups]
    order = sorted(range(count), key=lambda g: spans[g])
    if any(spans[a][1] >= spans[b][0] for a, b in zip(order, order[1:])):
        return [None] * count
    names = ("left", "right") if count == 2 else ("left", "middle", "right")
    out: list[str | None] = [None] * count
    for name, g in zip(names, order):
        out[g] = name
    return out


def wanted_length(draw: Draw) -> int:
    """Words that the caption shall have, about; the same law for every scene."""
    u, v = draw.unit(), draw.unit()
    for share, low, high in ((0.05, 2, 5), (0.11, 5, 9), (0.30, 9, 15), (0.27, 15, 23), (0.13, 23, 34), (0.14, 34, 74)):
        if u < share:
            return int(low + (high - low) * v)
        u -= share
    return 20


def choose_facts(scene: Scene, draw: Draw, length: int) -> Facts:
    """What a caption of about `length` words says of the scene."""
    count = len(scene.groups)
    order = draw.shuffled(range(count))
    if scene.event and count == 2 and order[0] != 0:
        order.reverse()                                        # an event names its actor first
    event = scene.event if scene.event and draw.chance(0.98) else None
    where = sides(scene)
    facts = Facts([], actors=(0, 1 if scene.event == "passes_behind" else None))
    budget = length - 2.6 * count - (3 if event else 0)
    facts.event = event
    options = []                                               # (cost, probability, setter)
    vital = []
    for position, index in enumerate(order):
        d = draw.fork(100 + index)
        group = scene.groups[index]
        thing = scene.things[group.members[0]]
        kind = None if d.chance(0.02) and not event else group.kind
        said = GroupFacts(index, kind, None if d.chance(0.05) else group.colour, many=group.count > 1, place=scene.place,
                          travel=travel_of(kind, thing.rolls, scene.place))
        said.count = 1 if group.count == 1 else (None if d.chance(0.07) else group.count)
        facts.groups.append(said)
        acting = scene.event is not None and index == 0

        def motion(said=said, group=group):
            said.motion, said.then = group.motion, group.then

        def speed(said=said, group=group):
            if said.motion is not None:
                said.speed = group.speed

        if not acting:
            moves = group.motion != "stay" or group.then is not None
            cost = 2.5 + (3 if group.then else 0)
            (vital if moves and d.chance(0.93) else options).append((cost, 0.3, motion))
            if group.speed != "normal" and moves:
                options.append((1, 0.85, speed))
        elif event in ("leaves_returns", "passes_behind") and d.chance(0.4):
            said.motion = group.motion                         # the direction in which it sets out
        if group.size != "normal":
            options.append((1, 0.7, lambda said=said, size=group.size: setattr(said, "size", size)))
    related = stance_of(scene, order)
    if related and related[0] in ("left_of", "right_of") and draw.chance(0.15):
        related = ("next_to", *related[1:])

    def relation():
        facts.stance = related
        for said in facts.groups:
            said.side = None

    def side():
        if facts.stance is None:
            for said in facts.groups:
                said.side = where[said.group]

    if related:
        special = related[0] not in ("left_of", "right_of", "next_to")
        (vital if draw.chance(0.8 if special else 0.35) else options).append((4, 0.5, relation))
    if where[0]:
        (vital if draw.chance(0.3) else options).append((3 * count, 0.5, side))
    options += [(3, 0.95, lambda: setattr(facts, "place", scene.place)), (2, 0.65 if scene.time == "day" else 0.92,
                lambda: setattr(facts, "time", scene.time)),
                (4, 0.25 if scene.camera == "still" else 0.95, lambda: setattr(facts, "camera", scene.camera))]
    for number, (cost, _, setter) in enumerate(vital):
        late = draw.unit()
        if budget >= cost - 1.5 or (number == 0 and late < 0.8) or late < 0.1:
            setter()
            budget -= cost
    keys = [draw.unit() for _ in options]
    for _, (cost, probability, setter) in sorted(zip(keys, options), key=lambda pair: pair[0]):
        if draw.chance(probability if budget >= cost else (0.65 if cost == 1 else 0.12) * probability):
            setter()
            budget -= cost
    if draw.chance(0.07):
        facts.denied = denial(scene, facts, draw)
    return facts


def stance_of(scene: Scene, order: list[int]) -> tuple[str, int, int] | None:
    """The scene's relation between positions of mention, seen from the smaller."""
    if scene.event or scene.relation is None:
        return None
    name, a, b = scene.relation
    first, second = order.index(a), order.index(b)
    return (name, first, second) if first < second else (INVERSE[name], second, first)


def denial(scene: Scene, facts: Facts, draw: Draw) -> tuple[str, str | None]:
    """A negation that is true."""
    told = all(said.motion is not None or scene.groups[said.group].motion == "stay" for said in facts.groups)
    name = draw.one(("people", "people", "moves", "others", "kind", "colour"))
    if name == "moves" and (not told or scene.event or scene.camera != "still" or scene.place in ("sea", "beach")
                            or all(g.motion == "stay" and g.then is None for g in scene.groups)):
        name = "people"
    if name == "others" and scene.event == "through_hoop":
        name = "people"
    if name in ("kind", "colour") and any(getattr(said, name) is None for said in facts.groups):
        name = "people"
    if name == "kind":
        return name, draw.one([k for k in PLAIN_KIND_EN if all(g.kind != k for g in scene.groups) and k not in ("tree", "house")])
    if name == "colour":
        # Only of a colour that neither the things nor the place shows.
        shown = {g.colour for g in scene.groups} | {"green", "yellow", "blue", "white", "orange", "gray", "brown", "black"}
        left = [c for c in COLOURS if c not in shown]
        return (name, draw.one(left)) if left else ("people", None)
    return name, None


def words_of(facts: Facts, form: str) -> int:
    """About how many words the facts take; equal for facts that differ in one value, so that fillers stay the same."""
    count = {"polite": 4, "question": 4, "when": 5, "there": 2}.get(form, 0)
    for said in facts.groups:
        count += 2 + (said.colour is not None) + (said.size is not None) + (said.speed is not None)
        count += 3 * (said.motion is not None) + 4 * (said.then is not None) + 3 * (said.side is not None)
    count += 3 * (facts.place is not None) + 2 * (facts.time is not None) + 4 * (facts.camera is not None)
    return count + 5 * (facts.stance is not None) + 3 * (facts.event is not None) + 2 * (facts.denied is not None)


OPPOSITE = {"left": "right", "right": "left", "nearer": "away", "away": "nearer", "rise": "fall", "fall": "rise", "small": "large",
            "large": "small", "slow": "fast", "fast": "slow"}
OPPOSITE_CAMERA = {"pan_left": "pan_right", "pan_right": "pan_left", "zoom_in": "zoom_out", "zoom_out": "zoom_in"}
BINDING = ("sides", "relation", "order", "direction", "speed", "motions", "colours", "kinds")     # what a bag of words cannot tell, mostly
EXCHANGES = ("colours", "kinds", "direction", "colour", "kind", "size", "speed", "count", "place", "time", "camera", "camera")


def exchanged(facts: Facts, what: str, d: Draw) -> Facts | None:
    """Facts with one meaningful thing exchanged, or None where they do not state it."""
    groups = [replace(said) for said in facts.groups]
    new = replace(facts, groups=groups)
    if facts.denied and facts.denied[0] != "people":
        return None
    if what in ("colours", "kinds", "motions"):
        name = {"colours": "colour", "kinds": "kind", "motions": "motion"}[what]
        if len(groups) < 2 or facts.event and name != "colour":
            return None
        a, b = groups[0], groups[1]
        x, y = getattr(a, name), getattr(b, name)
        if x is None or y is None or x == y or a.then or b.then:
            return None
        setattr(a, name, y)
        setattr(b, name, x)
        if name == "motion":
            a.speed, b.speed = b.speed, a.speed
        for said in (a, b) if name == "kind" else ():
            said.travel = travel_of(said.kind, said.kind in ("ball", "ring"), said.place)
        return new
    if what == "sides":
        said = [g for g in groups if g.side in ("left", "right")]
        if len(said) != 2:
            return None
        said[0].side, said[1].side = said[1].side, said[0].side
        return new
    if what == "relation":
        if facts.relation is None:
            return None
        new.stance = (INVERSE[facts.stance[0]], *facts.stance[1:])
        return new
    if what == "camera":
        if facts.camera not in OPPOSITE_CAMERA:
            return None
        new.camera = OPPOSITE_CAMERA[facts.camera]
        return new
    if what in ("place", "time"):
        value = getattr(facts, what)
        if value is None or value == "sea":
            return None
        setattr(new, what, d.one([v for v in ((*PLACES[:3], *PLACES[4:]) if what == "place" else TIMES) if v != value]))
        if what == "place" and (value == "room" or new.place == "room"):
            return None if facts.time else new
        return new
    said = d.one(groups)
    if what == "order":
        said = next((g for g in groups if g.then), None)
        if said is None or said.speed:
            return None
        said.motion, said.then = said.then, said.motion
    elif what == "direction":
        said = next((g for g in groups if g.motion in OPPOSITE and g.then is None), None)
        if said is None:
            return None
        said.motion = OPPOSITE[said.motion]
    elif what in ("colour", "kind"):
        value = getattr(said, what)
        if value is None or facts.event and what == "kind":
            return None
        others = [v for v in (COLOURS if what == "colour" else KINDS) if all(getattr(g, what) != v for g in groups)]
        setattr(said, what, d.one(others))
        if what == "kind":
            said.travel = travel_of(said.kind, said.kind in ("ball", "ring"), said.place)
    elif what in ("size", "speed"):
        if getattr(said, what) not in OPPOSITE:
            return None
        setattr(said, what, OPPOSITE[getattr(said, what)])
    elif what == "count":
        if said.count is None or facts.event or facts.stance:
            return None
        said.count = d.one([n for n in (1, 2, 3, 4) if n != said.count])
        said.many = said.count > 1
    return new
