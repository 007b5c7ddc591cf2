"""Declare the functions that expressions may use: what they take, and how they are kept from failing.

Whatever is not here is refused: reflection, clocks, random numbers, files, the network, secrets, sessions,
aggregates, windows, generators, lambdas. Each function gives the same value for the same row on every run,
and either cannot fail, or is written for Spark in a form that gives null instead (`null_form`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SqlFunction:
    """A function of Spark SQL that an expression may call.

    `arguments` are kinds, of which the last `optional` may be left out; `repeats` says that the last may come
    again. `result` is a kind, or `same` (that of the first argument) or `common` (that of all of them).
    `abs`, `try_add` and its like, and `element_at` are written by `sql_calls`, whatever their line says.
    `null_form` is how it is written for Spark where it could fail: `{0}`, `{1}`, … are its arguments.
    """

    name: str
    arguments: tuple[str, ...]
    result: str
    optional: int = 0
    repeats: bool = False
    null_form: str | None = None

    def takes(self, n: int) -> bool:
        """Return whether it can be called with `n` arguments."""
        return len(self.arguments) - self.optional <= n and (self.repeats or n <= len(self.arguments))


# name(s) | arguments, optional ones in brackets, … repeats the last | result | form that gives null
#
# kinds: number (whole, double, decimal), whole, int (whole, and no bigint, which Spark would cut), text
# (takes any scalar), texts (also an array), bytes (text or binary), digits (whole, text or binary), boolean,
# hashed (no map), time (date or timestamp), date, timestamp, array, map, container (array or map), any, read
# (a time, or text in which a column is); literals only: pattern (a regular expression), word (text),
# replacement (text without `$` and backslash), count (a whole number of 0 to 10,000). Of results alone: long
# (a bigint; of a decimal a decimal), item (an element of the array), items (the map's values), keys, texts.
_TABLE = r"""
abs | number | same
sign signum | number | double
ceil ceiling floor | number | long
round bround | number [count] | same
rint sqrt cbrt exp expm1 ln log10 log2 log1p | number | double
sin cos tan asin acos atan sinh cosh tanh | number | double
degrees radians | number | double
log | number [number] | double
power pow atan2 hypot | number number | double
pi e |  | double
mod | number number | common | {0} % nullif({1}, 0)
pmod | number number | common | pmod({0}, nullif({1}, 0))
try_add try_subtract try_multiply | any any | any
try_divide | any any | any
isnan | number | boolean
nanvl | number number | double
greatest least | any any … | common
coalesce | any … | common
nvl ifnull | any any | common
nullif | any any | common
isnull isnotnull | any | boolean
upper ucase lower lcase trim ltrim rtrim | text | text
initcap soundex reverse | text | text
length char_length character_length len | text | whole
octet_length bit_length ascii | text | whole
concat | text … | text
concat_ws | word texts … | text
substring substr | text int [int] | text
left right | text int | text
lpad rpad | text count [word] | text
instr | text text | whole
locate position | text text [int] | whole
replace | text text [text] | text
translate | text word word | text
substring_index | text word int | text
startswith endswith contains | text text | boolean
levenshtein | text text | whole
regexp_like | text pattern | boolean
regexp_count regexp_instr | text pattern | whole
regexp_substr | text pattern | text
regexp_extract | text pattern [count] | text
regexp_replace | text pattern replacement | text
split | text pattern | texts
md5 sha sha1 | bytes | text
sha2 | bytes count | text
crc32 | bytes | long
xxhash64 | hashed … | long
hash | hashed … | whole
hex | digits | text
get_json_object | text word | text
year quarter month day dayofmonth dayofweek | time | whole
weekday dayofyear weekofyear | time | whole
hour minute second | timestamp | whole
datediff date_diff | time time | whole
months_between | time time | double
date_add dateadd date_sub | time int | date
add_months | time int | date | try_add(CAST({0} AS DATE), make_ym_interval(0, {1}))
last_day | time | date
trunc | time word | date
date_trunc | word time | timestamp
date_format | time word | text
to_date | read | date | try_cast({0} AS DATE)
to_date | read word | date | CAST(try_to_timestamp({0}, {1}) AS DATE)
to_timestamp | read | timestamp | try_cast({0} AS TIMESTAMP)
to_timestamp | read word | timestamp | try_to_timestamp({0}, {1})
try_to_timestamp | read [word] | timestamp
unix_date | date | whole
unix_seconds unix_millis unix_micros | timestamp | long
unix_timestamp | time | long
size cardinality | container | whole
array_contains | array any | boolean
array_position | array any | long
array_min array_max | array | item
array_distinct sort_array | array | same
array_join | array word | text
map_keys | map | keys
map_values | map | items
map_contains_key | map any | boolean
try_element_at | any any | any
element_at | any any | any
get | array int | item
"""


def _functions(table: str) -> dict[str, tuple[SqlFunction, ...]]:
    functions: dict[str, tuple[SqlFunction, ...]] = {}
    for line in table.strip().splitlines():
        names, arguments, result, *null_form = (part.strip() for part in line.split("|", 3))
        words = arguments.split()
        repeats = words[-1:] == ["…"]
        words = words[:-1] if repeats else words
        for name in names.split():
            function = SqlFunction(
                name=name,
                arguments=tuple(w.strip("[]") for w in words),
                result=result,
                optional=sum(w.startswith("[") for w in words),
                repeats=repeats,
                null_form=null_form[0] if null_form else None,
            )
            functions[name] = (*functions.get(name, ()), function)
    return functions


FUNCTIONS = _functions(_TABLE)
"""Every function that an expression may call, by its name in lower case, with its forms. `if`, `nvl2`,
`cast`, `try_cast` and the operators are part of the grammar (`expressions`).
"""
