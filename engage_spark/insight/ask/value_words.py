"""List what people call values that contracts often have: places, sexes, countries, parts of the day.

Data alone. A word is read as a value only where the contract has that value, and no name or value of that
word.
"""

from __future__ import annotations

from collections.abc import Mapping


def _forms(text: str) -> dict[str, tuple[str, ...]]:
    """Return for each form the values that it may be, of lines such as "value value: form form"."""
    values = dict[str, tuple[str, ...]]()
    for line in text.strip().splitlines():
        names, _, forms = line.partition(":")
        for form in forms.split():
            values[form] = (*values.get(form, ()), *names.split())
    return values


VALUES_OF: Mapping[str, tuple[str, ...]] = _forms(
    """
    urban city: city cities town towns downtown metropolitan metro urbanite urbanites
    suburban suburb: suburb suburbs suburbia suburbanite suburbanites
    rural country countryside: countryside village villages
    male m man men: male males man men gentleman gentlemen
    female f w woman women: female females woman women lady ladies
    non-binary nonbinary other: enby
    free basic: unpaid
    enterprise: enterprises corporate corporates
    premium: premiums
    night: nights nighttime nocturnal
    morning: mornings
    afternoon: afternoons
    evening: evenings
    germany de deu german: german germans germany
    france fr fra french: french frenchman frenchmen france
    spain es esp spanish: spanish spaniard spaniards spain
    italy it ita italian: italian italians italy
    austria at aut: austrian austrians austria
    switzerland ch che: swiss switzerland
    netherlands nl nld: dutch netherlands holland
    belgium be bel: belgian belgians belgium
    portugal pt prt: portuguese portugal
    poland pl pol: polish pole poles poland
    sweden se swe: swedish swede swedes sweden
    norway no nor: norwegian norwegians norway
    denmark dk dnk: danish dane danes denmark
    finland fi fin: finnish finn finns finland
    ireland ie irl: irish ireland
    greece gr grc: greek greeks greece
    uk gb gbr britain: british briton britons britain brit brits uk
    usa us united-states: american americans america usa
    canada ca can: canadian canadians canada
    mexico mx mex: mexican mexicans mexico
    brazil br bra: brazilian brazilians brazil
    india in ind: indian indians india
    china cn chn: chinese china
    japan jp jpn: japanese japan
    australia au aus: australian australians australia
    turkey tr tur: turkish turk turks turkey
    iran ir irn: iranian iranians persian iran
    russia ru rus: russian russians russia
    """
)
"""The values that a word may be, the first that the contract has."""
