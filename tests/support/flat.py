"""Whether figures that were taken again and again stay flat: robust against a noisy machine.

The first sample is warm-up and left out. Of the others the median of the first third is compared
with that of the last third. What a figure grows by in an hour stands beside it, by Theil-Sen: the
median of the slopes of all pairs.
"""
import dataclasses
import itertools
import statistics
from typing import Callable

LEAST = 6  # samples after the first; with less, thirds are no thirds


@dataclasses.dataclass
class Rule:
    """When a figure is flat: holds(median of the first third, median of the last third)."""
    limit: str
    holds: Callable


SEEN = Rule("", lambda first, last: True)  # told, not judged


class Series:
    """Figures by name, each with a rule; one sample of all of them at a time."""

    def __init__(self):
        self.times, self.values, self.rules = [], {}, {}

    def add(self, at_s, figures):
        """figures: {name: (value, rule)}; the same names each time."""
        self.times.append(at_s)
        for name, (value, rule) in figures.items():
            self.values.setdefault(name, []).append(value)
            self.rules[name] = rule

    def rows(self):
        """(name, rule, first third, last third, growth in an hour, whether it is flat) of each."""
        if len(self.times) <= LEAST:
            raise RuntimeError(f"{len(self.times)} samples are too few to compare")
        third = (len(self.times) - 1) // 3
        for name, values in self.values.items():
            first = statistics.median(values[1:1 + third])
            last = statistics.median(values[-third:])
            rule = self.rules[name]
            yield (name, rule, first, last, 3600 * slope(self.times[1:], values[1:]),
                   rule.holds(first, last))


def slope(times, values):
    """By what the values rise in a unit of time."""
    pairs = itertools.combinations(zip(times, values), 2)
    return statistics.median((b - a) / (s - r) for (r, a), (s, b) in pairs)


def table(rows):
    """Lines of text."""
    yield f"{'':30} {'first third':>11} {'last third':>11} {'in an hour':>11}  flat?"
    for name, rule, first, last, growth, holds in rows:
        verdict = f"{'yes' if holds else 'NO'}, {rule.limit}" if rule is not SEEN else "-"
        yield f"{name:30} {first:11.2f} {last:11.2f} {growth:+11.2f}  {verdict}"
