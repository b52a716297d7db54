# SPDX-License-Identifier: Apache-2.0
"""What measurements have in common: percentiles, tables, and room for many sockets."""

import math
import resource


def percentile(values, share):
    """The smallest value that `share` (0 to 1) of all of them do not exceed: no interpolation, so that the largest of
    few is not averaged away."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values):
    """Minimum, median, 99th percentile and maximum."""
    return tuple(percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0))


def table(head, rows):
    """Prints columns: the first to the left, figures to the right."""
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        print("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]),
              flush=True)


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def allow_descriptors():
    """As many as the machine lets us have, for this process and what it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
