// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ITerminal} from "../src/interfaces/ITerminal.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

contract TerminalTest is Fixture {
    function _assertPaired(address provider_, address master_, bool paired) private view {
        vm.assertEq(terminal.masterOf(provider_), paired ? master_ : address(0));
        vm.assertEq(terminal.getMasterOf(provider_), paired ? master_ : address(0));
        vm.assertEq(terminal.providerOf(master_), paired ? provider_ : address(0));
        vm.assertTrue(terminal.isMaster(master_) == paired, "isMaster");
        vm.assertTrue(terminal.getIsMaster(master_) == paired, "getIsMaster");
        vm.assertTrue(terminal.isProvider(provider_) == paired, "isProvider");
        vm.assertTrue(manager.hasRole(manager.PROVIDER(), provider_) == paired, "role");
    }

    // Pairing

    function test_AnnounceProviderLocksTheValueForTheProvider() public {
        vm.deal(master, 5 ether);
        vm.expectEmit(address(terminal));
        emit ITerminal.ProviderAnnounced(provider, master);
        vm.expectEmit(address(vault));
        emit IVault.Deposited(provider, 5 ether);
        vm.expectEmit(address(vault));
        emit IVault.Locked(provider, 5 ether);
        vm.prank(master);
        terminal.announceProvider{value: 5 ether}(provider, 5 ether);
        _assertFunds(provider, 0, 5 ether, 0);
        _assertFunds(master, 0, 0, 0);
        vm.assertEq(address(terminal).balance, 0);
        _assertPaired(provider, master, false);
    }

    function test_AnnounceProviderWithAnotherValueReverts() public {
        vm.deal(master, 5 ether);
        vm.expectRevert("InsufficientPayment");
        vm.prank(master);
        terminal.announceProvider{value: 5 ether}(provider, 5 ether - 1);
        vm.expectRevert("InsufficientPayment");
        vm.prank(master);
        terminal.announceProvider{value: 5 ether - 1}(provider, 5 ether);
    }

    function test_AnnounceMasterAloneDoesNotPair() public {
        vm.expectEmit(address(terminal));
        emit ITerminal.MasterAnnounced(provider, master);
        vm.prank(provider);
        terminal.announceMaster(master);
        _assertPaired(provider, master, false);
    }

    function test_BothHalvesPairMasterFirst() public {
        vm.prank(master);
        terminal.announceProvider(provider, 0);
        vm.prank(provider);
        terminal.announceMaster(master);
        _assertPaired(provider, master, true);
    }

    function test_BothHalvesPairProviderFirst() public {
        vm.prank(provider);
        terminal.announceMaster(master);
        vm.deal(master, 1 ether);
        vm.prank(master);
        terminal.announceProvider{value: 1 ether}(provider, 1 ether);
        _assertPaired(provider, master, true);
        _assertFunds(provider, 0, 1 ether, 0);
    }

    function test_OnlyTheLastAnnouncedMasterPairs() public {
        vm.startPrank(provider);
        terminal.announceMaster(master);
        terminal.announceMaster(master2);
        vm.stopPrank();
        vm.prank(master);
        terminal.announceProvider(provider, 0);
        _assertPaired(provider, master, false);
        vm.prank(master2);
        terminal.announceProvider(provider, 0);
        _assertPaired(provider, master2, true);
        vm.assertFalse(terminal.isMaster(master));
    }

    function test_OnlyTheLastAnnouncedProviderPairs() public {
        vm.startPrank(master);
        terminal.announceProvider(provider, 0);
        terminal.announceProvider(provider2, 0);
        vm.stopPrank();
        vm.prank(provider);
        terminal.announceMaster(master);
        _assertPaired(provider, master, false);
        vm.prank(provider2);
        terminal.announceMaster(master);
        _assertPaired(provider2, master, true);
    }

    function test_AnnouncingAPairedProviderGivesTheCoinBack() public {
        _pair(provider, master);
        vm.deal(master, 5 ether);
        vm.deal(master2, 5 ether);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(master2);
        terminal.announceProvider{value: 5 ether}(provider, 5 ether);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(master);
        terminal.announceProvider{value: 5 ether}(provider, 5 ether);
        vm.assertEq(master.balance, 5 ether);
        vm.assertEq(master2.balance, 5 ether);
        _assertFunds(provider, 0, 0, 0);
    }

    function test_PairedMasterCannotTakeASecondProvider() public {
        _pair(provider, master);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(master);
        terminal.announceProvider(provider2, 0);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(provider2);
        terminal.announceMaster(master);
    }

    function test_PairedProviderCannotAnnounceAnotherMaster() public {
        _pair(provider, master);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(provider);
        terminal.announceMaster(master2);
    }

    function test_NobodyIsBothMasterAndProvider() public {
        _pair(provider, master);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(provider);
        terminal.announceProvider(provider2, 0);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(master);
        terminal.announceMaster(master2);
        vm.expectRevert("AlreadyRegistered");
        vm.prank(master2);
        terminal.announceProvider(master, 0);
    }

    function test_NobodyAndOneselfCannotBeAnnounced() public {
        vm.startPrank(provider);
        vm.expectRevert("NotMaster");
        terminal.announceMaster(provider);
        vm.expectRevert("NotMaster");
        terminal.announceMaster(address(0));
        vm.expectRevert("NotProvider");
        terminal.announceProvider(provider, 0);
        vm.expectRevert("NotProvider");
        terminal.announceProvider(address(0), 0);
        vm.stopPrank();
    }

    // Removal and pairing again

    function test_RemoveProviderEndsThePairing() public {
        _pair(provider, master);
        _stake(provider, 3 ether);
        vm.expectEmit(address(terminal));
        emit ITerminal.ProviderRemoved(provider);
        vm.prank(master);
        terminal.removeProvider(provider);
        _assertPaired(provider, master, false);
        _assertFunds(provider, 0, 3 ether, 0);
    }

    function test_RemoveProviderIsForItsMasterOnly() public {
        _pair(provider, master);
        _pair(provider2, master2);
        _setAgent(master, masterAgent);
        address[5] memory others = [provider, master2, masterAgent, stranger, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotMaster");
            vm.prank(others[i]);
            terminal.removeProvider(provider);
        }
        vm.expectRevert("NotMaster");
        vm.prank(master);
        terminal.removeProvider(provider2);
    }

    function test_AfterRemovalBothHalvesAreNeededAgain() public {
        _pair(provider, master);
        vm.prank(master);
        terminal.removeProvider(provider);
        vm.prank(provider);
        terminal.announceMaster(master);
        _assertPaired(provider, master, false);
        vm.prank(master);
        terminal.announceProvider(provider, 0);
        _assertPaired(provider, master, true);
    }

    function test_ProviderMayMoveToAnotherMaster() public {
        _pair(provider, master);
        vm.prank(master);
        terminal.removeProvider(provider);
        _pair(provider, master2);
        _assertPaired(provider, master2, true);
        vm.assertFalse(terminal.isMaster(master));
        vm.assertEq(terminal.providerOf(master), address(0));
    }

    function test_RemoveContainerIsASignalOfTheMaster() public {
        _pair(provider, master);
        vm.expectEmit(address(terminal));
        emit ITerminal.RemoveContainer(provider, address(7));
        vm.prank(master);
        terminal.removeContainer(provider, address(7));
        _assertPaired(provider, master, true);
        vm.expectRevert("NotMaster");
        vm.prank(provider);
        terminal.removeContainer(provider, address(7));
        vm.expectRevert("NotMaster");
        vm.prank(stranger);
        terminal.removeContainer(provider, address(7));
    }

    // Agents

    function test_SetAgentNamesAndRevokes() public {
        vm.expectEmit(address(terminal));
        emit ITerminal.AgentSet(client, clientAgent, true);
        vm.prank(client);
        terminal.setAgent(clientAgent, true);
        vm.assertTrue(terminal.isAgentOf(client, clientAgent));
        vm.assertTrue(terminal.getIsAgentOf(client, clientAgent));
        vm.expectEmit(address(terminal));
        emit ITerminal.AgentSet(client, clientAgent, false);
        vm.prank(client);
        terminal.setAgent(clientAgent, false);
        vm.assertFalse(terminal.isAgentOf(client, clientAgent));
        vm.assertFalse(terminal.getIsAgentOf(client, clientAgent));
    }

    function test_PairedProviderCannotNameAgents() public {
        _pair(provider, master);
        vm.expectRevert("NotMaster");
        vm.prank(provider);
        terminal.setAgent(stranger, true);
    }

    function test_DefaultAgentActsForMastersUnlessDisabled() public {
        vm.assertFalse(terminal.getIsAgentOf(master, THE_ORDER));
        _pair(provider, master);
        vm.assertTrue(terminal.getIsAgentOf(master, THE_ORDER));
        vm.assertFalse(terminal.isAgentOf(master, THE_ORDER));
        vm.expectEmit(address(terminal));
        emit ITerminal.DefaultAgentDisabled(master, true);
        vm.prank(master);
        terminal.setDefaultAgentDisabled(true);
        vm.assertTrue(terminal.defaultAgentDisabled(master));
        vm.assertFalse(terminal.getIsAgentOf(master, THE_ORDER));
        _setAgent(master, THE_ORDER);
        vm.assertTrue(terminal.getIsAgentOf(master, THE_ORDER));
        vm.prank(master);
        terminal.setDefaultAgentDisabled(false);
        vm.assertFalse(terminal.defaultAgentDisabled(master));
    }

    function test_DefaultAgentIsNobodysAgentWithoutAPairing() public view {
        vm.assertFalse(terminal.getIsAgentOf(client, THE_ORDER));
        vm.assertFalse(terminal.getIsAgentOf(address(0), THE_ORDER));
    }

    // Data

    function test_BaseAndLiveDataAreTheSendersOwn() public {
        vm.startPrank(provider);
        vm.expectEmit(address(terminal));
        emit ITerminal.BaseDataUpdated(provider);
        terminal.setBaseData("base");
        vm.expectEmit(address(terminal));
        emit ITerminal.LiveDataUpdated(provider);
        terminal.setLiveData("live");
        vm.stopPrank();
        vm.assertEq(terminal.baseDataOf(provider), "base");
        vm.assertEq(terminal.liveDataOf(provider), "live");
        vm.assertEq(terminal.baseDataOf(master), "");
    }

    // Setters

    function test_SettersAreForTheOwner() public {
        terminal.setManager(stranger);
        vm.assertEq(terminal.manager(), stranger);
        terminal.setVault(client);
        vm.assertEq(terminal.vault(), client);
        vm.startPrank(stranger);
        vm.expectRevert(_notOwner(stranger));
        terminal.setManager(stranger);
        vm.expectRevert(_notOwner(stranger));
        terminal.setVault(stranger);
        vm.stopPrank();
    }
}
