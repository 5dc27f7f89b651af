// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ResponseStatus, SourceParams, SourceStatus, TaskStatus} from "./Types.sol";

interface INexus {
    event SourcePublished(address source);
    event SourceUpdated(address source, SourceParams sourceParams);
    event SourceStatusChanged(address source, SourceStatus status);
    event Registered(address provider, uint256 registrantId, address source, uint8 preferredEnvironment);
    event TaskPublished(address task, address source);
    event TaskStatusChanged(address task, TaskStatus status);
    event Attempted(address task, address provider, uint256 suggestedPayment);
    event ResponseSubmitted(address response, address task);
    event ResponseStatusChanged(address response, ResponseStatus status);

    function activeSourceCountOf(address client) external view returns (uint256);
    function getSourceId(address source) external view returns (uint256);
    function emitTaskPublished(address task, address source) external;
    function setTaskStatus(address task, TaskStatus status) external;
    function setResponseStatus(address response, ResponseStatus status) external;
}
