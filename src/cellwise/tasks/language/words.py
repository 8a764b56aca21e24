"""The words and the sentence patterns of the embedded text.

Source: none; everyday English, written for cellwise. Words stand in each list from common to rare and are
drawn by Zipf's law (the word of rank r with probability proportional to 1 / r). An upper-case name in a
pattern is a list; anything else is a word as it stands; what is in brackets is there every second time.
Patterns that start alike share their states, so their alternatives must differ in the very next word:
`grammar.Grammar` refuses them otherwise.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from cellwise.tasks.language.grammar import Grammar, Slots

# Each country has one language of its own: the cause and its effect. Countries are drawn uniformly.
PAIRS = (
    *(("france", "french"), ("germany", "german"), ("spain", "spanish"), ("italy", "italian")),
    *(("portugal", "portuguese"), ("poland", "polish"), ("russia", "russian"), ("greece", "greek")),
    *(("turkey", "turkish"), ("japan", "japanese"), ("china", "chinese"), ("korea", "korean")),
    *(("vietnam", "vietnamese"), ("thailand", "thai"), ("sweden", "swedish"), ("norway", "norwegian")),
    *(("denmark", "danish"), ("finland", "finnish"), ("hungary", "hungarian"), ("iceland", "icelandic")),
)

_LISTS = {
    "NAME": """
        anna peter maria john sarah david laura thomas emma paul julia martin clara henry alice george
        helen simon rose victor nina oscar ruth hugo eva leo marta felix irene bruno vera adam olga max ida
        felipe nora karl lucy ivan ella ralph sofia noah agnes walter edith frank greta louis hannah arthur
        stella edgar monica""",
    "PERSON": """
        man woman child boy girl teacher doctor student farmer neighbour driver nurse baker writer singer
        painter waiter lawyer soldier sailor builder dancer gardener engineer judge actor pilot butcher
        tailor barber hunter guard captain poet clerk plumber carpenter librarian priest mayor stranger""",
    "CHARACTER": """
        young tall kind clever friendly famous rich poor polite shy brave lazy proud honest gentle nervous
        cheerful serious stubborn generous jealous lonely curious patient careful""",
    "KIN": """
        mother father sister brother uncle aunt friend cousin grandmother grandfather wife husband son
        daughter boss nephew niece colleague roommate godmother stepfather""",
    "PRONOUN": "she he they we everyone nobody",
    "THING": """
        book letter door car box picture key table chair window bag cup phone clock hat coat lamp map ring
        boat bicycle knife bottle ball coin basket newspaper camera guitar piano umbrella mirror candle
        blanket pillow carpet ladder hammer rope bucket drum flute violin kite doll puzzle drawing poem
        song story parcel ticket passport wallet scarf glove shoe shirt dress jacket button needle thread
        pencil pen notebook envelope stamp postcard radio television computer keyboard screen cable battery
        engine wheel truck wagon cart tent stove kettle pot pan plate bowl spoon fork jar tray towel soap
        brush comb broom fence gate bench statue flag bell""",
    "LOOK": """
        new old small big heavy broken beautiful expensive cheap wooden empty large tiny round flat sharp
        soft hard dirty clean shiny rusty ugly plain fancy ancient modern useful strange""",
    "COLOUR": "red blue green white black yellow brown grey purple pink silver golden",
    "CONDITION": """
        ready missing gone closed open finished wet dry safe hidden ruined crooked loose frozen dusty""",
    "FEELING": """
        tired hungry angry sad worried bored excited afraid surprised pleased thirsty sleepy sick upset
        glad""",
    "DID": """
        found bought saw took wanted liked lost sold opened carried painted dropped broke cleaned stole
        borrowed forgot hid kept moved washed watched repaired noticed described admired touched lifted
        pushed pulled threw caught chose collected counted covered decorated delivered drew emptied
        examined fetched filled ignored inspected measured ordered packed polished recognised shook tested
        weighed wrapped""",
    "ACTED": """
        smiled laughed slept waited worked walked sang danced cried shouted whispered listened nodded
        agreed hesitated stopped arrived rested complained argued coughed sneezed yawned blushed trembled
        relaxed stumbled fainted knelt paused sighed swam""",
    "MOVED": "went drove ran hurried returned cycled rode wandered marched",
    "SAID": "said thought knew believed hoped heard feared dreamed noted guessed",
    "MANNER": """
        quietly slowly again quickly often loudly alone happily sadly softly together carefully suddenly
        politely calmly angrily nervously bravely eagerly gladly gently gracefully patiently proudly rarely
        secretly silently lazily warmly wildly briefly badly""",
    "WHERE": "in near at behind beside outside above",
    "PLACE": """
        house garden kitchen park school market street station river beach forest village city library
        hospital church office hotel museum theatre restaurant cafe bank farm field lake harbour bridge
        castle airport factory cinema square mountain valley island hill tower cellar attic barn stable
        bakery pharmacy stadium gallery""",
    "TIME": "yesterday today later recently earlier afterwards once twice eventually",
    "DAY": "sunday monday saturday friday tuesday thursday wednesday",
    "MONTH": "may june july august december january april march october september november february",
    "WEATHER": "weather wind rain sea sky snow air sun",
    "MOOD": "cold warm terrible lovely calm rough mild wonderful",
    "MEAL": "dinner breakfast lunch supper",
    "FOOD": """
        bread cheese soup rice fish meat fruit cake tea coffee milk butter salad chicken beef pork ham
        bacon eggs pasta potatoes tomatoes carrots onions beans mushrooms apples pears grapes cherries
        berries lemons honey jam chocolate biscuits pancakes noodles yoghurt porridge""",
    "NUMBER": "two three four many several five six seven eight ten nine twelve eleven twenty",
    "ANIMAL": """
        dogs cats birds horses cows sheep ducks rabbits pigs goats mice foxes bees frogs hens geese swans
        bears wolves""",
    "DEGREE": "fluent good perfect excellent decent",
}
CATEGORIES = {name: tuple(text.split()) for name, text in _LISTS.items()}

# Each pattern with its relative weight. CAUSE is one of the countries, EFFECT its language.
OPENINGS = (
    (4.0, "i grew up in CAUSE ."),
    (2.0, "i was born in CAUSE ."),
    (1.0, "i come from CAUSE ."),
)
# Every closing has as many words before EFFECT; "i" starts no filler, so it announces the end.
CLOSINGS = ((1.0, "i speak DEGREE EFFECT . <eos>"),)
FILLERS = (
    (3.0, "NAME ACTED [MANNER] ."),
    (6.0, "NAME DID the [LOOK] THING [TIME] ."),
    (2.0, "NAME DID the [LOOK] THING WHERE the PLACE [TIME] ."),
    (3.0, "the [CHARACTER] PERSON ACTED [MANNER] [WHERE the PLACE] ."),
    (3.0, "the [CHARACTER] PERSON DID the THING ."),
    (3.0, "the [COLOUR] THING was [very] CONDITION ."),
    (3.0, "my KIN MOVED to the PLACE [on DAY] ."),
    (2.0, "my KIN made [some] FOOD for MEAL ."),
    (2.0, "PRONOUN ate FOOD and FOOD ."),
    (2.0, "PRONOUN SAID that NAME was FEELING ."),
    (1.5, "in MONTH the WEATHER was MOOD ."),
    (1.5, "there were NUMBER ANIMAL [WHERE the PLACE] ."),
)
# OTHER is a country that is not the story's own: something to be ignored.
DISTRACTORS = (
    (2.0, "my KIN lives in OTHER [now] ."),
    (1.0, "NAME has a friend in OTHER ."),
    (1.0, "the PERSON came from OTHER ."),
)


def expand(patterns: Iterable[tuple[float, str]]) -> dict[Slots, float]:
    """Return every row of slots that the patterns allow, with its probability (they sum to one).

    Args:
        patterns: (weight, text); a part of the text in brackets is left out every second time.
    """
    patterns = list(patterns)
    total = sum(weight for weight, _ in patterns)
    rows: dict[Slots, float] = {}
    for weight, text in patterns:
        parts = re.split(r"\[(.*?)\]", text)  # odd places were in brackets
        options = [("", part) if place % 2 else (part,) for place, part in enumerate(parts)]
        share = weight / total / 2 ** (len(parts) // 2)
        for choice in itertools.product(*options):
            row = tuple(" ".join(choice).split())
            rows[row] = rows.get(row, 0.0) + share
    return rows


def story_grammar(pairs: int, distractors: float) -> Grammar:
    """Return the grammar of the stories.

    Args:
        pairs: number of countries, from the start of `PAIRS`.
        distractors: probability that a filler is one of `DISTRACTORS`.
    """
    fillers = {row: probability * (1 - distractors) for row, probability in expand(FILLERS).items()}
    fillers |= {row: probability * distractors for row, probability in expand(DISTRACTORS).items()}
    return Grammar(
        openings=expand(OPENINGS),
        fillers={row: probability for row, probability in fillers.items() if probability > 0},
        closings=expand(CLOSINGS),
        categories=CATEGORIES,
        pairs=PAIRS[:pairs],
    )
