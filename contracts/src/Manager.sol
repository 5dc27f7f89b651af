// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @notice The protocol's roles; the deployer is the first admin.
contract Manager is AccessControl {
    /// @notice May move task payments and item statuses: Nexus and Controller.
    bytes32 public constant CONTROLLER = keccak256("CONTROLLER");
    /// @notice May sanction and waive.
    bytes32 public constant JUDGE = keccak256("JUDGE");
    /// @notice Held by each paired provider.
    bytes32 public constant PROVIDER = keccak256("PROVIDER");

    // [L] Pairing grants PROVIDER and nothing else, so it has its own admin role; read it with getRoleAdmin(PROVIDER).
    bytes32 private constant TERMINAL = keccak256("TERMINAL");

    constructor() {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
        _setRoleAdmin(PROVIDER, TERMINAL);
    }
}
