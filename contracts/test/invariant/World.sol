// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Source} from "../../src/Source.sol";
import {Task} from "../../src/Task.sol";
import {DeliveryMethod, TaskStatus} from "../../src/interfaces/Types.sol";
import {Fixture} from "../base/Fixture.sol";
import {vm} from "../base/Vm.sol";

/// @notice The protocol with its people, and a model of it that is kept only by what each call should do.
abstract contract World is Fixture {
    struct Item {
        Task task;
        address client;
        uint256 payment;
        uint256 expiry;
        bool first;
        TaskStatus status;
    }

    address internal boss = _account("boss");
    address[] internal actors;
    address[] internal providers;
    address[] internal masters;

    // What an account may have in all: in its purse and in the Vault.
    mapping(address => uint256) internal gained;
    mapping(address => uint256) internal lost;
    mapping(address => uint256) internal sanctioned;
    mapping(address => uint256) internal earned;
    mapping(address => uint256) internal activeSources;
    uint256 public forced;

    Source[] public sources;
    Item[] public items;
    uint256[] internal open;
    uint256[] public closed;

    // The first thing that went otherwise than the model says; an assertion here would only revert the call.
    string public violation;
    mapping(bytes32 => uint256) public hits;

    receive() external payable {}

    function setUp() public override {
        super.setUp();
        manager.grantRole(bytes32(0), boss);
        providers = [provider, provider2, provider3];
        masters = [master, master2, master3];
        actors = [client, client2, clientAgent, provider, provider2, provider3, master, master2, master3];
        address[5] memory others = [masterAgent, THE_ORDER, stranger, judge, boss];
        for (uint256 i = 0; i < others.length; i++) {
            actors.push(others[i]);
        }
        for (uint256 i = 0; i < 4; i++) {
            address owner = i < 2 ? client : client2;
            _credit(owner, STAKE);
            DeliveryMethod method = i % 2 == 0 ? DeliveryMethod.MANUAL_CONFIRMATION : DeliveryMethod.FIRST_RESPONSE;
            sources.push(_publishSource(owner, method));
            activeSources[owner]++;
        }
        for (uint256 i = 0; i < 3; i++) {
            _pair(providers[i], masters[i]);
            _credit(providers[i], 20 ether);
            _stake(providers[i], 20 ether);
            for (uint256 j = 0; j < sources.length; j++) {
                vm.prank(providers[i]);
                nexus.register(address(sources[j]), providers[i], CPU);
            }
        }
        _setAgent(client, clientAgent);
        _setAgent(master, masterAgent);
    }

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    /// @notice What the model says of the i-th actor, in one call, since the invariants ask it for all of them each time.
    function expected(uint256 i) external view returns (address, uint256, uint256, uint256, uint256, uint256) {
        address account = actors[i];
        return (
            account,
            gained[account],
            lost[account],
            sanctioned[account],
            earned[account],
            activeSources[account]
        );
    }

    function openItem(uint256 i) external view returns (Task, uint256, TaskStatus) {
        Item storage item = items[open[i]];
        return (item.task, item.payment, item.status);
    }

    function openCount() external view returns (uint256) {
        return open.length;
    }

    function closedCount() external view returns (uint256) {
        return closed.length;
    }

    function parts() external view returns (address, address) {
        return (address(vault), address(nexus));
    }

    function _credit(address account, uint256 amount) internal {
        gained[account] += amount;
    }

    function _must(bool condition, string memory why) internal {
        if (!condition && bytes(violation).length == 0) violation = why;
    }

    function _try(address sender, address to, bytes memory data, uint256 value) internal returns (bool done) {
        if (value > 0) vm.deal(sender, sender.balance + value);
        vm.prank(sender);
        (done,) = to.call{value: value}(data);
        // Coin that was made for a call that failed is unmade, so a purse holds only what was paid out.
        if (!done && value > 0) vm.deal(sender, sender.balance - value);
    }

    function _try(address sender, address to, bytes memory data) internal returns (bool) {
        return _try(sender, to, data, 0);
    }

    function _hit(bytes32 name, bool done) internal {
        if (done) hits[name]++;
    }

    function _actor(uint256 seed) internal view returns (address) {
        return actors[_mix(seed, "actor") % actors.length];
    }

    /// @notice Mostly the one who may; else just anyone.
    function _caller(uint256 seed, address rightful) internal view returns (address) {
        return _mix(seed, "caller") % 5 == 0 ? _actor(_mix(seed, "other")) : rightful;
    }

    function _mix(uint256 seed, string memory use) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, use)));
    }

    /// @notice A number in [0, top].
    function _upTo(uint256 seed, uint256 top) internal pure returns (uint256) {
        return _mix(seed, "amount") % (top + 1);
    }

    function _isAgent(address account, address agent) internal view returns (bool) {
        return terminal.isAgentOf(account, agent);
    }

    function _actsForClient(address caller, address owner) internal view returns (bool) {
        return caller == owner || _isAgent(owner, caller);
    }

    function _actsForProvider(address caller, address provider_) internal view returns (bool) {
        address master_ = terminal.masterOf(provider_);
        if (caller == provider_) return true;
        if (master_ == address(0)) return false;
        bool byDefault = caller == THE_ORDER && !terminal.defaultAgentDisabled(master_);
        return caller == master_ || byDefault || _isAgent(master_, caller);
    }
}
