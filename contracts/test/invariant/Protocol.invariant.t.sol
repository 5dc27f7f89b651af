// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Nexus} from "../../src/Nexus.sol";
import {Task} from "../../src/Task.sol";
import {Vault} from "../../src/Vault.sol";
import {TaskStatus} from "../../src/interfaces/Types.sol";
import {vm} from "../base/Vm.sol";
import {Handler} from "./Handler.sol";

/// @notice After any sequence of calls by anyone: no coin is made or lost, nobody has more than is due, tasks step legally.
contract ProtocolInvariantTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private handler;
    Vault private vault;
    Nexus private nexus;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        (address vault_, address nexus_) = handler.parts();
        (vault, nexus) = (Vault(vault_), Nexus(nexus_));
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), _selectors());
    }

    function invariant_CoinIsConservedAndTheModelHolds() public view {
        vm.assertEq(handler.violation(), "");
        uint256 held = _checkAccounts() + _checkOpenTasks();
        vm.assertEq(held + vault.sanctionedAmount() + handler.forced(), address(vault).balance, "conservation");
        if (handler.closedCount() > 0) _checkClosed(block.timestamp % handler.closedCount());
    }

    function afterInvariant() public view {
        for (uint256 i = 0; i < handler.closedCount(); i++) {
            _checkClosed(i);
        }
        uint256 settled = handler.hits("confirmResponse") + handler.hits("firstResponse") + handler.hits("cancelTask")
            + handler.hits("expire") + handler.hits("forceRelease");
        vm.assertEq(settled, handler.closedCount(), "settled");
    }

    /// @notice Random calls that never get anywhere would show nothing: here is what a fixed sequence of them reaches.
    function test_RandomCallsReachEveryDeepState() public {
        bytes4[] memory selectors = _selectors();
        for (uint256 i = 0; i < 8000; i++) {
            uint256 seed = uint256(keccak256(abi.encode("deep", i)));
            (bool done,) = address(handler).call(abi.encodeWithSelector(selectors[(seed >> 128) % selectors.length], seed));
            vm.assertTrue(done, "the handler itself never fails");
            if (i % 100 == 0) invariant_CoinIsConservedAndTheModelHolds();
        }
        afterInvariant();
        bytes32[29] memory names = [
            bytes32("deposit"), "stake", "withdraw", "lock", "unbond", "cancelUnbonding", "claim", "sanction", "waive",
            "withdrawSanctionOf", "emergencyExit", "tune", "announceProvider", "announceMaster", "pairAgain",
            "removeProvider", "setAgent", "updateSource", "register", "unregister", "publishTask", "transferTask",
            "cancelTask", "attempt", "submitResponse", "firstResponse", "confirmResponse", "expire", "forceRelease"
        ];
        for (uint256 i = 0; i < names.length; i++) {
            _atLeast(names[i], 10);
        }
        _atLeast("confirmResponse", 20);
        _atLeast("submitResponse", 20);
        _atLeast("claim", 40);
        _atLeast("publishSource", 5);
        _atLeast("inactivateSource", 5);
        _atLeast("trespass", 100);
    }

    function _selectors() private view returns (bytes4[] memory list) {
        bytes4[38] memory all = [
            handler.deposit.selector,
            handler.stake.selector,
            handler.withdraw.selector,
            handler.lock.selector,
            handler.unbond.selector,
            handler.cancelUnbonding.selector,
            handler.claim.selector,
            handler.sanction.selector,
            handler.waive.selector,
            handler.withdrawSanctionOf.selector,
            handler.emergencyExit.selector,
            handler.tune.selector,
            handler.forceCoin.selector,
            handler.wait.selector,
            handler.announceProvider.selector,
            handler.announceMaster.selector,
            handler.pairAgain.selector,
            handler.removeProvider.selector,
            handler.setAgent.selector,
            handler.publishSource.selector,
            handler.updateSource.selector,
            handler.inactivateSource.selector,
            handler.register.selector,
            handler.unregister.selector,
            handler.publishTask.selector,
            handler.transferTask.selector,
            handler.cancelTask.selector,
            handler.attempt.selector,
            handler.submitResponse.selector,
            handler.confirmResponse.selector,
            handler.forceReleasePayment.selector,
            // More than once, since a task needs four steps to its end.
            handler.advance.selector,
            handler.advance.selector,
            handler.advance.selector,
            handler.advance.selector,
            handler.publishTask.selector,
            handler.submitResponse.selector,
            handler.trespass.selector
        ];
        list = new bytes4[](all.length);
        for (uint256 i = 0; i < all.length; i++) {
            list[i] = all[i];
        }
    }

    function _atLeast(bytes32 name, uint256 count) private view {
        vm.assertGe(handler.hits(name), count, string(abi.encodePacked(name)));
    }

    function _checkAccounts() private view returns (uint256 held) {
        uint256 sanctions;
        uint256 count = handler.actorCount();
        for (uint256 i = 0; i < count; i++) {
            (uint256 own, uint256 sanctioned) = _checkAccount(i);
            held += own;
            sanctions += sanctioned;
        }
        _equal(sanctions, vault.sanctionedAmount(), "sanctionedAmount");
    }

    function _checkAccount(uint256 i) private view returns (uint256 own, uint256 sanctioned) {
        (address account, uint256 gained, uint256 lost, uint256 taken, uint256 earned, uint256 active) =
            handler.expected(i);
        uint256 unbonding = vault.unbondingOf(account);
        own = vault.balanceOf(account) + vault.lockupOf(account) + unbonding;
        sanctioned = vault.sanctionOf(account);
        _equal(own + account.balance + lost, gained, "what is due");
        _equal(sanctioned, taken, "sanctionOf");
        _equal(vault.totalEarningsOf(account), earned, "earnings");
        _equal(nexus.activeSourceCountOf(account), active, "active sources");
        require((unbonding > 0) == (vault.unbondingTimestamp(account) > 0), "unbondingTimestamp");
    }

    function _checkOpenTasks() private view returns (uint256 frozen) {
        uint256 count = handler.openCount();
        for (uint256 i = 0; i < count; i++) {
            (Task task, uint256 payment, TaskStatus status) = handler.openItem(i);
            _equal(uint256(task.status()), uint256(status), "open status");
            _equal(vault.frozenPayment(address(task)), payment, "frozen");
            frozen += payment;
        }
    }

    // A cheatcode costs a call, so it is asked only for its message.
    function _equal(uint256 left, uint256 right, string memory why) private pure {
        if (left != right) vm.assertEq(left, right, why);
    }

    function _checkClosed(uint256 i) private view {
        (Task task, address client,,,, TaskStatus status) = handler.items(handler.closed(i));
        vm.assertTrue(status >= TaskStatus.CANCELED, "final");
        vm.assertEq(uint256(task.status()), uint256(status), "final status");
        vm.assertEq(vault.frozenPayment(address(task)), 0, "frozen after the end");
        vm.assertEq(task.owner(), client);
        vm.assertTrue((task.winningProvider() != address(0)) == (status == TaskStatus.FINALIZED), "winner");
    }
}
