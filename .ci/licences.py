#!/usr/bin/env python3
"""Checks every dependency against deny.toml: licence, ban, source. Nothing but the standard library.

Reads `cargo metadata`; the lists are those of cargo-deny, which takes four minutes to build.
Exit 1 names each package that breaks a rule and what to do.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def licence_allowed(expression, allowed):
    """Whether an SPDX expression (AND binds before OR; `/` is an old OR) can be met with `allowed`."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either():
        met = both()
        while peek() == "OR":
            take()
            met = both() or met
        return met

    def both():
        met = one()
        while peek() == "AND":
            take()
            met = one() and met
        return met

    def one():
        if peek() == "(":
            take()
            met = either()
            if take() != ")":
                raise ValueError(expression)
            return met
        name = take()
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allowed

    met = either()
    if position != len(tokens):
        raise ValueError(expression)
    return met


def main():
    policy = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    allowed = set(policy["licenses"]["allow"])
    banned = {ban["crate"]: ban["reason"] for ban in policy["bans"]["deny"]}
    skipped = {skip["crate"] for skip in policy["bans"]["skip"]}
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)

    broken, versions = [], {}
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        versions.setdefault(package["name"], []).append(package["version"])
        if package["name"] in banned:
            broken.append(f"{name}: banned: {banned[package['name']]}")
        if package["source"] not in (None, CRATES_IO):
            broken.append(f"{name}: comes from {package['source']}; only crates.io and this workspace are allowed")
        try:
            met = licence_allowed(package["license"] or "", allowed)
        except (IndexError, ValueError):
            met = False
        if not met:
            broken.append(f"{name}: licence `{package['license']}` is not in deny.toml; decide on it or drop the crate")

    for crate, found in sorted(versions.items()):
        known = [v for v in found if any(v == at or v.startswith(f"{at}.") for c, at in
                 (skip.split("@") for skip in skipped) if c == crate)]
        if len(found) - len(known) > 1:
            print(f"note: {crate} is built in versions {', '.join(sorted(found))}")
    for line in broken:
        print(f"refused: {line}", file=sys.stderr)
    print(f"{len(metadata['packages'])} packages checked against deny.toml, {len(broken)} refused")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
