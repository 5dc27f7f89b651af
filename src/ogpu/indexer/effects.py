"""What each event does to the rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ogpu.indexer import market, people
from ogpu.indexer.happenings import Happening
from ogpu.indexer.scene import About, Scene

Effect = Callable[[Scene, Happening], About]

EFFECTS: Mapping[tuple[str, str], Effect] = {
    ("Nexus", "SourcePublished"): market.source_published,
    ("Nexus", "SourceUpdated"): market.source_updated,
    ("Nexus", "SourceStatusChanged"): market.source_status_changed,
    ("Nexus", "Registered"): market.registered,
    ("Nexus", "TaskPublished"): market.task_published,
    ("Nexus", "TaskStatusChanged"): market.task_status_changed,
    ("Nexus", "Attempted"): market.attempted,
    ("Nexus", "ResponseSubmitted"): market.response_submitted,
    ("Nexus", "ResponseStatusChanged"): market.response_status_changed,
    ("Terminal", "ProviderAnnounced"): people.provider_announced,
    ("Terminal", "MasterAnnounced"): people.master_announced,
    ("Terminal", "ProviderRemoved"): people.provider_removed,
    ("Terminal", "RemoveContainer"): people.remove_container,
    ("Terminal", "AgentSet"): people.agent_set,
    ("Terminal", "DefaultAgentDisabled"): people.default_agent_disabled,
    ("Terminal", "BaseDataUpdated"): people.data_updated,
    ("Terminal", "LiveDataUpdated"): people.data_updated,
    ("Vault", "Deposited"): people.moved,
    ("Vault", "Withdrawn"): people.moved,
    ("Vault", "Locked"): people.moved,
    ("Vault", "Unbonded"): people.moved,
    ("Vault", "UnbondingCanceled"): people.moved,
    ("Vault", "Claimed"): people.moved,
    ("Vault", "Sanctioned"): people.moved,
    ("Vault", "Waived"): people.moved,
    ("Nexus", "OwnershipTransferred"): people.owner_changed,
    ("Controller", "OwnershipTransferred"): people.owner_changed,
    ("Terminal", "OwnershipTransferred"): people.owner_changed,
    ("Manager", "RoleGranted"): people.role_changed,
    ("Manager", "RoleRevoked"): people.role_changed,
    ("Manager", "RoleAdminChanged"): people.nobody,
}
