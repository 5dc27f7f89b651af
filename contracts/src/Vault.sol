// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {INexus} from "./interfaces/INexus.sol";
import {ITask} from "./interfaces/ITask.sol";
import {IVault} from "./interfaces/IVault.sol";
import {TaskStatus} from "./interfaces/Types.sol";

/// @notice Balances, stake and escrow in native coin, all in wei.
/// Each coin is in exactly one place: a balance, a lockup, an unbonding, a frozen payment or sanctionedAmount.
contract Vault is IVault {
    bytes32 private constant ADMIN = 0x00;
    bytes32 private constant CONTROLLER = keccak256("CONTROLLER");
    bytes32 private constant JUDGE = keccak256("JUDGE");

    /// @notice Stake floor for each active source, and for a provider, in wei.
    uint256 public MIN_LOCKUP_PER_SOURCE = 10 ether;
    /// @notice Seconds between unbond and claim.
    uint256 public UNBONDING_PERIOD = 7 days;

    address public manager;
    address public nexus;
    address public terminal;

    mapping(address => uint256) public balanceOf;
    /// @notice Stake that counts; a sanction has already been taken off it.
    mapping(address => uint256) public lockupOf;
    mapping(address => uint256) public unbondingOf;
    /// @notice When the unbonding matures, in Unix seconds; 0 when there is none.
    mapping(address => uint256) public unbondingTimestamp;
    /// @notice The part of sanctionedAmount that was taken from an account and can still be waived.
    mapping(address => uint256) public sanctionOf;
    mapping(address => uint256) public totalEarningsOf;
    mapping(address => uint256) public frozenPayment;
    mapping(address => bool) public isWhitelisted;
    /// @notice The sum of sanctionOf over all accounts.
    uint256 public sanctionedAmount;

    bool private _entered;

    modifier onlyRole(bytes32 role) {
        require(IAccessControl(manager).hasRole(role, msg.sender), "NotOwner");
        _;
    }

    // Own guard, since OpenZeppelin's would add a custom error to the fixed interface.
    modifier nonReentrant() {
        require(!_entered, "InvalidStatus");
        _entered = true;
        _;
        _entered = false;
    }

    constructor(address _manager, address _nexus, address _terminal) {
        manager = _manager;
        nexus = _nexus;
        terminal = _terminal;
    }

    /// @notice Credits an account's balance; what comes through Terminal goes to its lockup.
    function deposit(address account) external payable {
        require(account != address(0), "NotClient");
        emit Deposited(account, msg.value);
        if (msg.sender == terminal) {
            lockupOf[account] += msg.value;
            emit Locked(account, msg.value);
        } else {
            balanceOf[account] += msg.value;
        }
    }

    /// @notice Pays out from the sender's balance.
    function withdraw(uint256 amount) external nonReentrant {
        _debit(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @notice Moves balance to lockup.
    function lock(uint256 amount) external {
        _debit(msg.sender, amount);
        lockupOf[msg.sender] += amount;
        emit Locked(msg.sender, amount);
    }

    /// @notice Starts to free lockup; a second call adds to the first and starts the wait anew [L].
    function unbond(uint256 amount) external {
        // Zero would set a maturity with nothing to mature, or only put off what is already under way.
        require(amount > 0 && lockupOf[msg.sender] >= amount, "InsufficientLockup");
        lockupOf[msg.sender] -= amount;
        unbondingOf[msg.sender] += amount;
        unbondingTimestamp[msg.sender] = block.timestamp + UNBONDING_PERIOD;
        emit Unbonded(msg.sender, amount);
    }

    /// @notice Moves the whole unbonding back to lockup, matured or not.
    function cancelUnbonding() external {
        uint256 amount = _endUnbonding(msg.sender);
        require(amount > 0, "NoUnbonding");
        lockupOf[msg.sender] += amount;
        emit UnbondingCanceled(msg.sender, amount);
    }

    /// @notice Moves a matured unbonding to the balance.
    function claim() external {
        require(unbondingOf[msg.sender] > 0, "NoUnbonding");
        require(block.timestamp >= unbondingTimestamp[msg.sender], "UnbondingNotElapsed");
        uint256 amount = _endUnbonding(msg.sender);
        balanceOf[msg.sender] += amount;
        emit Claimed(msg.sender, amount);
    }

    /// @notice Moves a task's payment out of the client's balance and holds it.
    function freezePayment(address client, address task, uint256 amount) external onlyRole(CONTROLLER) {
        require(frozenPayment[task] == 0, "InvalidStatus");
        _debit(client, amount);
        frozenPayment[task] = amount;
    }

    /// @notice Gives a task's held payment back.
    function releasePayment(address client, address task) external onlyRole(CONTROLLER) {
        _release(client, task);
    }

    /// @notice Pays the provider from a task's held payment, and the rest back to the client.
    function processPayment(address client, address provider, address task, uint256 amount)
        external
        onlyRole(CONTROLLER)
    {
        uint256 held = frozenPayment[task];
        require(amount <= held, "InsufficientPayment");
        delete frozenPayment[task];
        balanceOf[provider] += amount;
        totalEarningsOf[provider] += amount;
        balanceOf[client] += held - amount;
    }

    /// @notice Lets a task's client take its payment back when nobody has marked the task as expired.
    function forceReleasePayment(address client, address task) external {
        require(msg.sender == client && ITask(task).owner() == client, "NotClient");
        require(block.timestamp >= ITask(task).getExpiryTime(), "InvalidExpiry");
        // Fails for a contract that Nexus does not know as a task, and for a task that is already settled.
        INexus(nexus).setTaskStatus(task, TaskStatus.EXPIRED);
        _release(client, task);
    }

    /// @notice Takes stake away from an account: lockup first, then what it is already unbonding [L].
    function sanction(address account, uint256 amount) external onlyRole(JUDGE) {
        uint256 lockup = lockupOf[account];
        uint256 fromLockup = amount < lockup ? amount : lockup;
        uint256 fromUnbonding = amount - fromLockup;
        require(fromUnbonding <= unbondingOf[account], "InsufficientLockup");
        lockupOf[account] = lockup - fromLockup;
        unbondingOf[account] -= fromUnbonding;
        if (unbondingOf[account] == 0) delete unbondingTimestamp[account];
        sanctionOf[account] += amount;
        sanctionedAmount += amount;
        emit Sanctioned(account, amount);
    }

    /// @notice Gives sanctioned stake back, as lockup [L].
    function waive(address account, uint256 amount) external onlyRole(JUDGE) {
        require(sanctionOf[account] >= amount, "InsufficientBalance");
        sanctionOf[account] -= amount;
        sanctionedAmount -= amount;
        lockupOf[account] += amount;
        emit Waived(account, amount);
    }

    /// @notice Pays an account's sanctioned stake out to the admin that calls; it can no longer be waived [L].
    function withdrawSanctionOf(address account) external onlyRole(ADMIN) nonReentrant {
        uint256 amount = sanctionOf[account];
        require(amount > 0, "InsufficientBalance");
        delete sanctionOf[account];
        sanctionedAmount -= amount;
        _pay(msg.sender, amount);
    }

    /// @notice Pays an account all that is freely its own, without the wait; frozen and sanctioned coin stays [L].
    function emergencyExit(address account) external onlyRole(ADMIN) nonReentrant {
        uint256 amount = balanceOf[account] + lockupOf[account] + _endUnbonding(account);
        require(amount > 0, "InsufficientBalance");
        delete balanceOf[account];
        delete lockupOf[account];
        _pay(account, amount);
    }

    /// @notice Makes an account eligible whatever its stake, or no longer.
    function setWhitelist(address account, bool value) external onlyRole(ADMIN) {
        isWhitelisted[account] = value;
    }

    /// @notice Sets MIN_LOCKUP_PER_SOURCE, in wei.
    function setMinLockupPerSource(uint256 amount) external onlyRole(ADMIN) {
        MIN_LOCKUP_PER_SOURCE = amount;
    }

    /// @notice Sets UNBONDING_PERIOD, in seconds, for unbondings yet to start.
    function setMaxUnbondingPeriod(uint256 period) external onlyRole(ADMIN) {
        UNBONDING_PERIOD = period;
    }

    function setTerminal(address _terminal) external onlyRole(ADMIN) {
        terminal = _terminal;
    }

    /// @notice Whitelisted, or staked for each active source and for one at least [L].
    function isEligible(address account) external view returns (bool) {
        if (isWhitelisted[account]) return true;
        uint256 count = INexus(nexus).activeSourceCountOf(account);
        return lockupOf[account] >= MIN_LOCKUP_PER_SOURCE * (count > 1 ? count : 1);
    }

    function getBalanceOf(address account) external view returns (uint256) {
        return balanceOf[account];
    }

    function getLockupOf(address account) external view returns (uint256) {
        return lockupOf[account];
    }

    function _debit(address account, uint256 amount) private {
        require(balanceOf[account] >= amount, "InsufficientBalance");
        balanceOf[account] -= amount;
    }

    function _release(address client, address task) private {
        uint256 held = frozenPayment[task];
        delete frozenPayment[task];
        balanceOf[client] += held;
    }

    function _endUnbonding(address account) private returns (uint256 amount) {
        amount = unbondingOf[account];
        delete unbondingOf[account];
        delete unbondingTimestamp[account];
    }

    // Every coin that leaves passes here, with its event; the receiver's own revert reason is passed on.
    function _pay(address receiver, uint256 amount) private {
        emit Withdrawn(receiver, amount);
        (bool paid, bytes memory reason) = receiver.call{value: amount}("");
        if (!paid) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
