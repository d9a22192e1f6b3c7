#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Draws what benchmarks found: plots.py LINES.jsonl [DIR]

One PNG or more for each question that LINES has an answer to, in DIR or beside LINES. Every axis
begins at zero; a bar is the median of all rounds, the thin line goes from the least to the most. At the
bottom stands where the figures are from.
"""
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

from stand import read_lines  # noqa: E402

BLUE, GREY, ORANGE, GREEN, RED = "#336791", "#9aa5b1", "#d9822b", "#4f8f5b", "#a63d40"
COLOURS = (BLUE, ORANGE, GREEN, GREY, RED)
WIDTH_IN, DPI = 8, 120

pyplot.rcParams.update({
    "font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})


def source(line):
    machine, postgres = line["machine"], line["postgres"]
    return (f"{line['at'][:10]}, commit {line['commit']}, {machine['cpus']} x {machine['cpu']}, "
            f"Postgres {postgres['server_version'].split()[0]}, fdatasync {machine['fdatasync_us']} us")


def save(figure, path, line):
    height = figure.get_figheight()
    figure.text(0.01, 0.06 / height, source(line), fontsize=7.5, color="#666666")
    figure.tight_layout(rect=(0, 0.14 / height, 1, 1))
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
    print(f"bench: {path}", file=sys.stderr)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bars(directory, name, title, unit, values, line, colours=None):
    """values: {label: [of each round]}"""
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 1.3 + 0.36 * len(values)))
    labels = list(values)
    middles = [statistics.median(values[label]) for label in labels]
    ends = [max(values[label]) for label in labels]
    apart = [[middle - min(values[label]) for label, middle in zip(labels, middles)],
             [end - middle for end, middle in zip(ends, middles)]]
    several = any(map(any, apart))
    axes.barh(labels, middles, xerr=apart if several else None, color=colours or BLUE, ecolor="#222222",
              capsize=3, height=0.7)
    for place, (middle, end) in enumerate(zip(middles, ends)):
        axes.annotate(number(middle), (end, place), (6, 0), textcoords="offset points", va="center",
                      fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.13 * max(ends))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_xlabel(unit)
    axes.set_title(title)
    save(figure, directory / f"{name}.png", line)


def by_variant(lines, key):
    """{variant: [of each round]}; `a.b` is within the dict a."""
    found = {}
    for line in lines:
        value = line
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.setdefault(line["variant"], []).append(value)
    return found


def over_time(directory, name, title, lines, label):
    """Jobs finished in each second, the ends of the run left out: they are parts of a second."""
    figure, axes = pyplot.subplots(figsize=(WIDTH_IN, 3.6))
    most = 1
    for line, colour in zip(lines, COLOURS):
        seconds = line["per_second"][1:-1]
        axes.plot(range(1, len(seconds) + 1), seconds, linewidth=1.4, color=colour, label=label(line))
        most = max(most, *seconds)
    axes.set_ylim(0, 1.1 * most)
    axes.set_xlim(0, None)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("seconds since the first job")
    axes.set_ylabel("jobs finished per second")
    axes.set_title(title)
    columns = 2 if len(lines) > 1 and max(len(label(line)) for line in lines) < 40 else 1
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns)
    save(figure, directory / f"{name}.png", lines[0])


def renamed(values, names):
    """The same, in the order and with the labels of names: {variant: label}."""
    return {label: values[variant] for variant, label in names.items() if variant in values}


def plot_enqueue(lines, directory):
    found = by_variant(lines, "jobs_per_s")
    ways = {"insert_select": "one INSERT .. SELECT", "multi_row_1000": "INSERT of 1,000 rows",
            "copy_10000": "COPY of 10,000 rows", "program": "athena enqueue --from-file"}
    sizes = {"payload=0": "payload {}", "payload=100": "100 bytes"}
    bulk = {f"{way} {size}": f"{label}, {what}" for way, label in ways.items()
            for size, what in sizes.items()}
    single = {f"{way} connections={count}": f"{label}, {count} connection{'s' * (count > 1)}"
              for count in (1, 8)
              for way, label in (("insert", "INSERT"), ("enqueue_function", "athena.enqueue()"))}
    bars(directory, "enqueue_bulk", "Enqueueing in bulk, one connection", "jobs per second",
         renamed(found, bulk), lines[0])
    bars(directory, "enqueue_single", "Enqueueing one by one, a commit each", "jobs per second",
         renamed(found, single), lines[0])


def plot_drain(lines, directory):
    found = by_variant(lines, "jobs_per_s")
    bars(directory, "drain", f"Drain of {lines[0]['jobs']:,} no-op jobs", "jobs per second",
         {drain_label(variant): values for variant, values in found.items()}, lines[0])


def drain_label(variant):
    found = dict(part.split("=") for part in variant.split())
    workers = f"{found['workers']} worker{'s' * (found['workers'] != '1')}"
    return f"{workers}, {found['family']}" if "family" in found else workers


def plot_steady(lines, directory):
    over_time(directory, "steady", "Producers and workers together", lines,
              lambda line: f"{int(line['variant'].removeprefix('rate=')):,}/s offered: "
                           f"claimed after p50 {line['wait_ms']['p50']:.1f}, "
                           f"p99 {line['wait_ms']['p99']:.1f} ms")


PIN_NAMES = {"nobody": "nothing pinned", "writer": "a writing transaction, open",
             "readers_autocommit": "4 readers, autocommit",
             "readers_repeatable_read": "4 readers, REPEATABLE READ"}


def plot_pinned(lines, directory):
    steady = [line for line in lines if "per_second" in line and line["round"] == 0]
    drains = [line for line in lines if line["variant"].startswith("drain")]
    seconds = steady[0]["seconds"]
    length = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    rates = {variant.removeprefix("drain pin="): values
             for variant, values in by_variant(drains, "jobs_per_s").items()}
    bars(directory, "pinned_drain", f"Drain of {drains[0]['jobs']:,} jobs after {length} under the pin",
         "jobs per second", renamed(rates, PIN_NAMES), lines[0],
         [GREY if name in ("nobody", "readers_autocommit") else BLUE for name in PIN_NAMES if name in rates])
    over_time(directory, "pinned_steady", "Producers and a worker while the horizon is pinned", steady,
              lambda line: PIN_NAMES[line["variant"].removeprefix("steady pin=")])


def plot_backlog(lines, directory):
    values, colours = {}, []
    for line in lines:
        jobs = line["variant"].removeprefix("batch=")
        for size, colour in (("small", GREY), ("large", BLUE)):
            label = f"claim of {jobs}, {line[f'{size}_jobs']:,} ready"
            values[label] = [line["claim_cpu_us"][size]["p50"]]
            colours.append(colour)
    bars(directory, "backlog", "One claim, by how many jobs wait", "us of server CPU, median of all claims",
         values, lines[0], colours)


def plot_idle(lines, directory):
    names = {"lone": "a lone job, worker asleep", "rate=500": "500 commits/s"}
    values, colours = {}, []
    for variant, label in names.items():
        for share, colour in (("p50", BLUE), ("p99", GREY)):
            found = by_variant(lines, f"pickup_ms.{share}").get(variant)
            if found:
                values[f"{label}, {share}"] = found
                colours.append(colour)
    bars(directory, "pickup", "From before the INSERT is sent to the start of the handler", "ms", values,
         lines[0], colours)
    names = {"resting, fresh": "never had a job", "resting, after work": "has worked, 4 executors wait"}
    bars(directory, "resting", "Memory of an idle worker and its executors", "MB, proportional (PSS)",
         renamed(by_variant(lines, "memory_mb"), names), lines[0])


def plot_scrape(lines, directory):
    values = {}
    for line in lines:
        jobs = int(line["variant"].removeprefix("ready="))
        for share, label in (("p50", "median"), ("max", "longest")):
            values.setdefault(f"{jobs:,} ready jobs, {label}", []).append(line["scrape_ms"][share])
    bars(directory, "scrape", "A scrape of /metrics", "ms", values, lines[0],
         [BLUE, GREY] * (len(values) // 2))


def plot_crash(lines, directory):
    values = by_variant(lines, "delay_s.max")
    names = {"same host": "on the survivor's host", "elsewhere": f"elsewhere, lease {lines[0]['lease_s']} s"}
    bars(directory, "crash", "kill -9 of a worker: the longest delay of a job it held", "seconds",
         renamed(values, names), lines[0])


def plot_urgent(lines, directory):
    values = {}
    for line in lines:
        for share, label in (("p50", "median"), ("max", "longest")):
            values.setdefault(f"{line['variant']}, {label}", []).append(line["done_ms"][share])
    bars(directory, "urgent", "A priority-0 job under full load, from commit to outcome", "ms", values,
         lines[0], [BLUE, GREY] * len(lines))


def plot_peers(lines, directory):
    kinds = {}
    for line in lines:
        if "value" in line:
            what, who = line["variant"].rsplit(" by ", 1)
            kinds.setdefault(what, {}).setdefault(who, []).append(line["value"])
    for place, (what, values) in enumerate(sorted(kinds.items())):
        unit = "ms" if " ms " in what else "jobs per second"
        bars(directory, f"peers_{place + 1}", what, unit, values, lines[0],
             [BLUE if who.startswith("athena") else GREY for who in values])


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: plots.py LINES.jsonl [DIR]")
    lines = pathlib.Path(sys.argv[1])
    directory = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else lines.parent
    directory.mkdir(parents=True, exist_ok=True)
    answers = {}
    for line in read_lines(lines):
        answers.setdefault(line["question"], []).append(line)
    for question, found in answers.items():
        globals()[f"plot_{question}"](found, directory)


if __name__ == "__main__":
    main()
