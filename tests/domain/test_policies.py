"""The registry of policies."""

from engine.domain.campaign import PolicyChoice
from engine.domain.policies import POLICIES


def test_the_registry() -> None:
    assert {name: policy.family for name, policy in POLICIES.items()} == {
        "first_come": "immediate",
        "ballot": "deferred",
        "poll": "deferred",
        "second_class": "immediate",
        "advancement": "deferred",
    }
    assert all(policy.name == name for name, policy in POLICIES.items())


def test_the_default_of_a_document_is_registered() -> None:
    assert PolicyChoice().name in POLICIES
