"""List the English words that carry no content: closed classes, light verbs, verbs of doing, short forms.

Closed classes (pronouns, prepositions, adverbs of degree, contractions, courtesy) and verbs of being,
having, showing and tending restrict nothing. A verb of doing says nothing more than its object does, and only
where it has one that is known; how often is only of weight where two things are compared (see `verbs`).
Adjectives, nouns, places and conditions stand in no list here, nor verbs that make another thing of their
object (to buy a gig is not to complete one): they change what is asked.
"""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, which blanks part."""
    return frozenset(text.split())


def short_forms(text: str) -> dict[str, str]:
    """Return the long form of each short one, of a text of pairs such as "avg:average"."""
    return dict(pair.split(":") for pair in text.split())


CLOSED = word_set(
    """
    he she him her his hers himself herself itself themselves ourselves yourself myself theirs yours whose
    whatever whichever whoever such another other others same own
    via through throughout toward towards along alongside regarding concerning respecting
    therefore thus hence however moreover furthermore besides otherwise wherein whereby
    already ever always mostly largely chiefly primarily mainly simply merely perhaps maybe possibly
    probably basically essentially indeed almost nearly rather somewhat fairly bit various certain
    particular specific specifically particularly especially further kindly sorry dear cheers greetings
    ought there're they're they've they'd they'll we'd you've you're you'd you'll who've who'd what're
    what've it'd it'll let's that'd that'll he's she's how're how'd where're where'd why's when's i've here's
    cannot got gotten etc eg ie aka yeah yep um hmm uh oh wow
    """
)
"""Words of closed classes beyond those in `english`, contractions and courtesy."""
LIGHT_VERBS = word_set(
    """
    owns owned owning possess possesses possessed possessing hold holds holding held contain contains
    containing contained involve involves involving involved consist consists consisting consisted belong
    belongs belonging belonged exist exists existing existed concern concerns concerned
    seem seems seemed seeming appear appears appeared appearing tend tends tended tending turn turns turned
    turning become becomes became becoming stand stands standing stood lie lies lying falls
    went gone came brought took taken given gave giving
    considered regarded deemed flagged
    showing shows showed shown seeing saw seen looked finding found finds hear heard
    tells telling told saying says said stating listing
    understand understanding learn interested guess think thinking thought
    """
)
"""Verbs of being, having, moving, showing and asking, with their forms."""
DOING_VERBS = word_set(
    """
    write writes writing wrote written pay pays paying paid earn earns earning earned produce produces
    producing produced generate generates generating generated create creates creating created publish
    publishes publishing published submit submits submitting submitted perform performs performing
    performed accumulate accumulates accumulating accumulated collect collects collecting collected attract
    attracts attracting attracted yield yields yielding yielded
    gain gains gaining gained obtain obtains obtaining obtained gets getting reach reaches reaching reached
    achieve achieves achieving achieved reside resides residing
    """
)
"""Verbs of doing: explained by an object that is known, and content where there is none."""
MOVING_VERBS = word_set(
    """
    come comes coming go goes going look looks looking want wants need needs like likes see sees get make
    makes made making take takes taking happen happens know knows moved moves changed dropped fell rose grew
    """
)
"""Verbs that are of no weight elsewhere, or say that a figure changed: of customers they say which ones."""
FREQUENCY = word_set("often frequently regularly sometimes rarely seldom lot lots plenty constantly")
"""Adverbs of how often or how much: of weight only where a question compares."""
SHORT_FORMS = short_forms(
    """
    ppl:people peeps:people corr:correlation correl:correlation avg:average avrg:average
    approx:approximately pct:percent perc:percent wk:week wks:weeks mth:month mths:months
    mos:months yr:year yrs:years hr:hour hrs:hours mins:minutes secs:seconds qtr:quarter qtrs:quarters
    num:number nr:number nbr:number qty:number amt:amount dist:distribution distr:distribution
    distrib:distribution rev:revenue txn:transaction txns:transactions tx:transaction
    cust:customer custs:customers acct:account accts:accounts med:median
    stdev:deviation std:standard stddev:deviation v:versus vrs:versus btw:between pls:please
    plz:please thx:thanks info:information recs:recommendations recos:recommendations
    reco:recommendation
    wich:which whch:which teh:the waht:what wht:what hwo:how whats:what hows:how whos:who wheres:where
    abot:about mroe:more adn:and fo:of ot:to si:is ar:are teir:tier thier:their dont:don't doesnt:doesn't
    isnt:isn't arent:aren't havent:haven't hasnt:hasn't didnt:didn't wont:won't cant:can't
    """
)
"""Short forms, and slips in words too short to be corrected by their letters."""
