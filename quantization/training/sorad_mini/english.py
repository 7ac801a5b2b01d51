"""The wording of facts in English."""
from __future__ import annotations

import re

from . import wordings as w
from .facts import Draw, Facts, GroupFacts, words_of

SENTENCE_END = (".", "!", "?")
DOUBLED = {"run", "spin", "hop", "drop", "stop", "set", "put", "sit", "get"}
VERB = re.compile(r"/(not )?(\w+)")
ING = re.compile(r"%(not )?(\w+)")


def participle(verb: str) -> str:
    if verb == "be":
        return "being"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if verb in DOUBLED else "") + "ing"


def inflect(phrase: str, form: str, many: bool) -> str:
    """Every `/verb` of a phrase in one form, `finite` or `ing`; `%verb` always with -ing."""
    def ing(match: re.Match) -> str:
        return (match[1] or "") + participle(match[2])

    def finite(match: re.Match) -> str:
        if match[1]:
            return ("do not " if many else "does not ") + match[2]
        return ("are" if match[2] == "be" else match[2]) if many else w.third_person(match[2])

    phrase = ING.sub(ing, phrase)
    return VERB.sub(ing if form == "ing" else finite, phrase)


def article(words: str) -> str:
    return ("an " if words[0] in "aeio" else "a ") + words


def plural(noun: str) -> str:
    head, space, last = noun.rpartition(" ")
    if last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ie"
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "e"
    return head + space + last + "s"


class English:
    """The wording of facts in English. Every part draws from a fork of its own."""

    def __init__(self, facts: Facts, draw: Draw, form: str, length: int, outdoors: bool) -> None:
        self.facts, self.draw, self.form, self.length, self.outdoors = facts, draw, form, length, outdoors
        self.terse = form in ("short", "list") or (form == "style" and draw.chance(0.5))
        self.epithets: dict[int, int] = {}

    # Nouns

    def noun(self, position: int, definite: bool = False, bare: bool = False, sided: bool = True) -> str:
        said, d = self.facts.groups[position], self.draw.fork(10 + position)
        kind = d.pick(w.KIND_EN[said.kind] if said.kind else w.NO_KIND_EN)
        if said.many:
            kind = plural(kind)
        colour = d.pick(w.COLOUR_EN[said.colour]) if said.colour else ""
        size = d.pick(w.SIZE_EN[said.size]) if said.size else ""
        number = d.pick(w.NUMBER_EN[said.count]) if said.many and said.count else ""
        one, postponed, some = d.pick(w.ONE_EN), d.chance(0.04), d.chance(0.3)
        side = " " + self.draw.fork(10 + position + 50).pick(w.SIDE_EN[said.side]) if said.side and sided else ""
        something = said.kind is None and not said.many and d.chance(0.4)
        epithet = d.pick(w.EPITHET_EN) if d.chance(0.025) and not definite else ""
        if epithet:
            self.epithets[position] = 1
            size = f"{epithet} {size}".strip()
        if something and not definite:
            return " ".join(word for word in ("something", size, colour) if word) + side
        if postponed and colour and not definite and not self.terse:
            words, tail = f"{size} {kind}".strip(), f" that {'are' if said.many else 'is'} {colour}"
        else:
            words, tail = " ".join(word for word in (size, colour, kind) if word), ""
        if definite:
            short = all(other is said or other.kind != said.kind for other in self.facts.groups)
            return "the " + (kind if short else words)
        if said.many:
            lead = number if number else ("some" if some and not self.terse else "")
            return f"{lead} {words}".strip() + tail + side
        if self.terse or bare:
            return words + tail + side
        return (article(words) if one == "a" else f"{one} {words}") + tail + side

    # Verbs

    def motion_phrase(self, said: GroupFacts, motion: str, d: Draw, role: str) -> str:
        afloat = said.place == "sea" and said.kind != "balloon"
        if role == "then" and motion == "stay":
            words = w.STOP_EN
        elif role == "first" and motion == "stay" and said.then:
            words = w.WAIT_EN
        elif motion == "stay" and said.kind == "balloon":
            words = w.HOVER_STAY_EN
        elif motion == "stay" and afloat:
            words = w.AFLOAT_EN["stay"]
        elif motion == "fall" and afloat and self.facts.place == "sea":
            words = w.AFLOAT_EN["fall"]
        else:
            words = w.DIRECTION_EN.get(motion) or w.MOTION_EN[motion]
        phrase, travel, hurried = d.pick(words), d.pick(w.TRAVEL_EN[said.travel]), d.chance(0.25)
        speed, place = d.pick(w.SPEED_EN[said.speed]) if said.speed else "", d.unit()
        if role != "first" or not said.speed or motion == "stay":
            return phrase.replace("{travel}", travel)
        if said.speed == "fast" and hurried and "{travel}" in phrase and said.travel in w.FAST_TRAVEL_EN and motion != "circle":
            return phrase.replace("{travel}", d.pick(w.FAST_TRAVEL_EN[said.travel]))
        phrase = phrase.replace("{travel}", travel)
        if place < 0.25 and speed in w.ADVERBS_BEFORE:
            return f"{speed} {phrase}"
        if place < 0.6 and speed in w.ADVERBS_INSIDE:
            return VERB.sub(lambda m: f"{m[0]} {speed}", phrase, count=1)
        return f"{phrase} {speed}"

    def verb_phrase(self, position: int, sentences: bool = False) -> str:
        """The group's motions or its event with verbs marked, or nothing."""
        said, d = self.facts.groups[position], self.draw.fork(30 + position)
        if self.facts.event and position == self.facts.actors[0]:
            return self.event_phrase(said, d)
        if said.motion is None:
            return ""
        first = self.motion_phrase(said, said.motion, d.fork(1), "first" if said.then or said.speed else "only")
        if said.then is None:
            return f"{first} {d.pick(w.MANNER_EN)}" if self.length > 20 and said.motion != "stay" and d.chance(0.06) else first
        second = self.motion_phrase(said, said.then, d.fork(2), "then")
        joint = d.fork(3).pick(w.THEN_SENTENCES_EN if sentences and d.chance(0.3) else w.THEN_EN)
        it = "they" if said.many else "it"
        return joint.replace("{a}", first).replace("{b%}", second.replace("/", "%")).replace("{b}", second).replace("{it}", it)

    def event_phrase(self, said: GroupFacts, d: Draw) -> str:
        event = self.facts.event
        phrase = d.pick(w.EVENT_EN[event]).replace("{travel}", d.pick(w.TRAVEL_EN[said.travel]))
        phrase = phrase.replace("{its}", "their" if said.many else "its")
        if "{other}" in phrase:
            phrase = phrase.replace("{other}", self.noun(self.facts.actors[1], sided=False))
        if said.motion:
            to = {"left": ("to the left", "from right to left"), "right": ("to the right", "from left to right")}[said.motion]
            if event == "passes_behind":
                phrase += " " + d.one((*to, *("moving " + words for words in to)))
            elif "{" not in phrase:
                phrase = d.fork(1).pick(w.LEAVES_ASIDE_EN).replace("{s}", said.motion)
                phrase = phrase.replace("{travel}", d.pick(w.TRAVEL_EN[said.travel]))
        return phrase

    def clause(self, position: int, mode: str, sentences: bool = False) -> str:
        """Subject and verb: `finite`, `progressive`, `ing`, `that`; without a verb the noun alone, or "there is" it."""
        said = self.facts.groups[position]
        noun, phrase = self.noun(position), self.verb_phrase(position, sentences and mode == "finite")
        if not phrase:
            return noun if mode in ("ing", "that") else ("there are " if said.many else "there is ") + noun
        if mode == "ing":
            return f"{noun} {inflect(phrase, 'ing', said.many)}"
        if mode == "that":
            return f"{noun} that {inflect(phrase, 'finite', said.many)}"
        if mode == "progressive" and "/not" not in phrase:
            return f"{noun} {'are' if said.many else 'is'} {inflect(phrase, 'ing', said.many)}"
        return f"{noun} {inflect(phrase, 'finite', said.many)}"

    # The things and what they do

    def spoken(self) -> list[int]:
        """Positions that get a clause of their own; what an event passes behind is inside another's."""
        hidden = self.facts.actors[1] if self.facts.event == "passes_behind" else None
        return [k for k in range(len(self.facts.groups)) if k != hidden]

    def core(self, mode: str, sentences: bool) -> str:
        facts, d = self.facts, self.draw.fork(2)
        said = facts.groups
        if facts.event in w.EVENT_CLAUSE_EN and mode in ("ing", "finite") and d.chance(0.2) and not said[0].motion:
            return d.pick(w.EVENT_CLAUSE_EN[facts.event]).replace("{np}", self.noun(0))
        positions = self.spoken()
        if len(positions) == 1:
            return self.clause(positions[0], mode, sentences)
        if facts.stance:
            return self.related(mode, sentences, d)
        lists = d.unit()
        if all(not g.many for g in said) and lists < 0.08 and mode == "ing":
            number = {2: "two", 3: "three"}[len(positions)]
            return f"{number} {d.one(('objects', 'things'))}: " + join_list([self.clause(k, mode) for k in positions], d)
        if sentences and lists < 0.3 and mode in ("finite", "progressive"):
            return ". ".join(self.clause(k, mode) for k in positions)
        parts = [self.clause(k, mode) for k in positions]
        verbs = [self.verb_phrase(k) for k in positions]
        if len(parts) == 2 and lists < 0.55 and mode == "finite" and all(verbs):
            return f"{parts[0]} {d.one(('while', 'while', 'and'))} {parts[1]}"
        if len(parts) == 2 and lists < 0.5 and mode == "ing" and not verbs[0]:
            return f"{parts[0]} {d.one(('and', 'with', 'together with', 'and'))} {parts[1]}"
        if not any(verbs) and mode in ("finite", "progressive"):
            parts = [self.clause(k, "ing") for k in positions]
            return ("there are " if said[positions[0]].many else "there is ") + join_list(parts, d)
        return join_list(parts, d)

    def related(self, mode: str, sentences: bool, d: Draw) -> str:
        """Two groups and how they stand, then what they do, then the others."""
        facts = self.facts
        name, a, b = facts.stance
        said, others = facts.groups, [k for k in range(len(facts.groups)) if k not in facts.stance[1:]]
        style, order = d.unit(), d.unit()
        verbs = {k: self.verb_phrase(k) for k in range(len(said))}
        simple = all(said[k].motion in (None, "bounce", "spin", "stay") and said[k].then is None for k in (a, b))
        be, mode = "are" if said[a].many else "is", "ing" if mode == "that" else mode
        if simple and mode == "ing" and style < 0.75 or self.terse:
            # "a red ball bouncing behind a house": only of motions that have no direction
            inner = all(said[k].motion in (None, "bounce", "spin", "stay") and said[k].then is None for k in (a, b))
            first = self.clause(a, "ing") if inner else self.noun(a)
            second = self.clause(b, "ing") if inner else self.noun(b)
            text = f"{first} {d.pick(w.RELATION_EN[name])} {second}"
            if not inner:
                text += "".join(f", {self.noun(k, definite=True)} {inflect(verbs[k], 'ing', said[k].many)}" for k in (a, b) if verbs[k])
        else:
            noun_a, noun_b = self.noun(a), self.noun(b)
            if order < 0.3:
                preposition = d.pick(w.RELATION_EN[w.INVERSE[name]])
                there = "there are" if said[b].many else "there is"
                text = f"{preposition} {noun_a} {there} {noun_b}"
            elif mode == "ing":
                d.unit()
                text = f"{noun_a} {d.pick(w.RELATION_EN[name])} {noun_b}"
            else:
                stands = d.one((be, be, "stand" if said[a].many else "stands"))
                text = f"{noun_a} {stands} {d.pick(w.RELATION_EN[name])} {noun_b}"
            acts = [f"{self.noun(k, definite=True)} {inflect(verbs[k], 'finite', said[k].many)}" for k in (a, b) if verbs[k]]
            if acts:
                text += (". " if sentences else ", ") + " and ".join(acts)
        for k in others:
            also = d.one((", and there is also ", ", there is also ", ", and there is ") if ". " in text or mode != "ing" else
                         (", and there is also ", ", and ", ", there is also "))
            text += (also.replace("there is", "there are") if said[k].many else also) + self.clause(k, "ing")
        return text

    # Place, time, camera

    def place(self) -> str:
        d = self.draw.fork(3)
        table = w.PLACE_LONG_EN if d.chance(0.3) and self.length > 20 else w.PLACE_EN
        return d.pick(table[self.facts.place]) if self.facts.place else ""

    def time(self) -> str:
        d = self.draw.fork(4)
        if not self.facts.time:
            return ""
        open_air = d.chance(0.3) and self.outdoors
        return d.pick((w.TIME_OUTDOORS_EN if open_air else w.TIME_EN)[self.facts.time])

    def camera(self, clause: bool) -> str:
        if not self.facts.camera:
            return ""
        return self.draw.fork(5).pick((w.CAMERA_CLAUSE_EN if clause else w.CAMERA_SHORT_EN)[self.facts.camera])

    def denial(self) -> str:
        d = self.draw.fork(6)
        name, value = self.facts.denied
        if name == "kind":
            noun = w.PLAIN_KIND_EN[value]
            text = d.pick(w.NOT_KIND_EN)
            return text.replace("{x}s", plural(noun)).replace("a {x}", article(noun)).replace("{x}", noun)
        if name == "colour":
            return d.pick(w.NOT_COLOUR_EN).replace("{x}", value)
        return d.pick({"people": w.NO_ONE_EN, "moves": w.NOTHING_ELSE_EN, "others": w.NO_OTHERS_EN}[name])

    # The whole

    def text(self) -> str:
        d, facts, form = self.draw.fork(1), self.facts, self.form
        if form == "when" and not all(self.verb_phrase(k) for k in self.spoken()):
            form = self.form = "polite"
        sentences = self.length > 16 and form in ("sentence", "front", "there")
        mode = "ing"
        if form in ("sentence", "front"):
            mode = d.weighted(("finite", "progressive", "ing", "that"), (55, 25, 15, 5))
        elif form == "when":
            mode = "finite"
        elif form in ("there", "polite", "question"):
            mode = d.weighted(("ing", "that"), (85, 15))
        elif form == "style" and not self.terse:
            mode = d.weighted(("ing", "finite"), (60, 40))
        elif form == "short":
            mode = d.weighted(("ing", "finite"), (75, 25))
            if mode == "finite" and not all(self.verb_phrase(k) for k in self.spoken()):
                mode = "ing"
        place, time, order = self.place(), self.time(), d.unit()
        if form == "list":
            return self.keywords(d)
        core = self.core(mode, sentences)
        ended = ". " in core
        own = d.unit() if self.length > 14 and not self.terse and form not in ("question", "polite", "when") else 1.0
        after: list[str] = []
        if form == "front" and (place or time):
            lead = " ".join(part for part in ((place, time) if order < 0.4 else (time, place)) if part)
            if order > 0.85 and place and time:
                core, lead = f"{core} {place}", time
            text = f"{lead}{',' if d.chance(0.8) else ''} {core}"
        else:
            where = [place, time] if order < 0.75 else [time, place]
            if own < 0.25 and time:
                after.append(d.pick(w.TIME_SENTENCE_EN[facts.time]))
                where.remove(time)
            elif (own < 0.5 or ended) and place:
                after.append(d.pick(w.PLACE_SENTENCE_EN).replace("{place}", " ".join(part for part in where if part)))
                where = []
            elif ended and time:
                after.append(d.pick(w.TIME_SENTENCE_EN[facts.time]))
                where = []
            text = " ".join([core, *(part for part in where if part)])
        text = self.framed(text, core, d)
        if facts.camera:
            text = self.with_camera(text, after, d)
        if facts.denied:
            if form in ("question", "polite") or self.terse or d.chance(0.5):
                text += ", " + self.denial()
            else:
                after.append(self.denial())
        return self.filled(text, after)

    def framed(self, text: str, core: str, d: Draw) -> str:
        form, lead = self.form, d.unit()
        bare = core.startswith(("there ", "setting ", "putting ", "blowing ", "two ob", "two th", "three ob", "three th", "the flame"))
        if form == "there" and not bare:
            there = d.pick(w.THERE_EN)
            if there == "there is" and self.facts.groups[0].many:
                there = "there are"
            return f"{there} {text}"
        if form == "polite":
            return f"{d.pick(w.POLITE_EN)} {text}"
        if form == "question":
            return f"{d.pick(w.QUESTION_EN)} {text}"
        if form == "when":
            return f"{d.pick(w.WHEN_EN)} {text}"
        if form in ("short", "sentence", "style") and lead < 0.12 and not re.search(r"\b(is|are)\b", core) and self.participial(core):
            return f"{d.pick(w.FRAME_EN)} {text}"
        return text

    def participial(self, core: str) -> bool:
        return any(word.endswith("ing") for word in core.split()) or not any(self.verb_phrase(k) for k in self.spoken())

    def with_camera(self, text: str, after: list[str], d: Draw) -> str:
        style = d.unit()
        if self.terse or self.form in ("style",):
            return f"{text}, {self.camera(style < 0.3)}" if style < 0.9 else f"{self.camera(False)}, {text}"
        if self.form in ("question", "polite", "when"):
            clause = self.camera(True)
            return f"{text} {'while' if style < 0.5 else 'as'} {clause}" if style < 0.6 else f"{text}, {self.camera(style < 0.8)}"
        if style < 0.35:
            after.append(self.camera(True))
            return text
        if style < 0.5:
            return f"{text} while {self.camera(True)}"
        if style < 0.58:
            return f"{self.camera(True)}. {text}"
        return f"{text}, {self.camera(style < 0.8)}"

    def keywords(self, d: Draw) -> str:
        facts = self.facts
        parts = [self.clause(k, "ing") for k in self.spoken()]
        if facts.stance:
            parts = [self.related("ing", False, self.draw.fork(2))]
        if len(parts) == 1 and not facts.stance and not facts.event and d.chance(0.5):
            phrase = self.verb_phrase(0)
            parts = [self.noun(0)] + ([inflect(phrase, "ing", facts.groups[0].many)] if phrase else [])
        if facts.place:
            parts.append(d.pick(w.PLACE_NOUN_EN[facts.place]) if d.chance(0.6) else self.place())
        if facts.time:
            parts.append(d.pick(w.TIME_NOUN_EN[facts.time]) if d.chance(0.6) else self.time())
        if facts.camera:
            parts.append(self.camera(False))
        if facts.denied:
            parts.append(self.denial())
        return self.filled(", ".join(parts), [])

    # Words that mean nothing here

    def expand(self, template: str, d: Draw) -> str:
        def value(match: re.Match) -> str:
            if match[1] == "word":
                return d.one(w.idle_words()[0])
            if match[1] == "number":
                return str(int(10 ** (1 + 3 * d.unit())))
            return made_up_name(d) if match[1] == "name" else d.pick(w.FILL_EN[match[1]])

        return re.sub(r"\ba (?=[aeio])", "an ", re.sub(r"\{(\w+)\}", value, template))

    def filled(self, text: str, after: list[str]) -> str:
        """The main clause, the sentences after it, and fillers up to the wanted length: 1 to 40 words, in three captions of ten."""
        d = self.draw.fork(7)
        joint = ", " if self.terse else ". "
        missing = min(self.length - words_of(self.facts, self.form), 40)
        long = self.length > 24
        wanted = d.chance(0.9 if long else 0.2 if missing > 4 else 0.05) or (self.form == "style" and d.chance(0.8))
        self.facts.filler = len(self.epithets)
        if not wanted or missing < 1 and not self.form == "style":
            return joint.join([text, *after])
        missing = max(min(missing, 26) if self.form in ("style", "list") else missing, 1)
        before: list[str] = []
        used: set[str] = set()
        added = 0
        while added < missing:
            left, kind = missing - added, d.unit()
            if kind > 0.93 and "lead" not in used and self.form in ("sentence", "front") and not text.startswith("the camera"):
                piece = d.pick(w.LEAD_EN)
                text = f"{piece}{',' if d.chance(0.7) else ''} {text}"
                used.add("lead")
                added += len(piece.split())
                continue
            if self.form == "style" or self.form == "list" or left < 3:
                piece, where = d.pick(w.FILLER_WORDS_EN), "comma"
            elif left < 7 and kind < 0.6:
                piece, where = d.pick(w.FILLER_TAIL_EN), "tail"
            else:
                piece, where = d.pick(w.FILLER_SENTENCE_EN), "sentence"
            repeated = piece in used and piece != "{word}"
            used.add(piece)
            piece = self.expand(piece, d)
            size = len(piece.split())
            if repeated or added + size > 40:
                missing -= 1
                continue
            added += size
            if where == "sentence":
                where_to = before if d.chance(0.25) else after
                where_to.insert(int(d.unit() * (len(where_to) + 1)), piece)
            elif where == "comma":
                text += ", " + piece
            else:
                text += (" " if not self.terse and not text.endswith(SENTENCE_END) and ". " not in text and d.chance(0.6) else ", ") + piece
        self.facts.filler += added
        return joint.join([*before, text, *after])


def made_up_name(d: Draw) -> str:
    """A name that no vocabulary has, so that the pieces of unknown words learn to say nothing."""
    vowels = ("a", "e", "i", "o", "u", "ay", "or", "in", "el")
    return "".join(d.one("bcdfghjklmnprstvwz") + d.one(vowels) for _ in range(2 + int(d.unit() * 2)))


def join_list(parts: list[str], d: Draw) -> str:
    style = d.unit()
    if style < 0.15:
        return ", ".join(parts)
    clauses = any(part.startswith("there ") for part in parts)
    joint = ", and " if len(parts) > 2 and style < 0.4 or clauses else " and "
    return ", ".join(parts[:-1]) + joint + parts[-1]
