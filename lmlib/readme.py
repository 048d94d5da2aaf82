"""The results section of the README, made from the committed rows."""

from . import paths, results
from .augment import METHODS
from .plots import mean_and_spread
from .profiles import PROFILES

BEGIN, END = (
    "<!-- results: made by `./run_all.sh readme` from data/results, never by hand -->",
    "<!-- end of results -->",
)
BENCHMARKS = ["c", "c_bar", "p"]
COLUMNS = {
    "clean error": ("clean", "clean_error"),
    "C: mCE": ("c", "mce"),
    "C-bar: mCE": ("c_bar", "mce"),
    "P: mFP": ("p", "mfp"),
    "PGD 2/255": ("pgd", "pgd_error"),
    "C: RMS calibration": ("c", "rms_calibration_error"),
}


def section(profile):
    """One profile's results as Markdown: a table for each dataset and schedule, with its scale and provenance."""
    rows = results.read_rows(profile)
    rows = rows[rows["corruption"].isna() & rows["parameters"].eq("{}") & rows["n_train"].isna()]
    fractals = rows["mixing"].str.split(", ").str[-1]  # Table 5 trains a method with the other kind, too
    rows = rows[fractals.eq("none") | fractals.eq(rows["method"].map(lambda name: METHODS[name].fractals))]
    text = []
    for (dataset, network, epochs), group in rows.groupby(["dataset", "network", "epochs"], sort=False):
        text += [f"**{dataset}, {network}, {epochs} epochs** (profile `{profile}`):", ""]
        text += ["| method | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
        for (method, loss), of_method in group.groupby(["method", "loss"], sort=False):
            values = [of_method.query("benchmark == @b and measure == @m")["value"] for b, m in COLUMNS.values()]
            cells = [mean_and_spread(value, "") if len(value) else "" for value in values]
            text.append(f"| {method}{'' if loss == 'ce' else f' ({loss})'} | " + " | ".join(cells) + " |")
        subsets = ", ".join(f"{b}: {s}" for b, s in group.groupby("benchmark", sort=False)["subset"].first().items())
        mixing = "; ".join(sorted(set(group["mixing"]) - {"none"}))
        text += [
            "",
            "Not at the paper's scale (WRN-40-4, 100 epochs, full test sets, its own fractals), so that no row is comparable with "
            "its tables.\n\n"
            f"Percent, lower is better: mean ± standard deviation over n seeds. Test images: {subsets}. Benchmark images: "
            f"{', '.join(sorted(set(group.query('benchmark == @BENCHMARKS')['source'])))}. Mixing images: {mixing}. "
            f"{group['precision'].iloc[0]}, {group['machine'].iloc[0]}, {group['device'].iloc[0]}, "
            f"commits {', '.join(sorted(set(group['commit'].str[:8])))}, finished {group['finished'].max()[:10]}.",
            "",
        ]
    return "\n".join(text)


def update():
    """Write the sections of all profiles with committed rows between the two marks of README.md."""
    file = paths.ROOT / "README.md"
    before, _, rest = file.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    sections = [section(name) for name in PROFILES if name != "quick" and results.row_files(name)]
    paths.write_text(file, "\n".join([before + BEGIN, "", *sections, END]) + after)
