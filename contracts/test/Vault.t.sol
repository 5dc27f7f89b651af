// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Manager} from "../src/Manager.sol";
import {Source} from "../src/Source.sol";
import {Task} from "../src/Task.sol";
import {IVault} from "../src/interfaces/IVault.sol";
import {INexus} from "../src/interfaces/INexus.sol";
import {DeliveryMethod, TaskStatus} from "../src/interfaces/Types.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

contract VaultTest is Fixture {
    // Deposit, withdraw, lock

    function test_StartsWithDocumentedConstants() public view {
        vm.assertEq(vault.MIN_LOCKUP_PER_SOURCE(), 10 ether);
        vm.assertEq(vault.UNBONDING_PERIOD(), 7 days);
        vm.assertEq(vault.manager(), address(manager));
        vm.assertEq(vault.nexus(), address(nexus));
        vm.assertEq(vault.terminal(), address(terminal));
    }

    function test_DepositCreditsTheNamedAccount() public {
        vm.deal(stranger, 3 ether);
        vm.expectEmit(address(vault));
        emit IVault.Deposited(client, 3 ether);
        vm.prank(stranger);
        vault.deposit{value: 3 ether}(client);
        _assertFunds(client, 3 ether, 0, 0);
        _assertFunds(stranger, 0, 0, 0);
        vm.assertEq(vault.getBalanceOf(client), 3 ether);
        vm.assertEq(address(vault).balance, 3 ether);
    }

    function test_DepositForNobodyIsRefused() public {
        vm.deal(client, 1 ether);
        vm.expectRevert("NotClient");
        vm.prank(client);
        vault.deposit{value: 1 ether}(address(0));
    }

    function test_BareTransferIsRefused() public {
        vm.deal(client, 1 ether);
        vm.prank(client);
        (bool sent,) = address(vault).call{value: 1 ether}("");
        vm.assertFalse(sent);
    }

    function test_WithdrawPaysOut() public {
        _deposit(client, 3 ether);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(client, 2 ether);
        vm.prank(client);
        vault.withdraw(2 ether);
        vm.assertEq(client.balance, 2 ether);
        _assertFunds(client, 1 ether, 0, 0);
    }

    function test_WithdrawMoreThanBalanceReverts() public {
        _deposit(client, 3 ether);
        _deposit(client2, 3 ether);
        vm.expectRevert("InsufficientBalance");
        vm.prank(client);
        vault.withdraw(3 ether + 1);
    }

    function test_LockMovesBalanceToLockup() public {
        _deposit(client, 3 ether);
        vm.expectEmit(address(vault));
        emit IVault.Locked(client, 2 ether);
        vm.prank(client);
        vault.lock(2 ether);
        _assertFunds(client, 1 ether, 2 ether, 0);
        vm.assertEq(vault.getLockupOf(client), 2 ether);
    }

    function test_LockMoreThanBalanceReverts() public {
        _deposit(client, 3 ether);
        vm.expectRevert("InsufficientBalance");
        vm.prank(client);
        vault.lock(3 ether + 1);
    }

    // Unbond, cancelUnbonding, claim

    function test_UnbondStartsTheWait() public {
        _stake(client, 3 ether);
        vm.expectEmit(address(vault));
        emit IVault.Unbonded(client, 2 ether);
        vm.prank(client);
        vault.unbond(2 ether);
        _assertFunds(client, 0, 1 ether, 2 ether);
        vm.assertEq(vault.unbondingTimestamp(client), START + 7 days);
    }

    function test_SecondUnbondAddsAndStartsTheWaitAnew() public {
        _stake(client, 3 ether);
        vm.prank(client);
        vault.unbond(2 ether);
        vm.warp(START + 6 days);
        vm.prank(client);
        vault.unbond(1 ether);
        _assertFunds(client, 0, 0, 3 ether);
        vm.assertEq(vault.unbondingTimestamp(client), START + 13 days);
    }

    function test_UnbondMoreThanLockupReverts() public {
        _stake(client, 3 ether);
        vm.expectRevert("InsufficientLockup");
        vm.prank(client);
        vault.unbond(3 ether + 1);
    }

    function test_UnbondNothingReverts() public {
        _stake(client, 3 ether);
        vm.expectRevert("InsufficientLockup");
        vm.prank(client);
        vault.unbond(0);
        vm.assertEq(vault.unbondingTimestamp(client), 0);
    }

    function test_CancelUnbondingRestoresLockup() public {
        _stake(client, 3 ether);
        vm.prank(client);
        vault.unbond(2 ether);
        vm.expectEmit(address(vault));
        emit IVault.UnbondingCanceled(client, 2 ether);
        vm.prank(client);
        vault.cancelUnbonding();
        _assertFunds(client, 0, 3 ether, 0);
        vm.assertEq(vault.unbondingTimestamp(client), 0);
    }

    function test_CancelUnbondingWithNoneReverts() public {
        vm.expectRevert("NoUnbonding");
        vm.prank(client);
        vault.cancelUnbonding();
    }

    function test_ClaimMovesMaturedUnbondingToBalance() public {
        _stake(client, 3 ether);
        vm.prank(client);
        vault.unbond(2 ether);
        vm.warp(START + 7 days);
        vm.expectEmit(address(vault));
        emit IVault.Claimed(client, 2 ether);
        vm.prank(client);
        vault.claim();
        _assertFunds(client, 2 ether, 1 ether, 0);
        vm.assertEq(vault.unbondingTimestamp(client), 0);
    }

    function test_ClaimOneSecondEarlyReverts() public {
        _stake(client, 3 ether);
        vm.prank(client);
        vault.unbond(2 ether);
        vm.warp(START + 7 days - 1);
        vm.expectRevert("UnbondingNotElapsed");
        vm.prank(client);
        vault.claim();
    }

    function test_ClaimWithNoneReverts() public {
        vm.expectRevert("NoUnbonding");
        vm.prank(client);
        vault.claim();
    }

    function test_ClaimTwicePaysOnce() public {
        _stake(client, 3 ether);
        vm.prank(client);
        vault.unbond(3 ether);
        vm.warp(START + 7 days);
        vm.prank(client);
        vault.claim();
        vm.expectRevert("NoUnbonding");
        vm.prank(client);
        vault.claim();
    }

    // Eligibility

    function test_EligibleAtExactlyTheFloor() public {
        _stake(client, 10 ether - 1);
        vm.assertFalse(vault.isEligible(client));
        _stake(client, 1);
        vm.assertTrue(vault.isEligible(client));
    }

    function test_EligibilityCountsActiveSources() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        vm.prank(client);
        vault.unbond(1);
        vm.assertFalse(vault.isEligible(client));
        vm.prank(client);
        nexus.inactivateSource(address(source));
        vm.assertTrue(vault.isEligible(client));
    }

    function test_EligibilityIsLockupLessSanction() public {
        _stake(client, 20 ether);
        vm.startPrank(judge);
        vault.sanction(client, 10 ether);
        vm.assertTrue(vault.isEligible(client));
        vault.sanction(client, 1);
        vm.assertFalse(vault.isEligible(client));
        vault.waive(client, 1);
        vm.assertTrue(vault.isEligible(client));
        vm.stopPrank();
    }

    function test_WhitelistedIsEligibleWithoutStake() public {
        vault.setWhitelist(client, true);
        vm.assertTrue(vault.isWhitelisted(client));
        vm.assertTrue(vault.isEligible(client));
        vault.setWhitelist(client, false);
        vm.assertFalse(vault.isEligible(client));
    }

    // Sanctions

    function test_SanctionMovesLockupAside() public {
        _stake(client, 10 ether);
        vm.expectEmit(address(vault));
        emit IVault.Sanctioned(client, 4 ether);
        vm.prank(judge);
        vault.sanction(client, 4 ether);
        _assertFunds(client, 0, 6 ether, 0);
        vm.assertEq(vault.sanctionOf(client), 4 ether);
        vm.assertEq(vault.sanctionedAmount(), 4 ether);
    }

    function test_SanctionedStakeCannotBeUnbonded() public {
        _stake(client, 10 ether);
        vm.prank(judge);
        vault.sanction(client, 4 ether);
        vm.expectRevert("InsufficientLockup");
        vm.prank(client);
        vault.unbond(6 ether + 1);
    }

    function test_SanctionReachesWhatIsUnbonding() public {
        _stake(client, 10 ether);
        vm.prank(client);
        vault.unbond(7 ether);
        vm.warp(START + 8 days);
        vm.prank(judge);
        vault.sanction(client, 5 ether);
        _assertFunds(client, 0, 0, 5 ether);
        vm.assertEq(vault.unbondingTimestamp(client), START + 7 days);
        vm.prank(client);
        vault.claim();
        _assertFunds(client, 5 ether, 0, 0);
    }

    function test_SanctionOfEverythingEndsTheUnbonding() public {
        _stake(client, 10 ether);
        vm.prank(client);
        vault.unbond(7 ether);
        vm.prank(judge);
        vault.sanction(client, 10 ether);
        _assertFunds(client, 0, 0, 0);
        vm.assertEq(vault.unbondingTimestamp(client), 0);
        vm.warp(START + 8 days);
        vm.expectRevert("NoUnbonding");
        vm.prank(client);
        vault.claim();
    }

    function test_SanctionNeverTakesBalanceOrMoreThanIsStaked() public {
        _stake(client, 10 ether);
        _deposit(client, 10 ether);
        vm.expectRevert("InsufficientLockup");
        vm.prank(judge);
        vault.sanction(client, 10 ether + 1);
    }

    function test_WaiveRestoresLockup() public {
        _stake(client, 10 ether);
        vm.startPrank(judge);
        vault.sanction(client, 4 ether);
        vm.expectEmit(address(vault));
        emit IVault.Waived(client, 3 ether);
        vault.waive(client, 3 ether);
        vm.stopPrank();
        _assertFunds(client, 0, 9 ether, 0);
        vm.assertEq(vault.sanctionOf(client), 1 ether);
        vm.assertEq(vault.sanctionedAmount(), 1 ether);
    }

    function test_WaiveMoreThanTheAccountsOwnSanctionReverts() public {
        _stake(client, 10 ether);
        _stake(client2, 10 ether);
        vm.startPrank(judge);
        vault.sanction(client, 4 ether);
        vault.sanction(client2, 4 ether);
        vm.expectRevert("InsufficientBalance");
        vault.waive(client, 4 ether + 1);
        vm.stopPrank();
    }

    function test_WithdrawSanctionPaysTheAdminOnce() public {
        manager.grantRole(bytes32(0), master);
        _stake(client, 10 ether);
        _stake(client2, 10 ether);
        vm.startPrank(judge);
        vault.sanction(client, 4 ether);
        vault.sanction(client2, 1 ether);
        vm.stopPrank();
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(master, 4 ether);
        vm.prank(master);
        vault.withdrawSanctionOf(client);
        vm.assertEq(master.balance, 4 ether);
        vm.assertEq(vault.sanctionOf(client), 0);
        vm.assertEq(vault.sanctionedAmount(), 1 ether);
        vm.expectRevert("InsufficientBalance");
        vm.prank(master);
        vault.withdrawSanctionOf(client);
        vm.expectRevert("InsufficientBalance");
        vm.prank(judge);
        vault.waive(client, 1);
    }

    // Emergency exit

    function test_EmergencyExitPaysAllThatIsFree() public {
        Source source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        Task task = _publishTask(client, source);
        _deposit(client, 3 ether);
        vm.prank(client);
        vault.unbond(4 ether);
        vm.prank(judge);
        vault.sanction(client, 1 ether);
        vm.expectEmit(address(vault));
        emit IVault.Withdrawn(client, 12 ether);
        vault.emergencyExit(client);
        vm.assertEq(client.balance, 12 ether);
        _assertFunds(client, 0, 0, 0);
        vm.assertEq(vault.unbondingTimestamp(client), 0);
        vm.assertEq(vault.sanctionOf(client), 1 ether);
        vm.assertEq(vault.frozenPayment(address(task)), PAYMENT);
        vm.assertEq(address(vault).balance, PAYMENT + 1 ether);
    }

    function test_EmergencyExitOfNothingReverts() public {
        vm.expectRevert("InsufficientBalance");
        vault.emergencyExit(client);
    }

    // Escrow

    function _grantController(address account) private {
        manager.grantRole(manager.CONTROLLER(), account);
    }

    function test_FreezeHoldsThePaymentForTheTask() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.prank(stranger);
        vault.freezePayment(client, address(9), 2 ether);
        _assertFunds(client, 1 ether, 0, 0);
        vm.assertEq(vault.frozenPayment(address(9)), 2 ether);
    }

    function test_FreezeMoreThanBalanceReverts() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.expectRevert("InsufficientBalance");
        vm.prank(stranger);
        vault.freezePayment(client, address(9), 3 ether + 1);
    }

    function test_FreezeTwiceForOneTaskReverts() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.startPrank(stranger);
        vault.freezePayment(client, address(9), 1 ether);
        vm.expectRevert("InvalidStatus");
        vault.freezePayment(client, address(9), 1 ether);
        vm.stopPrank();
    }

    function test_ReleaseGivesBackOnce() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.startPrank(stranger);
        vault.freezePayment(client, address(9), 1 ether);
        vault.releasePayment(client, address(9));
        vault.releasePayment(client, address(9));
        vm.stopPrank();
        _assertFunds(client, 3 ether, 0, 0);
        vm.assertEq(vault.frozenPayment(address(9)), 0);
    }

    function test_ProcessPaysProviderAndReturnsTheRest() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.startPrank(stranger);
        vault.freezePayment(client, address(9), 2 ether);
        vault.processPayment(client, provider, address(9), 0.5 ether);
        vm.stopPrank();
        _assertFunds(client, 2.5 ether, 0, 0);
        _assertFunds(provider, 0.5 ether, 0, 0);
        vm.assertEq(vault.totalEarningsOf(provider), 0.5 ether);
        vm.assertEq(vault.frozenPayment(address(9)), 0);
    }

    function test_ProcessMoreThanIsHeldReverts() public {
        _grantController(stranger);
        _deposit(client, 3 ether);
        vm.startPrank(stranger);
        vault.freezePayment(client, address(9), 1 ether);
        vm.expectRevert("InsufficientPayment");
        vault.processPayment(client, provider, address(9), 1 ether + 1);
        vm.stopPrank();
    }

    // Force release

    function test_ForceReleaseExpiresAndRefunds() public {
        Task task = _publishTask(client, _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION));
        vm.warp(task.getExpiryTime());
        vm.expectEmit(address(nexus));
        emit INexus.TaskStatusChanged(address(task), TaskStatus.EXPIRED);
        vm.prank(client);
        vault.forceReleasePayment(client, address(task));
        _assertStatus(task, TaskStatus.EXPIRED);
        vm.assertEq(vault.balanceOf(client), PAYMENT);
        vm.assertEq(vault.frozenPayment(address(task)), 0);
    }

    function test_ForceReleaseOneSecondEarlyReverts() public {
        Task task = _publishTask(client, _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION));
        vm.warp(task.getExpiryTime() - 1);
        vm.expectRevert("InvalidExpiry");
        vm.prank(client);
        vault.forceReleasePayment(client, address(task));
    }

    function test_ForceReleaseByAnyoneButTheClientReverts() public {
        _setAgent(client, clientAgent);
        Task task = _publishTask(client, _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION));
        vm.warp(task.getExpiryTime());
        address[4] memory others = [clientAgent, provider, stranger, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            vault.forceReleasePayment(client, address(task));
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            vault.forceReleasePayment(others[i], address(task));
        }
    }

    function test_ForceReleaseTwiceReverts() public {
        Task task = _publishTask(client, _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION));
        _publishTask(client2, Source(task.getSource()));
        vm.warp(task.getExpiryTime());
        vm.startPrank(client);
        vault.forceReleasePayment(client, address(task));
        vm.expectRevert("InvalidStatus");
        vault.forceReleasePayment(client, address(task));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(client), PAYMENT);
    }

    // Who may call

    function test_EveryRestrictedCallRefusesEveryoneElse() public {
        bytes[] memory calls = new bytes[](11);
        calls[0] = abi.encodeCall(vault.freezePayment, (client, address(9), 1));
        calls[1] = abi.encodeCall(vault.releasePayment, (client, address(9)));
        calls[2] = abi.encodeCall(vault.processPayment, (client, provider, address(9), 0));
        calls[3] = abi.encodeCall(vault.sanction, (client, 1));
        calls[4] = abi.encodeCall(vault.waive, (client, 1));
        calls[5] = abi.encodeCall(vault.withdrawSanctionOf, (client));
        calls[6] = abi.encodeCall(vault.emergencyExit, (client));
        calls[7] = abi.encodeCall(vault.setWhitelist, (client, true));
        calls[8] = abi.encodeCall(vault.setMinLockupPerSource, (0));
        calls[9] = abi.encodeCall(vault.setMaxUnbondingPeriod, (0));
        calls[10] = abi.encodeCall(vault.setTerminal, (stranger));
        _stake(client, 10 ether);
        _pair(provider, master);
        address[6] memory callers = [client, provider, master, stranger, address(terminal), address(nexus)];
        bytes memory reason = abi.encodeWithSignature("Error(string)", "NotOwner");
        for (uint256 i = 0; i < calls.length; i++) {
            for (uint256 j = 0; j < callers.length; j++) {
                // Nexus holds CONTROLLER, so the escrow is open to it.
                if (i < 3 && callers[j] == address(nexus)) continue;
                vm.prank(callers[j]);
                (bool done, bytes memory data) = address(vault).call(calls[i]);
                vm.assertFalse(done);
                vm.assertEq(data, reason);
            }
        }
    }

    function test_AdminIsNoJudgeAndNoController() public {
        _stake(client, 10 ether);
        vm.expectRevert("NotOwner");
        vault.sanction(client, 1);
        vm.expectRevert("NotOwner");
        vault.freezePayment(client, address(9), 0);
    }

    function test_JudgeIsNoAdmin() public {
        vm.expectRevert("NotOwner");
        vm.prank(judge);
        vault.emergencyExit(client);
    }

    function test_AdminSetters() public {
        vault.setMinLockupPerSource(3 ether);
        vm.assertEq(vault.MIN_LOCKUP_PER_SOURCE(), 3 ether);
        vault.setMaxUnbondingPeriod(1 hours);
        vm.assertEq(vault.UNBONDING_PERIOD(), 1 hours);
        vault.setTerminal(stranger);
        vm.assertEq(vault.terminal(), stranger);
    }

    // Fuzz

    // PUSH20 vault SELFDESTRUCT as creation code: the way to force coin on a contract that refuses it.
    function _forceCoin(uint256 amount) private {
        bytes memory code = abi.encodePacked(hex"73", address(vault), hex"ff");
        assembly {
            pop(create(amount, add(code, 32), mload(code)))
        }
    }

    function testFuzz_ForcedCoinBelongsToNobody(uint96 forced, uint96 deposited) public {
        vm.deal(address(this), forced);
        _forceCoin(forced);
        _deposit(client, deposited);
        _assertFunds(client, deposited, 0, 0);
        vm.prank(client);
        vault.withdraw(deposited);
        vm.assertEq(address(vault).balance, forced);
        vm.expectRevert("InsufficientBalance");
        vm.prank(client);
        vault.withdraw(1);
    }

    function testFuzz_RoundTripNeitherMakesNorLosesCoin(uint96 coin, uint96 locked, uint96 unbonded) public {
        uint256 lockAmount = uint256(locked) % (uint256(coin) + 1);
        vm.assume(lockAmount > 0);
        uint256 unbondAmount = uint256(unbonded) % lockAmount + 1;
        _deposit(client, coin);
        vm.startPrank(client);
        vault.lock(lockAmount);
        vault.unbond(unbondAmount);
        vm.warp(START + 7 days);
        vault.claim();
        vault.withdraw(uint256(coin) - lockAmount + unbondAmount);
        vm.stopPrank();
        _assertFunds(client, 0, lockAmount - unbondAmount, 0);
        vm.assertEq(client.balance + address(vault).balance, coin);
    }

    function testFuzz_SanctionAndWaiveConserve(uint96 stake, uint96 unbonded, uint96 taken, uint96 waived) public {
        _stake(client, stake);
        uint256 unbondAmount = uint256(unbonded) % (uint256(stake) + 1);
        uint256 sanctionAmount = uint256(taken) % (uint256(stake) + 1);
        uint256 waiveAmount = uint256(waived) % (sanctionAmount + 1);
        if (unbondAmount > 0) {
            vm.prank(client);
            vault.unbond(unbondAmount);
        }
        vm.startPrank(judge);
        vault.sanction(client, sanctionAmount);
        vault.waive(client, waiveAmount);
        vm.stopPrank();
        vm.assertEq(vault.sanctionOf(client), sanctionAmount - waiveAmount);
        vm.assertEq(vault.sanctionedAmount(), sanctionAmount - waiveAmount);
        uint256 held = vault.lockupOf(client) + vault.unbondingOf(client) + vault.sanctionedAmount();
        vm.assertEq(held, stake);
        vm.assertTrue((vault.unbondingTimestamp(client) == 0) == (vault.unbondingOf(client) == 0), "timestamp");
    }

    function testFuzz_EligibleExactlyFromTheFloor(uint96 stake, uint96 floor, uint8 count) public {
        uint256 sources = uint256(count) % 5;
        vault.setWhitelist(client, true);
        for (uint256 i = 0; i < sources; i++) {
            vm.prank(client);
            nexus.publishSource(_sourceParams(client, DeliveryMethod.FIRST_RESPONSE));
        }
        vault.setWhitelist(client, false);
        vault.setMinLockupPerSource(floor);
        _stake(client, stake);
        uint256 needed = uint256(floor) * (sources == 0 ? 1 : sources);
        vm.assertTrue(vault.isEligible(client) == (stake >= needed), "eligible");
    }

    function testFuzz_ClaimNeverBeforeMaturity(uint32 period, uint32 waited) public {
        vault.setMaxUnbondingPeriod(period);
        _stake(client, 1 ether);
        vm.prank(client);
        vault.unbond(1 ether);
        vm.warp(START + waited);
        if (waited < period) vm.expectRevert("UnbondingNotElapsed");
        vm.prank(client);
        vault.claim();
        _assertFunds(client, waited < period ? 0 : 1 ether, 0, waited < period ? 1 ether : 0);
    }
}
