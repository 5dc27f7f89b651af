// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {DeliveryMethod, TaskStatus} from "./Types.sol";

interface ITask {
    function owner() external view returns (address);
    function getSource() external view returns (address);
    function getPayment() external view returns (uint256);
    function getExpiryTime() external view returns (uint256);
    function getStatus() external view returns (TaskStatus);
    function getDeliveryMethod() external view returns (DeliveryMethod);
    function attempt(address provider) external;
    function submitResponse(address response, address provider) external;
    function setStatus(TaskStatus _status) external;
}
