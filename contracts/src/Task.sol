// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IResponse} from "./interfaces/IResponse.sol";
import {ITask} from "./interfaces/ITask.sol";
import {DeliveryMethod, ResponseStatus, TaskParams, TaskStatus} from "./interfaces/Types.sol";
import {Ranges} from "./libraries/Ranges.sol";

/// @notice One call of a source; its owner is its client. Obeys Nexus and its deployer.
contract Task is Ownable, ITask {
    TaskParams public taskParams;
    TaskStatus public status;
    DeliveryMethod public deliveryMethod;
    /// @notice The provider whose response was confirmed; zero until FINALIZED.
    address public winningProvider;

    address[] public attempters;
    uint256[] public attemptTimestamps;
    /// @notice Position in attempters plus one; 0 means that the provider has not attempted.
    mapping(address => uint256) public attempterId;
    mapping(address => address) public responseOf;
    /// @notice True for the keccak256 of each data string that was submitted.
    mapping(bytes32 => bool) public isAlreadySubmitted;

    address private immutable _nexus;
    address private immutable _deployer;
    // The winner is looked for among responses only, so mere attempts cannot make FINALIZED too expensive.
    address[] private _responders;

    modifier onlyProtocol() {
        require(msg.sender == _nexus || msg.sender == _deployer, "NotOwner");
        _;
    }

    constructor(TaskParams memory _taskParams, DeliveryMethod _deliveryMethod, address nexus)
        payable
        Ownable(msg.sender)
    {
        taskParams = _taskParams;
        deliveryMethod = _deliveryMethod;
        _nexus = nexus;
        _deployer = msg.sender;
    }

    /// @notice Enters a provider as an attempter.
    function attempt(address provider) external onlyProtocol {
        require(attempterId[provider] == 0, "AlreadyAttempted");
        attempters.push(provider);
        attemptTimestamps.push(block.timestamp);
        attempterId[provider] = attempters.length;
    }

    /// @notice Enters an attempter's only response; no two responses carry the same data.
    function submitResponse(address response, address provider) external onlyProtocol {
        require(attempterId[provider] != 0, "NotAttempted");
        require(responseOf[provider] == address(0), "AlreadySubmitted");
        bytes32 dataHash = keccak256(bytes(IResponse(response).getResponseParams().data));
        require(!isAlreadySubmitted[dataHash], "AlreadySubmitted");
        isAlreadySubmitted[dataHash] = true;
        responseOf[provider] = response;
        _responders.push(provider);
    }

    /// @notice Takes one legal step; CANCELED, EXPIRED and FINALIZED are never left.
    function setStatus(TaskStatus _status) external onlyProtocol {
        require(status != TaskStatus.FINALIZED, "AlreadyFinalized");
        require(_isStep(status, _status), "InvalidStatus");
        if (_status == TaskStatus.FINALIZED) winningProvider = _findWinner();
        status = _status;
    }

    /// @notice Always fails: refunds go to the owner, so a task without one would strand its payment [L].
    function renounceOwnership() public virtual override onlyOwner {
        revert OwnableInvalidOwner(address(0));
    }

    function owner() public view override(Ownable, ITask) returns (address) {
        return super.owner();
    }

    function getSource() external view returns (address) {
        return taskParams.source;
    }

    function getPayment() external view returns (uint256) {
        return taskParams.payment;
    }

    function getExpiryTime() external view returns (uint256) {
        return taskParams.expiryTime;
    }

    function getStatus() external view returns (TaskStatus) {
        return status;
    }

    function getDeliveryMethod() external view returns (DeliveryMethod) {
        return deliveryMethod;
    }

    function getAttemptCount() external view returns (uint256) {
        return attempters.length;
    }

    function getAttempterId(address provider) external view returns (uint256) {
        return attempterId[provider];
    }

    /// @notice Both bounds inclusive.
    function getAttempters(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return Ranges.slice(attempters, lower, upper);
    }

    /// @notice Both bounds inclusive.
    function getAttemptTimestamps(uint256 lower, uint256 upper) external view returns (uint256[] memory) {
        uint256[] memory part = new uint256[](Ranges.size(attemptTimestamps.length, lower, upper));
        for (uint256 i = 0; i < part.length; i++) {
            part[i] = attemptTimestamps[lower + i];
        }
        return part;
    }

    /// @notice Walks the attempters, both bounds inclusive: zero where that attempter has not responded.
    function getResponsesOf(uint256 lower, uint256 upper) external view returns (address[] memory) {
        address[] memory part = Ranges.slice(attempters, lower, upper);
        for (uint256 i = 0; i < part.length; i++) {
            part[i] = responseOf[part[i]];
        }
        return part;
    }

    function _findWinner() private view returns (address) {
        for (uint256 i = 0; i < _responders.length; i++) {
            if (IResponse(responseOf[_responders[i]]).getStatus() == ResponseStatus.CONFIRMED) return _responders[i];
        }
        revert("InvalidStatus");
    }

    function _isStep(TaskStatus from, TaskStatus to) private pure returns (bool) {
        if (from == TaskStatus.NEW) {
            return to == TaskStatus.ATTEMPTED || to == TaskStatus.CANCELED || to == TaskStatus.EXPIRED;
        }
        if (from == TaskStatus.ATTEMPTED) return to == TaskStatus.RESPONDED || to == TaskStatus.EXPIRED;
        return from == TaskStatus.RESPONDED && (to == TaskStatus.FINALIZED || to == TaskStatus.EXPIRED);
    }
}
