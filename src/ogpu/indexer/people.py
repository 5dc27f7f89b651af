"""What Terminal's, Vault's and Manager's events do to providers, masters and agents. Pure."""

from __future__ import annotations

from ogpu.indexer.happenings import Happening, present
from ogpu.indexer.scene import About, Scene, happened, master_row, provider_row

DATA_COLUMNS = {"BaseDataUpdated": "base_data", "LiveDataUpdated": "live_data"}


def provider_announced(scene: Scene, happening: Happening) -> About:
    master = master_row(scene, happening.master, happening)
    master["announced_provider"] = happening.provider
    _pair_if_mutual(scene, happening)
    return About(account=happening.master, other=happening.provider)


def master_announced(scene: Scene, happening: Happening) -> About:
    provider = provider_row(scene, happening.provider, happening)
    provider["announced_master"] = happening.master
    _pair_if_mutual(scene, happening)
    return About(account=happening.provider, other=happening.master)


def _pair_if_mutual(scene: Scene, happening: Happening) -> None:
    provider = scene.rows.find("providers", happening.provider)
    master = scene.rows.find("masters", happening.master)
    if provider is None or master is None or provider["announced_master"] != happening.master:
        return
    if master["announced_provider"] == happening.provider:
        provider_row(scene, happening.provider, happening).update(
            master=happening.master, announced_master=None
        )
        master_row(scene, happening.master, happening).update(
            provider=happening.provider, announced_provider=None
        )


def provider_removed(scene: Scene, happening: Happening) -> About:
    provider = scene.rows.edit("providers", happening.provider)
    if provider is None:
        return About(account=happening.provider)
    master = provider["master"]
    provider["master"] = None
    if master is not None and (row := scene.rows.edit("masters", master)) is not None:
        row["provider"] = None
    return About(account=happening.provider, other=master)


def remove_container(scene: Scene, happening: Happening) -> About:
    provider = scene.rows.find("providers", happening.provider)
    master = provider["master"] if provider is not None else None
    return About(source=happening.source, account=happening.provider, other=master)


def agent_set(scene: Scene, happening: Happening) -> About:
    row = {"account": happening.account, "agent": happening.agent, "active": happening.value}
    scene.rows.put("agents", {**row, **happened("set", happening)})
    return About(account=happening.account, other=happening.agent)


def default_agent_disabled(scene: Scene, happening: Happening) -> About:
    master_row(scene, happening.master, happening)["default_agent_disabled"] = happening.value
    return About(account=happening.master)


def data_updated(scene: Scene, happening: Happening) -> About:
    said = scene.facts.data[happening.kind, happening.provider, happening.block]
    provider_row(scene, happening.provider, happening)[DATA_COLUMNS[happening.kind]] = said
    return About(account=happening.provider)


def owner_changed(scene: Scene, happening: Happening) -> About:
    return About(account=present(happening.new_owner), other=present(happening.previous_owner))


def role_changed(scene: Scene, happening: Happening) -> About:
    return About(account=happening.account, other=happening.sender)


def nobody(scene: Scene, happening: Happening) -> About:
    return About()


def moved(scene: Scene, happening: Happening) -> About:
    return About(account=happening.account)
