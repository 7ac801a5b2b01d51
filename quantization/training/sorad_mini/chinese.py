"""The wording of facts in Chinese."""
from __future__ import annotations

from . import wordings as w
from .facts import Draw, Facts, GroupFacts, words_of


class Chinese:
    """The wording of facts in Chinese."""

    def __init__(self, facts: Facts, draw: Draw, form: str, length: int, outdoors: bool) -> None:
        self.facts, self.draw, self.form, self.length, self.outdoors = facts, draw, form, length, outdoors

    def noun(self, position: int, definite: bool = False, numbered: bool = True) -> str:
        said, d = self.facts.groups[position], self.draw.fork(10 + position)
        kind = d.pick(w.KIND_ZH[said.kind] if said.kind else w.NO_KIND_ZH)
        if kind == "小狗" and said.size:
            kind = "狗"
        colour = d.pick(w.COLOUR_ZH[said.colour]) if said.colour else ""
        linked, dropped = d.chance(0.7), d.chance(0.3)
        size = d.pick(w.SIZE_ZH[said.size]) if said.size else ""
        measure = d.pick(w.MEASURE_ZH[said.kind] if said.kind else w.NO_MEASURE_ZH)
        number = d.pick(w.NUMBER_ZH[said.count]) if said.count and said.count > 1 else "一"
        if colour.endswith("色") and (linked or len(size) == 1):
            colour += "的"
        # A size of one character stands next to the noun, a longer one before the colour.
        if len(size) == 1:
            words = ((colour if not colour or colour.endswith("的") else colour + "色的") + size + kind) if said.colour else size + kind
        elif colour and not colour.endswith(("色", "的")) and len(kind) > 2:
            words = size + colour + "色的" + kind
        else:
            words = size + colour + kind
        if definite:
            short = all(other is said or other.kind != said.kind for other in self.facts.groups)
            return kind if short else words
        if said.many:
            return number + measure + words if said.count else "几" + measure + words
        return words if dropped or not numbered else number + measure + words

    def motion_phrase(self, said: GroupFacts, motion: str, d: Draw, role: str) -> str:
        afloat = said.place == "sea" and said.kind != "balloon"
        if role == "then" and motion == "stay":
            words = w.STOP_ZH
        elif role == "first" and motion == "stay" and said.then:
            words = w.WAIT_ZH
        elif motion == "stay" and said.kind == "balloon":
            words = w.HOVER_STAY_ZH
        elif afloat and motion in w.AFLOAT_ZH and self.facts.place == "sea":
            words = w.AFLOAT_ZH[motion]
        else:
            words = w.DIRECTION_ZH.get(motion) or w.MOTION_ZH[motion]
        phrase = d.pick(words).replace("{travel}", d.pick(w.TRAVEL_ZH[said.travel]))
        speed = d.pick(w.SPEED_ZH[said.speed]) if said.speed else ""
        return speed + phrase if role == "first" and motion != "stay" else phrase

    def verb_phrase(self, position: int) -> str:
        said, d = self.facts.groups[position], self.draw.fork(30 + position)
        event = self.facts.event
        if event and position == self.facts.actors[0]:
            phrase = d.pick(w.EVENT_ZH[event])
            if "{other}" in phrase:
                phrase = phrase.replace("{other}", self.noun(self.facts.actors[1]))
            if said.motion:
                phrase = d.one({"left": ("向左", "往左"), "right": ("向右", "往右")}[said.motion]) + d.pick(w.TRAVEL_ZH[said.travel]) + "，" + phrase
            return phrase
        if said.motion is None:
            return ""
        first = self.motion_phrase(said, said.motion, d.fork(1), "first" if said.then or said.speed else "only")
        if said.then is None:
            return first
        second = self.motion_phrase(said, said.then, d.fork(2), "then")
        return d.fork(3).pick(w.THEN_ZH).replace("{a}", first).replace("{b}", second)

    def spoken(self) -> list[int]:
        hidden = self.facts.actors[1] if self.facts.event == "passes_behind" else None
        return [k for k in range(len(self.facts.groups)) if k != hidden]

    def clause(self, position: int, where: str = "") -> str:
        said, d = self.facts.groups[position], self.draw.fork(40 + position)
        noun, verb = self.noun(position), self.verb_phrase(position)
        side = d.pick(w.SIDE_ZH[said.side]) if said.side else ""
        link = d.one(("有", "是", "")) if not verb else d.one(("有", "", "的"))
        if side:
            noun = side + link + (self.noun(position, numbered=False) if link == "的" and not said.many else noun)
        if where:
            return f"{noun}在{where}{verb}" if verb else f"{noun}在{where}"
        return noun + verb

    def core(self, where: str) -> tuple[str, bool]:
        """The things and what they do, and whether the place is in it."""
        facts, d = self.facts, self.draw.fork(2)
        positions = self.spoken()
        if facts.stance:
            name, a, b = facts.stance
            if d.chance(0.5):
                text = f"{self.noun(a)}在{self.noun(b)}{d.one(('的', ''))}{d.pick(w.RELATION_ZH[name])}"
            else:
                text = f"{self.noun(a)}{d.one(('的', ''))}{d.pick(w.RELATION_ZH[w.INVERSE[name]])}有{self.noun(b)}"
            acts = [self.noun(k, definite=True) + self.verb_phrase(k) for k in (a, b) if self.verb_phrase(k)]
            text = "，".join([text, *acts])
            for k in positions:
                if k not in (a, b):
                    text += d.one(("，还有", "，另外有")) + self.clause(k)
            return text, False
        inside = bool(where) and len(positions) == 1 and not facts.event and d.chance(0.6) and "，" not in self.verb_phrase(positions[0])
        parts = [self.clause(k, where if inside else "") for k in positions]
        nouns_only = not any(self.verb_phrase(k) or facts.groups[k].side for k in positions)
        joint = d.one(("，", "，", "、", "和") if nouns_only else ("，", "，", "，", "，而"))
        if joint in ("，而", "和") and len(parts) > 2:
            return "，".join(parts[:-1]) + ("，还有" if joint == "和" else "，") + parts[-1], inside
        return joint.join(parts), inside

    def text(self) -> str:
        facts, d, form = self.facts, self.draw.fork(1), self.form
        place = self.draw.fork(3).pick(w.PLACE_ZH[facts.place]) if facts.place else ""
        time = ""
        if facts.time:
            t = self.draw.fork(4)
            open_air = t.chance(0.25) and self.outdoors
            time = t.pick((w.TIME_OUTDOORS_ZH if open_air else w.TIME_ZH)[facts.time])
        core, inside = self.core(place if form not in ("list", "there") else "")
        style, comma = d.unit(), "，" if d.chance(0.6) and form != "question" else ""
        if form == "list":
            parts = [core] + [p for p in (d.pick(w.PLACE_NOUN_ZH[facts.place]) if facts.place else "", time) if p]
            text = "，".join(parts)
        elif form == "there" and place:
            text = time + place + d.one(("有", "有", "可以看到")) + core
        elif form == "there":
            text = time + d.pick(w.THERE_ZH) + core
        elif inside:
            text = time + (comma if time else "") + core if time else core
        else:
            lead = time + ("的" if time and place and style < 0.3 and not time.endswith(("下", "中", "时")) else "") + place
            text = lead + (comma if lead else "") + core
        if form == "question":
            text = d.pick(w.QUESTION_ZH).replace("{x}", text)
        elif form == "polite":
            text = d.pick(w.POLITE_ZH) + text
        elif form in ("short", "sentence", "when") and style > 0.9:
            text = d.pick(w.FRAME_ZH) + text
        if facts.camera:
            text += "，" + self.draw.fork(5).pick(w.CAMERA_ZH[facts.camera])
        if facts.denied:
            name, value = facts.denied
            n = self.draw.fork(6)
            if name == "kind":
                words = n.pick(w.NOT_KIND_ZH).replace("{x}", w.PLAIN_KIND_ZH[value])
            elif name == "colour":
                words = n.pick(w.NOT_COLOUR_ZH).replace("{x}", w.COLOUR_ZH[value].train[0])
            else:
                words = n.pick({"people": w.NO_ONE_ZH, "moves": w.NOTHING_ELSE_ZH, "others": w.NO_OTHERS_ZH}[name])
            text += "，" + words
        text = self.filled(text)
        if form == "question":
            text = text.replace("？，", "？")
        return text

    def filled(self, text: str) -> str:
        d = self.draw.fork(7)
        missing = min(int(1.6 * (self.length - words_of(self.facts, self.form))), 60)
        if not d.chance(0.9 if self.length > 24 else 0.2 if missing > 6 else 0.05) and not (self.form == "style" and d.chance(0.8)):
            return text
        used: set[str] = set()
        added = 0
        while added < missing or not used:
            piece = d.pick(w.FILLER_WORDS_ZH if self.form in ("style", "list") or missing - added < 6 else w.FILLER_SENTENCE_ZH)
            if piece in used:
                missing -= 4
                continue
            used.add(piece)
            while "{" in piece:
                piece = piece.replace("{word}", d.one(w.idle_words()[1]), 1)
            added += len(piece) + 1
            text = piece + "，" + text if d.chance(0.15) and self.form not in ("question", "style") else text + "，" + piece
        self.facts.filler = len(used)
        return text
