import re

import pytest

from evaluate import check_prompts, write_prompts
from evaluate.labels import parse_label


def test_every_file_keeps_the_rules():
    faults, rows = check_prompts.check(check_prompts.PROMPTS)
    assert not faults
    assert {row[0] for row in rows} == {*check_prompts.GROUPS, "swaps"}


def test_files_are_what_the_sources_make():
    for name, text in write_prompts.contents().items():
        assert (check_prompts.PROMPTS / name).read_text(encoding="utf-8") == text, f"{name}: run python -m evaluate.write_prompts"


@pytest.mark.parametrize("group", [*write_prompts.PATTERN_GROUPS, *write_prompts.SCENE_GROUPS, "capitals_typos"])
def test_a_hundred_and_twenty_of_each_group_are_written_by_hand(group):
    assert len(write_prompts.by_hand(group)) >= 120


@pytest.mark.parametrize("group", [*write_prompts.PATTERN_GROUPS, "held_out", "swaps"])
def test_forty_patterns_a_group(group):
    assert len(set(write_prompts.lines_of("patterns", group))) >= 40


def test_label_shorthand():
    assert parse_label("red ball small left fast >stay ^left ; 2 box @ grass night camera_rise left_of:0:1") == {
        "groups": [{"kind": "ball", "colour": "red", "size": "small", "motion": "left", "then": "stay", "speed": "fast", "side": "left"},
                   {"kind": "box", "count": 2}],
        "place": "grass", "time": "night", "camera": "rise", "relation": ["left_of", 0, 1]}
    assert parse_label("-") == {}


@pytest.mark.parametrize("label", ["red blue ball", "ball @ grass sea", "cat", "ball @ park", "ball >up", "ball ; box @ above:0:1"])
def test_label_shorthand_refuses(label):
    with pytest.raises(ValueError, match="label (says|has)"):
        parse_label(label)


@pytest.mark.parametrize(("expect", "fault"), [
    ({"groups": [{"kind": "cat"}]}, "kind cannot be 'cat'"),
    ({"groups": [{"colour": "red"}]}, "has no kind"),
    ({"groups": [{"kind": "ball", "count": 5}]}, "count cannot be 5"),
    ({"groups": [{"kind": "ball", "size": "normal"}]}, "size cannot be 'normal'"),
    ({"groups": [{"kind": "ball", "then": "left"}]}, "needs another motion"),
    ({"groups": [{"kind": "ball", "motion": "left", "then": "left"}]}, "needs another motion"),
    ({"groups": [{"kind": "ball"}], "place": "moon"}, "place cannot be 'moon'"),
    ({"groups": [{"kind": "ball"}], "relation": ["left_of", 0, 1]}, "indices of two groups"),
    ({"groups": [{"kind": "ball"}, {"kind": "box"}], "relation": ["left_of", 0, 0]}, "indices of two groups"),
    ({"groups": [{"kind": "ball"}], "event": "dogs_run"}, "dogs_run without a dog"),
    ({"mood": "sad"}, "unknown member 'mood'"),
    ({"groups": []}, "0 groups"),
])
def test_faults_in_labels_are_found(expect, fault):
    assert any(fault in found for found in check_prompts.expect_faults(expect))


def test_faults_in_files_are_found():
    good = {"prompt": "a red ball", "expect": {"groups": [{"kind": "ball", "colour": "red"}]}}
    lines = [good, {"prompt": "A red  BALL", "expect": good["expect"]}, {"prompt": " \x07", "expect": good["expect"]},
             {"prompt": "x" * 4001, "expect": good["expect"]}, {"prompt": "a thing", "expect": {}}, {"text": "a red ball"}]
    faults = "\n".join(check_prompts.group_file_faults("one_object", lines))
    for fault in ("one_object:2: the same prompt as line 1", "one_object:3: prompt is blank", "one_object:4: prompt has 4001",
                  "one_object:5: label states nothing", "one_object:6: members are", "one_object: 6 prompts; 300"):
        assert fault in faults
    assert "a and b say the same" in check_prompts.swap_faults([{"a": "x", "b": "x", "expect_a": {}, "expect_b": {}}])[0]


# Labels and words are written apart; here a simple reading of the words looks for what a label forgot or invented.
COLOUR_WORDS = {"gray": "gray|grey"}


@pytest.mark.parametrize("group", ["one_object", "two_objects", "three_objects", "directions_sides", "counts", "then", "held_out"])
def test_labels_have_the_colours_and_counts_that_the_words_have(group):
    for line in check_prompts.read_lines(check_prompts.PROMPTS / f"{group}.jsonl"):
        words = re.sub(r"\b(white snow|green grass|green lawn|black night)\b", "", line["prompt"].lower())
        said = {c for c in check_prompts.GROUP_FIELDS["colour"] if re.search(rf"\b({COLOUR_WORDS.get(c, c)})\b", words)}
        assert said == {g["colour"] for g in line["expect"]["groups"] if "colour" in g}, line
        plural = re.search(r"\b(two|three|four) (\w+ )?(balls|boxes|cones|rings|stars|hearts|dogs|boats|cars|balloons)\b", words)
        if plural and group not in ("two_objects", "three_objects"):
            assert {"two": 2, "three": 3, "four": 4}[plural[1]] in {g.get("count") for g in line["expect"]["groups"]}, line
