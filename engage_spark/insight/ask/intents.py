"""Hold the turns of phrase by which a question says what it wants, in the order in which they decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from engage_spark.function_words import word_set


class Intent(StrEnum):
    """What a question wants, by the tool that answers it; OVERVIEW and COMPARE are shown by their grammar."""

    QUALITY = "data_quality"
    FAIRNESS = "fairness"
    INFLUENCERS = "top_influencers"
    RECOMMEND = "recommend"
    CLAIM = "check_claim"
    COHORT = "cohort"
    CHANGED = "what_changed"
    TREND = "trend"
    CORRELATE = "correlate"
    DRIVERS = "churn_drivers"
    DISTRIBUTION = "distribution"
    SEGMENTS = "segments"
    COMPARE = "compare_segments"
    OVERVIEW = "overview"


_LOADS = (
    r"(?:data(?: (?:load|feed|import|batch|files?))?|loads?|deliver(?:y|ies)|snapshots?|imports?|"
    r"batch(?:es)?)"
)
_DATA = (
    r"(?:the |our |this |today's )?(?:last |latest |newest )?(?:data|delivery|deliveries|snapshot|dataset)"
)
_RAISE = (
    r"(?:reduc|lower|cut|decreas|prevent|stop|avoid|rais|increas|improv|boost|grow|lift|keep|retain|win|get|"
    r"mak|bring|brought|minimi[sz]|maximi[sz]|fight|tackl|limit|slow|strengthen|rescu|sav)\w*"
)
_PERIOD = r"(?:days?|weeks?|months?|snapshots?)"
RAISE = re.compile(rf"\b{_RAISE}\b")
PHRASES: tuple[tuple[Intent, re.Pattern[str]], ...] = tuple(
    (intent, re.compile(rf"\b(?:{pattern})\b"))
    for intent, pattern in (
        (
            Intent.QUALITY,
            rf"data quality|quality of {_DATA}|quarantin\w*|(?:rejected|invalid|bad|valid|broken|"
            rf"missing|duplicated?|"
            r"dirty|incomplete) (?:rows?|records?|values?|data|entries|cells)|duplicates?|(?:rows?|"
            r"records?) (?:were |are "
            r"|was )?(?:read|delivered|rejected|valid|invalid)|(?:checks?|rules?|gates?|validations?|"
            r"tests?) (?:that )?"
            r"(?:have |were |are |did )?(?:been )?(?:fail\w*|broken|violated|broke|"
            r"(?:not|didn't|don't) pass\w*)|"
            r"(?:critical|severe) (?:failures?|errors?|issues?|problems?)|"
            r"fail\w* (?:quality )?"
            r"(?:checks?|rules?|gates?|validations?)|violations?|violated|broken rules?|"
            r"(?:how )?"
            r"(?:(?:clean|complete|fresh|old|recent|good|reliable|trustworthy|accurate|healthy) (?:and )?)+"
            rf"(?:is|are|was) {_DATA}|"
            rf"{_DATA} (?:is|are|was) (?:clean|complete|fresh|reliable|trustworthy|accurate|healthy|valid)|"
            rf"(?:is|are|was) {_DATA} (?:any |really |still )?"
            r"(?:clean|complete|fresh|good|reliable|trustworthy|accurate|ok|"
            rf"okay|healthy|valid)|"
            rf"data (?:completeness|freshness|errors?|problems?|issues?|health|checks?|validity)|trust "
            rf"{_DATA}|"
            rf"(?:completeness|freshness|health|validity|problems?|issues?|errors?) (?:of|with|in) {_DATA}|"
            r"quality (?:checks?|gates?|rules?|problems?|issues?|report)|"
            r"wrong with (?:the |our )?data|warnings? (?:of|in|for|did|do|were|are|have)|"
            rf"(?:problems?|issues?|errors?|trouble|broken|wrong|odd|off) (?:with|in|of) "
            rf"(?:the |our |this |today's |last |latest |newest |most recent )*{_LOADS}|"
            r"(?:broken|violated|failed) (?:by|in|for)",
        ),
        (
            Intent.FAIRNESS,
            r"(?:un)?fair(?:ness|ly)?|bias(?:ed|es)?|discriminat\w*|equal opportunity|disparit\w*|"
            r"treat(?:s|ed|ing|ment)?|"
            r"protected|(?:statistical |predictive )?parity|disadvantag\w*|equitabl\w*|equity|equal(?:ly)?",
        ),
        (
            Intent.INFLUENCERS,
            r"(?:top |biggest |main |key |most )?(?:influencers?|opinion leaders?|hubs?|multipliers?)|"
            r"most (?:influential|connected|central)|best connected|"
            r"matters? (?:the )?most in (?:the|our) (?:network|graph)",
        ),
        (
            Intent.RECOMMEND,
            r"recommend\w*|suggest\w*|advice|advise|"
            r"what (?:should|can|could|might|do|would) (?:(?:the |our )?(?:product|marketing|sales) )?"
            r"(?:team )?(?=(?:\w+ ){0,3}(?:do|try|change|test)\b)|"
            r"(?:who|whom) (?:should|shall|can|could|do|must) (?:we|i|you|one) "
            r"(?:contact|target|call|approach|address|focus on|concentrate on)|tips?|hints?|levers?|"
            rf"where (?:would|does|could|might) it pay (?:most |best |off )*to {_RAISE}|"
            rf"how (?:can|could|should|might) (?:\w+ ){{1,4}}be {_RAISE}|"
            rf"how (?:can|could|should|do|might|to|would) "
            rf"(?:we |i |you |one |marketing |product |sales )?(?:go about )?(?:best "
            rf")?{_RAISE}|"
            rf"what (?:would|could|can|might|will) (?:help (?:to |us )?)?{_RAISE}|(?:best |good "
            rf")?ways? (?:to|of) {_RAISE}|"
            rf"(?:what|things?) to (?:do|try)|what now|what next|"
            rf"(?:should|could|must) be done|next steps?|actions?|interventions?|strategy|strategies|"
            rf"campaigns?|"
            rf"ideas? (?:to|for|against)|"
            rf"(?:want|like|need|aim|help us|help me|plan) to {_RAISE}|where should we (?:start|begin|"
            rf"act)|worth (?:trying|testing|running|doing)|"
            rf"^(?:please )?(?:reduce|lower|decrease|prevent|increase|improve|boost|raise)|"
            rf"ab tests?|experiments?|costs? to {_RAISE}|how many \w+ (?:could|can) (?:we|be) {_RAISE}|"
            r"propos\w+|can be done|sample size|need for (?:a|the) test|"
            r"priorit\w+|where (?:should|shall|can|could|do) (?:we|i) (?:invest|focus|start|begin|act)",
        ),
        (
            Intent.CLAIM,
            r"(?:dictionary|documentation|docs?|leaflet|brochure|contract|website|handbook|manual) "
            r"(?:says?|states?|claims?|mentions?|promises?|maintains?)(?: that)?|"
            r"(?:is|are|was) (?:it|that|this) (?:really |actually )?(?:true|right|correct|so|a fact|"
            r"the case)|true|"
            r"claims?|claimed|claiming|verif(?:y|ied)|hold(?:s)?(?: true| up)?|statements?|myths?|"
            r"really|dictionary|"
            r"(?:data )?support(?:s|ed)?|confirm(?:s|ed)?|contradict\w*|refut\w*|disprov\w*|proven?|"
            r"correct|documentation|documented|as stated|according to|"
            r"(?:is|are) (?:that|this|it) so|does (?:that|this|it) hold|check (?:whether|if|"
            r"that)|assumptions?|verdicts?|supposed(?:ly)?|fact check|said to|correct that",
        ),
        (
            Intent.COHORT,
            r"cohorts?|sign(?:ed|ing)?[ -]?ups?|joined|joining|registered|vintages?|month of joining",
        ),
        (
            Intent.CHANGED,
            rf"chang(?:e|es|ed|ing)|what happened|(?:since|from|versus|vs|than|against|to|with) "
            rf"(?:(?:that|those|the ones?) of )?(?:yesterday|"
            rf"the {_PERIOD} before|"
            rf"(?:the )?(?:last|previous|prior) {_PERIOD})|{_PERIOD}[ -]over[ -]{_PERIOD}|movers?|"
            rf"moved|moves?(?! (?:together|along|with|in)\b)|what(?:'s| is) new|"
            r"drop(?:ped)?|f[ae]ll(?:en)?|rose|risen|increased|decreased|declined|grew|grown|jumped|shifted|"
            r"gone (?:up|down)|went (?:up|down)|(?:did|has|have)(?= \w+(?: \w+)? (?:increase|decrease|rise|"
            r"fall|drop|grow|improve|worsen|decline|go up|go down))",
        ),
        (
            Intent.TREND,
            r"trend(?:s|ed|ing)?|over time|time series|develop(?:s|ed|ment|ing)?|evolv\w*|evolution|"
            r"history|historical\w*|"
            rf"{_PERIOD} by {_PERIOD}|over the (?:last|past|previous)(?: \d+)? {_PERIOD}|over "
            rf"(?:several |the )?{_PERIOD}|"
            r"by (?:day|week|month)|growth|improving|worsening|rising|falling|growing|shrinking|increasing|"
            r"decreasing|declining|"
            r"going (?:up|down)|on the (?:rise|decline|increase|way (?:up|down))|"
            r"trajectory|curves?|time ?lines?|"
            r"(?:in|during) the (?:last|past)(?: \d+)? (?:weeks|months)",
        ),
        (
            Intent.CORRELATE,
            r"correlat\w*|effects? (?:of|on)|plays? (?:a|any|no) (?:\w+ )?role|matters? for|"
            r"relat(?:e|es|ed|ing|ion|ions|ionship|ionships)|associat\w*|link(?:ed|s)?|"
            r"go(?:es)? (?:together|"
            r"hand in hand|along)|depend\w*|moves? (?:together|with)|connection between|spearman\w*|"
            r"pearson\w*|tied (?:\w+ ){0,2}to|(?:has|have|had) (?:anything |something |much )?to do with|"
            r"(?:ris|grow|increas|fall|decreas|drop|declin)\w* with|covar\w*|goes? up with|interplay|"
            r"dependence|"
            r"(?:metrics?|variables?|numbers?|fields?|figures?) (?:that |which )?(?:\w+ly )?"
            r"(?:go|move)s? with|"
            r"what (?:else )?(?:go|ris|grow|fall|mov|chang|increas|decreas)\w*(?: up| down)? "
            r"(?:with|when|as|if|together)",
        ),
        (
            Intent.DRIVERS,
            r"driv(?:e|es|er|ers|ing|en)|why|caus(?:e|es|ed|ing)|reasons?|factors?|predictors?|indicators?|"
            r"(?:early )?warning signs?|signals?|signs?|leads? to|leading to|explains?|behind|"
            r"contribut\w*|distinguish\w*|characteri[sz]\w*|sets? apart|determin(?:e|es)|"
            r"influences?|affects?|impacts?|go(?:es)? (?:most |best |closely |strongly )*with|"
            r"matters? (?:most )?for|responsible|predicts?|makes? "
            r"(?:people|customers|users)|"
            r"symptoms?|patterns?|in common",
        ),
        (
            Intent.DISTRIBUTION,
            r"distribut\w*|percentiles?|histograms?|quantiles?|deciles?|break ?down|broken down|split|"
            r"composition|"
            r"composed|make ?up|mix|shape|skew\w*|tail",
        ),
        (
            Intent.SEGMENTS,
            r"(?:which|what) (?:of (?:the|our) )?(?:customer |user |kinds? of |types? of |sorts? of "
            r")?(?:segments?|groups?|"
            r"kinds?|types?|sorts?|customers|users|clients|people)(?: of (?:customers?|users?|people|"
            r"clients?))?|"
            r"who|where|segments?",
        ),
        (
            Intent.COMPARE,
            r"compar\w*|contrast|versus|vs|differ(?:s|ed|ent|ence|ences)?|across|than|gap|contrast",
        ),
        (
            Intent.OVERVIEW,
            r"overview|summar(?:y|ies|ize|ise)|key (?:figures|numbers|metrics)|snapshot of|at a "
            r"glance|describe|"
            r"how is (?:the |our )?business|how are we doing|headline(?: figures| numbers)?",
        ),
    )
)
EXPLAIN = re.compile(
    r"\b(?:explain\w*|why|reasons?|predict\w*|likely|likelihood|probability|risk|will|score[sd]?|about)\b"
)
CONTACT = re.compile(
    r"\b(?:(?:does|would|is|will) it (?:pay|worth|worthwhile|make sense)(?: while)?(?: to)? "
    r"(?:contact|call|approach|writ)\w*|(?:should|shall) (?:we|i) (?:contact|call|approach))\b"
)
"""Turns of phrase that ask whether it pays to contact a customer."""
SIMILAR = re.compile(
    r"\b(?:similar|alike|resembl\w*|look ?alikes?|comparable|nearest|closest|neighbou?rs?|peers?|"
    r"twins?|like)\b"
)
VERDICTS = (
    ("contradicted", re.compile(r"\b(?:contradict\w*|false|wrong|refut\w*|disprov\w*)\b")),
    (
        "cannot_be_told",
        re.compile(r"\b(?:cannot be (?:told|judged|decided|checked)|unclear|undecid\w*|open)\b"),
    ),
    ("weaker", re.compile(r"\b(?:weaker|overstated|exaggerated)\b")),
    ("absent", re.compile(r"\b(?:absent)\b")),
    ("holds", re.compile(r"\b(?:holds?(?: true| up)?|true|confirm\w*|support\w*|correct)\b")),
)
TRIGGER_WORDS = word_set(
    """
    critical failed delivered quality quarantine quarantined rejected invalid duplicate duplicates checks
    rules gates validation violations violated completeness freshness fresh clean reliable trust errors
    problems issues fair unfair fairness bias biased discriminate discrimination treated treatment
    protected parity disparity influencer influencers influential hubs connected recommend recommendation
    recommendations recommended suggest suggestion suggestions advice strategy strategies actions
    interventions campaign campaigns reduce lower decrease prevent increase improve raise boost true claim
    claims claimed verify statement statements really contradicted confirm confirmed support dictionary
    signup signed joined registered cohort cohorts change changed changes yesterday dropped risen
    increased decreased declined trend trends trending development develop developed evolve evolved
    history rising falling growing correlate correlated correlates correlation correlations relation
    relationship related associated association linked depend depends together drive drives driver drivers
    cause causes reason reasons factor factors predictor predictors indicator indicators warning signals
    influence affect affects impact explain explains distribution distributed percentile percentiles
    histogram breakdown spread skewed composition segment segments compare compared comparison versus
    different difference across overview summary similar alike comparable predicted prediction risk
    average median mean customers quartile quartiles daypart male female highest lowest biggest strongest
    week month quarter weekly monthly quarterly daily between action intervention relate relates receive
    receives along experiment test predict predicts total pearson spearman delivery coefficient improving
    propose exaggerated start started begin plan load feed import batch problem problems latest documented
    state treating instead leaflet brochure pattern patterns common target tip tips hint hints else normal
    """
)
"""Words by which intents are known, as far as they are worth correcting."""
SIDE_WORDS: Mapping[Intent, frozenset[str]] = {
    Intent.QUALITY: word_set(
        """
        not did failure delivery last latest newest load feed state get got import batch file wrong broken
        anything quality delivered read completeness problem issue
        error check rule gate found pass passed violation report missing row clean trust today table
        severity which
        """
    ),
    Intent.FAIRNESS: word_set(
        """
        model prediction predict when field attribute audit towards toward against result outcome
        performance work
        fair opportunity alike same
        """
    ),
    Intent.RECOMMEND: word_set(
        """
        measures measured next first back run detect large change save cost invest focus lost prioritize
        test about against reduce increase improve raise lower keep more action try experiment size
        further start begin help grow single reducing increasing improving raising lowering tip hint lever
        getting up down pay pays paying running propose effect need able uplift
        """
    ),
    Intent.CLAIM: word_set(
        """
        contradicted decided false wrong weaker absent unclear open held checked check fact test tested
        stand fail failure not business contract exaggerated overstated cannot told judged
        """
    ),
    Intent.CHANGED: word_set(
        """
        since increase decrease rise fall grow improve worsen decline yesterday lately happened new
        metric decompose
        """
    ),
    Intent.CORRELATE: word_set(
        """
        impact effect variables influence affect correlation related metric feature
        field variable thing attribute behavior behaviour other coefficient everything else
        """
    ),
    Intent.DRIVERS: word_set(
        """
        cause reason main key important factor risk early metric behaviour behavior feature attribute
        matter business root
        """
    ),
}
"""Words that say nothing more beside an intent."""
CLAIM_NOUNS = word_set(
    "claim claims claimed statement statements myth myths verdict verdicts assumption assumptions dictionary"
)
"""Words for what a contract states."""
