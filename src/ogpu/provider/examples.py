"""The example handlers, as anybody writes them: `echo`, and `analyze_sentiment` with the extra `demo`."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ogpu.service import expose, init, logger, start


class Anything(BaseModel):
    """Any JSON object."""

    model_config = ConfigDict(extra="allow")


class Text(BaseModel):
    """A text in English."""

    text: str


class Sentiment(BaseModel):
    """How a text sounds: `score` runs from -1 to 1, `scores` are the shares of its parts."""

    label: Literal["positive", "negative", "neutral"]
    score: float
    scores: dict[str, float]


@expose()
def echo(data: Anything) -> Anything:
    """Give the input back."""
    return data


if find_spec("vaderSentiment") is not None:

    @cache
    def analyzer() -> Any:
        """The analyzer with its word list, made once."""
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        return SentimentIntensityAnalyzer()

    @init()
    def load_analyzer() -> None:
        """Load the word list before the first task comes."""
        analyzer()
        logger.info("The sentiment analyzer is loaded.")

    @expose(timeout=60)
    def analyze_sentiment(data: Text) -> Sentiment:
        """Tell whether a text sounds positive, negative or neutral."""
        scores = dict(analyzer().polarity_scores(data.text))
        score = scores.pop("compound")
        label: Literal["positive", "negative", "neutral"] = "neutral"
        if abs(score) >= 0.05:  # the bounds that VADER's authors name
            label = "positive" if score > 0 else "negative"
        return Sentiment(label=label, score=score, scores=scores)


if __name__ == "__main__":
    start()
