// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IResponse} from "./interfaces/IResponse.sol";
import {ResponseParams, ResponseStatus} from "./interfaces/Types.sol";

/// @notice One provider's answer to a task; deployed and owned by Nexus.
contract Response is Ownable, IResponse {
    ResponseParams public responseParams;
    ResponseStatus public status;
    /// @notice When the response was submitted, in Unix seconds.
    uint256 public responseTimestamp;
    /// @notice True once the response has won its task; never false again.
    bool public confirmedFinal;

    constructor(ResponseParams memory _responseParams) payable Ownable(msg.sender) {
        responseParams = _responseParams;
        responseTimestamp = block.timestamp;
    }

    /// @notice Confirms the response for good.
    function confirm() external onlyOwner {
        _confirm();
    }

    /// @notice Sets the status; SUBMITTED to CONFIRMED is the only step there is.
    function setStatus(ResponseStatus _status) external onlyOwner {
        require(_status == ResponseStatus.CONFIRMED, "InvalidStatus");
        _confirm();
    }

    function getResponseParams() external view returns (ResponseParams memory) {
        return responseParams;
    }

    function getStatus() external view returns (ResponseStatus) {
        return status;
    }

    function _confirm() private {
        require(status == ResponseStatus.SUBMITTED, "AlreadyConfirmed");
        status = ResponseStatus.CONFIRMED;
        confirmedFinal = true;
    }
}
