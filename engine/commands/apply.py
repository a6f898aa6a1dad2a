"""`apply`: publish campaign documents from files."""

import getpass
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from engine.config import Settings
from engine.domain import document, faults, relative_time
from engine.domain.campaign import Campaign
from engine.domain.faults import Fault, Language
from engine.publishing import Published
from engine.runtime import Runtime, open_runtime

CHANNEL: Final = "cli"


async def run(settings: Settings, paths: Sequence[Path], *, dry_run: bool) -> int:
    """Publish the files, all or none of those that are not valid: 0, or 1 when one is refused."""
    async with open_runtime(settings) as runtime:
        if dry_run:
            return await _compare(runtime, paths)
        return await publish(runtime, paths, output=sys.stdout)


async def publish(runtime: Runtime, paths: Sequence[Path], output: TextIO, *, only_new: bool = False) -> int:
    """Publish valid files in their order; when one has faults, all faults are named and nothing is published.

    With `only_new` a campaign that is there already is left as it is.
    """
    campaigns = _read(paths)
    if campaigns is None:
        return 1
    known = {each.campaign for each in await runtime.ledger.campaigns() if each.created}
    refused = 0
    for path, campaign in zip(paths, campaigns, strict=True):
        if only_new and campaign.campaign in known:
            print(f"{campaign.campaign}: there already, left as it is", file=output)
            continue
        published = await runtime.publisher.publish(campaign, actor(), CHANNEL)
        if isinstance(published, Published):
            state = "published" if published.changed else "unchanged"
            print(f"{campaign.campaign}: {state}, version {published.version}", file=output)
            continue
        refused = 1
        if isinstance(published, str):
            print(f"{path}: refused: {published}", file=sys.stderr)
        else:
            print_faults(path, published)
    return refused


async def _compare(runtime: Runtime, paths: Sequence[Path]) -> int:
    """Say what publishing would change."""
    campaigns = _read(paths)
    if campaigns is None:
        return 1
    refused = 0
    for path, written in zip(paths, campaigns, strict=True):
        campaign = await runtime.publisher.with_pools(written)
        if isinstance(campaign, list):
            print_faults(path, campaign)
            refused = 1
            continue
        in_force = await runtime.catalog.find(campaign.campaign)
        if in_force is None:
            print(f"{campaign.campaign}: new")
            continue
        changed = _differences(_plain(in_force.document), _plain(campaign))
        print(f"{campaign.campaign}: {len(changed)} changes to version {in_force.version}" if changed
              else f"{campaign.campaign}: unchanged")  # fmt: skip
        for line in changed:
            print(f"  {line}")
    return refused


def _plain(campaign: Campaign) -> Any:
    return msgspec.json.decode(document.canonical(campaign))


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """`+`, `-` or `~` with the JSON Pointer of each value that was added, removed or changed.

    Offerings and pools are told apart by their names, so that one more at the front does not move the others.
    """
    old, new = _by_name(old), _by_name(new)
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"~ {path or '/'}"]
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in new:
            lines.append(f"- {path}/{key}")
        elif key not in old:
            lines.append(f"+ {path}/{key}")
        else:
            lines += _differences(old[key], new[key], f"{path}/{key}")
    return lines


def _by_name(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        for name in ("offering", "pool"):
            if all(name in each for each in value):
                return {each[name]: each for each in value}
    return value


def _read(paths: Sequence[Path]) -> list[Campaign] | None:
    """The documents of all files, or None after the faults of all were printed."""
    now = datetime.now().astimezone()
    campaigns, refused = [], False
    for path in paths:
        campaign = _read_one(path, now)
        if isinstance(campaign, list):
            print_faults(path, campaign)
            refused = True
        else:
            campaigns.append(campaign)
    return None if refused else campaigns


def _read_one(path: Path, now: datetime) -> Campaign | list[Fault]:
    data = path.read_bytes()
    raw = document.parse_json(data) if path.suffix == ".json" else document.parse_yaml(data)
    return [raw] if isinstance(raw, Fault) else document.validate(relative_time.resolve(raw, now))


def print_faults(path: Path, found: Sequence[Fault]) -> None:
    """What is wrong with a file, a line for each fault, in the language of the command line."""
    for fault in found:
        print(f"{path}: {fault.path or '/'}: {faults.text(fault, language())}", file=sys.stderr)


def language() -> Language:
    """The language of the command line, by locale."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if locale.startswith("zh") else "en"


def actor() -> str:
    """Who acts, for the audit trail: the operating system's user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return "cli:" + "".join(c for c in user if (c.isascii() and c.isalnum()) or c in "-_.")[:56]
