// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface IVault {
    event Deposited(address account, uint256 amount);
    event Withdrawn(address account, uint256 amount);
    event Locked(address account, uint256 amount);
    event Unbonded(address account, uint256 amount);
    event UnbondingCanceled(address account, uint256 amount);
    event Claimed(address account, uint256 amount);
    event Sanctioned(address account, uint256 amount);
    event Waived(address account, uint256 amount);

    function MIN_LOCKUP_PER_SOURCE() external view returns (uint256);
    function getLockupOf(address account) external view returns (uint256);
    function isEligible(address account) external view returns (bool);
    function deposit(address account) external payable;
    function freezePayment(address client, address task, uint256 amount) external;
    function releasePayment(address client, address task) external;
    function processPayment(address client, address provider, address task, uint256 amount) external;
}
