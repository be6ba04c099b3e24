"""The plot of a result's price list: gain on failures against loss elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mycroft_fl.report.layout.drawing import BLUE, SKY, Plot, canvas, finished, legend_below
from mycroft_fl.report.run.gains import price_of

Result = Mapping[str, Any]


def front_plot(result: Result) -> Plot | None:
    """Draw what candidates for the final model cost and bring; nothing where there were none."""
    front = result.get("front")
    if not front or len(front) < 2:
        return None
    figure, axes = canvas(3.1)
    harms, gains = [each["harm"] for each in front], [each["gain"] for each in front]
    axes.plot(
        harms, gains, color=SKY, marker=".", drawstyle="steps-post", label="the best for each loss"
    )
    final = price_of(result)
    if final is not None:
        axes.plot([final[0]], [final[1]], color=BLUE, marker="o", linestyle="none", label="final")
    axes.set_xlabel("points lost of what the baseline gets right")
    axes.set_ylabel("points gained of its failures")
    axes.set_xlim(left=min(0.0, *harms) - 0.1)
    legend_below(figure)
    caption = (
        "The price list, on held-out examples: each dot is a model that no other undercuts, made of other "
        "shares or between the baseline and the final one. A smaller harm-at-most takes one further left."
    )
    alt = "Points lost, points gained: " + "; ".join(
        f"{each['harm']:.1f}, {each['gain']:.1f}" for each in front
    )
    return finished(figure, "front", caption, alt)
