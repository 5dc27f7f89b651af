// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Response} from "../src/Response.sol";
import {Source} from "../src/Source.sol";
import {Task} from "../src/Task.sol";
import {INexus} from "../src/interfaces/INexus.sol";
import {
    DeliveryMethod,
    ResponseParams,
    ResponseStatus,
    SourceParams,
    TaskParams,
    TaskStatus
} from "../src/interfaces/Types.sol";
import {Fixture} from "./base/Fixture.sol";
import {Vm, vm} from "./base/Vm.sol";

/// @notice publishTask, cancelTask, attempt, submitResponse, confirmResponse, and the steps of a Task.
contract TasksTest is Fixture {
    Source private source;
    Source private first;

    function setUp() public override {
        super.setUp();
        source = _publishSource(client2, DeliveryMethod.MANUAL_CONFIRMATION);
        first = _publishSource(client2, DeliveryMethod.FIRST_RESPONSE);
        _enlist(source, provider, master);
        _enlist(source, provider2, master2);
        vm.prank(provider);
        nexus.register(address(first), provider, CPU);
        vm.prank(provider2);
        nexus.register(address(first), provider2, CPU);
    }

    function _setStatus(Task task, TaskStatus status) private {
        vm.prank(address(controller));
        nexus.setTaskStatus(address(task), status);
    }

    function _expectTaskStatus(Task task, TaskStatus status) private {
        vm.expectEmit(address(nexus));
        emit INexus.TaskStatusChanged(address(task), status);
    }

    // publishTask

    function test_PublishTaskByAnyone() public {
        _deposit(stranger, 3 ether);
        Task task = _nextTask();
        vm.expectEmit(address(nexus));
        emit INexus.TaskPublished(address(task), address(source));
        vm.prank(stranger);
        controller.publishTask(_taskParams(source));

        vm.assertEq(task.owner(), stranger);
        vm.assertEq(task.getSource(), address(source));
        vm.assertEq(task.getPayment(), PAYMENT);
        vm.assertEq(task.getExpiryTime(), START + HOUR);
        vm.assertEq(uint256(task.getDeliveryMethod()), uint256(DeliveryMethod.MANUAL_CONFIRMATION));
        vm.assertEq(uint256(task.getStatus()), uint256(TaskStatus.NEW));
        (address source_, string memory config, uint256 expiryTime, uint256 payment) = task.taskParams();
        vm.assertEq(source_, address(source));
        vm.assertEq(config, "config");
        vm.assertEq(expiryTime, START + HOUR);
        vm.assertEq(payment, PAYMENT);
        vm.assertEq(vault.frozenPayment(address(task)), PAYMENT);
        vm.assertEq(vault.balanceOf(stranger), 2 ether);
        vm.assertEq(source.getTaskCount(), 1);
        vm.assertEq(source.tasks(0), address(task));
    }

    function test_TaskKeepsTheDeliveryMethodOfItsSource() public {
        Task task = _publishTask(client, first);
        vm.assertEq(uint256(task.deliveryMethod()), uint256(DeliveryMethod.FIRST_RESPONSE));
        SourceParams memory params = _sourceParams(client2, DeliveryMethod.MANUAL_CONFIRMATION);
        params.minPayment = 5 ether;
        params.maxExpiryDuration = 1;
        vm.prank(client2);
        nexus.updateSource(address(first), params);
        vm.assertEq(uint256(task.deliveryMethod()), uint256(DeliveryMethod.FIRST_RESPONSE));
        _attempt(task, provider);
        _respond(task, provider, "a", 1);
        _assertStatus(task, TaskStatus.FINALIZED);
    }

    function test_PublishTaskOnInactiveSourceReverts() public {
        vm.prank(client2);
        nexus.inactivateSource(address(source));
        _deposit(client, PAYMENT);
        vm.expectRevert("SourceInactive");
        vm.prank(client);
        controller.publishTask(_taskParams(source));
    }

    function test_PublishTaskBelowMinPaymentReverts() public {
        _deposit(client, PAYMENT);
        TaskParams memory params = _taskParams(source);
        params.payment = 0.1 ether - 1;
        vm.startPrank(client);
        vm.expectRevert("InsufficientPayment");
        controller.publishTask(params);
        params.payment = 0.1 ether;
        controller.publishTask(params);
        vm.stopPrank();
    }

    function test_PublishTaskAboveBalanceReverts() public {
        _stake(client, 100 ether);
        _deposit(client, PAYMENT - 1);
        vm.expectRevert("InsufficientBalance");
        vm.prank(client);
        controller.publishTask(_taskParams(source));
        vm.assertEq(source.getTaskCount(), 0);
    }

    function testFuzz_PublishTaskExpiryBounds(uint256 expiryTime, uint256 maxDuration) public {
        SourceParams memory params = _sourceParams(client2, DeliveryMethod.MANUAL_CONFIRMATION);
        params.maxExpiryDuration = maxDuration;
        vm.prank(client2);
        nexus.updateSource(address(source), params);
        _deposit(client, PAYMENT);
        TaskParams memory task = _taskParams(source);
        task.expiryTime = expiryTime;
        bool allowed = expiryTime > START && expiryTime - START <= maxDuration;
        if (!allowed) vm.expectRevert("InvalidExpiry");
        vm.prank(client);
        controller.publishTask(task);
        vm.assertEq(source.getTaskCount(), allowed ? 1 : 0);
    }

    function test_PublishTaskExpiryAtItsBounds() public {
        _deposit(client, 4 * PAYMENT);
        TaskParams memory params = _taskParams(source);
        uint256[4] memory times = [START, START + 1 days + 1, START + 1, START + 1 days];
        for (uint256 i = 0; i < times.length; i++) {
            params.expiryTime = times[i];
            if (i < 2) vm.expectRevert("InvalidExpiry");
            vm.prank(client);
            controller.publishTask(params);
        }
        vm.assertEq(source.getTaskCount(), 2);
    }

    function test_ATaskForNothingRunsToItsEnd() public {
        SourceParams memory free = _sourceParams(client2, DeliveryMethod.MANUAL_CONFIRMATION);
        free.minPayment = 0;
        vm.prank(client2);
        nexus.updateSource(address(source), free);
        TaskParams memory params = _taskParams(source);
        params.payment = 0;
        Task task = _nextTask();
        vm.prank(client);
        controller.publishTask(params);
        vm.prank(provider);
        nexus.attempt(address(task), provider, 0);
        Response response = _respond(task, provider, "a", 0);
        vm.prank(client);
        controller.confirmResponse(address(response));
        _assertStatus(task, TaskStatus.FINALIZED);
        vm.assertEq(vault.balanceOf(provider), 0);
    }

    // cancelTask

    function test_CancelTaskRefunds() public {
        Task task = _publishTask(client, source);
        _expectTaskStatus(task, TaskStatus.CANCELED);
        vm.prank(client);
        controller.cancelTask(address(task));
        _assertStatus(task, TaskStatus.CANCELED);
        vm.assertEq(vault.balanceOf(client), PAYMENT);
        vm.assertEq(vault.frozenPayment(address(task)), 0);
    }

    function test_CancelTaskByAgentRefundsTheClient() public {
        _setAgent(client, clientAgent);
        Task task = _publishTask(client, source);
        vm.prank(clientAgent);
        controller.cancelTask(address(task));
        vm.assertEq(vault.balanceOf(client), PAYMENT);
        vm.assertEq(vault.balanceOf(clientAgent), 0);
    }

    function test_CancelTaskByAnyoneElseReverts() public {
        Task task = _publishTask(client, source);
        address[5] memory others = [stranger, client2, provider, THE_ORDER, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            controller.cancelTask(address(task));
        }
    }

    function test_CancelAfterAnAttemptReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.expectRevert("InvalidStatus");
        vm.prank(client);
        controller.cancelTask(address(task));
        _respond(task, provider, "a", 1);
        vm.expectRevert("InvalidStatus");
        vm.prank(client);
        controller.cancelTask(address(task));
    }

    function test_CancelTwiceRefundsOnce() public {
        _publishTask(client2, source);
        Task task = _publishTask(client, source);
        vm.startPrank(client);
        controller.cancelTask(address(task));
        vm.expectRevert("InvalidStatus");
        controller.cancelTask(address(task));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(client), PAYMENT);
    }

    function test_CancelAfterExpiryWhileStillNewRefundsOnce() public {
        Task task = _publishTask(client, source);
        vm.warp(START + 2 * HOUR);
        vm.startPrank(client);
        controller.cancelTask(address(task));
        vm.expectRevert("InvalidStatus");
        vault.forceReleasePayment(client, address(task));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(client), PAYMENT);
    }

    // attempt

    function test_AttemptByProviderMasterAgentAndDefaultAgent() public {
        _setAgent(master, masterAgent);
        address[4] memory callers = [provider, master, masterAgent, THE_ORDER];
        for (uint256 i = 0; i < callers.length; i++) {
            Task task = _publishTask(client, source);
            vm.expectEmit(address(nexus));
            emit INexus.Attempted(address(task), provider, 0.5 ether);
            _expectTaskStatus(task, TaskStatus.ATTEMPTED);
            vm.prank(callers[i]);
            nexus.attempt(address(task), provider, 0.5 ether);
            _assertStatus(task, TaskStatus.ATTEMPTED);
            vm.assertEq(task.attempterId(provider), 1);
            vm.assertEq(task.getAttempterId(provider), 1);
            vm.assertEq(task.attempters(0), provider);
            vm.assertEq(task.attemptTimestamps(0), START);
            vm.assertEq(task.getAttemptCount(), 1);
        }
    }

    function test_AttemptByAnyoneElseReverts() public {
        Task task = _publishTask(client, source);
        address[6] memory others = [stranger, client, client2, provider2, master2, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotAgent");
            vm.prank(others[i]);
            nexus.attempt(address(task), provider, 1);
        }
    }

    function test_AttemptByARevokedAgentReverts() public {
        Task task = _publishTask(client, source);
        vm.startPrank(master);
        terminal.setAgent(masterAgent, true);
        terminal.setAgent(masterAgent, false);
        vm.stopPrank();
        vm.expectRevert("NotAgent");
        vm.prank(masterAgent);
        nexus.attempt(address(task), provider, 1);
    }

    function test_SecondAttemptKeepsStatusAndTakesTheNextId() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.warp(START + 5);
        vm.recordLogs();
        _attempt(task, provider2);
        vm.assertEq(vm.getRecordedLogs().length, 1);
        vm.assertEq(task.attempterId(provider2), 2);
        vm.assertEq(task.attemptTimestamps(1), START + 5);
        _assertStatus(task, TaskStatus.ATTEMPTED);
    }

    function test_AttemptWhenRespondedUnderManualConfirmation() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _respond(task, provider, "a", 1);
        _attempt(task, provider2);
        _assertStatus(task, TaskStatus.RESPONDED);
        vm.assertEq(task.attempterId(provider2), 2);
    }

    function test_AttemptTwiceReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.expectRevert("AlreadyAttempted");
        vm.prank(master);
        nexus.attempt(address(task), provider, 1);
    }

    function test_AttemptUnregisteredReverts() public {
        Task task = _publishTask(client, source);
        _pair(provider3, master3);
        _stake(provider3, 12 ether);
        vm.expectRevert("NotRegistered");
        vm.prank(provider3);
        nexus.attempt(address(task), provider3, 1);
        vm.startPrank(provider);
        nexus.unregister(address(source), provider);
        vm.expectRevert("NotRegistered");
        nexus.attempt(address(task), provider, 1);
        vm.stopPrank();
    }

    function test_AttemptIneligibleReverts() public {
        Task task = _publishTask(client, source);
        vm.startPrank(provider);
        vault.unbond(2 ether);
        vm.stopPrank();
        vm.prank(judge);
        vault.sanction(provider, 1);
        vm.expectRevert("NotEligible");
        vm.prank(provider);
        nexus.attempt(address(task), provider, 1);
        vault.setWhitelist(provider, true);
        _attempt(task, provider);
    }

    function test_AttemptAboveThePaymentReverts() public {
        Task task = _publishTask(client, source);
        vm.startPrank(provider);
        vm.expectRevert("InsufficientPayment");
        nexus.attempt(address(task), provider, PAYMENT + 1);
        nexus.attempt(address(task), provider, PAYMENT);
        vm.stopPrank();
    }

    function test_AttemptOfARemovedProviderReverts() public {
        Task task = _publishTask(client, source);
        vm.prank(master);
        terminal.removeProvider(provider);
        vm.expectRevert("NotProvider");
        vm.prank(provider);
        nexus.attempt(address(task), provider, 1);
        vm.expectRevert("NotAgent");
        vm.prank(master);
        nexus.attempt(address(task), provider, 1);
    }

    function test_AttemptOnASettledTaskReverts() public {
        Task canceled = _publishTask(client, source);
        vm.prank(client);
        controller.cancelTask(address(canceled));
        vm.expectRevert("InvalidStatus");
        vm.prank(provider);
        nexus.attempt(address(canceled), provider, 1);

        Task finalized = _publishTask(client, first);
        _attempt(finalized, provider);
        _respond(finalized, provider, "a", 1);
        vm.expectRevert("AlreadyFinalized");
        vm.prank(provider2);
        nexus.attempt(address(finalized), provider2, 1);
    }

    function test_AttemptOneSecondBeforeExpiryCounts() public {
        Task task = _publishTask(client, source);
        vm.warp(START + HOUR - 1);
        _attempt(task, provider);
        _assertStatus(task, TaskStatus.ATTEMPTED);
    }

    function test_AttemptPastExpiryMarksAndRefundsFromEveryOpenStatus() public {
        for (uint256 i = 0; i < 3; i++) {
            vm.warp(START + i * 1 days);
            Task task = _publishTask(client, source);
            if (i > 0) _attempt(task, provider);
            if (i > 1) _respond(task, provider, "a", 1);
            vm.warp(START + i * 1 days + HOUR);
            _expectTaskStatus(task, TaskStatus.EXPIRED);
            vm.recordLogs();
            vm.prank(master2);
            nexus.attempt(address(task), provider2, type(uint256).max);
            vm.assertEq(vm.getRecordedLogs().length, 1);
            _assertStatus(task, TaskStatus.EXPIRED);
            vm.assertEq(vault.balanceOf(client), (i + 1) * PAYMENT);
            vm.assertEq(vault.frozenPayment(address(task)), 0);
            vm.assertEq(task.attempterId(provider2), 0);
        }
    }

    function test_AttemptPastExpiryNeedsACallerOfARegisteredProvider() public {
        Task task = _publishTask(client, source);
        _pair(provider3, master3);
        vm.warp(START + HOUR);
        vm.expectRevert("NotAgent");
        vm.prank(stranger);
        nexus.attempt(address(task), provider, 1);
        vm.expectRevert("NotRegistered");
        vm.prank(provider3);
        nexus.attempt(address(task), provider3, 1);
    }

    function test_ExpiryRefundsOnceWhicheverWay() public {
        Task a = _publishTask(client, source);
        Task b = _publishTask(client, source);
        _publishTask(client2, source);
        vm.warp(START + HOUR);
        _attempt(a, provider);
        vm.startPrank(client);
        vm.expectRevert("InvalidStatus");
        vault.forceReleasePayment(client, address(a));
        vault.forceReleasePayment(client, address(b));
        vm.stopPrank();
        vm.expectRevert("InvalidStatus");
        vm.prank(provider);
        nexus.attempt(address(b), provider, 1);
        vm.assertEq(vault.balanceOf(client), 2 * PAYMENT);
    }

    // submitResponse

    function test_SubmitResponse() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.warp(START + 9);
        Response response = Response(_nextFromNexus());
        vm.expectEmit(address(nexus));
        emit INexus.ResponseSubmitted(address(response), address(task));
        _expectTaskStatus(task, TaskStatus.RESPONDED);
        _respond(task, provider, "data", 0.6 ether);

        vm.assertEq(task.responseOf(provider), address(response));
        vm.assertTrue(task.isAlreadySubmitted(keccak256("data")));
        vm.assertFalse(task.isAlreadySubmitted(keccak256("other")));
        vm.assertEq(response.owner(), address(nexus));
        vm.assertEq(response.responseTimestamp(), START + 9);
        ResponseParams memory params = ResponseParams(address(task), provider, "data", 0.6 ether);
        vm.assertEq(abi.encode(response.getResponseParams()), abi.encode(params));
        (address task_, address provider_, string memory data, uint256 payment) = response.responseParams();
        vm.assertEq(abi.encode(ResponseParams(task_, provider_, data, payment)), abi.encode(params));
        vm.assertEq(uint256(response.getStatus()), uint256(ResponseStatus.SUBMITTED));
        _assertConfirmed(response, false);
        _assertStatus(task, TaskStatus.RESPONDED);
        vm.assertEq(vault.balanceOf(provider), 0);
    }

    function test_SecondResponseKeepsTheStatus() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _attempt(task, provider2);
        _respond(task, provider, "a", 1);
        vm.recordLogs();
        _respond(task, provider2, "b", 1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        // Ownable's event of the new Response, and ResponseSubmitted.
        vm.assertEq(logs.length, 2);
        _assertStatus(task, TaskStatus.RESPONDED);
    }

    function test_SubmitByAnyoneButTheProviderReverts() public {
        _setAgent(master, masterAgent);
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        address[5] memory others = [master, masterAgent, THE_ORDER, provider2, stranger];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotProvider");
            vm.prank(others[i]);
            nexus.submitResponse(ResponseParams(address(task), provider, "a", 1));
        }
    }

    function test_SubmitWithoutAttemptReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider2);
        vm.expectRevert("NotAttempted");
        vm.prank(provider);
        nexus.submitResponse(ResponseParams(address(task), provider, "a", 1));
    }

    function test_SubmitTwiceReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _respond(task, provider, "a", 1);
        vm.expectRevert("AlreadySubmitted");
        vm.prank(provider);
        nexus.submitResponse(ResponseParams(address(task), provider, "b", 1));
    }

    function test_SubmitAnothersDataReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _attempt(task, provider2);
        _respond(task, provider, "a", 1);
        vm.expectRevert("AlreadySubmitted");
        vm.prank(provider2);
        nexus.submitResponse(ResponseParams(address(task), provider2, "a", 1));
        _respond(task, provider2, "b", 1);
    }

    function test_SubmitAtExpiryReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _attempt(task, provider2);
        vm.warp(START + HOUR - 1);
        _respond(task, provider2, "b", 1);
        vm.warp(START + HOUR);
        vm.expectRevert("Expired");
        vm.prank(provider);
        nexus.submitResponse(ResponseParams(address(task), provider, "a", 1));
    }

    function test_SubmitAboveThePaymentReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.expectRevert("InsufficientPayment");
        vm.prank(provider);
        nexus.submitResponse(ResponseParams(address(task), provider, "a", PAYMENT + 1));
        _respond(task, provider, "a", PAYMENT);
    }

    function test_SubmitOnASettledTaskReverts() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        _attempt(task, provider2);
        Response response = _respond(task, provider, "a", 1);
        vm.prank(client);
        controller.confirmResponse(address(response));
        vm.expectRevert("AlreadyFinalized");
        vm.prank(provider2);
        nexus.submitResponse(ResponseParams(address(task), provider2, "b", 1));

        Task expired = _publishTask(client, source);
        _attempt(expired, provider);
        vm.warp(START + HOUR);
        _attempt(expired, provider2);
        vm.expectRevert("InvalidStatus");
        vm.prank(provider);
        nexus.submitResponse(ResponseParams(address(expired), provider, "b", 1));
    }

    function test_RemovedProviderMaySubmitWhatItHasAttempted() public {
        Task task = _publishTask(client, source);
        _attempt(task, provider);
        vm.prank(master);
        terminal.removeProvider(provider);
        Response response = _respond(task, provider, "a", PAYMENT);
        vm.prank(client);
        controller.confirmResponse(address(response));
        vm.assertEq(vault.balanceOf(provider), PAYMENT);
    }

    function test_TasksRunOnWhenTheirSourceIsInactivated() public {
        Task task = _publishTask(client, source);
        vm.prank(client2);
        nexus.inactivateSource(address(source));
        _attempt(task, provider);
        Response response = _respond(task, provider, "a", PAYMENT);
        vm.prank(client);
        controller.confirmResponse(address(response));
        _assertStatus(task, TaskStatus.FINALIZED);
    }

    // FIRST_RESPONSE

    function test_FirstResponseIsConfirmedAndPaidInFullAtOnce() public {
        Task task = _publishTask(client, first);
        _attempt(task, provider);
        _attempt(task, provider2);
        Response response = Response(_nextFromNexus());
        vm.expectEmit(address(nexus));
        emit INexus.ResponseSubmitted(address(response), address(task));
        _expectTaskStatus(task, TaskStatus.RESPONDED);
        vm.expectEmit(address(nexus));
        emit INexus.ResponseStatusChanged(address(response), ResponseStatus.CONFIRMED);
        _expectTaskStatus(task, TaskStatus.FINALIZED);
        _respond(task, provider, "a", 0.2 ether);

        _assertStatus(task, TaskStatus.FINALIZED);
        _assertConfirmed(response, true);
        vm.assertEq(task.winningProvider(), provider);
        vm.assertEq(vault.balanceOf(provider), PAYMENT);
        vm.assertEq(vault.totalEarningsOf(provider), PAYMENT);
        vm.assertEq(vault.balanceOf(client), 0);
        vm.assertEq(vault.frozenPayment(address(task)), 0);
        vm.expectRevert("AlreadyFinalized");
        vm.prank(provider2);
        nexus.submitResponse(ResponseParams(address(task), provider2, "b", 1));
        vm.expectRevert("AlreadyConfirmed");
        vm.prank(client);
        controller.confirmResponse(address(response));
    }

    // confirmResponse

    function _responded() private returns (Task task, Response a, Response b) {
        task = _publishTask(client, source);
        _attempt(task, provider);
        _attempt(task, provider2);
        a = _respond(task, provider, "a", 0.3 ether);
        b = _respond(task, provider2, "b", 0.4 ether);
    }

    function test_ConfirmPaysThePriceAndReturnsTheRest() public {
        (Task task, Response a, Response b) = _responded();
        vm.expectEmit(address(nexus));
        emit INexus.ResponseStatusChanged(address(b), ResponseStatus.CONFIRMED);
        _expectTaskStatus(task, TaskStatus.FINALIZED);
        vm.prank(client);
        controller.confirmResponse(address(b));
        _assertStatus(task, TaskStatus.FINALIZED);
        _assertConfirmed(b, true);
        _assertConfirmed(a, false);
        vm.assertEq(task.winningProvider(), provider2);
        vm.assertEq(vault.balanceOf(provider2), 0.4 ether);
        vm.assertEq(vault.totalEarningsOf(provider2), 0.4 ether);
        vm.assertEq(vault.balanceOf(provider), 0);
        vm.assertEq(vault.balanceOf(client), 0.6 ether);
        vm.assertEq(vault.frozenPayment(address(task)), 0);
    }

    function test_ConfirmByTheClientsAgent() public {
        _setAgent(client, clientAgent);
        (Task task, Response a,) = _responded();
        vm.prank(clientAgent);
        controller.confirmResponse(address(a));
        vm.assertEq(task.winningProvider(), provider);
        vm.assertEq(vault.balanceOf(client), 0.7 ether);
    }

    function test_ConfirmByAnyoneElseReverts() public {
        (, Response a,) = _responded();
        vm.prank(client);
        terminal.setAgent(clientAgent, true);
        vm.prank(client);
        terminal.setAgent(clientAgent, false);
        address[7] memory others = [clientAgent, stranger, client2, provider, master, THE_ORDER, admin];
        for (uint256 i = 0; i < others.length; i++) {
            vm.expectRevert("NotClient");
            vm.prank(others[i]);
            controller.confirmResponse(address(a));
        }
    }

    function test_ConfirmTwiceReverts() public {
        (, Response a, Response b) = _responded();
        vm.startPrank(client);
        controller.confirmResponse(address(a));
        vm.expectRevert("AlreadyConfirmed");
        controller.confirmResponse(address(a));
        vm.expectRevert("AlreadyFinalized");
        controller.confirmResponse(address(b));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(provider2), 0);
        _assertConfirmed(b, false);
    }

    function test_ConfirmAfterExpiryWhileStillResponded() public {
        (Task task, Response a,) = _responded();
        vm.warp(START + 2 * HOUR);
        vm.prank(client);
        controller.confirmResponse(address(a));
        _assertStatus(task, TaskStatus.FINALIZED);
        vm.expectRevert("AlreadyFinalized");
        vm.prank(client);
        vault.forceReleasePayment(client, address(task));
        vm.assertEq(vault.balanceOf(client), 0.7 ether);
    }

    function test_ConfirmAfterExpiryWasMarkedReverts() public {
        (Task task, Response a,) = _responded();
        vm.warp(START + HOUR);
        vm.startPrank(client);
        vault.forceReleasePayment(client, address(task));
        vm.expectRevert("InvalidStatus");
        controller.confirmResponse(address(a));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(client), PAYMENT);
        vm.assertEq(vault.balanceOf(provider), 0);
        _assertConfirmed(a, false);
    }

    // The owner of a task is its client

    function test_TransferredTaskObeysAndRefundsItsNewOwner() public {
        Task task = _publishTask(client, source);
        vm.prank(client);
        task.transferOwnership(stranger);
        vm.expectRevert("NotClient");
        vm.prank(client);
        controller.cancelTask(address(task));
        vm.prank(stranger);
        controller.cancelTask(address(task));
        vm.assertEq(vault.balanceOf(stranger), PAYMENT);
        vm.assertEq(vault.balanceOf(client), 0);
    }

    function test_OwnershipOfATaskCannotBeRenounced() public {
        Task task = _publishTask(client, source);
        vm.expectRevert(abi.encodeWithSignature("OwnableInvalidOwner(address)", address(0)));
        vm.prank(client);
        task.renounceOwnership();
        vm.expectRevert(_notOwner(stranger));
        vm.prank(stranger);
        task.renounceOwnership();
    }

    // Forged items

    function test_ForgedTaskIsRefusedEverywhere() public {
        _publishTask(client2, source);
        // A real Task of the right source, owned by its forger, but not published by Controller.
        vm.startPrank(provider);
        Task forged = new Task(_taskParams(source), DeliveryMethod.FIRST_RESPONSE, address(nexus));
        vm.expectRevert("InvalidStatus");
        controller.cancelTask(address(forged));
        vm.expectRevert("InvalidStatus");
        nexus.attempt(address(forged), provider, 1);
        forged.attempt(provider);
        vm.expectRevert("InvalidStatus");
        nexus.submitResponse(ResponseParams(address(forged), provider, "a", 1));
        vm.warp(START + HOUR);
        vm.expectRevert("InvalidStatus");
        vault.forceReleasePayment(provider, address(forged));
        vm.stopPrank();
        vm.assertEq(vault.balanceOf(provider), 0);
    }

    function test_ForgedResponseIsRefused() public {
        (Task task,,) = _responded();
        Response forged = new Response(ResponseParams(address(task), stranger, "x", PAYMENT));
        vm.expectRevert("InvalidStatus");
        vm.prank(client);
        controller.confirmResponse(address(forged));
        vm.assertEq(vault.balanceOf(stranger), 0);
    }

    // Items obey the protocol only

    function test_TaskObeysNexusAndItsDeployerOnly() public {
        Task task = _publishTask(client, source);
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(task.attempt, (provider));
        calls[1] = abi.encodeCall(task.submitResponse, (address(9), provider));
        calls[2] = abi.encodeCall(task.setStatus, (TaskStatus.CANCELED));
        address[5] memory callers = [client, provider, stranger, admin, address(vault)];
        for (uint256 i = 0; i < calls.length; i++) {
            for (uint256 j = 0; j < callers.length; j++) {
                vm.prank(callers[j]);
                (bool done, bytes memory data) = address(task).call(calls[i]);
                vm.assertFalse(done);
                vm.assertEq(data, abi.encodeWithSignature("Error(string)", "NotOwner"));
            }
        }
        vm.prank(address(nexus));
        task.attempt(provider);
        vm.prank(address(controller));
        task.attempt(provider2);
        vm.assertEq(task.getAttemptCount(), 2);
    }

    function test_ResponseObeysItsOwnerOnly() public {
        (, Response a, Response b) = _responded();
        address[3] memory callers = [client, provider, address(controller)];
        for (uint256 i = 0; i < callers.length; i++) {
            vm.startPrank(callers[i]);
            vm.expectRevert(_notOwner(callers[i]));
            a.confirm();
            vm.expectRevert(_notOwner(callers[i]));
            a.setStatus(ResponseStatus.CONFIRMED);
            vm.stopPrank();
        }
        vm.startPrank(address(nexus));
        a.confirm();
        _assertConfirmed(a, true);
        vm.expectRevert("AlreadyConfirmed");
        a.confirm();
        vm.expectRevert("InvalidStatus");
        a.setStatus(ResponseStatus.SUBMITTED);
        b.setStatus(ResponseStatus.CONFIRMED);
        _assertConfirmed(b, true);
        vm.stopPrank();
    }

    function test_NexusRestrictedCallsRefuseEveryoneElse() public {
        (Task task, Response a,) = _responded();
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeCall(nexus.emitTaskPublished, (address(9), address(source)));
        calls[1] = abi.encodeCall(nexus.setResponseStatus, (address(a), ResponseStatus.CONFIRMED));
        calls[2] = abi.encodeCall(nexus.setTaskStatus, (address(task), TaskStatus.EXPIRED));
        address[5] memory callers = [client, provider, stranger, admin, address(terminal)];
        for (uint256 i = 0; i < calls.length; i++) {
            for (uint256 j = 0; j < callers.length; j++) {
                vm.prank(callers[j]);
                (bool done, bytes memory data) = address(nexus).call(calls[i]);
                vm.assertFalse(done);
                vm.assertEq(data, abi.encodeWithSignature("Error(string)", "NotOwner"));
            }
        }
        vm.expectRevert("NotOwner");
        vm.prank(address(vault));
        nexus.setResponseStatus(address(a), ResponseStatus.CONFIRMED);
    }

    function test_EmitTaskPublishedTakesEachTaskOnceAndKnownSourcesOnly() public {
        vm.startPrank(address(controller));
        nexus.emitTaskPublished(address(9), address(source));
        vm.expectRevert("InvalidStatus");
        nexus.emitTaskPublished(address(9), address(source));
        vm.expectRevert("SourceInactive");
        nexus.emitTaskPublished(address(8), address(7));
        vm.stopPrank();
    }

    // Steps

    function test_OnlyLegalStepsAreTaken() public {
        bool[6][6] memory legal;
        legal[0][1] = legal[0][3] = legal[0][4] = true;
        legal[1][2] = legal[1][4] = true;
        legal[2][4] = legal[2][5] = true;
        for (uint256 from = 0; from < 6; from++) {
            for (uint256 to = 0; to < 6; to++) {
                Task task = _taskIn(TaskStatus(from));
                // The winner that FINALIZED looks for.
                if (from == 2) {
                    Response response = Response(task.responseOf(provider));
                    vm.prank(address(nexus));
                    response.confirm();
                }
                if (!legal[from][to]) vm.expectRevert(bytes(from == 5 ? "AlreadyFinalized" : "InvalidStatus"));
                _setStatus(task, TaskStatus(to));
                _assertStatus(task, TaskStatus(legal[from][to] ? to : from));
            }
        }
    }

    function test_FinalizingWithoutAConfirmedResponseReverts() public {
        (Task task,,) = _responded();
        vm.expectRevert("InvalidStatus");
        _setStatus(task, TaskStatus.FINALIZED);
    }

    function _taskIn(TaskStatus status) private returns (Task task) {
        task = _publishTask(client, status == TaskStatus.FINALIZED ? first : source);
        if (status == TaskStatus.CANCELED || status == TaskStatus.EXPIRED) _setStatus(task, status);
        if (status == TaskStatus.NEW || status == TaskStatus.CANCELED || status == TaskStatus.EXPIRED) return task;
        _attempt(task, provider);
        if (status != TaskStatus.ATTEMPTED) _respond(task, provider, "a", 1);
    }

    // Setters of Controller

    function test_ControllerSettersAreForTheOwner() public {
        controller.setNexus(address(1));
        controller.setTerminal(address(2));
        controller.setVault(address(3));
        vm.assertEq(controller.nexus(), address(1));
        vm.assertEq(controller.terminal(), address(2));
        vm.assertEq(controller.vault(), address(3));
        vm.startPrank(stranger);
        vm.expectRevert(_notOwner(stranger));
        controller.setNexus(stranger);
        vm.expectRevert(_notOwner(stranger));
        controller.setTerminal(stranger);
        vm.expectRevert(_notOwner(stranger));
        controller.setVault(stranger);
        vm.stopPrank();
    }

    // Fuzz

    function testFuzz_ConfirmSplitsThePaymentExactly(uint96 payment, uint96 price) public {
        payment = uint96(uint256(payment) % (type(uint96).max - 1 ether) + 0.1 ether);
        price = uint96(uint256(price) % (uint256(payment) + 1));
        _deposit(client, payment);
        TaskParams memory params = _taskParams(source);
        params.payment = payment;
        Task task = _nextTask();
        vm.prank(client);
        controller.publishTask(params);
        vm.prank(provider);
        nexus.attempt(address(task), provider, price);
        Response response = _respond(task, provider, "a", price);
        vm.prank(client);
        controller.confirmResponse(address(response));
        vm.assertEq(vault.balanceOf(provider), price);
        vm.assertEq(vault.balanceOf(client), payment - price);
        vm.assertEq(vault.frozenPayment(address(task)), 0);
    }
}
