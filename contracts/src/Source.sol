// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ISource} from "./interfaces/ISource.sol";
import {SourceParams, SourceStatus} from "./interfaces/Types.sol";
import {Ranges} from "./libraries/Ranges.sol";

/// @notice A service, its registrants and its tasks; owned by its client, but it obeys only the Nexus that deployed it.
contract Source is Ownable, ISource {
    SourceParams public sourceParams;
    SourceStatus public status;
    address public nexus;

    address[] public tasks;
    /// @notice Providers in the order of registration; zero where one has unregistered.
    address[] public registrants;
    /// @notice Position in registrants plus one; 0 means not registered.
    mapping(address => uint256) public registrantId;
    mapping(address => uint8) public preferredEnvironmentOf;

    modifier onlyNexus() {
        require(msg.sender == nexus, "NotOwner");
        _;
    }

    constructor(SourceParams memory _sourceParams) payable Ownable(_sourceParams.client) {
        sourceParams = _sourceParams;
        nexus = msg.sender;
    }

    function setSourceParams(SourceParams calldata _sourceParams) external onlyNexus {
        sourceParams = _sourceParams;
    }

    /// @notice ACTIVE to INACTIVE, for good.
    function setStatus(SourceStatus _status) external onlyNexus {
        require(status == SourceStatus.ACTIVE, "SourceInactive");
        require(_status == SourceStatus.INACTIVE, "InvalidStatus");
        status = _status;
    }

    /// @notice Enters a provider and returns its registrant id, which starts at 1.
    function register(address provider, uint8 preferredEnvironment) external onlyNexus returns (uint256) {
        require(registrantId[provider] == 0, "AlreadyRegistered");
        registrants.push(provider);
        registrantId[provider] = registrants.length;
        preferredEnvironmentOf[provider] = preferredEnvironment;
        return registrants.length;
    }

    /// @notice Leaves a hole, so that no other registrant's id changes.
    function unregister(address provider) external onlyNexus {
        uint256 id = registrantId[provider];
        require(id != 0, "NotRegistered");
        delete registrants[id - 1];
        delete registrantId[provider];
        delete preferredEnvironmentOf[provider];
    }

    function publishTask(address task) external onlyNexus {
        tasks.push(task);
    }

    function getClient() external view returns (address) {
        return sourceParams.client;
    }

    function getSourceParams() external view returns (SourceParams memory) {
        return sourceParams;
    }

    function getStatus() external view returns (SourceStatus) {
        return status;
    }

    function getTaskCount() external view returns (uint256) {
        return tasks.length;
    }

    /// @notice Counts holes too.
    function getRegistrantCount() external view returns (uint256) {
        return registrants.length;
    }

    function getRegistrantId(address provider) external view returns (uint256) {
        return registrantId[provider];
    }

    /// @notice Both bounds inclusive; Panic(0x32) for any lower > 0.
    function getTasks(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return Ranges.absoluteSlice(tasks, lower, upper);
    }

    /// @notice Both bounds inclusive; Panic(0x32) for any lower > 0.
    function getRegistrants(uint256 lower, uint256 upper) external view returns (address[] memory) {
        return Ranges.absoluteSlice(registrants, lower, upper);
    }
}
