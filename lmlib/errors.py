"""One sentence for a wrong word: what came, and the nearest valid name."""

import difflib


def check_name(kind, name, allowed):
    """Return `name` if it is one of `allowed`; else raise ValueError with the nearest valid name and the list."""
    allowed = list(allowed)
    if name in allowed:
        return name
    nearest = difflib.get_close_matches(str(name), [str(word) for word in allowed], n=1, cutoff=0.4)
    hint = f": did you mean '{nearest[0]}'?" if nearest else "."
    raise ValueError(f"unknown {kind} '{name}'{hint} Known: {', '.join(map(str, allowed))}.")
