// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {SourceParams, SourceStatus} from "./Types.sol";

interface ISource {
    function getClient() external view returns (address);
    function getStatus() external view returns (SourceStatus);
    function getSourceParams() external view returns (SourceParams memory);
    function getRegistrantId(address provider) external view returns (uint256);
    function setSourceParams(SourceParams calldata _sourceParams) external;
    function setStatus(SourceStatus _status) external;
    function register(address provider, uint8 preferredEnvironment) external returns (uint256);
    function unregister(address provider) external;
    function publishTask(address task) external;
}
