"""`results`, `advance`, `nominations`: a competition from the command line, with the workers of `serve`."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from engine.domain import document
from tests.commands.running import Served, run, serve
from tests.ladders import following, heats, over, results
from tests.stand import campaign

ROUND: Final = ("autumn", "heats")
FIRST: Final[dict[str, Any]] = heats(pools=[{"pool": "all", "capacity": 9}])
FINAL: Final[dict[str, Any]] = following(
    pools=[{"pool": "all", "capacity": 2}], waitlist={"size_max": 1}, medals={"gold": 1}
)
PATIENCE_S: Final = 20


def apply(served: Served, file: Path, *offerings: dict[str, Any]) -> None:
    file.write_bytes(document.canonical(campaign(*offerings)))
    done = command(served, "apply", str(file))
    assert done.returncode == 0, done.stderr


def command(served: Served, name: str, *arguments: str) -> Any:
    return run(name, "--data", str(served.data), *arguments, LC_ALL="C.UTF-8")


def ask(served: Served, method: str, path: str, member: str) -> Any:
    made = run("token", "--data", str(served.data), "--sub", member)
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    request = urllib.request.Request(
        f"{served.url}/v1/campaigns/autumn{path}", headers=headers, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_round_from_its_results_to_the_medals(data_directory: Path, tmp_path: Path) -> None:
    file, published = tmp_path / "results.csv", tmp_path / "autumn.json"
    with serve(data_directory) as served:
        apply(served, published, FIRST, FINAL)
        for number in range(3):
            ask(served, "POST", "/offerings/heats/enrollments", f"m{number}")
        refused = command(served, "advance", *ROUND)
        assert (refused.returncode, refused.stderr) == (1, "autumn/heats: no results were imported\n")

        file.write_bytes(results(("m0", "x", 1), ("m7", 1, 1)))
        refused = command(served, "results", *ROUND, str(file))
        assert refused.returncode == 1
        assert refused.stderr.splitlines() == [
            f"{file}: /2/score: Must be a number.",
            f"{file}: /3/member: This member has no confirmed seat in this round.",
        ]
        file.write_bytes(results(("m0", 1, 1), ("m1", 2, 1), ("m2", 3, 1)))
        would = command(served, "results", *ROUND, str(file), "--dry-run")
        assert would.stdout.splitlines() == [
            "1\tm2\tall 1\tseat in final/all",
            "2\tm1\tall 2\tseat in final/all",
            "3\tm0\tall 3\tsubstitute in final/all",
            "autumn/heats: 3 results would be imported; 2 would go on to final, 1 substitutes",
        ]
        done = command(served, "results", *ROUND, str(file))
        assert done.stdout == "autumn/heats: 3 results imported; 2 would go on to final, 1 substitutes\n"
        refused = command(served, "advance", *ROUND)
        assert (refused.returncode, refused.stderr) == (1, "autumn/heats: its sign-up is still open\n")

        apply(served, published, over(FIRST), FINAL)
        decided = command(served, "advance", *ROUND)
        said = "autumn/heats: 2 go on to final, 1 substitutes; "
        assert decided.stdout == said + "the workers enrol them\n"
        deadline = time.monotonic() + PATIENCE_S
        while command(served, "advance", *ROUND).stdout != said + "all are enrolled\n":
            assert time.monotonic() < deadline
        (_, mine) = ask(served, "GET", "/me", "m2")["enrollments"]
        assert (mine["offering"], mine["status"]) == ("final", "confirmed")
        refused = command(served, "results", *ROUND, str(file))
        assert "do not change any more" in refused.stderr

        file.write_bytes(results(("m1", 2, 1), ("m2", 1, 1)))
        assert command(served, "results", "autumn", "final", str(file)).returncode == 0
        named = command(served, "nominations", "autumn", "final")
        assert named.stdout == "medal,place,member,pool,score,time\ngold,1,m1,all,2,1\n"
        refused = command(served, "nominations", "autumn", "heats")
        assert "there is no such round" in refused.stderr
        refused = command(served, "advance", "winter", "heats")
        assert "there is no such round" in refused.stderr
        audited = run("audit", "--data", str(served.data))
        assert audited.returncode == 0, audited.stdout
        assert served.stop() == 0
