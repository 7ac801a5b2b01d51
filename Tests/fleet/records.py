"""What the workers of clips said, with the time when it reached the head: from it follows how much was done again."""
import contextlib
import json
import threading
import time

ORDER = {"denoising": 1, "decoding": 2}


class Record:
    """The lines of one clip. A position is (phase, unit): a step that is done, or a frame."""

    def __init__(self):
        self.words = []     # (time, "ready" | "putDown" | "finished" | position)

    def take(self, line, now):
        with contextlib.suppress(ValueError):
            (name, content), = json.loads(line).items()
            if name != "progress":
                self.words.append((now, name))
            elif order := ORDER.get(content["progress"]["phase"]):
                unit = content["progress"].get("frame", 0) if order == 2 else content["progress"]["step"]
                self.words.append((now, (order, unit)))

    @property
    def positions(self):
        return [(now, word) for now, word in list(self.words) if isinstance(word, tuple)]

    @property
    def position(self):
        return self.positions[-1][1] if self.positions else (0, 0)

    def again(self):
        """What was done a second time: for each start that fell back, the units and the seconds that they had taken."""
        found, reached, is_first = [], [], False
        for now, word in list(self.words):
            if word == "ready":
                is_first = True
            elif isinstance(word, tuple):
                lost = [(then, place) for then, place in reached if place > word] if is_first else []
                if lost:
                    # From the moment when the work was last where it now begins.
                    since = max((then for then, place in reached if place <= word), default=reached[0][0])
                    found.append((len({place for _, place in lost}), lost[-1][0] - since))
                    reached = [(then, place) for then, place in reached if place <= word]
                is_first = False
                reached.append((now, word))
        return found

    def longest_unit(self):
        """Seconds of the slowest step or frame."""
        gaps = [second[0] - first[0] for first, second in zip(self.words, self.words[1:]) if isinstance(first[1], tuple)
                and isinstance(second[1], tuple)]
        return max(gaps, default=0)


class Records(threading.Thread):
    """Reads along in the head's folders, since they are removed when a clip is recorded."""

    def __init__(self, head):
        super().__init__(daemon=True)
        self.head, self.of, self.offsets, self.progress, self.is_over = head, {}, {}, {}, False
        self.faults = []

    def add(self, id):
        self.of[id] = Record()

    def run(self):
        while not self.is_over:
            for id in list(self.of):
                self.read(id)
            time.sleep(0.03)

    def read(self, id):
        with contextlib.suppress(OSError):
            for path in sorted(self.head.fleet_folder(id).glob("out.*")):
                offset = self.offsets.get(path, 0)
                with open(path, "rb") as file:
                    file.seek(offset)
                    content = file.read()
                whole = content[:content.rfind(b"\n") + 1]
                self.offsets[path] = offset + len(whole)
                for line in whole.splitlines():
                    self.of[id].take(line, time.monotonic())

    def watch(self, id, video):
        """`progress` never falls."""
        before = self.progress.get(id, 0)
        self.progress[id] = video.get("progress", 0)
        if self.progress[id] < before:
            self.faults.append(f"{id}: progress fell from {before} to {self.progress[id]}")
