// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Source} from "../src/Source.sol";
import {INexus} from "../src/interfaces/INexus.sol";
import {DeliveryMethod, SourceParams, SourceStatus} from "../src/interfaces/Types.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

/// @notice publishSource, updateSource, inactivateSource, register, unregister, and the getters of a Source.
contract SourcesTest is Fixture {
    function _manual(address client_) private pure returns (SourceParams memory) {
        return _sourceParams(client_, DeliveryMethod.MANUAL_CONFIRMATION);
    }

    function _assertParams(Source source, SourceParams memory expected) private view {
        vm.assertEq(abi.encode(source.getSourceParams()), abi.encode(expected));
    }

    // publishSource

    function test_PublishSourceByTheClient() public {
        _stake(client, STAKE);
        address expected = _nextFromNexus();
        vm.expectEmit(address(nexus));
        emit INexus.SourcePublished(expected);
        vm.prank(client);
        nexus.publishSource(_manual(client));

        Source source = Source(expected);
        vm.assertEq(source.owner(), client);
        vm.assertEq(source.getClient(), client);
        vm.assertEq(source.nexus(), address(nexus));
        vm.assertEq(uint256(source.getStatus()), uint256(SourceStatus.ACTIVE));
        SourceParams memory params = _manual(client);
        params.lastUpdateTime = START;
        _assertParams(source, params);
        vm.assertEq(nexus.activeSourceCountOf(client), 1);
        vm.assertEq(nexus.getActiveSourceCount(client), 1);
        vm.assertEq(nexus.getSourceCount(), 1);
        vm.assertEq(nexus.getSourceId(expected), 1);
        vm.assertEq(nexus.sourceId(expected), 1);
        vm.assertEq(nexus.sources(0), expected);
        vm.assertEq(nexus.sourcesOf(client, 0), expected);
        vm.assertEq(nexus.clients(0), client);
    }

    function test_PublicGetterOfParamsHasEveryField() public {
        Source source = _publishSource(client, DeliveryMethod.FIRST_RESPONSE);
        (bool done, bytes memory data) = address(source).staticcall(abi.encodeCall(source.sourceParams, ()));
        vm.assertTrue(done);
        SourceParams memory params = _sourceParams(client, DeliveryMethod.FIRST_RESPONSE);
        params.lastUpdateTime = START;
        // A struct is encoded behind an offset; the fields after it are the same.
        vm.assertEq(bytes.concat(abi.encode(32), data), abi.encode(params));
    }

    function test_PublishSourceByTheClientsAgent() public {
        _setAgent(client, clientAgent);
        _stake(client, STAKE);
        vm.prank(clientAgent);
        nexus.publishSource(_manual(client));
        vm.assertEq(Source(nexus.sources(0)).owner(), client);
        vm.assertEq(nexus.activeSourceCountOf(clientAgent), 0);
    }

    function test_PublishSourceByAnyoneElseReverts() public {
        _setAgent(client2, stranger);
        _stake(client, STAKE);
        address[3] memory others = [stranger, client2, THE_ORDER];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            nexus.publishSource(_manual(client));
        }
    }

    function test_PublishSourceByARevokedAgentReverts() public {
        _setAgent(client, clientAgent);
        vm.prank(client);
        terminal.setAgent(clientAgent, false);
        _stake(client, STAKE);
        vm.expectRevert("NotClient");
        vm.prank(clientAgent);
        nexus.publishSource(_manual(client));
    }

    function test_DefaultAgentNeverActsForAMasterAsAClient() public {
        _pair(provider, master);
        _stake(master, STAKE);
        vm.expectRevert("NotClient");
        vm.prank(THE_ORDER);
        nexus.publishSource(_manual(master));
    }

    function test_PublishSourceNeedsStakeForThisOneToo() public {
        _stake(client, 2 * STAKE - 1);
        vm.startPrank(client);
        nexus.publishSource(_manual(client));
        vm.expectRevert("NotEligible");
        nexus.publishSource(_manual(client));
        vm.stopPrank();
        vm.assertEq(nexus.activeSourceCountOf(client), 1);
        vm.assertEq(nexus.getSourceCount(), 1);
        _stake(client, 1);
        vm.prank(client);
        nexus.publishSource(_manual(client));
        vm.assertEq(nexus.activeSourceCountOf(client), 2);
    }

    function test_PublishSourceOfAWhitelistedClientNeedsNoStake() public {
        vault.setWhitelist(client, true);
        vm.prank(client);
        nexus.publishSource(_manual(client));
        vm.assertEq(nexus.getSourceCount(), 1);
    }

    function test_PublishSourceWithSanctionedStakeReverts() public {
        _stake(client, STAKE);
        vm.prank(judge);
        vault.sanction(client, 1);
        vm.expectRevert("NotEligible");
        vm.prank(client);
        nexus.publishSource(_manual(client));
    }

    function test_PublishSourceWithoutOrWithUnknownEnvironmentReverts() public {
        _stake(client, STAKE);
        SourceParams memory params = _manual(client);
        uint8[3] memory wrong = [0, 8, 255];
        for (uint256 i = 0; i < wrong.length; i++) {
            params.imageEnvironments = wrong[i];
            vm.expectRevert("InvalidEnvironment");
            vm.prank(client);
            nexus.publishSource(params);
        }
    }

    function test_ClientsAreListedOnceAndSourcesInOrder() public {
        Source a = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        Source b = _publishSource(client2, DeliveryMethod.MANUAL_CONFIRMATION);
        Source c = _publishSource(client, DeliveryMethod.FIRST_RESPONSE);
        vm.assertEq(nexus.clients(0), client);
        vm.assertEq(nexus.clients(1), client2);
        vm.expectRevert();
        nexus.clients(2);
        vm.assertEq(nexus.sourcesOf(client, 1), address(c));
        vm.assertEq(nexus.sourcesOf(client2, 0), address(b));
        vm.assertEq(nexus.getSourceId(address(c)), 3);
        address[] memory all = nexus.getSources(0, 2);
        vm.assertEq(all.length, 3);
        vm.assertEq(all[0], address(a));
        vm.assertEq(all[1], address(b));
        vm.assertEq(all[2], address(c));
    }

    // updateSource

    function test_UpdateSourceReplacesAndStamps() public {
        _setAgent(client, clientAgent);
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        SourceParams memory params = _sourceParams(client, DeliveryMethod.FIRST_RESPONSE);
        params.imageMetadataUrl = "other";
        params.imageEnvironments = AMD;
        params.minPayment = 7;
        address[2] memory callers = [client, clientAgent];
        for (uint256 i = 0; i < callers.length; i++) {
            vm.warp(START + 100 + i);
            SourceParams memory stamped = _sourceParams(client, DeliveryMethod.FIRST_RESPONSE);
            stamped.imageMetadataUrl = "other";
            stamped.imageEnvironments = AMD;
            stamped.minPayment = 7;
            stamped.lastUpdateTime = START + 100 + i;
            vm.expectEmit(address(nexus));
            emit INexus.SourceUpdated(address(source), stamped);
            vm.prank(callers[i]);
            nexus.updateSource(address(source), params);
            _assertParams(source, stamped);
        }
    }

    function test_UpdateSourceByAnyoneElseReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        address[3] memory others = [stranger, client2, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            nexus.updateSource(address(source), _manual(others[i]));
        }
    }

    function test_UpdateSourceToAnotherClientReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.expectRevert("NotClient");
        vm.prank(client);
        nexus.updateSource(address(source), _manual(client2));
    }

    function test_UpdateSourceThatIsInactiveReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.startPrank(client);
        nexus.inactivateSource(address(source));
        vm.expectRevert("SourceInactive");
        nexus.updateSource(address(source), _manual(client));
        vm.stopPrank();
    }

    function test_UpdateSourceWithoutEnvironmentReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        SourceParams memory params = _manual(client);
        params.imageEnvironments = 0;
        vm.expectRevert("InvalidEnvironment");
        vm.prank(client);
        nexus.updateSource(address(source), params);
    }

    function test_OwnershipOfASourceMovesNothing() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.prank(client);
        source.transferOwnership(client2);
        vm.expectRevert("NotClient");
        vm.prank(client2);
        nexus.inactivateSource(address(source));
        vm.prank(client);
        nexus.inactivateSource(address(source));
        vm.assertEq(nexus.activeSourceCountOf(client), 0);
    }

    // inactivateSource

    function test_InactivateSourceIsForGood() public {
        _setAgent(client, clientAgent);
        Source a = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        Source b = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.expectEmit(address(nexus));
        emit INexus.SourceStatusChanged(address(a), SourceStatus.INACTIVE);
        vm.prank(client);
        nexus.inactivateSource(address(a));
        vm.assertEq(uint256(a.getStatus()), uint256(SourceStatus.INACTIVE));
        vm.assertEq(uint256(a.status()), uint256(SourceStatus.INACTIVE));
        vm.assertEq(nexus.activeSourceCountOf(client), 1);
        vm.prank(clientAgent);
        nexus.inactivateSource(address(b));
        vm.assertEq(nexus.activeSourceCountOf(client), 0);
        vm.expectRevert("SourceInactive");
        vm.prank(client);
        nexus.inactivateSource(address(a));
        vm.assertEq(nexus.activeSourceCountOf(client), 0);
    }

    function test_InactivateSourceByAnyoneElseReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        address[3] memory others = [stranger, client2, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            nexus.inactivateSource(address(source));
        }
    }

    function test_UnknownSourceIsRefusedEverywhere() public {
        // It is a real Source, but this Nexus has not deployed it.
        Source forged = new Source(_manual(client));
        _pair(provider, master);
        _stake(provider, 12 ether);
        vm.startPrank(client);
        vm.expectRevert("SourceInactive");
        nexus.inactivateSource(address(forged));
        vm.expectRevert("SourceInactive");
        nexus.updateSource(address(forged), _manual(client));
        vm.expectRevert("SourceInactive");
        controller.publishTask(_taskParams(forged));
        vm.stopPrank();
        vm.startPrank(provider);
        vm.expectRevert("SourceInactive");
        nexus.register(address(forged), provider, CPU);
        vm.expectRevert("SourceInactive");
        nexus.unregister(address(forged), provider);
        vm.stopPrank();
    }

    // register

    function _ready() private returns (Source source) {
        source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _pair(provider, master);
        _stake(provider, 12 ether);
    }

    function test_RegisterByProviderMasterAgentAndDefaultAgent() public {
        Source source = _ready();
        _setAgent(master, masterAgent);
        address[4] memory callers = [provider, master, masterAgent, THE_ORDER];
        for (uint256 i = 0; i < callers.length; i++) {
            vm.expectEmit(address(nexus));
            emit INexus.Registered(provider, i + 1, address(source), NVIDIA);
            vm.prank(callers[i]);
            nexus.register(address(source), provider, NVIDIA);
            vm.assertEq(source.registrantId(provider), i + 1);
            vm.assertEq(source.getRegistrantId(provider), i + 1);
            vm.assertEq(source.registrants(i), provider);
            vm.assertEq(source.preferredEnvironmentOf(provider), NVIDIA);
            vm.assertEq(source.getRegistrantCount(), i + 1);
            vm.prank(callers[i]);
            nexus.unregister(address(source), provider);
            vm.assertEq(source.registrantId(provider), 0);
            vm.assertEq(source.preferredEnvironmentOf(provider), 0);
        }
    }

    function test_RegisterByAnyoneElseReverts() public {
        Source source = _ready();
        _pair(provider2, master2);
        _setAgent(client, clientAgent);
        address[6] memory others = [stranger, client, clientAgent, provider2, master2, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotAgent");
            vm.prank(others[i]);
            nexus.register(address(source), provider, CPU);
        }
    }

    function test_RegisterByARevokedOrDisabledAgentReverts() public {
        Source source = _ready();
        _setAgent(master, masterAgent);
        vm.startPrank(master);
        terminal.setAgent(masterAgent, false);
        terminal.setDefaultAgentDisabled(true);
        vm.stopPrank();
        vm.expectRevert("NotAgent");
        vm.prank(masterAgent);
        nexus.register(address(source), provider, CPU);
        vm.expectRevert("NotAgent");
        vm.prank(THE_ORDER);
        nexus.register(address(source), provider, CPU);
    }

    function test_RegisterUnpairedReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _stake(provider, 12 ether);
        vm.prank(master);
        terminal.announceProvider(provider, 0);
        vm.expectRevert("NotProvider");
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
        vm.expectRevert("NotAgent");
        vm.prank(master);
        nexus.register(address(source), provider, CPU);
    }

    function test_RegisterTwiceReverts() public {
        Source source = _ready();
        vm.startPrank(provider);
        nexus.register(address(source), provider, CPU);
        vm.expectRevert("AlreadyRegistered");
        nexus.register(address(source), provider, NVIDIA);
        vm.stopPrank();
    }

    function test_RegisterWithInactiveSourceReverts() public {
        Source source = _ready();
        vm.prank(client);
        nexus.inactivateSource(address(source));
        vm.expectRevert("SourceInactive");
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
    }

    function testFuzz_RegisterTakesExactlyOneOfferedBit(uint8 offered, uint8 environment) public {
        offered = offered % 7 + 1;
        Source source = _ready();
        SourceParams memory params = _manual(client);
        params.imageEnvironments = offered;
        vm.prank(client);
        nexus.updateSource(address(source), params);
        bool oneBit = environment == CPU || environment == NVIDIA || environment == AMD;
        bool allowed = oneBit && (environment & offered) != 0;
        if (!allowed) vm.expectRevert("InvalidEnvironment");
        vm.prank(provider);
        nexus.register(address(source), provider, environment);
        vm.assertEq(source.registrantId(provider), allowed ? 1 : 0);
    }

    function testFuzz_RegisterNeedsTheGreaterFloorInFreeLockup(
        uint64 stake,
        uint64 sanctioned,
        uint64 floor,
        uint64 ofSource
    ) public {
        sanctioned = sanctioned % (stake / 2 + 1);
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        SourceParams memory params = _manual(client);
        params.minAvailableLockup = ofSource;
        vm.prank(client);
        nexus.updateSource(address(source), params);
        vault.setMinLockupPerSource(floor);
        vault.setWhitelist(provider, true);
        _pair(provider, master);
        _stake(provider, stake);
        vm.prank(judge);
        vault.sanction(provider, sanctioned);
        uint256 free = stake - sanctioned;
        bool allowed = free >= floor && free >= ofSource;
        if (!allowed) vm.expectRevert("InsufficientLockup");
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
        vm.assertEq(source.registrantId(provider), allowed ? 1 : 0);
    }

    function test_RegisterNeedsTheSourcesOwnFloor() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _pair(provider, master);
        _stake(provider, 12 ether - 1);
        vm.expectRevert("InsufficientLockup");
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
        _stake(provider, 1);
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
    }

    function test_RegistrationStaysWhenItsEnvironmentIsDropped() public {
        Source source = _ready();
        vm.prank(provider);
        nexus.register(address(source), provider, NVIDIA);
        SourceParams memory params = _manual(client);
        params.imageEnvironments = CPU;
        vm.prank(client);
        nexus.updateSource(address(source), params);
        vm.assertEq(source.preferredEnvironmentOf(provider), NVIDIA);
        vm.assertEq(source.registrantId(provider), 1);
    }

    // unregister

    function test_UnregisterLeavesAHoleAndNoOtherIdChanges() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _enlist(source, provider, master);
        _enlist(source, provider2, master2);
        vm.prank(provider);
        nexus.unregister(address(source), provider);
        address[] memory list = source.getRegistrants(0, 1);
        vm.assertEq(list[0], address(0));
        vm.assertEq(list[1], provider2);
        vm.assertEq(source.registrantId(provider2), 2);
        vm.assertEq(source.getRegistrantCount(), 2);
        vm.prank(provider);
        nexus.register(address(source), provider, CPU);
        vm.assertEq(source.registrantId(provider), 3);
    }

    function test_UnregisterWhatIsNotRegisteredReverts() public {
        Source source = _ready();
        vm.expectRevert("NotRegistered");
        vm.prank(provider);
        nexus.unregister(address(source), provider);
    }

    function test_UnregisterByAnyoneElseReverts() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _enlist(source, provider, master);
        address[4] memory others = [stranger, client, master2, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotAgent");
            vm.prank(others[i]);
            nexus.unregister(address(source), provider);
        }
    }

    function test_RemovedProviderMayStillUnregisterFromAnInactiveSource() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _enlist(source, provider, master);
        vm.prank(client);
        nexus.inactivateSource(address(source));
        vm.prank(master);
        terminal.removeProvider(provider);
        vm.expectRevert("NotAgent");
        vm.prank(master);
        nexus.unregister(address(source), provider);
        vm.prank(provider);
        nexus.unregister(address(source), provider);
        vm.assertEq(source.registrantId(provider), 0);
    }

    // A Source obeys its Nexus only

    function test_SourceObeysNexusOnly() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        bytes[] memory calls = new bytes[](5);
        calls[0] = abi.encodeCall(source.setSourceParams, (_manual(client)));
        calls[1] = abi.encodeCall(source.setStatus, (SourceStatus.INACTIVE));
        calls[2] = abi.encodeCall(source.register, (provider, CPU));
        calls[3] = abi.encodeCall(source.unregister, (provider));
        calls[4] = abi.encodeCall(source.publishTask, (address(9)));
        address[4] memory callers = [client, stranger, admin, address(controller)];
        for (uint256 i = 0; i < calls.length; i++) {
            for (uint256 j = 0; j < callers.length; j++) {
                vm.prank(callers[j]);
                (bool done, bytes memory data) = address(source).call(calls[i]);
                vm.assertFalse(done);
                vm.assertEq(data, abi.encodeWithSignature("Error(string)", "NotOwner"));
            }
        }
    }

    function test_SetSourceStatusIsForControllersAndKeepsTheCount() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.expectRevert("NotOwner");
        vm.prank(client);
        nexus.setSourceStatus(address(source), SourceStatus.INACTIVE);
        vm.startPrank(address(controller));
        vm.expectRevert("InvalidStatus");
        nexus.setSourceStatus(address(source), SourceStatus.ACTIVE);
        vm.expectRevert("SourceInactive");
        nexus.setSourceStatus(address(9), SourceStatus.INACTIVE);
        vm.expectEmit(address(nexus));
        emit INexus.SourceStatusChanged(address(source), SourceStatus.INACTIVE);
        nexus.setSourceStatus(address(source), SourceStatus.INACTIVE);
        vm.assertEq(nexus.activeSourceCountOf(client), 0);
        vm.expectRevert("SourceInactive");
        nexus.setSourceStatus(address(source), SourceStatus.ACTIVE);
        vm.stopPrank();
    }

    // Setters of Nexus

    function test_NexusSettersAreForTheOwner() public {
        nexus.setManager(address(1));
        nexus.setTerminal(address(2));
        nexus.setVault(address(3));
        vm.assertEq(nexus.manager(), address(1));
        vm.assertEq(nexus.terminal(), address(2));
        vm.assertEq(nexus.vault(), address(3));
        vm.startPrank(stranger);
        vm.expectRevert(_notOwner(stranger));
        nexus.setManager(stranger);
        vm.expectRevert(_notOwner(stranger));
        nexus.setTerminal(stranger);
        vm.expectRevert(_notOwner(stranger));
        nexus.setVault(stranger);
        vm.stopPrank();
    }
}
