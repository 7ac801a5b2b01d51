"""The words and phrases by which captions name what a scene shows, in English and Chinese.

Every entry means one thing in the world. A list is written `"ball*4 | sphere | ~round ball"`: a number is a weight, and
`~` marks what training never sees (only `split="judge"` draws it). In verb phrases `/` stands before a verb to inflect,
`{travel}` for the verb by which this kind of thing moves along.
"""
from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path


class Words:
    """Weighted alternatives. `train` never holds held-out ones; `judge` holds those alone where there are any."""

    def __init__(self, text: str) -> None:
        train: list[str] = []
        judge: list[str] = []
        for entry in text.split("|"):
            entry, weight = re.fullmatch(r"(.*?)(?:\*(\d+))?", entry.strip()).groups()
            entry = entry.strip()
            if entry.startswith("~"):
                judge.append(entry[1:])
            else:
                train += [entry] * int(weight or 1)
        self.train = tuple(train)
        self.judge = tuple(judge) or self.train

    def all(self) -> list[str]:
        return list(dict.fromkeys(self.train + self.judge))


def third_person(verb: str) -> str:
    if verb == "be":
        return "is"
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def table(**lists: str) -> dict[str, Words]:
    return {name.rstrip("_"): Words(text) for name, text in lists.items()}


# --- English ---------------------------------------------------------------------------------------------------------

KIND_EN = table(
    ball="ball*8 | sphere*3 | orb | round ball | globe | rubber ball | toy ball",
    box="box*5 | cube*5 | block*2 | crate*2 | square box",
    cylinder="cylinder*5 | barrel*2 | drum*2 | canister | round column",
    cone="cone*6 | pointed cone | traffic cone",
    ring="ring*5 | donut*2 | doughnut | torus*2 | hula hoop | hoop",
    pyramid="pyramid*6 | square pyramid | four-sided pyramid",
    star="star*6 | five-pointed star | star shape",
    heart="heart*6 | heart shape | love heart",
    tree="tree*6 | pine | oak | pine tree | oak tree",
    house="house*6 | cottage*2 | hut | cabin | bungalow",
    car="car*7 | automobile | auto | motorcar | toy car",
    boat="boat*5 | sailboat*2 | ship*2 | sailing boat | yacht | dinghy",
    lamp="lamp*6 | lantern*2 | table lamp | floor lamp",
    chair="chair*7 | seat | dining chair | kitchen chair",
    candle="candle*7 | wax candle",
    dog="dog*6 | puppy*2 | pup | doggy | doggo | hound",
    balloon="balloon*7 | party balloon | toy balloon",
)
NO_KIND_EN = Words("thing*2 | object*3 | item | shape")
COLOUR_EN = table(
    red="red*8 | crimson | scarlet | bright red | ruby red | deep red | cherry red",
    orange="orange*8 | bright orange | tangerine | pumpkin orange",
    yellow="yellow*8 | golden | golden yellow | lemon yellow | bright yellow | gold",
    green="green*8 | emerald | bright green | dark green | lime green | emerald green",
    blue="blue*8 | navy | navy blue | azure | royal blue | deep blue | dark blue | bright blue",
    purple="purple*8 | violet*2 | deep purple | plum | bright purple",
    pink="pink*8 | hot pink | rosy pink | bright pink | rose",
    brown="brown*8 | chocolate brown | chestnut | dark brown | coffee brown",
    white="white*8 | pure white | snow-white | bright white | ivory",
    black="black*8 | jet black | pitch-black | deep black | ebony",
    gray="gray*5 | grey*5 | silver | slate gray | ash grey",
)
SIZE_EN = table(
    small="small*5 | little*3 | tiny*3 | mini | very small | ~really small",
    large="large*4 | big*5 | huge*2 | giant*2 | enormous | very big | massive | ~really big",
)
NUMBER_EN = {2: Words("two*6 | 2*2 | a pair of*2 | a couple of"), 3: Words("three*6 | 3*2"), 4: Words("four*6 | 4*2")}
ONE_EN = Words("a*12 | one*2 | a single")
SIDE_EN = table(
    left="on the left*6 | on the left side*2 | on the left-hand side | at the left | on the left of the picture"
        " | in the left half | ~over on the left",
    middle="in the middle*5 | in the center*2 | in the centre | in the middle of the picture",
    right="on the right*6 | on the right side*2 | on the right-hand side | at the right"
        " | on the right of the picture | in the right half | ~over on the right",
)
PLACE_EN = table(
    grass="on grass*3 | on the grass*4 | on a lawn | on a green lawn | in a meadow*2 | in a grassy field | in a park"
        " | on a green field | in the grass | on a green meadow | ~on the green grass",
    desert="in the desert*4 | in a desert*2 | among the dunes | on sand dunes | in a sandy desert | in the dunes"
        " | in the sahara | on desert sand",
    snow="on snow*2 | in the snow*4 | on the snow*2 | on a snowy field | in a snowy landscape"
        " | in a winter landscape | on snowy ground | ~on the snowy ground",
    sea="on the sea*3 | at sea*2 | in the ocean*2 | on the water*2 | on the ocean | on the open sea | on the waves"
        " | in the sea",
    room="in a room*3 | indoors*2 | inside a room | in a living room*2 | in the room | on the floor of a room",
    road="on a road*3 | on the road*4 | on a street*2 | on the street*2 | on asphalt | in the street | on a highway",
    beach="on the beach*5 | on a beach*3 | at the beach*2 | at the seaside | on a sandy beach | on the shore"
        " | at the seashore | ~on the sandy beach",
)
# As long descriptions have it.
PLACE_LONG_EN = table(
    grass="on a lush green meadow*2 | on soft green grass*2 | in a wide grassy field"
        " | on the fresh grass of a quiet park | on a neatly kept lawn",
    desert="in a vast desert*2 | in a hot and dry desert | among endless sand dunes*2"
        " | in the middle of a wide desert | on the dry sand of the desert",
    snow="on soft white snow*2 | in deep snow | in a quiet winter landscape | on a field covered with fresh snow*2"
        " | in a world of snow",
    sea="on the calm sea*2 | on the endless ocean*2 | in the middle of the ocean | on the gentle waves of the sea"
        " | on the surface of the water",
    room="in a cozy room*2 | in a simple room*2 | in a quiet living room | inside a plain room"
        " | indoors in a tidy room",
    road="on a quiet street*2 | on a long road*2 | on an empty road | in the middle of the road"
        " | on a wide asphalt road",
    beach="on a quiet sandy beach*2 | on a beautiful beach by the water | on the soft sand of the beach*2"
        " | on a lonely beach | at the edge of the water on a beach",
)
PLACE_NOUN_EN = table(
    grass="grass*3 | meadow | lawn",
    desert="desert",
    snow="snow*3 | snowy field",
    sea="sea*2 | ocean*2",
    room="room*2 | indoors",
    road="road*2 | street",
    beach="beach*3 | seaside",
)
TIME_EN = table(
    day="during the day*2 | by day | in daylight*2 | at noon | in the daytime | at midday | in the afternoon"
        " | in broad daylight | in the morning",
    sunset="at sunset*5 | at dusk*3 | in the evening*3 | at sundown | in the evening light | at twilight"
        " | at golden hour | in the light of the setting sun",
    night="at night*6 | by night | in the dark | at midnight | late at night | at nighttime | after dark"
        " | on a dark night",
)
TIME_OUTDOORS_EN = table(
    day="on a sunny day*2 | in bright sunshine | in the sun | under a blue sky | in the sunshine | on a bright day",
    sunset="as the sun sets | while the sun goes down | under an evening sky | under an orange sky",
    night="in the moonlight | under the moon | under a night sky | on a moonlit night",
)
TIME_NOUN_EN = table(
    day="day*2 | daytime*2 | daylight",
    sunset="sunset*4 | dusk*2 | evening",
    night="night*5 | nighttime",
)
TIME_SENTENCE_EN = table(
    day="it is daytime*2 | it is day | it is the middle of the day",
    sunset="it is evening*2 | the sun is setting | the sun is going down",
    night="it is night*3 | it is dark | it is nighttime",
)
PLACE_SENTENCE_EN = Words(
    "the scene takes place {place} | we are {place} | it all happens {place} | this is {place}"
    " | the setting is {place}")
CAMERA_CLAUSE_EN = table(
    still="the camera is still*2 | the camera does not move*3 | the camera stays still*2 | the camera is fixed"
        " | the camera stays where it is",
    pan_left="the camera pans left*4 | the camera pans to the left*4 | the camera turns left"
        " | the camera turns to the left | the camera moves left | the view pans to the left"
        " | ~the camera sweeps to the left",
    pan_right="the camera pans right*4 | the camera pans to the right*4 | the camera turns right"
        " | the camera turns to the right | the camera moves right | the view pans to the right"
        " | ~the camera sweeps to the right",
    zoom_in="the camera zooms in*5 | the camera moves closer*2 | the camera moves in | the view zooms in"
        " | the camera gets closer | ~we zoom in closer",
    zoom_out="the camera zooms out*5 | the camera moves back*2 | the camera pulls back | the view zooms out"
        " | the camera backs away | ~we zoom out again",
    orbit="the camera orbits around*2 | the camera circles around the scene*3 | the camera moves around the scene"
        " | the camera orbits the scene*2 | the camera goes around in a circle"
        " | ~the camera travels around the scene",
    rise="the camera rises*3 | the camera moves up*3 | the camera goes up | the camera moves upwards"
        " | the camera lifts up | ~the view moves upwards",
)
CAMERA_SHORT_EN = table(
    still="static camera*3 | fixed shot | fixed camera*2 | still camera | static shot*2 | no camera movement"
        " | locked camera",
    pan_left="camera pan left | panning left*2 | pan left*2 | camera pans left*3 | camera panning to the left"
        " | pan to the left",
    pan_right="camera pan right | panning right*2 | pan right*2 | camera pans right*3 | camera panning to the right"
        " | pan to the right",
    zoom_in="camera zoom in | zooming in*2 | zoom in*3 | camera zooms in*3 | dolly in | push in",
    zoom_out="camera zoom out | zooming out*2 | zoom out*3 | camera zooms out*3 | dolly out | pull back",
    orbit="orbiting camera*2 | orbit shot*2 | camera orbit | camera orbits around | circling camera"
        " | camera circles around",
    rise="rising camera*2 | crane shot upwards | camera rises*2 | camera moves up*2 | crane up | camera going up",
)
# Preposition between the first mentioned and the second mentioned group, and the name of the same thing seen from the second.
RELATION_EN = table(
    left_of="to the left of*5 | left of*3 | on the left of*2 | on the left side of",
    right_of="to the right of*5 | right of*3 | on the right of*2 | on the right side of",
    in_front_of="in front of*8",
    behind="behind*8 | at the back of",
    on_top_of="on top of*6 | on*2 | upon",
    under="under*4 | below*2 | underneath*2 | beneath",
    next_to="next to*5 | beside*3 | by the side of | alongside",
)
INVERSE = {"left_of": "right_of", "right_of": "left_of", "in_front_of": "behind", "behind": "in_front_of", "on_top_of": "under",
           "under": "on_top_of", "next_to": "next_to"}

TRAVEL_EN = table(
    roll="/roll*5 | /move*1 | /go",
    drive="/drive*6 | /move | /go",
    sail="/sail*6 | /move | /glide",
    run="/run*6 | /move | /go",
    float="/float*4 | /drift*2 | /move | /fly",
    drift="/float*3 | /drift*3 | /move*2",
    slide="/slide*5 | /move*3 | /glide | /travel",
    move="/move*4 | /go | /travel",
)
FAST_TRAVEL_EN = table(
    drive="/race*2 | /speed*2",
    run="/race | /dash*2",
    roll="/race | /shoot",
    sail="/race | /speed",
    slide="/race",
    drift="/race",
    float="/race",
    move="/race",
)
DIRECTION_EN = table(
    left="{travel} left*3 | {travel} to the left*6 | {travel} from right to left*5 | {travel} leftwards"
        " | {travel} leftward | {travel} towards the left | {travel} across the screen from right to left*2"
        " | {travel} across the screen to the left | {travel} from the right to the left | /head left"
        " | {travel} toward the left side | ~{travel} over to the left"
        " | ~{travel} from the right side to the left side",
    right="{travel} right*3 | {travel} to the right*6 | {travel} from left to right*5 | {travel} rightwards"
        " | {travel} rightward | {travel} towards the right | {travel} across the screen from left to right*2"
        " | {travel} across the screen to the right | {travel} from the left to the right | /head right"
        " | {travel} toward the right side | ~{travel} over to the right"
        " | ~{travel} from the left side to the right side",
    nearer="{travel} nearer | {travel} closer*2 | {travel} towards the camera*4 | {travel} toward the camera*2"
        " | {travel} towards us*2 | {travel} toward us | {travel} towards the viewer | /come closer*2 | /come nearer"
        " | /come towards us*2 | /come towards the camera | /approach the camera | /approach"
        " | {travel} closer to the camera | /get closer | ~{travel} up to the camera | ~/come closer to us",
    away="{travel} away*4 | {travel} away from the camera*4 | {travel} into the distance*3 | {travel} away from us*2"
        " | {travel} off into the distance | {travel} away from the viewer | {travel} far away | /move away*2"
        " | ~{travel} away into the distance | ~{travel} further away from us",
)
MOTION_EN = table(
    stay="/stay still*3 | /stand still*3 | /rest | /not move*3 | /stay in place | /stay put | ~/remain still",
    bounce="/bounce*7 | /bounce up and down*4 | /jump*2 | /jump up and down*2 | /hop | /hop up and down"
        " | /keep bouncing | ~/bounce again and again",
    fall="/fall*4 | /fall down*5 | /drop | /drop down | /fall from above*2 | /drop from above"
        " | /come down from above | /fall to the ground*2 | ~/drop down from above",
    rise="/rise*4 | /rise up | /rise into the air*3 | /float up*2 | /fly up*2 | /lift off | /go up*2 | /levitate"
        " | /take off | ~/fly up into the air",
    spin="/spin*6 | /rotate*4 | /turn around*2 | /spin around*2 | /spin in place | /turn on the spot | /twirl"
        " | /whirl around | /rotate in place | ~/keep spinning around",
    circle="{travel} in a circle*5 | {travel} in circles*3 | {travel} around in circles*2 | /circle around*2"
        " | {travel} around in a circle*2 | /go round and round | ~{travel} around and around in a circle",
)
AFLOAT_EN = table(
    stay="/float*3 | /float in place*2 | /stay still*2 | /drift in place | /not move | /float on the spot",
    fall="/fall*3 | /fall down*2 | /drop into the water | /fall into the water*2 | /fall from above*2 | /splash down",
)
HOVER_STAY_EN = Words("/hover*3 | /float in place*3 | /stay still*2 | /hang still | /not move | /hover in place")
STOP_EN = Words(
    "/stop*6 | /come to a stop*2 | /stand still*2 | /come to rest | /halt | /stay still*2 | ~/come to a halt")
WAIT_EN = Words(
    "/stay still*3 | /wait*2 | /stand still*2 | /rest | /not move*2 | /stay still for a moment | ~/wait for a moment")
# Then: {a} and {b} are verb phrases; {b%} the second with -ing.
THEN_EN = Words(
    "{a} and then {b}*7 | {a}, then {b}*4 | first {a}, then {b}*3 | first {a} and then {b}*2"
    " | {a} and after that {b} | {a} before {b%}*2 | {a}, and a moment later {b} | at first {a}, then {b}*2"
    " | ~{a}, after that {b} | ~first {a} and after that {b}")
THEN_SENTENCES_EN = Words(
    "{a}. then {it} {b}*2 | {a}. after that {it} {b}*2 | {a}, after that {it} {b} | {a}, then {it} {b}"
    " | {a}; then {it} {b}")
SPEED_EN = table(
    slow="slowly*6 | very slowly | at a slow pace | at low speed | ~really slowly",
    fast="quickly*4 | fast*4 | rapidly | very fast*2 | at high speed*2 | swiftly | ~really fast",
)
ADVERBS_BEFORE = ("slowly", "very slowly", "quickly", "rapidly", "swiftly")
ADVERBS_INSIDE = ("slowly", "quickly", "fast", "rapidly", "swiftly")

EVENT_EN = table(
    candle_out="/go out*4 | /be blown out*5 | /be put out | /burn and then /go out*2 | /burn, then /be blown out*2"
        " | /lose {its} flame | /go out, leaving a wisp of smoke | /go out with a little smoke | /be snuffed out"
        " | /stop burning | ~/burn and then /be blown out",
    chair_down="/be set down on the ground*3 | /be put down*3 | /be set down*2 | /be lowered to the ground*2"
        " | /come down and /stand on the ground | /be put on the ground and /stand there*2 | /be lowered from above"
        " | ~/be put down on the floor",
    through_hoop="/fly through a hoop*3 | /go through a hoop*4 | /go through a basketball hoop*2"
        " | /fall through a hoop with a net*2 | /pass through the hoop*2 | /drop through the net"
        " | /go into the basket*2 | /fall into the basketball hoop | ~/fly through a hoop with a net",
    dogs_run="/run around*5 | /run about*3 | /play*2 | /run around together*2 | /romp around | /dash about"
        " | /run here and there | /play together | ~/run all over the place",
    leaves_returns="/leave the picture and /come back*3 | /go out of the picture and /come back again*2"
        " | /leave the frame and /return*2 | {travel} out of view and /come back*2 | /leave and then /come back*2"
        " | /go off screen and /return | ~/disappear from view and then /come back",
    passes_behind="/pass behind {other}*4 | /pass behind {other} and /appear again*2"
        " | /go behind {other} and /come out again*2 | /disappear behind {other} and /come back into view"
        " | {travel} behind {other} and /come out on the other side*2 | ~/vanish behind {other} and /appear again",
)
LEAVES_ASIDE_EN = Words(
    "{travel} out of the picture to the {s} and then /come back*3"
    " | {travel} {s}, /leave the picture and /come back*2 | {travel} out of view to the {s} and /return")
# Whole clauses for the actor {np}; -ing clauses that people type as they stand.
EVENT_CLAUSE_EN = table(
    candle_out="the flame of {np} goes out*2 | the flame of {np} is blown out | blowing out {np}*2"
        " | {np} burns, then the flame goes out and smoke rises",
    chair_down="setting down {np} | putting {np} on the ground | putting down {np}",
    through_hoop="{np} and a basketball hoop, the ball goes through | a basketball hoop and {np} flying through it"
        " | a shot through the hoop with {np}",
    dogs_run="{np} at play | {np} on the run",
)

FRAME_EN = Words(
    "a video of*4 | video of*2 | a short clip of*2 | a clip of | an animation of | footage of | a short video of*2"
    " | a scene with | a film of | clip of | animation of | a movie of | ~a short film of")
POLITE_EN = Words(
    "please make a video of*3 | please show*2 | please show me*2 | show me*3 | i want to see*2 | i want a video of*2"
    " | i would like to see*2 | i would like a video of | create a video of*2 | make a video of*3 | make a clip of"
    " | generate a video of*2 | generate*2 | create | animate | i'd like to see | make a vid of | pls show"
    " | pls make a video of | need a clip of | give me a clip of | let me see | please generate a short video of"
    " | please create | we need a video of | hi, please make a video of | hello, i would like a video of"
    " | make me a video with | ~please make me a clip of | ~i want you to show")
QUESTION_EN = Words(
    "can you show me*4 | can you make a video of*3 | could you make a clip of | could you show me*2 | can i see*2"
    " | could you please make a video of | can you please show me | would you make a video of | can you create"
    " | can u show me | can u make a vid of | can you generate a video of | may i see | how about"
    " | could i get a video of | ~would you please show me | ~can i have a video of")
WHEN_EN = Words(
    "what does it look like when*2 | can you show me how*2 | show me how*2 | how does it look when | a video where*2"
    " | a clip in which | a scene where | i want to see how | make a video where*2 | ~let me see how")
THERE_EN = Words(
    "there is*4 | we see*3 | you can see*2 | you see | we can see | the video shows*2 | the clip shows | here is"
    " | this is a video of | i see | imagine | ~the scene shows")

# Fillers say nothing about the scene. Keys in braces are drawn from FILL_EN.
FILL_EN = table(
    adj="calm | peaceful | beautiful | lovely | quiet | dreamy | cozy | simple | pleasant | charming | magical"
        " | gentle | cheerful | nice | wonderful | playful | elegant | cute | funny | pretty | relaxing | serene"
        " | poetic | harmonious | friendly | vibrant | tranquil | whimsical | captivating | delicate | inviting"
        " | majestic | idyllic | mesmerizing",
    feel="calm | happy | relaxed | curious | amused | at ease | inspired | cheerful | content | delighted | hopeful"
        " | a little nostalgic",
    noun="peace | wonder | joy | calm | harmony | freedom | comfort | curiosity | happiness | childhood | serenity"
        " | tranquility | adventure | beauty | solitude | warmth | simplicity | nostalgia",
    light="soft light | gentle light | natural light | beautiful light | soft lighting | natural lighting"
        " | soft shadows | clean shadows | delicate shadows",
    purpose="my presentation | a school project | my website | a birthday card | a friend | our family chat"
        " | my niece | a talk | work | a game | my homework | my blog | an advert | a lesson | my channel"
        " | my grandmother | my kids",
    medium="picture book | computer game | cartoon | animated film | short film | postcard | dream | toy world"
        " | children's book",
    opinion="really nice | great | just right | natural | convincing | clean | well made | professional",
)
FILLER_WORDS_EN = Words(
    "cinematic*3 | 4k*3 | 8k | hd | high quality*2 | highly detailed*2 | best quality | photorealistic | realistic*2"
    " | beautiful*2 | masterpiece | 3d render*2 | 3d animation | cartoon style | minimalist | {light}*4"
    " | smooth motion | sharp focus | ultra hd | high resolution | stylized | clean look | {adj} mood*2"
    " | {adj} atmosphere*2 | simple | lovely | aesthetic | detailed | professional | vivid | low poly | film look"
    " | crisp | depth of field | good composition | wide shot | medium shot | eye level | octane render"
    " | unreal engine | award winning | trending | sharp | hdr | {word}*6 | {word} {word}*3 | by {name}*3 | 1080p"
    " | 720p | 16:9 | 30 fps | 24 fps | 60 fps | full hd | ({word}) | ({adj}) | {adj} / {adj} | #{word}"
    " | {adj} & {adj} | {adj} + {adj} | 100% {adj} | **{word}** | [{word}] | <{word}> | @{name} | {word}_{word}"
    " | - {word} | '{word}' | “{word}” | {adj} — {adj} | version {number} | seed {number}")
FILLER_TAIL_EN = Words(
    "with {light}*3 | bathed in {light}*2 | evoking a sense of {noun}*2 | creating a {adj} atmosphere*2"
    " | filling the scene with {noun} | as if in a {adj} dream | a {adj} display of {noun}"
    " | with a {adj} atmosphere*2 | with a {adj} mood | in great detail | with lots of detail | in high quality*2"
    " | in a {adj} way | like in a {medium}*2 | in the style of a {medium}*2 | for {purpose}*3 | very {adj}"
    " | with a {adj} feeling | in a {adj} style | as in a {medium} | thanks | thank you | just for fun"
    " | as {adj} as possible | for {name}*3 | for my {word} project*4 | inspired by {word} and {word}*3"
    " | {word} style*2 | in good quality")
FILLER_SENTENCE_EN = Words(
    "the {adj} atmosphere evokes a sense of {noun} and {noun}*2 | the overall mood is {adj} and {adj}*2"
    " | the scene is bathed in {light}*2 | the composition is {adj} and balanced | {light} adds depth to the scene*2"
    " | every detail is rendered with care | the visuals are {adj} and crisp"
    " | the video captures a {adj} moment of {noun}*2 | a gentle breeze is in the air"
    " | it is a celebration of {noun} | viewers are drawn into the {adj} scene"
    " | the style is reminiscent of a {adj} {medium} | soft textures give it a {adj} feel"
    " | the scene feels {adj} and {adj}*2 | everything looks {adj}*2 | the mood is {adj}*2"
    " | the atmosphere is {adj} and {adj}*2 | there is a feeling of {noun} | it is a {adj} moment"
    " | whoever watches it feels {feel} | it makes you feel {feel}*2 | the viewer feels {feel}"
    " | i need it for {purpose}*2 | this is for {purpose}*2 | it should look like a {medium}*2"
    " | it looks like a {adj} {medium} | the style is {adj} and {adj} | i hope it looks {opinion}*2"
    " | please make it look {opinion}*2 | the whole thing has something {adj} about it | it is a {adj} sight"
    " | it reminds me of a {medium} | thank you very much | i would love to use it for {purpose}"
    " | the quality should be high | the picture is full of {noun} | you can feel the {noun}"
    " | it is meant for {purpose} | the light is soft and {adj} | the image is {adj} and clean"
    " | my daughter would love it | my son asked me for it | it does not have to be perfect"
    " | it is very {adj} to watch | one could watch this for hours | the details are {adj}"
    " | it tells a little story about {noun} | i have been thinking about it all week | it should feel {adj}"
    " | keep it {adj} and {adj} | think of a {adj} {medium} | the overall impression is {adj}"
    " | i hope you like the idea | it is about {word} and {word}*2 | the title is “{word} {word}”"
    " | the title is {word} {word}*2 | inspired by {word}*2 | a friend told me about {word}*2 | my name is {name}*1"
    " | i am {name}*1 | it goes with the word {word}*2 | it belongs to my {word} series*2 | best regards, {name}*1"
    " | the project is called {name}*1 | it is for the {word} club*2 | think of {word}, {word} and {word}*2"
    " | thanks in advance | nothing about it is complicated | i would be very grateful | it can be very simple"
    " | feel free to be creative | it should have a {adj} and {adj} look*2 | as if it came from a {medium}*2"
    " | there is something {adj} in the air | a {adj} feeling stays with you"
    " | it could be the beginning of a {adj} story*2 | one feels {feel} just by watching"
    " | nobody knows why, but it looks {adj} | it is one of those {adj} moments | the whole picture breathes {noun}"
    " | you want to watch it again | people say it looks {adj} | i saw something like this in a {medium}*2"
    " | my friends and i find it {adj} | the picture has {light}*3 | {light} and {light} give it a {adj} look*2"
    " | make sure that it looks {opinion} | sorry for my english | i am new here | what a {adj} sight"
    " | that would be {opinion} | the mood should be {adj}, almost {adj}*2 | everyone at home will like it"
    " | it is a surprise for my mother | there is {noun} and {noun} in it | the look is {adj}, like in a {medium}"
    " | it seems {adj} and a bit {adj} | a {adj} idea for {purpose}")
LEAD_EN = Words(
    "in this video*3 | in this scene*3 | in this short clip*2 | in the video*2 | in my idea | once upon a time")
MANNER_EN = Words(
    "gracefully | happily | calmly | silently | peacefully | quietly | nicely | beautifully | playfully")
EPITHET_EN = Words("lovely | beautiful | nice | cute | pretty | simple | plain | charming | perfect | wonderful")
NO_ONE_EN = Words(
    "no people*3 | nobody around | no text*2 | without people*2 | no music | there are no people*2 | nobody is there"
    " | without any text | no watermark | no humans")
NOTHING_ELSE_EN = Words("nothing else moves*2 | nothing else is moving | everything else stays still")
NO_OTHERS_EN = Words("no other objects*2 | nothing else | without anything else | and nothing else | no other things")
NOT_KIND_EN = Words("not a {x}*3 | it is not a {x}*2 | no {x}s | there is no {x}*2 | without a {x}")
NOT_COLOUR_EN = Words("not {x}*3 | it is not {x}*2 | nothing {x}")
PLAIN_KIND_EN = dict(
    ball="ball", box="cube", cylinder="cylinder", cone="cone", ring="ring", pyramid="pyramid", star="star",
    heart="heart", tree="tree", house="house", car="car", boat="boat", lamp="lamp", chair="chair", candle="candle",
    dog="dog", balloon="balloon")

# --- Chinese ---------------------------------------------------------------------------------------------------------

KIND_ZH = table(
    ball="球*6 | 圆球*2 | 皮球*2 | 球体*2",
    box="盒子*4 | 方块*4 | 立方体*2 | 箱子*3 | 正方体",
    cylinder="圆柱*3 | 圆柱体*4 | 圆筒*2 | 圆桶",
    cone="圆锥*3 | 圆锥体*3 | 锥体",
    ring="圆环*4 | 环 | 圈 | 甜甜圈*2 | 圆圈",
    pyramid="金字塔*4 | 四棱锥 | 方锥",
    star="星星*4 | 五角星*3 | 星形",
    heart="爱心*3 | 心形*2 | 心形物体",
    tree="树*5 | 松树 | 橡树 | 树木",
    house="房子*5 | 房屋*2 | 木屋",
    car="汽车*4 | 车*3 | 轿车*2 | 车子",
    boat="船*4 | 帆船*3 | 船只",
    lamp="灯*3 | 台灯*3 | 灯笼 | 灯具",
    chair="椅子*6 | 座椅",
    candle="蜡烛*6",
    dog="狗*4 | 小狗*4 | 狗狗*2",
    balloon="气球*6",
)
NO_KIND_ZH = Words("东西*2 | 物体*3 | 物品")
MEASURE_ZH = table(
    ball="个*5 | 只 | 颗",
    box="个*5 | 只",
    cylinder="个",
    cone="个",
    ring="个",
    pyramid="座 | 个*2",
    star="颗*2 | 个*2",
    heart="颗*2 | 个*2",
    tree="棵*5",
    house="座*2 | 栋*2 | 间",
    car="辆*5 | 部",
    boat="艘*3 | 条*2 | 只",
    lamp="盏*4 | 个",
    chair="把*4 | 张",
    candle="根*3 | 支*2",
    dog="只*4 | 条*2",
    balloon="个*3 | 只*2",
)
NO_MEASURE_ZH = Words("个")
COLOUR_ZH = table(
    red="红色*5 | 红*2 | 大红色 | 鲜红色",
    orange="橙色*4 | 橘色*2 | 橙",
    yellow="黄色*5 | 黄*2 | 金黄色 | 金色",
    green="绿色*5 | 绿*2 | 翠绿色 | 深绿色",
    blue="蓝色*5 | 蓝*2 | 深蓝色 | 天蓝色",
    purple="紫色*5 | 紫*2 | 紫罗兰色",
    pink="粉色*3 | 粉红色*3 | 粉 | 桃红色",
    brown="棕色*3 | 褐色*2 | 咖啡色 | 棕",
    white="白色*5 | 白*2 | 雪白色 | 纯白色",
    black="黑色*5 | 黑*2 | 乌黑色 | 纯黑色",
    gray="灰色*5 | 灰*2 | 银灰色 | 银色",
)
SIZE_ZH = table(
    small="小*3 | 很小的*2 | 小小的*2 | 迷你 | 微小的",
    large="大*3 | 很大的*2 | 巨大的*3 | 大大的 | 巨型",
)
NUMBER_ZH = {2: Words("两*6 | 2*2"), 3: Words("三*6 | 3*2"), 4: Words("四*6 | 4*2")}
SIDE_ZH = table(
    left="左边*4 | 左侧*2 | 画面左边 | 画面左侧 | 左面",
    middle="中间*4 | 画面中间 | 正中间 | 画面中央",
    right="右边*4 | 右侧*2 | 画面右边 | 画面右侧 | 右面",
)
PLACE_ZH = table(
    grass="草地上*5 | 草坪上*2 | 绿色的草地上 | 草原上 | 公园的草地上",
    desert="沙漠里*4 | 沙漠中*3 | 沙丘上 | 大漠里",
    snow="雪地里*3 | 雪地上*4 | 雪中 | 雪原上",
    sea="海上*3 | 海面上*3 | 水面上*2 | 大海上*2 | 海里",
    room="房间里*4 | 室内*2 | 客厅里*2 | 屋里 | 屋内",
    road="马路上*4 | 公路上*3 | 路上*2 | 街道上*2 | 街上",
    beach="沙滩上*4 | 海滩上*3 | 海边*3",
)
PLACE_NOUN_ZH = table(
    grass="草地*3 | 草坪",
    desert="沙漠",
    snow="雪地*3",
    sea="大海*2 | 海面",
    room="房间*2 | 室内",
    road="马路*2 | 公路 | 街道",
    beach="沙滩*2 | 海滩 | 海边",
)
TIME_ZH = table(
    day="白天*5 | 中午 | 大白天 | 下午",
    sunset="日落时*2 | 黄昏*3 | 傍晚*4 | 日落时分 | 黄昏时",
    night="夜晚*3 | 夜里*3 | 晚上*4 | 深夜 | 半夜",
)
TIME_OUTDOORS_ZH = table(
    day="阳光下 | 晴天",
    sunset="夕阳下*2 | 晚霞中",
    night="月光下*2 | 夜空下",
)
CAMERA_ZH = table(
    still="镜头不动*3 | 固定镜头*3 | 镜头静止*2 | 镜头保持不动 | 静止镜头",
    pan_left="镜头向左摇*2 | 镜头左移*2 | 镜头向左转 | 镜头向左移动*3 | 镜头往左摇 | 向左摇镜头",
    pan_right="镜头向右摇*2 | 镜头右移*2 | 镜头向右转 | 镜头向右移动*3 | 镜头往右摇 | 向右摇镜头",
    zoom_in="镜头拉近*4 | 镜头推近*3 | 画面放大 | 镜头推进*2 | 推近镜头",
    zoom_out="镜头拉远*5 | 画面缩小 | 镜头后退*2 | 拉远镜头*2",
    orbit="镜头环绕*3 | 镜头绕着拍摄 | 环绕镜头*3 | 镜头围绕拍摄 | 镜头绕圈拍摄",
    rise="镜头上升*4 | 镜头升高*2 | 镜头向上移动*3 | 上升镜头",
)
RELATION_ZH = table(
    left_of="左边*4 | 左侧*2 | 左面",
    right_of="右边*4 | 右侧*2 | 右面",
    in_front_of="前面*4 | 前方*2",
    behind="后面*4 | 后方*2 | 背后",
    on_top_of="上面*4 | 上方 | 上",
    under="下面*4 | 底下*2",
    next_to="旁边*5 | 边上",
)
TRAVEL_ZH = table(
    roll="滚动*3 | 滚*3 | 滚去 | 移动",
    drive="行驶*3 | 开*3 | 开去 | 移动",
    sail="航行*4 | 行驶 | 移动 | 驶去",
    run="跑*4 | 奔跑*3 | 跑去",
    float="飘*3 | 飘动*2 | 飘去 | 移动",
    drift="漂*2 | 漂动*2 | 漂去 | 移动*2",
    slide="滑动*4 | 滑行*2 | 移动*3 | 滑",
    move="移动*4 | 运动",
)
DIRECTION_ZH = table(
    left="向左{travel}*4 | 往左{travel}*3 | 从右向左{travel}*2 | 从右到左{travel}*2 | 从右往左{travel} | 向左边{travel} | 朝左{travel}"
        " | ~从右边向左边{travel}",
    right="向右{travel}*4 | 往右{travel}*3 | 从左向右{travel}*2 | 从左到右{travel}*2 | 从左往右{travel} | 向右边{travel} | 朝右{travel}"
        " | ~从左边向右边{travel}",
    nearer="向镜头{travel}*3 | 朝我们{travel}*2 | 由远及近{travel} | 朝镜头{travel}*2 | 向我们靠近 | 靠近镜头*2 | 越来越近",
    away="向远处{travel}*3 | 往远处{travel}*2 | 远离镜头*2 | 远去*2 | 朝远方{travel} | 越来越远",
)
MOTION_ZH = table(
    stay="静止不动*2 | 不动*2 | 停着 | 一动不动*2 | 静静地待着",
    bounce="弹跳*4 | 上下弹跳*3 | 跳动*2 | 蹦跳 | 上下跳动*2 | 跳跃",
    fall="落下*3 | 掉下来*4 | 从空中落下*2 | 从上面掉下来*2 | 下落",
    rise="上升*3 | 升起*2 | 飞起来*3 | 升到空中*2 | 往上飞 | 向上升起",
    spin="旋转*4 | 原地旋转*3 | 转动*2 | 原地转圈 | 打转",
    circle="绕圈*2 | 转圈{travel} | 绕着圈{travel}*2 | 绕圈{travel}*2 | 沿着圆圈{travel}",
)
AFLOAT_ZH = table(
    stay="漂浮着*3 | 浮在水面*2 | 不动",
    fall="掉进水里*2 | 落下*2 | 从空中落下*2 | 掉下来*2",
)
HOVER_STAY_ZH = Words("悬浮着*2 | 飘浮着*2 | 静止不动 | 悬在空中")
STOP_ZH = Words("停下*4 | 停住*3 | 停下来*4 | 静止不动 | 不动了")
WAIT_ZH = Words("静止不动*2 | 不动*2 | 停一会儿*2 | 停着")
THEN_ZH = Words(
    "先{a}，然后{b}*4 | {a}，然后{b}*5 | {a}，接着{b}*3 | 先{a}再{b}*3 | 先{a}后{b} | {a}，之后{b}*2 | 一开始{a}，后来{b} | ~先{a}，接着{b}"
    " | ~首先{a}，然后{b}")
SPEED_ZH = table(
    slow="慢慢地*4 | 缓慢地*3 | 慢慢*2 | 缓缓*2 | 缓缓地",
    fast="快速地*3 | 很快地*2 | 飞快地*3 | 快速*2 | 迅速*2 | 快快地",
)
EVENT_ZH = table(
    candle_out="被吹灭*3 | 被吹灭了*4 | 熄灭*2 | 熄灭了*2 | 的火焰熄灭了*2 | 燃烧着，然后被吹灭*2 | 灭了",
    chair_down="被放下*2 | 被放到地上*3 | 从上面放下来*2 | 被放下来，稳稳地站着*2 | 落到地上站稳",
    through_hoop="穿过篮筐*3 | 投进篮筐*2 | 飞过篮圈 | 从篮筐里掉下去 | 落进篮网 | 穿过篮圈*2",
    dogs_run="跑来跑去*4 | 在奔跑*2 | 到处跑*2 | 在玩耍*2 | 一起奔跑",
    leaves_returns="离开画面又回来*3 | 走出画面然后回来*2 | 离开画面，然后又回来*3 | 出了画面再回来",
    passes_behind="从{other}后面经过*3 | 从{other}后面穿过*3 | 经过{other}的后面又出现*2 | 躲到{other}后面又出来",
)
FRAME_ZH = Words("一段视频：*2 | 视频：*2 | 短视频： | 动画： | 一个视频，*2 | 画面：")
POLITE_ZH = Words(
    "请生成一段视频：*2 | 请给我看*3 | 请做一个视频：*2 | 帮我做一个视频：*2 | 我想看*4 | 生成*2 | 生成一个视频：*2 | 给我看*2 | 我要一段视频：*2 | 请展示*2 | 画一个动画：")
QUESTION_ZH = Words("能给我看看{x}吗？*3 | 可以生成{x}吗？*3 | 能不能做一个{x}的视频？*2 | 你能展示{x}吗？*2 | 可以给我看{x}吗？*2")
THERE_ZH = Words("有*4 | 可以看到*3 | 画面中有*3 | 我们看到*2 | 这里有*2")
FILLER_WORDS_ZH = Words(
    "电影感*3 | 4K*2 | 高清*3 | 高质量*2 | 细节丰富*2 | 柔和的光线*3 | 画面优美*2 | 超高清 | 写实*2 | 卡通风格*2 | 唯美*2 | 氛围宁静*2 | 3D动画*2 | 简约风格"
    " | 杰作 | 光影自然*2 | 画质清晰 | 温馨 | 梦幻")
FILLER_SENTENCE_ZH = Words(
    "气氛很宁静*2 | 画面很美*2 | 感觉很舒服*2 | 让人心情放松*2 | 光线很柔和*2 | 整个画面很温馨 | 像童话一样*2 | 像动画片一样*2 | 整个场景充满{word}{word}的气息"
    " | 营造出宁静的氛围*2 | 给人一种温馨的感觉*2 | 画面细腻*2 | 看起来很可爱 | 希望你喜欢 | 谢谢*2 | 谢谢你 | 我需要它做作业 | 这是给我朋友的*2 | 细节要清楚 | 风格要简单"
    " | 看上去很有趣*2 | 给人平静的感觉*2 | 画面干净简洁*2 | 希望效果自然一点*2 | 我女儿会很喜欢 | 想用在我的网站上 | 这个想法我想了很久 | 氛围很美好 | 让人觉得开心 | 质量要高一点"
    " | 好像在做梦 | 充满想象力 | 请做得好看一些 | 是一个美好的瞬间 | 名字叫{word}{word}*3 | 我是{word}{word}*2 | 主题是{word}{word}*3"
    " | 来自{word}{word}{word}*2 | 标题：{word}{word}*2")
NO_ONE_ZH = Words("没有人*4 | 没有文字*2 | 没有其他人 | 不要文字*2 | 不要有人*2")
NOTHING_ELSE_ZH = Words("其他东西都不动*2 | 别的都不动")
NO_OTHERS_ZH = Words("没有其他东西*3 | 没有别的东西*2")
NOT_KIND_ZH = Words("不是{x}*3 | 没有{x}*2")
NOT_COLOUR_ZH = Words("不是{x}的*2 | 不要{x}")
PLAIN_KIND_ZH = dict(
    ball="球", box="方块", cylinder="圆柱体", cone="圆锥", ring="圆环", pyramid="金字塔", star="星星",
    heart="爱心", tree="树", house="房子", car="汽车", boat="船", lamp="灯", chair="椅子", candle="蜡烛",
    dog="狗", balloon="气球")


def lists() -> list[tuple[str, Words]]:
    """Every list of this file with its name."""
    return [(name, words) for name, value in list(globals().items()) for words in
            (value.values() if isinstance(value, dict) else [value]) if isinstance(words, Words)]


@lru_cache(maxsize=None)
def known_words(fillers: bool = True) -> frozenset[str]:
    """Every English word of the lists, with its plural and its verb forms; without `fillers` those that mean something."""
    found = {word for name, words in lists() if fillers or not name.startswith("FILL")
             for entry in words.all() for word in re.findall(r"[a-z]+", entry.lower())}
    return frozenset(word + end for word in found for end in ("", "s", "es", "ing", "ed"))


@lru_cache(maxsize=None)
def idle_words() -> tuple[list[str], list[str]]:
    """English words and Han characters of words.txt that say nothing about a scene of this world."""
    known = known_words(fillers=False)
    han = {c for name, words in lists() if name.endswith("_ZH") and not name.startswith("FILL") for entry in words.all() for c in entry}
    words = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    return [x for x in words if x[0].isascii() and x not in known and len(x) > 2], [x for x in words if not x[0].isascii() and x not in han]
