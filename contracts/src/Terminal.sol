// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ITerminal} from "./interfaces/ITerminal.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @notice Who acts for whom: masters, providers and agents; and what providers publish about themselves.
contract Terminal is Ownable, ITerminal {
    bytes32 public constant PROVIDER = keccak256("PROVIDER");
    // The default scheduler agent, "The Order".
    address private constant DEFAULT_AGENT = 0x306Dc3fF30254675B209D916475094401aCC4a1E;

    address public manager;
    address public vault;

    mapping(address => address) public masterOf;
    mapping(address => address) public providerOf;
    mapping(address => bool) public isMaster;
    mapping(address => bool) public isProvider;
    /// @notice Agents that an account has named itself; the default agent is not in here.
    mapping(address => mapping(address => bool)) public isAgentOf;
    mapping(address => bool) public defaultAgentDisabled;
    mapping(address => string) public baseDataOf;
    mapping(address => string) public liveDataOf;

    // The last half that each side has announced; both are spent by pairing, so an old half never pairs again.
    mapping(address => address) private _announcedProvider;
    mapping(address => address) private _announcedMaster;

    constructor(address _manager, address _vault) Ownable(msg.sender) {
        manager = _manager;
        vault = _vault;
    }

    function setManager(address _manager) external onlyOwner {
        manager = _manager;
    }

    function setVault(address _vault) external onlyOwner {
        vault = _vault;
    }

    /// @notice The master's half of pairing; the value, in wei, becomes the provider's lockup whether or not they pair.
    function announceProvider(address provider, uint256 amount) external payable {
        require(msg.value == amount, "InsufficientPayment");
        require(provider != address(0) && provider != msg.sender, "NotProvider");
        // [L] One provider a master and one master a provider, and nobody is both; failing gives the value back.
        require(!_isPaired(msg.sender) && !_isPaired(provider), "AlreadyRegistered");

        _announcedProvider[msg.sender] = provider;
        emit ProviderAnnounced(provider, msg.sender);
        _pairIfMutual(provider, msg.sender);
        if (amount > 0) IVault(vault).deposit{value: amount}(provider);
    }

    /// @notice The provider's half of pairing; a later one replaces an earlier one.
    function announceMaster(address master) external {
        require(master != address(0) && master != msg.sender, "NotMaster");
        require(!_isPaired(msg.sender) && !_isPaired(master), "AlreadyRegistered");

        _announcedMaster[msg.sender] = master;
        emit MasterAnnounced(msg.sender, master);
        _pairIfMutual(msg.sender, master);
    }

    /// @notice Ends a pairing; the provider's lockup stays the provider's.
    function removeProvider(address provider) external {
        require(masterOf[provider] == msg.sender, "NotMaster");
        delete masterOf[provider];
        delete providerOf[msg.sender];
        delete isMaster[msg.sender];
        delete isProvider[provider];
        IAccessControl(manager).revokeRole(PROVIDER, provider);
        emit ProviderRemoved(provider);
    }

    /// @notice Tells the provider's runtime to drop a source's container; changes nothing here.
    function removeContainer(address provider, address source) external {
        require(masterOf[provider] == msg.sender, "NotMaster");
        emit RemoveContainer(provider, source);
    }

    /// @notice Lets an agent act for the sender, or no longer.
    function setAgent(address agent, bool value) external {
        require(!isProvider[msg.sender], "NotMaster");
        isAgentOf[msg.sender][agent] = value;
        emit AgentSet(msg.sender, agent, value);
    }

    function setDefaultAgentDisabled(bool value) external {
        defaultAgentDisabled[msg.sender] = value;
        emit DefaultAgentDisabled(msg.sender, value);
    }

    function setBaseData(string calldata _baseData) external {
        baseDataOf[msg.sender] = _baseData;
        emit BaseDataUpdated(msg.sender);
    }

    function setLiveData(string calldata _liveData) external {
        liveDataOf[msg.sender] = _liveData;
        emit LiveDataUpdated(msg.sender);
    }

    /// @notice Whether an agent acts for a master: named by it, or the default agent unless disabled.
    function getIsAgentOf(address master, address agent) external view returns (bool) {
        // [L] The default agent schedules providers, so it acts for paired masters only, never for mere clients.
        bool byDefault = agent == DEFAULT_AGENT && isMaster[master] && !defaultAgentDisabled[master];
        return isAgentOf[master][agent] || byDefault;
    }

    function getIsMaster(address master) external view returns (bool) {
        return isMaster[master];
    }

    function getMasterOf(address provider) external view returns (address) {
        return masterOf[provider];
    }

    function _isPaired(address account) private view returns (bool) {
        return isMaster[account] || isProvider[account];
    }

    function _pairIfMutual(address provider, address master) private {
        if (_announcedProvider[master] != provider || _announcedMaster[provider] != master) return;
        delete _announcedProvider[master];
        delete _announcedMaster[provider];
        masterOf[provider] = master;
        providerOf[master] = provider;
        isMaster[master] = true;
        isProvider[provider] = true;
        IAccessControl(manager).grantRole(PROVIDER, provider);
    }
}
