// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Response} from "../src/Response.sol";
import {Source} from "../src/Source.sol";
import {Task} from "../src/Task.sol";
import {DeliveryMethod} from "../src/interfaces/Types.sol";
import {Fixture} from "./base/Fixture.sol";
import {vm} from "./base/Vm.sol";

/// @notice The quirks of the deployed list getters; clients are tested against these.
contract QuirksTest is Fixture {
    Source private source;
    Task private task;
    Response private answer;

    function setUp() public override {
        super.setUp();
        source = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        _enlist(source, provider, master);
        _enlist(source, provider2, master2);
        _enlist(source, provider3, master3);
        task = _publishTask(client, source);
        _publishTask(client, source);
        address[3] memory providers = [provider, provider2, provider3];
        for (uint256 i = 0; i < 3; i++) {
            vm.warp(START + i);
            _attempt(task, providers[i]);
        }
        answer = _respond(task, provider2, "a", 1);
    }

    function _assertPanics(address target, bytes memory callData, uint256 code) private view {
        (bool done, bytes memory data) = target.staticcall(callData);
        vm.assertFalse(done);
        vm.assertEq(data, _panic(code));
    }

    function _list(address a, address b) private pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (a, b);
    }

    function test_AttemptersHaveInclusiveBounds() public view {
        vm.assertEq(task.getAttempters(0, 1), _list(provider, provider2));
        vm.assertEq(task.getAttempters(1, 2), _list(provider2, provider3));
        vm.assertEq(task.getAttempters(2, 2).length, 1);
        vm.assertEq(task.getAttempters(2, 2)[0], provider3);
    }

    function test_AttemptTimestampsHaveInclusiveBounds() public view {
        uint256[] memory expected = new uint256[](2);
        (expected[0], expected[1]) = (START + 1, START + 2);
        vm.assertEq(task.getAttemptTimestamps(1, 2), expected);
        vm.assertEq(task.getAttemptTimestamps(0, 0).length, 1);
    }

    function test_ResponsesWalkTheAttempters() public view {
        vm.assertEq(task.getResponsesOf(0, 1), _list(address(0), address(answer)));
        vm.assertEq(task.getResponsesOf(1, 2), _list(address(answer), address(0)));
        vm.assertEq(task.getResponsesOf(0, task.getAttemptCount() - 1).length, 3);
    }

    function test_SourcesHaveInclusiveBounds() public {
        Source second = _publishSource(client, DeliveryMethod.FIRST_RESPONSE);
        vm.assertEq(nexus.getSources(0, 1), _list(address(source), address(second)));
        vm.assertEq(nexus.getSources(1, 1)[0], address(second));
    }

    function test_TasksAndRegistrantsFromZeroHaveInclusiveBounds() public view {
        vm.assertEq(source.getTasks(0, 1), _list(address(task), source.tasks(1)));
        vm.assertEq(source.getTasks(0, 0).length, 1);
        vm.assertEq(source.getRegistrants(0, 1), _list(provider, provider2));
        vm.assertEq(source.getRegistrants(0, 2).length, 3);
    }

    function test_TasksAndRegistrantsPanicForAnyLowerBoundAboveZero() public view {
        uint256[2][4] memory bounds = [[uint256(1), 1], [uint256(1), 0], [uint256(2), 9], [type(uint256).max, 0]];
        for (uint256 i = 0; i < bounds.length; i++) {
            (uint256 lower, uint256 upper) = (bounds[i][0], bounds[i][1]);
            _assertPanics(address(source), abi.encodeCall(source.getTasks, (lower, upper)), 0x32);
            _assertPanics(address(source), abi.encodeCall(source.getRegistrants, (lower, upper)), 0x32);
        }
    }

    function testFuzz_AnIndexAtOrPastTheCountPanics(uint256 lower, uint256 upper) public view {
        upper = upper < 3 ? upper + 3 : upper;
        _assertPanics(address(task), abi.encodeCall(task.getAttempters, (lower, upper)), 0x32);
        _assertPanics(address(task), abi.encodeCall(task.getAttemptTimestamps, (lower, upper)), 0x32);
        _assertPanics(address(task), abi.encodeCall(task.getResponsesOf, (lower, upper)), 0x32);
        _assertPanics(address(nexus), abi.encodeCall(nexus.getSources, (lower, upper)), 0x32);
        _assertPanics(address(source), abi.encodeCall(source.getTasks, (0, upper)), 0x32);
        _assertPanics(address(source), abi.encodeCall(source.getRegistrants, (0, upper)), 0x32);
    }

    function test_AnIndexJustPastTheCountPanics() public view {
        _assertPanics(address(task), abi.encodeCall(task.getAttempters, (0, 3)), 0x32);
        _assertPanics(address(task), abi.encodeCall(task.getAttemptTimestamps, (0, 3)), 0x32);
        _assertPanics(address(task), abi.encodeCall(task.getResponsesOf, (0, 3)), 0x32);
        _assertPanics(address(nexus), abi.encodeCall(nexus.getSources, (0, 1)), 0x32);
        _assertPanics(address(source), abi.encodeCall(source.getTasks, (0, 2)), 0x32);
        _assertPanics(address(source), abi.encodeCall(source.getRegistrants, (0, 3)), 0x32);
    }

    function test_EmptyListsPanicAtZero() public {
        Source empty = _publishSource(client, DeliveryMethod.MANUAL_CONFIRMATION);
        Task fresh = Task(source.tasks(1));
        _assertPanics(address(fresh), abi.encodeCall(fresh.getAttempters, (0, 0)), 0x32);
        _assertPanics(address(fresh), abi.encodeCall(fresh.getResponsesOf, (0, 0)), 0x32);
        _assertPanics(address(empty), abi.encodeCall(empty.getTasks, (0, 0)), 0x32);
        _assertPanics(address(empty), abi.encodeCall(empty.getRegistrants, (0, 0)), 0x32);
    }

    function test_CrossedBoundsFail() public view {
        _assertPanics(address(task), abi.encodeCall(task.getAttempters, (2, 1)), 0x11);
        _assertPanics(address(task), abi.encodeCall(task.getResponsesOf, (2, 0)), 0x11);
    }

    function test_UnregisteredLeavesAZeroAddress() public {
        vm.prank(provider2);
        nexus.unregister(address(source), provider2);
        address[] memory list = source.getRegistrants(0, 2);
        vm.assertEq(list[0], provider);
        vm.assertEq(list[1], address(0));
        vm.assertEq(list[2], provider3);
        vm.assertEq(source.getRegistrantCount(), 3);
    }
}
