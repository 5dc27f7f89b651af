// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Source} from "../../src/Source.sol";
import {DeliveryMethod, SourceParams, SourceStatus} from "../../src/interfaces/Types.sol";
import {vm} from "../base/Vm.sol";
import {MoneyHandler} from "./MoneyHandler.sol";

/// @notice Pairing, agents, sources and registration.
abstract contract PeopleHandler is MoneyHandler {
    function announceProvider(uint256 seed) external {
        uint256 i = _mix(seed, "pair") % 3;
        address sender = _caller(seed, masters[i]);
        address account = _caller(_mix(seed, "account"), providers[i]);
        uint256 amount = _upTo(seed, 5 ether);
        uint256 value = _mix(seed, "value") % 6 == 0 ? amount + 1 : amount;
        bool paired = _isPaired(sender) || _isPaired(account);
        bytes memory data = abi.encodeCall(terminal.announceProvider, (account, amount));
        bool done = _try(sender, address(terminal), data, value);
        _must(done == (value == amount && account != sender && !paired), "announceProvider");
        if (done) gained[account] += amount;
        _hit("announceProvider", done);
    }

    function announceMaster(uint256 seed) external {
        uint256 i = _mix(seed, "pair") % 3;
        address sender = _caller(seed, providers[i]);
        address account = _caller(_mix(seed, "account"), masters[i]);
        bool paired = _isPaired(sender) || _isPaired(account);
        bool done = _try(sender, address(terminal), abi.encodeCall(terminal.announceMaster, (account)));
        _must(done == (account != sender && !paired), "announceMaster");
        _hit("announceMaster", done);
    }

    /// @notice Brings a removed pair together again, so that the market has its providers.
    function pairAgain(uint256 seed) external {
        uint256 i = seed % 3;
        if (_isPaired(providers[i]) || _isPaired(masters[i])) return;
        vm.prank(masters[i]);
        terminal.announceProvider(providers[i], 0);
        // An earlier half of the provider may have paired them already.
        if (!_isPaired(providers[i])) {
            vm.prank(providers[i]);
            terminal.announceMaster(masters[i]);
        }
        _must(terminal.masterOf(providers[i]) == masters[i], "pairAgain");
        _hit("pairAgain", true);
    }

    function removeProvider(uint256 seed) external {
        uint256 i = seed % 3;
        address sender = _mix(seed, "who") % 6 == 0 ? masters[i] : _actor(seed);
        bool mine = terminal.masterOf(providers[i]) == sender;
        bool done = _try(sender, address(terminal), abi.encodeCall(terminal.removeProvider, (providers[i])));
        _must(done == mine, "removeProvider");
        _hit("removeProvider", done);
    }

    function setAgent(uint256 seed) external {
        address sender = _actor(seed);
        bytes memory data = abi.encodeCall(terminal.setAgent, (_actor(_mix(seed, "agent")), seed % 2 == 0));
        if (seed % 5 == 0) {
            _must(_try(sender, address(terminal), abi.encodeCall(terminal.setDefaultAgentDisabled, (seed % 2 == 0))), "d");
        }
        bool may = !terminal.isProvider(sender);
        bool done = _try(sender, address(terminal), data);
        _must(done == may, "setAgent");
        _hit("setAgent", done);
    }

    function publishSource(uint256 seed) external {
        if (sources.length >= 30) return;
        address owner = _mix(seed, "owner") % 2 == 0 ? client : client2;
        address sender = _caller(seed, owner);
        uint256 needed = vault.MIN_LOCKUP_PER_SOURCE() * (activeSources[owner] + 1);
        bool eligible = vault.isWhitelisted(owner) || vault.lockupOf(owner) >= needed;
        bool expected = eligible && _actsForClient(sender, owner);
        SourceParams memory params = _sourceParams(owner, DeliveryMethod(seed % 2));
        bool done = _try(sender, address(nexus), abi.encodeCall(nexus.publishSource, (params)));
        _must(done == expected, "publishSource");
        if (done) {
            activeSources[owner]++;
            sources.push(Source(nexus.sources(sources.length)));
            _must(sources[sources.length - 1].getClient() == owner, "client of source");
        }
        _hit("publishSource", done);
    }

    function updateSource(uint256 seed) external {
        Source source = _source(seed);
        address owner = source.getClient();
        address sender = _caller(seed, owner);
        bool active = source.status() == SourceStatus.ACTIVE;
        bool expected = active && _actsForClient(sender, owner);
        SourceParams memory params = _sourceParams(owner, DeliveryMethod(seed % 2));
        params.minPayment = _upTo(seed, 1 ether);
        params.minAvailableLockup = _upTo(_mix(seed, "lockup"), 14 ether);
        bool done = _try(sender, address(nexus), abi.encodeCall(nexus.updateSource, (address(source), params)));
        _must(done == expected, "updateSource");
        _hit("updateSource", done);
    }

    function inactivateSource(uint256 seed) external {
        Source source = _source(seed);
        address sender = _caller(seed, source.getClient());
        // The first ones are tried by a stranger only: without sources there is no market.
        for (uint256 i = 0; i < 4; i++) {
            if (address(source) == address(sources[i])) sender = stranger;
        }
        bool active = source.status() == SourceStatus.ACTIVE;
        bool expected = active && _actsForClient(sender, source.getClient());
        bool done = _try(sender, address(nexus), abi.encodeCall(nexus.inactivateSource, (address(source))));
        _must(done == expected, "inactivateSource");
        if (done) activeSources[source.getClient()]--;
        _hit("inactivateSource", done);
    }

    function register(uint256 seed) external {
        Source source = _source(seed);
        address account = providers[_mix(seed, "provider") % 3];
        address sender = _caller(seed, account);
        if (_mix(seed, "fund") % 2 == 0) {
            gained[account] += 14 ether;
            _stake(account, 14 ether);
        }
        SourceParams memory params = source.getSourceParams();
        uint256 lockup = vault.lockupOf(account);
        bool staked = lockup >= params.minAvailableLockup && lockup >= vault.MIN_LOCKUP_PER_SOURCE();
        bool fresh = source.registrantId(account) == 0 && source.status() == SourceStatus.ACTIVE;
        bool expected = fresh && staked && terminal.isProvider(account) && _actsForProvider(sender, account);
        bytes memory data = abi.encodeCall(nexus.register, (address(source), account, CPU));
        bool done = _try(sender, address(nexus), data);
        _must(done == expected, "register");
        _hit("register", done);
    }

    function unregister(uint256 seed) external {
        Source source = _source(seed);
        address account = providers[_mix(seed, "provider") % 3];
        address sender = _mix(seed, "who") % 8 == 0 ? account : _actor(seed);
        bool expected = source.registrantId(account) != 0 && _actsForProvider(sender, account);
        bool done = _try(sender, address(nexus), abi.encodeCall(nexus.unregister, (address(source), account)));
        _must(done == expected, "unregister");
        _hit("unregister", done);
    }

    function _source(uint256 seed) internal view returns (Source) {
        uint256 count = _mix(seed, "few") % 4 == 0 ? sources.length : 4;
        return sources[_mix(seed, "source") % count];
    }

    function _isPaired(address account) private view returns (bool) {
        return terminal.isProvider(account) || terminal.isMaster(account);
    }
}
