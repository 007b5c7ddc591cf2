"""What deltalake and object stores raise, in this package's words."""

from __future__ import annotations

import pytest

from engage_spark.errors import ConfigurationError, EngageError, PermanentError, TransientError
from engage_spark.reader.delta_files import translate_delta_errors


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Generic S3 error \x1b[31m↳\x1b[0m error sending request for url (https://h/b)", TransientError),
        ("error sending request for url (https://h/b): connection reset by peer", TransientError),
        ("error sending request: invalid peer certificate: UnknownIssuer", PermanentError),
        ("dns error: failed to lookup address information: Name or service not known", PermanentError),
        ("Generic S3 error: Access Denied", ConfigurationError),
    ],
)
def test_only_what_waiting_can_mend_is_worth_a_retry(text: str, kind: type[EngageError]) -> None:
    with pytest.raises(EngageError) as caught, translate_delta_errors("runs"):
        raise OSError(text)
    assert type(caught.value) is kind
    assert "\x1b" not in str(caught.value)
    assert "[31m" not in str(caught.value)


def test_a_failure_is_masked_before_it_is_cut() -> None:
    with pytest.raises(EngageError) as caught, translate_delta_errors("runs"):
        raise OSError("x" * 280 + " http://u:hush4711hush4711hush4711@h/x failed")
    assert "hush" not in str(caught.value)
