"""Answer questions in plain English, without a language model: a question becomes the call of a tool, the
answer sentences whose every number is in its evidence, and what is not clear is declined.
"""

from engage_spark.insight.ask.conversation import Conversation, SpokenReply
from engage_spark.insight.ask.narrator import narrate

__all__ = ["Conversation", "SpokenReply", "narrate"]
