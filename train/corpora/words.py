# SPDX-License-Identifier: Apache-2.0
"""Word lists, and which words sound like a keyword without being one.

Pronunciations come in as lists of phonemes; this file does not know who makes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...edge.errors import UsageError

__all__ = ["CANDIDATES", "COMMANDS", "UNKNOWN_WORDS", "Phonemes", "edit_distance", "near_misses", "parse_keywords", "replace_one_word"]

Phonemes = tuple[str, ...]
"""A pronunciation, without stress marks."""

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten command words of Speech Commands: the default keywords."""

_UNKNOWN_WORDS = """
bed bird cat dog happy house marvin sheila tree wow backward forward follow learn visual zero one two three four five six seven eight nine people
water music table window morning coffee garden computer hello maybe never always again today tomorrow letter number paper river summer winter yellow
orange kitchen open close start pause louder please thanks money mother brother question answer monday minute
"""

UNKNOWN_WORDS = tuple(_UNKNOWN_WORDS.split())
"""Common words spoken as ``_unknown_``."""

_CANDIDATES = """
able act add age ago aid aim air all and ant any app arm art ask bad bag ball band bank bar base bat bath bay bean bear beat bed beef been beer bell
belt bend best bet big bike bill bird bit black blow blue board boat body bold bone book boot born boss both bow bowl box boy brain bread break bright
bring brown bug bus but buy cake call calm camp can cap car card care cart case cash cast cat catch chain chair chess chest chip chop city clean clear
climb clock close cloud club coal coat code cold come cook cool cop copy core corn cost count cow cross crowd crown cry cup cut dad dark date dawn day
dead deal dear deck deep desk die dig dim dinner dirt dish dock dog done door dot doubt dough draw dream dress drink drive drop drown dry duck due
dust duty each ear earn east easy eat edge egg else end even ever eye face fact fail fair fall fan far farm fast fat fear feed feel fell few field
fight file fill film find fine fire firm first fish fit fix flat floor flow fly fog fold food foot form fox free fresh frog front fruit full fun gain
game gap gas gate get ghost gift girl give glad glass goal goat gold golf gone good gown grass gray green ground group grow guess guest gun guy hair
half hall hand hang hard hat have head hear heart heat heavy heel height help hide high hill hip hit hold hole home hook hop hope horse hot hour how
hug hunt hurt ice idea inch ink inn iron item jam jaw jazz jet job join joke joy juice jump just keep kept key kick kid kind king kiss knee knife
knock know lack lake lamp land lap large last late laugh law lay lead leaf lean leap leave led leg lend less let lie life lift light like limb line
link lip list live load loaf loan lock loft log long look loose lord loss lost lot loud love low luck lunch mad mail main make man many map mark mask
mass mat match may meal mean meat meet melt men mess mice mild milk mind mine miss mist mix mode moon more most moth mouse mouth move much mud mug my
nail name near neat neck need nest net new news next nice night nod noise none nor north nose not note noun now nut oak oat odd oil okay old once only
ounce our out oven own pack page paid pain pair pan park part pass past path pay peace peak pen pick pie pig pin pipe place plan plant plate play plot
plow plug plus poem pool poor pop pork port post pot pound pour prize pull pump pup pure push put queen quick quiet quit race rack rail rain raise ran
rat rate raw ray reach read real red rent rest rice rich ride ring ripe rise road roast rob rock role roll roof room root rope rose rough round route
row rub rude rule run rush sad safe said sail salt same sand save saw say scale school score sea seat see seed seek self sell send sense set shade
shake shall shape share sharp she sheep sheet shelf ship shirt shock shoe shop short shot shout show shut shy sick side sign silk sing sink sit size
skill skin skip sky sleep slip slope slot slow small smart smell smile smoke snap snow soap sock soft soil sold some son song soon sort soul sound
soup sour south space speak speed spell spend spin spoke spoon sport spot spring square staff stage stair stamp stand star state stay steak steam
steel steep stem step stick still stock stone stood storm story stove street strip strong such sugar suit sun sure swim tail take tale talk tall tap
tape task taste tax tea teach team tear tell ten tent test text than that then they thick thin thing think third this those throw thumb tide tie tight
time tin tiny tip tired toad toast toe tone tool tooth top toss touch tour towel tower town toy track trade train tray trick trip truck true trust
truth try tube tug tune turn twice type under until upon upper us use vast vest vet view voice vote wait wake walk wall want war warm wash watch wave
way weak wear web week well went west wet what wheel when where which while whip white who why wide wife wild will win wind wine wing wipe wire wise
wish wolf wood word work world worm worry worth wow wrap wrist write wrong yard yarn year yell yellow yesterday yet young your youth
"""

CANDIDATES = tuple(_CANDIDATES.split())
"""Common short words, from which the near-misses of any keyword are picked by sound."""

_KEYWORD = re.compile(r"[^\W_][\w' -]*")


def parse_keywords(text: str) -> tuple[str, ...]:
    """Split ``"yes,no,lights on"`` into keywords.

    Examples
    --------
    >>> parse_keywords("yes, no ,lights  on")
    ('yes', 'no', 'lights on')
    """
    keywords = tuple(" ".join(part.split()).replace("\u2019", "'") for part in text.split(","))
    for keyword in keywords:
        if not _KEYWORD.fullmatch(keyword):
            raise UsageError(f"a keyword must be made of letters, digits, apostrophes, hyphens and spaces, not {keyword!r}; separate keywords by commas")
    if len({keyword.casefold() for keyword in keywords}) < len(keywords):
        raise UsageError(f"each keyword must be given once, not as in {text!r}")
    return keywords


def edit_distance(a: Phonemes, b: Phonemes) -> int:
    """Least number of phonemes to insert, delete or replace to turn ``a`` into ``b`` (Levenshtein).

    Examples
    --------
    >>> edit_distance(("n", "oʊ"), ("s", "n", "oʊ"))
    1
    """
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def near_misses(keyword: str, candidates: Sequence[str], phonemes: Mapping[str, Sequence[Phonemes]], n: int) -> list[str]:
    """The ``n`` candidates that sound most like a keyword but never the same.

    Parameters
    ----------
    keyword : str
    candidates : words; those that share a pronunciation with ``keyword`` must have been taken out
    phonemes : per word, its pronunciation in each accent
    n : int

    Returns
    -------
    list of str, nearest first
        Distance is the mean over accents of the edit distance, over the length of the longer word; ties in alphabetical order.
    """

    def distance(word: str) -> float:
        pairs = list(zip(phonemes[keyword], phonemes[word], strict=True))
        return sum(edit_distance(a, b) / max(len(a), len(b), 1) for a, b in pairs) / len(pairs)

    return sorted(sorted(candidates), key=distance)[:n]


def replace_one_word(phrase: str, near: Mapping[str, Sequence[str]]) -> list[str]:
    """Near-misses of a phrase: each of its words alone, and the phrase with one word replaced by a similar one.

    Examples
    --------
    >>> replace_one_word("lights on", {"lights": ["nights"], "on": ["in"]})
    ['lights', 'on', 'nights on', 'lights in']
    """
    parts = phrase.split()
    replaced = [" ".join([*parts[:i], other, *parts[i + 1 :]]) for i, part in enumerate(parts) for other in near[part]]
    return [*dict.fromkeys(parts), *replaced]
