"""Campaign documents: read, validated whole, and written in one canonical form.

The shapes and bounds of single values are those of `campaign.Campaign`; the rules here look at several. They run
on whatever has the right shape, so that one pass names every fault.
"""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import structs

from engine.domain import quotas, shapes, strict_json, strict_yaml
from engine.domain.campaign import ID_MAX, Campaign, PolicyChoice, Pool, Quotas
from engine.domain.faults import Fault, Found, Path, fault, pointer
from engine.domain.ladder import MEMBER, SCORE
from engine.domain.person import within
from engine.domain.policies import POLICIES, advancement, ballot, first_come, poll, second_class

MAX_BYTES: Final = 1024 * 1024

_encoder = msgspec.json.Encoder()


def parse_json(data: bytes) -> object | Fault:
    """A document's raw value for `validate`, or the Fault that makes it unreadable."""
    return strict_json.loads(data) if len(data) <= MAX_BYTES else _too_large()


def parse_yaml(data: bytes) -> object | Fault:
    """As `parse_json`, for YAML."""
    return strict_yaml.loads(data) if len(data) <= MAX_BYTES else _too_large()


def _too_large() -> Fault:
    return fault("document_too_large", bytes_max=MAX_BYTES)


def validate(raw: object) -> Campaign | list[Fault]:
    """A campaign that keeps every rule, or all that is wrong."""
    found = Found()
    campaign = shapes.examine(Campaign, raw, found)
    _check_campaign(campaign, found)
    if found.count:
        return found.faults()
    assert isinstance(campaign, Campaign)
    return campaign


def canonical(campaign: Campaign) -> bytes:
    """The JSON that is stored and compared: fields in the order of the Structs, defaults left out.

    Takes what `validate` gave; the same content, however written, gives the same bytes, save that an instant
    keeps its offset.
    """
    return _encoder.encode(campaign)


# In what follows a value is a Struct, or a shapes.Partial, of which each field may be None.


def _check_campaign(campaign: Any, found: Found) -> None:
    offerings = campaign.offerings or []
    _check_unique(offerings, "offering", (None, "offerings"), found)
    for index, offering in enumerate(offerings):
        path: Path = ((None, "offerings"), index)
        _check_pools(offering, path, found)
        _check_times(offering, path, found)
        if offering.place is not None:
            _check_place(offering.place, (path, "place"), found)
        if offering.policy is not None:
            _check_policy(offering, (path, "policy"), found)
        if (offering.party_max or 1) > 1:
            found.add((path, "party_max"), "party_not_available")
    _check_second_classes(offerings, found)
    _check_whose(campaign.unit, offerings, found)
    rules = campaign.rules
    if rules is not None and rules.votes_max is not None and not any(map(_is_poll, offerings)):
        found.add(((None, "rules"), "votes_max"), "no_poll")
    if campaign.weights is not None and not any(map(_is_drawn, offerings)):
        found.add((None, "weights"), "no_draw")
    _check_rounds(offerings, found)


def _check_whose(unit: str | None, offerings: list[Any], found: Found) -> None:
    """Headcounts of others are nobody's business: quotas are over units of the campaign's own."""
    for index, offering in enumerate(offerings):
        listed = offering.quotas.units if offering.quotas is not None else None
        for number, each in enumerate(listed or []):
            if unit and isinstance(each, str) and not within(each, unit):
                path: Path = ((((None, "offerings"), index), "quotas"), "units")
                found.add((path, number), "not_of_the_unit", unit=unit)


def _check_second_classes(offerings: list[Any], found: Found) -> None:
    """Each is of an offering that takes sign-ups itself, and has no other second class."""
    chosen = {each.offering: each.policy and each.policy.name for each in offerings if each.offering}
    places = {each.offering: each.waitlist.size_max for each in offerings if _has_places(each)}
    first_of: dict[str, int] = {}
    for index, offering in enumerate(offerings):
        choice = offering.policy
        if not choice or choice.name != second_class.POLICY.name or choice.of is None:
            continue
        choice_path: Path = (((None, "offerings"), index), "policy")
        path: Path = (choice_path, "of")
        if choice.of not in chosen:
            found.add(path, "no_such_offering", name=choice.of)
        elif chosen[choice.of] in (second_class.POLICY.name, advancement.POLICY.name):
            found.add(path, "no_second_class")
        elif choice.waiting and places.get(choice.of, choice.waiting) < choice.waiting:
            found.add((choice_path, "waiting"), "never_so_many", of=choice.of)
        elif (first := first_of.setdefault(choice.of, index)) != index:
            found.add(path, "duplicate", first=f"/offerings/{first}/policy/of")


def _has_places(offering: Any) -> bool:
    return bool(offering.offering and offering.waitlist and offering.waitlist.size_max is not None)


def _is_poll(offering: Any) -> bool:
    return bool(offering.policy and offering.policy.name == poll.POLICY.name)


def _is_drawn(offering: Any) -> bool:
    choice = offering.policy
    if not choice:
        return False
    if choice.name == poll.POLICY.name:
        return bool(choice.seats_by == "draw")
    return choice.name == ballot.POLICY.name or choice.grace_s is not None


def _check_unique(entries: list[Any], field: str, path: Path, found: Found) -> None:
    first_with: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = getattr(entry, field)
        if name is None:
            continue
        first = first_with.setdefault(name, index)
        if first != index:
            found.add(((path, index), field), "duplicate", first=pointer(((path, first), field)))


def _check_pools(offering: Any, path: Path, found: Found) -> None:
    has_quotas = shapes.is_given(offering, "quotas")
    if shapes.lacks(offering, "pools") and not has_quotas:
        found.add((path, "pools"), "missing")
    pools = offering.pools or []
    _check_unique(pools, "pool", (path, "pools"), found)
    for index, pool in enumerate(pools):
        _check_merges(pool, ((path, "pools"), index), found)
    if isinstance(offering.quotas, Quotas):
        before = found.count
        _check_quotas(offering.quotas, (path, "quotas"), found)
        is_right = found.count == before and all(isinstance(pool, Pool) for pool in pools)
        if is_right and pools and not quotas.are_made(offering.quotas, pools):
            found.add((path, "pools"), "not_of_quotas")


def _check_merges(pool: Any, path: Path, found: Found) -> None:
    """Stages follow each other, and widen the units of a pool that has some."""
    merges = pool.merges or []
    _check_ascending([merge.at for merge in merges], (path, "merges"), "at", found)
    if merges and (pool.eligible is None or shapes.lacks(pool.eligible, "units")):
        found.add((path, "merges"), "no_units_to_merge")


def _check_ascending(instants: Sequence[datetime | None], path: Path, field: str, found: Found) -> None:
    """Each is after the one before; `field` has it where the entry is an object, else it is ""."""
    for index, (earlier, later) in enumerate(itertools.pairwise(instants), 1):
        if earlier is not None and later is not None and earlier >= later:
            place: Path = (path, index)
            found.add((place, field) if field else place, "not_after_the_last")


def _check_quotas(given: Quotas, path: Path, found: Found) -> None:
    _check_ascending(given.merges, (path, "merges"), "", found)
    names: dict[str, int] = {}
    listed = {unit: index for index, unit in reversed(list(enumerate(given.units)))}
    for index, unit in enumerate(given.units):
        place: Path = ((path, "units"), index)
        around = [listed.get(above) for above in (unit, *quotas.units_above(unit))]
        other = next((each for each in around if each is not None and each != index), None)
        if other is not None:
            found.add(place, "within_another", other=pointer(((path, "units"), other)))
            continue
        name = quotas.pool_name(unit)
        if len(name) > ID_MAX:
            found.add(place, "unit_too_long", max=ID_MAX)
        first = names.setdefault(name, index)
        if first != index:
            found.add(place, "same_pool", first=pointer(((path, "units"), first)), pool=name)
    highest = max(len(quotas.units_above(unit)) for unit in given.units)
    for index in range(highest, len(given.merges)):
        found.add(((path, "merges"), index), "nothing_above")


def _check_times(offering: Any, path: Path, found: Found) -> None:
    sessions = offering.sessions or []
    for index, session in enumerate(sessions):
        _check_before(session, "starts", "ends", ((path, "sessions"), index), found)
    _check_before(offering, "opens", "closes", path, found)
    recomputed = offering.quotas and offering.quotas.recomputed
    if recomputed is not None and offering.opens is not None and recomputed >= offering.opens:
        found.add(((path, "quotas"), "recomputed"), "not_before", other="opens")
    ends: list[datetime | None] = [session.ends for session in sessions]
    known = [end for end in ends if end is not None]
    if not known or len(known) < len(ends):
        return  # The wrong one may be the last.
    for field in ("closes", "cancel_until"):
        instant = getattr(offering, field)
        if instant is not None and instant > max(known):
            found.add((path, field), "after_last_session")


def _check_before(part: Any, earlier: str, later: str, path: Path, found: Found) -> None:
    start, end = getattr(part, earlier), getattr(part, later)
    if start is not None and end is not None and start >= end:
        found.add((path, earlier), "not_before", other=later)


def _check_place(place: Any, path: Path, found: Found) -> None:
    for field, other in (("lon", "lat"), ("lat", "lon")):
        if shapes.is_given(place, other) and not shapes.is_given(place, field):
            found.add((path, field), "not_together", other=other)


def _check_policy(offering: Any, path: Path, found: Found) -> None:
    choice = offering.policy
    if choice.name is None:
        return
    if choice.name not in POLICIES:
        found.add((path, "name"), "policy_not_available", available=", ".join(POLICIES))
        return
    names = {field.name: field.encode_name for field in structs.fields(PolicyChoice)}
    for field, name in names.items():
        if field not in ("name", *POLICIES[choice.name].fields) and shapes.is_given(choice, field):
            found.add((path, name), "not_of_policy", policy=choice.name)
    for field in sorted(POLICIES[choice.name].required):
        if not shapes.is_given(choice, field):
            found.add((path, names[field]), "missing")
    if choice.name == first_come.POLICY.name:
        _check_grace(offering, path, found)
    if choice.until is not None and offering.closes and choice.until > offering.closes:
        found.add((path, "until"), "after_close")
    if choice.until is not None and offering.opens and choice.until <= offering.opens:
        found.add((path, "until"), "not_after_opening")


def _check_grace(offering: Any, path: Path, found: Found) -> None:
    grace_s, intents_open = offering.policy.grace_s, offering.policy.intents_open
    opens, closes = offering.opens, offering.closes
    if grace_s is not None and opens and closes and opens + timedelta(seconds=grace_s) > closes:
        found.add((path, "grace_s"), "grace_too_long")
    if intents_open is None:
        return
    if not shapes.is_given(offering.policy, "grace_s"):
        found.add((path, "intents_open"), "intents_without_grace")
    if opens and intents_open >= opens:
        found.add((path, "intents_open"), "not_before", other="opens")


def _check_rounds(offerings: list[Any], found: Found) -> None:
    """The ladder of a competition: every round is fed by one before it, and has room for all who may come."""
    first_from: dict[str, int] = {}
    for index, offering in enumerate(offerings):
        path: Path = ((None, "offerings"), index)
        _check_competition(offering, path, found)
        if not _is_round(offering):
            continue
        _check_round(offering, path, found)
        source = offering.policy.from_
        if source is None:
            continue
        policy: Path = (path, "policy")
        first = first_from.setdefault(source, index)
        if first != index:
            found.add((policy, "from"), "duplicate", first=f"/offerings/{first}/policy/from")
        names = [each.offering for each in offerings[:index]]
        if source not in names:
            found.add((policy, "from"), "not_an_earlier_round")
            continue
        _check_passage(offerings, names.index(source), index, found)


def _is_round(offering: Any) -> bool:
    return bool(offering.policy and offering.policy.name == advancement.POLICY.name)


def _check_competition(offering: Any, path: Path, found: Found) -> None:
    """The fields that a competition has and others have not."""
    results, medals = offering.results, offering.medals
    if (results or medals or _is_round(offering)) and offering.kind not in (None, "competition"):
        found.add((path, "kind"), "not_a_competition")
    if medals is not None:
        if not shapes.is_given(offering, "results"):
            found.add((path, "medals"), "not_together", other="results")
        if not (medals.gold or medals.silver or medals.bronze or isinstance(medals, shapes.Partial)):
            found.add((path, "medals"), "no_medal")
    if results is not None:
        ties: Path = ((path, "results"), "ties")
        _check_unique(results.ties or [], "column", ties, found)
        for index, tie in enumerate(results.ties or []):
            if tie.column in (MEMBER, SCORE):
                found.add(((ties, index), "column"), "reserved_column", name=tie.column)
            elif tie.column is not None and tie.column != tie.column.strip():
                found.add(((ties, index), "column"), "blanks_around")


def _check_round(offering: Any, path: Path, found: Found) -> None:
    """A pool of a round that is advanced to is a quota of units, and of nothing else."""
    _check_kept(offering, path, found)
    for number, pool in enumerate(offering.pools or []):
        place: Path = ((path, "pools"), number)
        if pool.codes:
            found.add((place, "codes"), "not_in_a_round")
        for field in ("industries", "tags"):
            if pool.eligible is not None and getattr(pool.eligible, field) is not None:
                found.add(((place, "eligible"), field), "units_alone")


def _check_kept(offering: Any, path: Path, found: Found) -> None:
    """The pools of a round are those that the document has, for their own units alone."""
    if shapes.is_given(offering, "quotas"):
        found.add((path, "quotas"), "not_in_a_round")
    for number, pool in enumerate(offering.pools or []):
        place: Path = ((path, "pools"), number)
        for field in ("releases", "merges"):
            if getattr(pool, field):
                found.add((place, field), "not_in_a_round")


def _check_passage(offerings: list[Any], source: int, index: int, found: Found) -> None:
    """From one round to the next: each pool leads to one, and nobody who goes on is without a place there."""
    before, offering = offerings[source], offerings[index]
    name = offering.offering or ""
    below, path = ((None, "offerings"), source), ((None, "offerings"), index)
    if not _is_round(before):
        _check_kept(before, below, found)
    if not shapes.is_given(before, "results"):
        found.add((below, "results"), "no_results_rule", round=name)
    starts = [session.starts for session in offering.sessions or []]
    ends = [session.ends for session in before.sessions or []]
    if starts and ends and None not in starts and None not in ends and min(starts) < max(ends):
        found.add((path, "sessions"), "before_the_round_before", round=before.offering)
    best, substitutes = offering.policy.best or 0, offering.policy.substitutes or 0
    quotas = [0] * len(offering.pools or [])
    names = [pool.pool for pool in offering.pools or []]
    for number, pool in enumerate(before.pools or []):
        place: Path = ((below, "pools"), number)
        above = advancement.pools_above(pool, offering.pools or [])
        if not above and names:
            found.add(place, "leads_nowhere", round=name)
        elif len(above) > 1:
            found.add(place, "leads_to_several", round=name, pools=", ".join(map(str, above)))
        elif above and above[0] in names:
            quotas[names.index(above[0])] += best
    for number, pool in enumerate(offering.pools or []):
        if pool.capacity is not None and pool.capacity < quotas[number]:
            found.add((((path, "pools"), number), "capacity"), "too_small", min=quotas[number])
    waiting, waitlist = substitutes * len(before.pools or []), offering.waitlist
    if not isinstance(waitlist, shapes.Partial) and (waitlist.size_max if waitlist else 0) < waiting:
        found.add(((path, "waitlist"), "size_max"), "too_small", min=waiting)
