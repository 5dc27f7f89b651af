// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

contract ManagerTest is Fixture {
    function _unauthorized(address account, bytes32 role) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, account, role);
    }

    function test_RoleIdsAreHashesOfTheirNames() public view {
        vm.assertEq(manager.CONTROLLER(), keccak256("CONTROLLER"));
        vm.assertEq(manager.JUDGE(), keccak256("JUDGE"));
        vm.assertEq(manager.PROVIDER(), keccak256("PROVIDER"));
        vm.assertEq(nexus.CONTROLLER(), manager.CONTROLLER());
        vm.assertEq(nexus.PROVIDER(), manager.PROVIDER());
        vm.assertEq(terminal.PROVIDER(), manager.PROVIDER());
    }

    function test_DeployerIsTheAdmin() public view {
        vm.assertTrue(manager.hasRole(manager.DEFAULT_ADMIN_ROLE(), admin));
        vm.assertFalse(manager.hasRole(manager.DEFAULT_ADMIN_ROLE(), stranger));
    }

    function test_EachContractHoldsOnlyTheRoleThatItNeeds() public view {
        bytes32 terminalRole = manager.getRoleAdmin(manager.PROVIDER());
        bytes32[5] memory roles =
            [bytes32(0), manager.CONTROLLER(), manager.JUDGE(), manager.PROVIDER(), terminalRole];
        address[4] memory holders = [address(nexus), address(controller), address(terminal), address(vault)];
        for (uint256 i = 0; i < roles.length; i++) {
            for (uint256 j = 0; j < holders.length; j++) {
                bool expected = (i == 1 && j < 2) || (i == 4 && j == 2);
                vm.assertTrue(manager.hasRole(roles[i], holders[j]) == expected, "role");
            }
        }
        vm.assertTrue(nexus.checkController(address(controller)));
        vm.assertFalse(nexus.checkController(address(vault)));
    }

    function test_OnlyTheAdminGrants() public {
        bytes32 role = manager.CONTROLLER();
        vm.expectRevert(_unauthorized(stranger, bytes32(0)));
        vm.prank(stranger);
        manager.grantRole(role, stranger);
        manager.grantRole(role, stranger);
        vm.assertTrue(nexus.checkController(stranger));
        manager.revokeRole(role, stranger);
        vm.assertFalse(nexus.checkController(stranger));
    }

    function test_NobodyButTerminalGrantsProvider() public {
        bytes32 role = manager.PROVIDER();
        bytes32 needed = keccak256("TERMINAL");
        vm.expectRevert(_unauthorized(admin, needed));
        manager.grantRole(role, provider);
        vm.expectRevert(_unauthorized(address(controller), needed));
        vm.prank(address(controller));
        manager.grantRole(role, provider);
    }

    function test_TerminalCannotGrantAnythingElse() public {
        bytes32 role = manager.CONTROLLER();
        vm.expectRevert(_unauthorized(address(terminal), bytes32(0)));
        vm.prank(address(terminal));
        manager.grantRole(role, stranger);
    }

    function test_RenounceIsForOneself() public {
        bytes32 role = manager.JUDGE();
        vm.expectRevert(abi.encodeWithSelector(IAccessControl.AccessControlBadConfirmation.selector));
        vm.prank(stranger);
        manager.renounceRole(role, judge);
        vm.prank(judge);
        manager.renounceRole(role, judge);
        vm.assertFalse(manager.hasRole(role, judge));
    }

    function test_SupportsAccessControl() public view {
        vm.assertTrue(manager.supportsInterface(type(IAccessControl).interfaceId));
        vm.assertFalse(manager.supportsInterface(0xffffffff));
    }

    function test_WithoutItsRoleTerminalCannotPair() public {
        manager.revokeRole(keccak256("TERMINAL"), address(terminal));
        vm.prank(provider);
        terminal.announceMaster(master);
        vm.expectRevert(_unauthorized(address(terminal), keccak256("TERMINAL")));
        vm.prank(master);
        terminal.announceProvider(provider, 0);
    }
}
