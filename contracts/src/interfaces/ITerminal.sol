// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface ITerminal {
    event ProviderAnnounced(address provider, address master);
    event MasterAnnounced(address provider, address master);
    event ProviderRemoved(address provider);
    event RemoveContainer(address provider, address source);
    event AgentSet(address account, address agent, bool value);
    event DefaultAgentDisabled(address master, bool value);
    event BaseDataUpdated(address provider);
    event LiveDataUpdated(address provider);

    function isAgentOf(address account, address agent) external view returns (bool);
    function getIsAgentOf(address master, address agent) external view returns (bool);
    function getMasterOf(address provider) external view returns (address);
}
