# SPDX-License-Identifier: MIT
"""Tables of figures, as all benchmarks print them."""


def figure(value):
    if value >= 1e6:
        return f"{value / 1e6:.1f}M"
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def print_lines(title, lines, words=2):
    """Columns of equal width: the first and the last `words` to the left, figures to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    middle = len(widths) - words
    print(f"\n{title}")
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:middle], widths[1:middle])]
        cells += [c.ljust(w) for c, w in zip(line[middle:], widths[middle:])]
        print("  " + "  ".join(cells).rstrip())
