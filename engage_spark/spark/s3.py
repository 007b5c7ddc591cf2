"""Configure Hadoop's S3 client: settings, keys and time limits."""

from __future__ import annotations

from engage_spark.settings import S3Settings

PREFIX = "spark.hadoop.fs.s3a."

LIMITS = {
    "attempts.maximum": "3",
    "retry.limit": "3",
    "connection.establish.timeout": "10000",
    "connection.timeout": "60000",
}
"""Hadoop's own limits let a wrong endpoint go unnoticed for minutes: eight rounds of five attempts for each
of several calls, and 30 s for each connection. Throttling has separate limits, which stay. `spark.conf`
overrides each. Times are in milliseconds, since Hadoop 3.3 (Spark 3.5) reads no units.
"""

SPARED = ("delete", "mkdir")
"""Spare Hadoop's look, before it writes a file or makes a directory, for what else has that name: two to four
requests each. Data files have names of their own, and Delta looks for a commit before it writes one. After a
file is deleted, its folder is not looked for and made again: nothing here asks for empty folders.

Before a file is written (`create`) only where a put can be conditional: else the look is all that says that
a lock is another's.
"""


def conf(s3: S3Settings, *, conditional_put: bool) -> dict[str, str]:
    """Return Hadoop's options for S3. Without keys its default credential chain stays.

    `conditional_put`: whether this Hadoop can put an object only where there is none.
    """
    spared = ("create", *SPARED) if conditional_put else SPARED
    options: dict[str, str | None] = {
        **LIMITS,
        "performance.flags": ",".join(spared),
        "endpoint": s3.endpoint,
        "endpoint.region": s3.region,
        "path.style.access": "true" if s3.path_style else "false",
        "connection.ssl.enabled": "true" if s3.ssl else "false",
    }
    if s3.access_key and s3.secret_key:
        kind = "TemporaryAWSCredentialsProvider" if s3.session_token else "SimpleAWSCredentialsProvider"
        options |= {
            "aws.credentials.provider": f"org.apache.hadoop.fs.s3a.{kind}",
            "access.key": s3.access_key.get_secret_value(),
            "secret.key": s3.secret_key.get_secret_value(),
            "session.token": s3.session_token.get_secret_value() if s3.session_token else None,
        }
    return {PREFIX + key: value for key, value in options.items() if value is not None}
