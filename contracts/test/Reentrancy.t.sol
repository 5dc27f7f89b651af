// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Response} from "../src/Response.sol";
import {Source} from "../src/Source.sol";
import {Task} from "../src/Task.sol";
import {DeliveryMethod} from "../src/interfaces/Types.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

/// @notice Makes prepared calls whenever coin arrives, and remembers how each went.
contract Hostile {
    address private target;
    bytes[] private calls;
    bool[] public succeeded;
    bytes[] public reasons;
    bool private refusing;

    function arm(address target_, bytes[] memory calls_) external {
        target = target_;
        calls = calls_;
    }

    function refuse() external {
        refusing = true;
    }

    function act(address to, bytes memory data) external payable {
        (bool done, bytes memory reason) = to.call{value: msg.value}(data);
        if (!done) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    function attempts() external view returns (uint256) {
        return succeeded.length;
    }

    receive() external payable {
        require(!refusing, "no thanks");
        if (succeeded.length >= calls.length) return;
        for (uint256 i = 0; i < calls.length; i++) {
            (bool done, bytes memory reason) = target.call(calls[i]);
            succeeded.push(done);
            reasons.push(reason);
        }
    }
}

contract ReentrancyTest is Fixture {
    Hostile private hostile;

    function setUp() public override {
        super.setUp();
        hostile = new Hostile();
        // Others' coin, which a successful attack would reach.
        _stake(client2, 100 ether);
        _deposit(client2, 100 ether);
    }

    function _act(address to, bytes memory data) private {
        hostile.act(to, data);
    }

    function _fund(uint256 balance, uint256 lockup) private {
        vm.deal(address(this), balance + lockup);
        vault.deposit{value: balance + lockup}(address(hostile));
        if (lockup > 0) _act(address(vault), abi.encodeCall(vault.lock, (lockup)));
    }

    function _arm(bytes memory call) private {
        bytes[] memory calls = new bytes[](1);
        calls[0] = call;
        hostile.arm(address(vault), calls);
    }

    function _assertReentryRefused(uint256 count) private view {
        vm.assertEq(hostile.attempts(), count);
        for (uint256 i = 0; i < count; i++) {
            vm.assertFalse(hostile.succeeded(i));
            vm.assertEq(hostile.reasons(i), abi.encodeWithSignature("Error(string)", "InvalidStatus"));
        }
    }

    function test_WithdrawInsideWithdrawIsRefused() public {
        _fund(3 ether, 0);
        // The balance would suffice, so it is the guard alone that refuses.
        _arm(abi.encodeCall(vault.withdraw, (1 ether)));
        _act(address(vault), abi.encodeCall(vault.withdraw, (1 ether)));
        _assertReentryRefused(1);
        vm.assertEq(address(hostile).balance, 1 ether);
        _assertFunds(address(hostile), 2 ether, 0, 0);
    }

    function test_WithdrawInsideEmergencyExitIsRefused() public {
        _fund(3 ether, 5 ether);
        _arm(abi.encodeCall(vault.withdraw, (0)));
        vault.emergencyExit(address(hostile));
        _assertReentryRefused(1);
        vm.assertEq(address(hostile).balance, 8 ether);
        _assertFunds(address(hostile), 0, 0, 0);
    }

    function test_HostileAdminGainsNothingByReentry() public {
        manager.grantRole(bytes32(0), address(hostile));
        _fund(3 ether, 5 ether);
        vm.prank(judge);
        vault.sanction(client2, 4 ether);
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(vault.withdrawSanctionOf, (client2));
        calls[1] = abi.encodeCall(vault.emergencyExit, (address(hostile)));
        calls[2] = abi.encodeCall(vault.withdraw, (1 ether));
        hostile.arm(address(vault), calls);
        _act(address(vault), abi.encodeCall(vault.withdrawSanctionOf, (client2)));
        _assertReentryRefused(3);
        vm.assertEq(address(hostile).balance, 4 ether);
        vm.assertEq(vault.sanctionedAmount(), 0);
    }

    function test_StateIsSettledBeforeCoinLeaves() public {
        _fund(3 ether, 5 ether);
        _act(address(vault), abi.encodeCall(vault.unbond, (5 ether)));
        vm.warp(START + 7 days);
        bytes[] memory calls = new bytes[](4);
        calls[0] = abi.encodeCall(vault.lock, (1));
        calls[1] = abi.encodeCall(vault.claim, ());
        calls[2] = abi.encodeCall(vault.cancelUnbonding, ());
        calls[3] = abi.encodeCall(vault.unbond, (1));
        hostile.arm(address(vault), calls);
        vault.emergencyExit(address(hostile));
        string[4] memory expected = ["InsufficientBalance", "NoUnbonding", "NoUnbonding", "InsufficientLockup"];
        for (uint256 i = 0; i < 4; i++) {
            vm.assertFalse(hostile.succeeded(i));
            vm.assertEq(hostile.reasons(i), abi.encodeWithSignature("Error(string)", expected[i]));
        }
        vm.assertEq(address(hostile).balance, 8 ether);
    }

    function test_ClaimInsideWithdrawOnlyMovesOwnCoin() public {
        _fund(3 ether, 5 ether);
        _act(address(vault), abi.encodeCall(vault.unbond, (5 ether)));
        vm.warp(START + 7 days);
        _arm(abi.encodeCall(vault.claim, ()));
        _act(address(vault), abi.encodeCall(vault.withdraw, (3 ether)));
        vm.assertTrue(hostile.succeeded(0));
        _assertFunds(address(hostile), 5 ether, 0, 0);
        vm.assertEq(address(hostile).balance, 3 ether);
        vm.assertEq(address(vault).balance, 205 ether);
    }

    function test_GuardIsReleasedAfterwards() public {
        _fund(3 ether, 0);
        _act(address(vault), abi.encodeCall(vault.withdraw, (1 ether)));
        _act(address(vault), abi.encodeCall(vault.withdraw, (1 ether)));
        vault.emergencyExit(address(hostile));
        vm.assertEq(address(hostile).balance, 3 ether);
    }

    /// @dev A contract as client: it cancels, confirms and force-releases again while it is being paid.
    function _settleAgainInsideWithdraw(bytes memory settle, address to) private {
        bytes[] memory calls = new bytes[](1);
        calls[0] = settle;
        hostile.arm(to, calls);
        uint256 balance = vault.balanceOf(address(hostile));
        _act(address(vault), abi.encodeCall(vault.withdraw, (balance)));
        vm.assertEq(hostile.attempts(), 1);
        vm.assertFalse(hostile.succeeded(0));
        vm.assertEq(vault.balanceOf(address(hostile)), 0);
        vm.assertEq(address(hostile).balance, balance);
    }

    function _hostileTask() private returns (Task task) {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _enlist(source, provider, master);
        _fund(PAYMENT, 0);
        task = _nextTask();
        _act(address(controller), abi.encodeCall(controller.publishTask, (_taskParams(source))));
    }

    function test_CancelAgainWhileBeingPaidGainsNothing() public {
        Task task = _hostileTask();
        bytes memory cancel = abi.encodeCall(controller.cancelTask, (address(task)));
        _act(address(controller), cancel);
        _settleAgainInsideWithdraw(cancel, address(controller));
    }

    function test_ConfirmAgainWhileBeingPaidGainsNothing() public {
        Task task = _hostileTask();
        _attempt(task, provider);
        Response response = _respond(task, provider, "a", 0.25 ether);
        bytes memory confirm = abi.encodeCall(controller.confirmResponse, (address(response)));
        _act(address(controller), confirm);
        _settleAgainInsideWithdraw(confirm, address(controller));
        vm.assertEq(vault.balanceOf(provider), 0.25 ether);
    }

    function test_ForceReleaseAgainWhileBeingPaidGainsNothing() public {
        Task task = _hostileTask();
        vm.warp(START + HOUR);
        bytes memory release = abi.encodeCall(vault.forceReleasePayment, (address(hostile), address(task)));
        _act(address(vault), release);
        _settleAgainInsideWithdraw(release, address(vault));
    }

    function test_ARefusingReceiverFailsWithItsOwnReason() public {
        _fund(3 ether, 5 ether);
        hostile.refuse();
        vm.expectRevert("no thanks");
        _act(address(vault), abi.encodeCall(vault.withdraw, (1 ether)));
        vm.expectRevert("no thanks");
        vault.emergencyExit(address(hostile));
        _assertFunds(address(hostile), 3 ether, 5 ether, 0);
    }
}
