// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ResponseParams, ResponseStatus} from "./Types.sol";

interface IResponse {
    function getResponseParams() external view returns (ResponseParams memory);
    function getStatus() external view returns (ResponseStatus);
    function setStatus(ResponseStatus _status) external;
}
