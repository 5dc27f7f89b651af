// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {INexus} from "./interfaces/INexus.sol";
import {IResponse} from "./interfaces/IResponse.sol";
import {ISource} from "./interfaces/ISource.sol";
import {ITask} from "./interfaces/ITask.sol";
import {ITerminal} from "./interfaces/ITerminal.sol";
import {IVault} from "./interfaces/IVault.sol";
import {ResponseParams, ResponseStatus, SourceParams, SourceStatus, TaskParams, TaskStatus} from "./interfaces/Types.sol";
import {Task} from "./Task.sol";

/// @notice Publishes, confirms and cancels tasks, and moves their payments.
contract Controller is Ownable {
    address public nexus;
    address public terminal;
    address public vault;

    constructor(address _nexus, address _terminal, address _vault) Ownable(msg.sender) {
        nexus = _nexus;
        terminal = _terminal;
        vault = _vault;
    }

    function setNexus(address _nexus) external onlyOwner {
        nexus = _nexus;
    }

    function setTerminal(address _terminal) external onlyOwner {
        terminal = _terminal;
    }

    function setVault(address _vault) external onlyOwner {
        vault = _vault;
    }

    /// @notice Publishes a task of the sender and holds its payment.
    function publishTask(TaskParams calldata _taskParams) external {
        // An unknown contract may say anything of itself, so the registry is asked first.
        require(INexus(nexus).getSourceId(_taskParams.source) != 0, "SourceInactive");
        require(ISource(_taskParams.source).getStatus() == SourceStatus.ACTIVE, "SourceInactive");
        SourceParams memory source = ISource(_taskParams.source).getSourceParams();
        require(_taskParams.payment >= source.minPayment, "InsufficientPayment");
        _requireValidExpiry(_taskParams.expiryTime, source.maxExpiryDuration);

        Task task = new Task(_taskParams, source.deliveryMethod, nexus);
        task.transferOwnership(msg.sender);
        IVault(vault).freezePayment(msg.sender, address(task), _taskParams.payment);
        INexus(nexus).emitTaskPublished(address(task), _taskParams.source);
    }

    /// @notice Cancels a task that nobody has attempted, and gives its payment back.
    function cancelTask(address task) external {
        address client = _requireClientOf(task);
        // Fails for a contract that Nexus does not know as a task, and for one that is no longer NEW.
        INexus(nexus).setTaskStatus(task, TaskStatus.CANCELED);
        IVault(vault).releasePayment(client, task);
    }

    /// @notice Chooses the winner: the provider gets its price, the client the rest. Expiry does not matter [L].
    function confirmResponse(address response) external {
        ResponseParams memory answer = IResponse(response).getResponseParams();
        address client = _requireClientOf(answer.task);
        // Fails for a contract that Nexus has not deployed, so a forged response gets no further.
        INexus(nexus).setResponseStatus(response, ResponseStatus.CONFIRMED);
        INexus(nexus).setTaskStatus(answer.task, TaskStatus.FINALIZED);
        IVault(vault).processPayment(client, answer.provider, answer.task, answer.payment);
    }

    function _requireClientOf(address task) private view returns (address client) {
        client = ITask(task).owner();
        // [L] Named agents only: the default agent does not act for clients.
        require(msg.sender == client || ITerminal(terminal).isAgentOf(client, msg.sender), "NotClient");
    }

    function _requireValidExpiry(uint256 expiryTime, uint256 maxDuration) private view {
        require(expiryTime > block.timestamp, "InvalidExpiry");
        // Subtracted, not added: a source may name any duration, and a sum could overflow.
        require(expiryTime - block.timestamp <= maxDuration, "InvalidExpiry");
    }
}
