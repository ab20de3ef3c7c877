#!/usr/bin/env python3
"""Recounts the Spokes' local records and compares the consolidated status with them, cell by cell.

    recount.py DIR STATUS.csv...     DIR as `cargo demo -- --dir DIR` left it; STATUS.csv is what
                                     `raccordo-gdl status --period P -o csv` printed

Reads only `local_edition` and `local_outcome` of DIR/spoke-<code>/node.db (and the three columns `freshness`,
`period` and `region` of the CSV, to know which report is meant), and applies the rules by itself, as
shared/model/src/report.rs and consolidate.rs describe them:
  at the source    cumulative counts of the editions of the PE year up to the period's last day, per fine cell; in
                   a cell with 1 to 4 completions `passed` and `ecm_credited` are suppressed;
  rolled up        to region x cluster x area: a suppressed part makes the sum suppressed, parts that do not
                   apply are left out;
  for outsiders    the numbers 1 and 2 are suppressed, and minutes with suppressed completions;
  totals           add up published parts only, and say how many.

Exit 0 if every cell is equal and a control, altered in memory, is not; 1 prints the first differences.
"""

import calendar
import csv
import datetime
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path

SOURCE_THRESHOLD = 5
OUTSIDE_THRESHOLD = 3
COUNTS = ["editions", "minutes_delivered", "enrolled", "started", "completed", "passed", "ecm_credited"]
GIVING_AWAY = ["passed", "ecm_credited"]
DISTINCT = "distinct_trained"
MEASURES = COUNTS + [DISTINCT]
ALL = "ALL"
SHOWN_DIFFERENCES = 20

# A cell is (state, number).
NOT_APPLICABLE, SUPPRESSED, ZERO, MISSING = ("not_applicable", 0), ("suppressed", 0), ("zero", 0), ("missing", 0)


def cell(number):
    return ("number", number) if number > 0 else ZERO


def published(value):
    return value[0] in ("number", "zero")


def last_day(period):
    year, month = map(int, period.split("-"))
    return datetime.date(year, month, calendar.monthrange(year, month)[1]).isoformat()


# --- at the source -----------------------------------------------------------------------------------


def load(path):
    """(editions by id, outcomes) of a Spoke."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    editions = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM local_edition")}
    outcomes = [dict(row) for row in connection.execute("SELECT * FROM local_outcome")]
    connection.close()
    return editions, outcomes


def by_then(date, end):
    """Whether an ISO date is on or before the day `end`."""
    return bool(date) and date[:10] <= end


def fine_cell(edition, profession):
    """The dimensions of a cell; cluster and area first."""
    return (profession.split(".")[0], edition["area"], profession, edition["objective"], edition["instrument"],
            edition["level"], edition["origin"], edition["package"], edition["kit"])


def count(editions, outcomes, period):
    """Counts per fine cell, suppressed as they leave the region; and the people trained per (cluster, area)."""
    year, end = int(period[:4]), last_day(period)
    counts, tests, credits = defaultdict(lambda: dict.fromkeys(COUNTS, 0)), set(), set()
    reached, trained = defaultdict(set), defaultdict(set)
    for outcome in outcomes:
        edition = editions[outcome["edition"]]
        if int(edition["pe_year"]) != year or not by_then(outcome["enrolled"], end):
            continue
        key = fine_cell(edition, outcome["profession"])
        cluster, area = key[:2]
        reached[edition["id"], cluster].add(outcome["profession"])
        if edition["test"]:
            tests.add(key)
        if edition["ecm"]:
            credits.add(key)
        counts[key]["enrolled"] += 1
        counts[key]["started"] += by_then(outcome["started"], end)
        if by_then(outcome["completed"], end):
            credited = outcome["ecm_credited"] == "yes"
            # Without a test a credit stands for what the test would show.
            passed = outcome["passed"] == "yes" or (credited and not edition["test"])
            counts[key]["completed"] += 1
            counts[key]["minutes_delivered"] += int(edition["minutes"])
            counts[key]["passed"] += passed
            counts[key]["ecm_credited"] += credited
            trained[cluster, area].add(outcome["learner"])
    # An edition counts once per cluster, in the cell of the lowest profession that it reached.
    for (identifier, _), professions in reached.items():
        if by_then(editions[identifier]["starts"], end):
            counts[fine_cell(editions[identifier], min(professions))]["editions"] += 1

    cells = {}
    for key, numbers in counts.items():
        cells[key] = {measure: cell(number) for measure, number in numbers.items()}
        if 0 < numbers["completed"] < SOURCE_THRESHOLD:
            cells[key].update(dict.fromkeys(GIVING_AWAY, SUPPRESSED))
        if key not in tests:
            cells[key]["passed"] = NOT_APPLICABLE
        if key not in credits:
            cells[key]["ecm_credited"] = NOT_APPLICABLE
    return cells, trained


# --- at the centre -----------------------------------------------------------------------------------


def add(parts):
    """A sum inside a region: all parts must be known; those that do not apply are left out."""
    if SUPPRESSED in parts:
        return SUPPRESSED
    known = [number for state, number in parts if state != "not_applicable"]
    return cell(sum(known)) if known else NOT_APPLICABLE


def add_published(parts):
    """(cell, coverage) of a total for outsiders. A zero would deny people that are hidden."""
    known = [number for state, number in parts if state in ("number", "zero")]
    if sum(known) > 0:
        return cell(sum(known)), len(known)
    for state in (SUPPRESSED, MISSING, ZERO):
        if state in parts:
            return state, len(known)
    return NOT_APPLICABLE, len(known)


def protect(value):
    return SUPPRESSED if value[0] == "number" and value[1] < OUTSIDE_THRESHOLD else value


def region_rows(folder, region, period):
    """The rows of a region, protected: {(cluster, area): {measure: (cell, coverage)}}, its total under (ALL, ALL)."""
    cells, trained = count(*load(folder / f"spoke-{region}" / "node.db"), period)
    parts = defaultdict(lambda: defaultdict(list))
    for (cluster, area, *_), measures in cells.items():
        for measure, value in measures.items():
            parts[cluster, area][measure].append(value)
    rows = {}
    for margin, measures in parts.items():
        row = {measure: add(values) for measure, values in measures.items()}
        # An edition is an announced event, not a person.
        row = {measure: value if measure == "editions" else protect(value) for measure, value in row.items()}
        row[DISTINCT] = protect(cell(len(trained[margin])))
        if row["completed"] == SUPPRESSED:
            row["minutes_delivered"] = SUPPRESSED
        rows[margin] = {measure: (value, int(published(value))) for measure, value in row.items()}
    total = totals(rows.values())
    # People add up over nothing: they are counted, and withheld where subtraction would give a row back.
    people = cell(len(set().union(*trained.values())))
    hidden = any(row[DISTINCT][0] == SUPPRESSED for row in rows.values())
    total[DISTINCT] = (SUPPRESSED if hidden else protect(people), total[DISTINCT][1])
    rows[ALL, ALL] = total
    return rows


def totals(rows):
    rows = list(rows)
    return {measure: add_published([row[measure][0] for row in rows]) for measure in MEASURES}


def consolidated(folder, periods, confirmed):
    """Every row: {(region, cluster, area, measure): (cell, coverage)}. `periods`: of each region's figures;
    only the `confirmed` regions are in the totals of the country."""
    regions = {region: region_rows(folder, region, period) for region, period in periods.items()}
    margins = defaultdict(list)
    for region in confirmed:
        for margin, row in regions[region].items():
            margins[margin].append(row)
    margins[ALL, ALL] = margins[ALL, ALL]
    regions[ALL] = {margin: totals(rows) for margin, rows in margins.items()}
    return {(region, *margin, measure): value for region, rows in regions.items()
            for margin, row in rows.items() for measure, value in row.items()}


# --- comparison --------------------------------------------------------------------------------------


def differences_of(told, expected):
    """Where the rows told and the rows expected differ."""
    compared = set()
    for row in told:
        key = (row["region"], row["cluster"], row["area"], row["measure"])
        place = " ".join(key)
        if key in compared:
            yield f"{place}: it is told twice"
        compared.add(key)
        if key not in expected:
            yield f"{place}: told {row['state']} {row['value']}, no local record gives it"
            continue
        (state, number), coverage = expected[key]
        value = str(number) if state in ("number", "zero") else ""
        if (row["state"], row["value"]) != (state, value):
            yield f"{place}: told {row['state']} {row['value']}, recounted {state} {value}"
        # Only a total must say of how many parts it is made; a region that is missing has none.
        elif coverage is not None and row["coverage"] != str(coverage) and (row["coverage"] or ALL in key):
            yield f"{place}: told a coverage of {row['coverage'] or 'nothing'}, recounted {coverage}"
    for key in sorted(expected.keys() - compared):
        yield f"{' '.join(key)}: recounted {expected[key][0]}, not told"


def compare(folder, path):
    """Prints and counts the differences between one CSV and the recount."""
    with open(path, encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    period = {row["period"] for row in told if row["region"] == ALL}
    periods, silent = {}, []
    for row in told:
        if row["region"] == ALL:
            continue
        # Silent this month: no report at all, or only an earlier one, whose figures are in no total.
        if row["freshness"] == "missing" or (row["freshness"], row["state"]) == ("stale", "missing"):
            silent.append(row)
        else:
            periods[row["region"]] = row["period"]
    if len(period) != 1:
        print(f"FAILED {path}: the rows of the country are of {len(period)} periods, expected one")
        return 1
    (period,) = period
    confirmed = sorted(region for region, of in periods.items() if of == period)
    expected = consolidated(folder, periods, confirmed)
    # A region without an accepted report of the month says so, once, and has no figures.
    expected.update({(row["region"], ALL, ALL, DISTINCT): (MISSING, None) for row in silent})
    differences = list(differences_of(told, expected))

    altered = [dict(row) for row in told]
    target = next((row for row in altered if row["state"] == "number"), None)
    if target is None:
        differences.append("there is no number to compare")
    else:
        target["value"] = str(int(target["value"]) + 1)
        if not list(differences_of(altered, expected)):
            differences.append("the control, a number made one larger, was not seen")
    states = defaultdict(int)
    for value, _ in expected.values():
        states[value[0]] += 1
    print(f"{path}: period {period}, {len(confirmed)} regions confirmed, {len(periods) - len(confirmed)} behind, "
          f"{len({row['region'] for row in silent})} silent; {len(told)} cells compared: "
          + ", ".join(f"{state} {number}" for state, number in sorted(states.items())))
    for line in differences[:SHOWN_DIFFERENCES]:
        print(f"FAILED {path}: {line}")
    if len(differences) > SHOWN_DIFFERENCES:
        print(f"FAILED {path}: and {len(differences) - SHOWN_DIFFERENCES} more differences")
    return len(differences)


def main():
    if len(sys.argv) < 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    differences = sum(compare(folder, path) for path in sys.argv[2:])
    print(f"{differences} differences" if differences else "every cell is equal, and the control was seen")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
