"""The results section of the README, made from the committed rows."""

from .. import paths
from ..augment import METHODS
from ..study import rows as results
from ..study.profiles import PROFILES
from . import tables
from .page import markdown_table

BEGIN = "<!-- results: made by `./run_all.sh readme` from data/results, never by hand -->"
END = "<!-- end of results -->"
SHOWN = ("clean", "C mCE", "C-bar mCE", "P mFP", "PGD strict", "C RMS")
COLUMNS = [column for column in tables.TABLE_4 if column.title in SHOWN]


def section(profile):
    """One profile's results as Markdown: a table for each dataset and schedule, what deviates in it, and its provenance."""
    rows = results.read_rows(profile)
    fractals = (
        rows["mixing"].str.split(", ").str[-1]
    )  # Table 5 trains a method with the other kind, too
    own = fractals.eq("none") | fractals.eq(rows["method"].map(lambda name: METHODS[name].fractals))
    rows = rows[own & rows["parameters"].eq("{}") & rows["n_train"].isna()]
    rows = rows.sort_values(
        "method", key=lambda names: names.map(list(METHODS).index), kind="stable"
    )
    text = []
    for _, group in rows.groupby(["dataset", "network", "epochs"]):
        found = tables.cells(group, COLUMNS, profile=profile, by=("method", "loss"))
        text.append(f"**{tables.title(found, 'Results', profile=profile)}**")
        text.append(markdown_table(tables.wide(found).xs("ours", axis=1, level=1)))
        text.append(deviations(found))
        ways = [tables.distinct(group[name]) for name in ("precision", "machine", "device")]
        mixing = tables.distinct(label for label in group["mixing"] if label != "none")
        commits = tables.distinct(sorted(group["commit"].str[:8]))
        text.append(
            f"Mixing images: {mixing or 'none'}. {', '.join(ways)}, commits {commits}, finished {group['finished'].max()[:10]}."
        )
    return "\n\n".join(text)


def deviations(found):
    """How the rows of a table differ from the paper's: what all of them share, then what single ones do not."""
    said = {
        method: words.split("; ") for (method, _), words in found["deviations"].items() if words
    }
    shared = [
        words
        for words in said.get(found.index[0][0], [])
        if all(words in own for own in said.values())
    ]
    lines = [
        f"{method}: {'; '.join(left)}"
        for method, own in said.items()
        if (left := [w for w in own if w not in shared])
    ]
    return (
        "Not as in the paper: " + ". ".join(["; ".join(shared), *lines]) + "."
        if said
        else "All as in the paper."
    )


def update():
    """Write the sections of all profiles with committed rows between the two marks of README.md."""
    file = paths.SOURCE / "README.md"
    before, _, rest = file.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    sections = [section(name) for name in PROFILES if name != "quick" and results.row_files(name)]
    paths.write_text(file, "\n\n".join([before + BEGIN, *sections, END]) + after)
