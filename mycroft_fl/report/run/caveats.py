"""The cautions beside a verdict: what luck would have brought, and what to keep in mind."""

from __future__ import annotations

from mycroft_fl.report.run.gains import RIVAL_WORDS, Result, gain_over, price_of, rival_of

DEAR = 5.0
"""Points lost elsewhere from which a verdict says so."""
LIKELY = 0.5
"""Owners above zero by chance alone from which a verdict says so."""


def luck_of(result: Result) -> str:
    """Say what the choice brought over as many examples drawn at random; empty where that is not known."""
    luck = gain_over(result, "random")
    if luck is None or not result["disclosed"] or result["method"] in ("random", "full"):
        return ""
    if result.get("random_is") in ("free", "baseline"):
        return (
            f"As many examples drawn at random were tried too, and given up for the {result['random_is']} "
            f"model: the choice is worth {luck} of these points."
        )
    if luck.is_sure:
        return f"That the examples were chosen, and not drawn at random, is worth {luck} of these points."
    return f"As many examples drawn at random would have done about as well: the choice brought {luck}."


def caveats_of(result: Result) -> list[str]:
    """List what to keep in mind beside a verdict."""
    found = [
        f"This is one run with one seed ({result['seed']}). Its intervals say how far other "
        "examples could move the figures, not what other draws of the data would: a study over seeds does."
    ]
    if result.get("final_is") == "last round" and rival_of(result) == "free":
        found.append(
            "The free model trains on all failures that you hold, and the final one does not: "
            "train-on-validation or train-on-hard-set is false. Set both to true to compare like with like."
        )
    price = price_of(result)
    if price is not None and price[0] >= DEAR:
        found.append(
            f"The final model loses {price[0]:.1f} points of what the baseline gets right: see the price "
            "list. harm-at-most bounds that."
        )
    whole, rival = gain_over(result, rival_of(result), "test"), RIVAL_WORDS[rival_of(result)]
    if result["disclosed"] and whole is not None and not whole.is_sure:
        found.append(
            f"Over the whole test the final model gains {whole} points on the {rival}: not clear of zero."
        )
    scored = sum(each["low"] is not None for each in result["owners"])
    chance = scored * (1 - result["settings"].get("scoring.confidence", 0.95)) / 2
    if chance >= LIKELY:
        found.append(
            f"{scored} owners were scored, each with an interval of its own: about {chance:.1f} of them "
            "would lie above zero by chance alone if none were any use."
        )
    if "final" in result and "gains" not in result:
        found.append("This result is of an older version, which kept no interval of the gain.")
    return found
