// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Response} from "../../src/Response.sol";
import {Source} from "../../src/Source.sol";
import {Task} from "../../src/Task.sol";
import {
    DeliveryMethod,
    ResponseParams,
    ResponseStatus,
    SourceParams,
    SourceStatus,
    TaskParams,
    TaskStatus
} from "../../src/interfaces/Types.sol";
import {vm} from "../base/Vm.sol";
import {PeopleHandler} from "./PeopleHandler.sol";

/// @notice The life of tasks, and calls that nobody may make.
contract Handler is PeopleHandler {
    uint256 private constant MAX_OPEN = 12;

    function publishTask(uint256 seed) external {
        if (open.length >= MAX_OPEN) return;
        address sender = _mix(seed, "who") % 4 == 0 ? _actor(seed) : actors[seed % 2];
        Source source = _source(seed);
        SourceParams memory params = source.getSourceParams();
        if (_mix(seed, "fund") % 4 != 0) {
            gained[sender] += 3 ether;
            _deposit(sender, 3 ether);
        }
        uint256 payment = _upTo(seed, 3 ether);
        if (payment < params.minPayment && seed % 4 != 0) payment = params.minPayment;
        uint256 expiry = block.timestamp + _upTo(_mix(seed, "expiry"), 12 hours);
        bool expected = source.status() == SourceStatus.ACTIVE && payment >= params.minPayment
            && payment <= vault.balanceOf(sender) && expiry > block.timestamp;
        TaskParams memory given = TaskParams(address(source), "config", expiry, payment);
        Task task = _nextTask();
        bool done = _try(sender, address(controller), abi.encodeCall(controller.publishTask, (given)));
        _must(done == expected, "publishTask");
        if (done) {
            lost[sender] += payment;
            open.push(items.length);
            bool first = params.deliveryMethod == DeliveryMethod.FIRST_RESPONSE;
            items.push(Item(task, sender, payment, expiry, first, TaskStatus.NEW));
        }
        _hit("publishTask", done);
    }

    function transferTask(uint256 seed) external {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        address sender = _caller(seed, item.client);
        address heir = _actor(_mix(seed, "heir"));
        bool expected = sender == item.client;
        bool done = _try(sender, address(item.task), abi.encodeCall(item.task.transferOwnership, (heir)));
        _must(done == expected, "transferTask");
        if (done) item.client = heir;
        if (_mix(seed, "renounce") % 2 == 0) {
            bool renounced = _try(item.client, address(item.task), abi.encodeCall(item.task.renounceOwnership, ()));
            _must(!renounced, "renounceOwnership");
        }
        _hit("transferTask", done);
    }

    function cancelTask(uint256 seed) external {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        // Mostly a stranger, or hardly any task would live.
        address sender = _mix(seed, "who") % 3 == 0 ? item.client : _actor(seed);
        bool expected = item.status == TaskStatus.NEW && _actsForClient(sender, item.client);
        bool done = _try(sender, address(controller), abi.encodeCall(controller.cancelTask, (address(item.task))));
        _must(done == expected, "cancelTask");
        if (done) _settle(item, TaskStatus.CANCELED, address(0), 0);
        _hit("cancelTask", done);
    }

    function attempt(uint256 seed) public {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        address account = providers[_mix(seed, "provider") % 3];
        address sender = _caller(seed, account);
        uint256 price = _upTo(seed, item.payment + item.payment / 16);
        bool late = block.timestamp >= item.expiry;
        bool expected = _mayAttempt(item, sender, account) && (late || _canAttempt(item, account, price));
        bytes memory data = abi.encodeCall(nexus.attempt, (address(item.task), account, price));
        bool done = _try(sender, address(nexus), data);
        _must(done == expected, "attempt");
        if (done && late) _settle(item, TaskStatus.EXPIRED, address(0), 0);
        if (done && !late && item.status == TaskStatus.NEW) item.status = TaskStatus.ATTEMPTED;
        _hit(late ? bytes32("expire") : bytes32("attempt"), done);
    }

    function _mayAttempt(Item storage item, address sender, address account) private view returns (bool) {
        bool registered = Source(item.task.getSource()).registrantId(account) != 0;
        return item.status <= TaskStatus.RESPONDED && registered && _actsForProvider(sender, account);
    }

    function _canAttempt(Item storage item, address account, uint256 price) private view returns (bool) {
        uint256 count = activeSources[account];
        uint256 floor = vault.MIN_LOCKUP_PER_SOURCE() * (count > 1 ? count : 1);
        bool eligible = vault.isWhitelisted(account) || vault.lockupOf(account) >= floor;
        return eligible && terminal.isProvider(account) && price <= item.payment && item.task.attempterId(account) == 0;
    }

    function submitResponse(uint256 seed) public {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        address account = _attempterOf(item, seed);
        address sender = _caller(seed, account);
        // Sometimes all say the same, which only the first may.
        string memory data = _mix(seed, "copy") % 6 == 0 ? "same" : vm.toString(_mix(seed, "data"));
        uint256 price = _upTo(seed, item.payment + item.payment / 16);
        bool expected = sender == account && price <= item.payment && _maySubmit(item, account, data);
        ResponseParams memory params = ResponseParams(address(item.task), account, data, price);
        bool done = _try(sender, address(nexus), abi.encodeCall(nexus.submitResponse, (params)));
        _must(done == expected, "submitResponse");
        if (done && item.first) {
            _must(item.task.winningProvider() == account, "first wins");
            _settle(item, TaskStatus.FINALIZED, account, item.payment);
        } else if (done) {
            item.status = TaskStatus.RESPONDED;
        }
        _hit(item.first ? bytes32("firstResponse") : bytes32("submitResponse"), done);
    }

    function _maySubmit(Item storage item, address account, string memory data) private view returns (bool) {
        bool isOpen = item.status <= TaskStatus.RESPONDED && block.timestamp < item.expiry;
        bool due = item.task.attempterId(account) != 0 && item.task.responseOf(account) == address(0);
        return isOpen && due && !item.task.isAlreadySubmitted(keccak256(bytes(data)));
    }

    function confirmResponse(uint256 seed) public {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        address response = item.task.responseOf(_attempterOf(item, seed));
        if (response == address(0)) return;
        address sender = _caller(seed, item.client);
        ResponseParams memory params = Response(response).getResponseParams();
        bool expected = item.status == TaskStatus.RESPONDED && _actsForClient(sender, item.client);
        bool done = _try(sender, address(controller), abi.encodeCall(controller.confirmResponse, (response)));
        _must(done == expected, "confirmResponse");
        if (done) {
            _must(item.task.winningProvider() == params.provider, "winner");
            _settle(item, TaskStatus.FINALIZED, params.provider, params.payment);
        }
        _hit("confirmResponse", done);
    }

    function forceReleasePayment(uint256 seed) external {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        if (_mix(seed, "wait") % 4 == 0 && item.expiry > block.timestamp) vm.warp(item.expiry - seed % 2);
        address sender = _caller(seed, item.client);
        address named = _caller(_mix(seed, "named"), item.client);
        bool mine = sender == item.client && named == item.client;
        bool expected = mine && block.timestamp >= item.expiry && item.status <= TaskStatus.RESPONDED;
        bytes memory data = abi.encodeCall(vault.forceReleasePayment, (named, address(item.task)));
        bool done = _try(sender, address(vault), data);
        _must(done == expected, "forceReleasePayment");
        if (done) _settle(item, TaskStatus.EXPIRED, address(0), 0);
        _hit("forceRelease", done);
    }

    /// @notice One step forward of a task, whichever is next, so that many tasks reach their end.
    function advance(uint256 seed) external {
        if (open.length == 0) return;
        TaskStatus status = items[open[_mix(seed, "item") % open.length]].status;
        if (status == TaskStatus.RESPONDED) return confirmResponse(seed);
        if (status == TaskStatus.ATTEMPTED) return submitResponse(seed);
        attempt(seed);
    }

    /// @notice None of these is open to anyone, whoever calls.
    function trespass(uint256 seed) external {
        if (items.length == 0) return;
        Item storage item = _item(seed);
        address task = address(item.task);
        address sender = _actor(seed);
        uint256 i = _mix(seed, "call") % 12;
        (address to, bytes memory data) = (address(vault), abi.encodeCall(vault.releasePayment, (sender, task)));
        if (i == 1) data = abi.encodeCall(vault.processPayment, (item.client, sender, task, item.payment));
        if (i == 2) data = abi.encodeCall(vault.freezePayment, (_actor(_mix(seed, "victim")), task, 0));
        if (i == 3) (to, data) = (address(nexus), abi.encodeCall(nexus.setTaskStatus, (task, TaskStatus(seed % 6))));
        if (i == 4) (to, data) = (task, abi.encodeCall(item.task.setStatus, (TaskStatus(seed % 6))));
        if (i == 5) (to, data) = (task, abi.encodeCall(item.task.attempt, (sender)));
        if (i == 6) (to, data) = (address(nexus), abi.encodeCall(nexus.emitTaskPublished, (sender, item.task.getSource())));
        if (i == 7) (to, data) = (item.task.getSource(), abi.encodeCall(Source.publishTask, (sender)));
        if (i == 8) (to, data) = (item.task.getSource(), abi.encodeCall(Source.register, (sender, CPU)));
        if (i == 9) (to, data) = (item.task.getSource(), abi.encodeCall(Source.setStatus, (SourceStatus.INACTIVE)));
        if (i == 10) (to, data) = (address(nexus), abi.encodeCall(nexus.setVault, (sender)));
        if (i == 11) (to, data) = _responseTrespass(item, seed);
        _must(!_try(sender, to, data), "trespass");
        _hit("trespass", true);
    }

    function _responseTrespass(Item storage item, uint256 seed) private view returns (address, bytes memory) {
        address response = item.task.responseOf(_attempterOf(item, seed));
        // Without a response yet, the same through Nexus on something that is none.
        if (response == address(0)) {
            return (address(nexus), abi.encodeCall(nexus.setResponseStatus, (response, ResponseStatus.CONFIRMED)));
        }
        return (response, abi.encodeCall(Response.confirm, ()));
    }

    /// @notice An open item mostly, now and then one that is settled.
    function _item(uint256 seed) private view returns (Item storage) {
        if (open.length == 0 || (_mix(seed, "settled") % 6 == 0)) return items[_mix(seed, "item") % items.length];
        return items[open[_mix(seed, "item") % open.length]];
    }

    function _attempterOf(Item storage item, uint256 seed) private view returns (address) {
        uint256 count = item.task.getAttemptCount();
        return count == 0 ? providers[seed % 3] : item.task.attempters(_mix(seed, "attempter") % count);
    }

    function _settle(Item storage item, TaskStatus status, address winner, uint256 price) private {
        item.status = status;
        gained[item.client] += item.payment - price;
        gained[winner] += price;
        earned[winner] += price;
        for (uint256 i = 0; i < open.length; i++) {
            if (address(items[open[i]].task) != address(item.task)) continue;
            closed.push(open[i]);
            open[i] = open[open.length - 1];
            open.pop();
            return;
        }
        _must(false, "settled twice");
    }
}
